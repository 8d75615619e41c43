"""Cookies: the `HttpCookies` plugin, what a cookie is, and where cookies are kept (RFC 6265bis)."""

from ktor_client.plugins.cookies.cookie import Cookie
from ktor_client.plugins.cookies.file import FileCookies
from ktor_client.plugins.cookies.plugin import HttpCookies
from ktor_client.plugins.cookies.storage import CookieStorage, InMemoryCookies

__all__ = ["Cookie", "CookieStorage", "FileCookies", "HttpCookies", "InMemoryCookies"]
