"""From a `Set-Cookie` field to a cookie, or to the reason why there is none (RFC 6265bis 5.6, 5.7).

What depends on cookies that are there already is the plugin's business.
"""

from __future__ import annotations

import re

from ktor_client.http import Url
from ktor_client.plugins.cookies.cookie import (
    Cookie,
    SameSite,
    domain_matches,
    is_address,
    why_unusable,
)
from ktor_client.plugins.cookies.dates import parse_cookie_date
from ktor_client.plugins.cookies.public_suffixes import is_public_suffix

__all__ = ["CookieRefused", "default_path", "parse_set_cookie"]

MAX_ATTRIBUTE = 1024
"""Bytes of an attribute's value; a longer attribute counts as not there."""
MAX_AGE = 400 * 86400.0
"""Seconds that a cookie is kept at most (RFC 6265bis 5.5)."""

_control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
_is_delta = re.compile(r"-?[0-9]+").fullmatch
_SAME_SITE: dict[str, SameSite] = {"strict": "Strict", "lax": "Lax", "none": "None"}


class CookieRefused(ValueError):
    """The cookie may not be set; the message says why and shows no value."""


def parse_set_cookie(field: str, url: Url, now: float) -> Cookie:
    """Return the cookie that an answer of `url` sets, at `now` in seconds since 1970.

    Raises:
        CookieRefused: it sets none, or none that this host may set.
    """
    if _control(field):
        raise CookieRefused("it has a control character")
    pair, _, rest = field.partition(";")
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", pair
    name, value = name.strip(" \t"), value.strip(" \t")
    reason = why_unusable(name, value)
    if reason is not None:
        raise CookieRefused(f"a cookie {reason}")
    attributes = _attributes(rest)
    domain, host_only = _domain(attributes.get("domain", ""), url.host)
    path = attributes.get("path", "")
    cookie = Cookie(
        name,
        value,
        domain,
        path if path.startswith("/") else default_path(url.path),
        host_only,
        secure="secure" in attributes,
        http_only="httponly" in attributes,
        same_site=_SAME_SITE.get(attributes.get("samesite", "").lower()),
        expires=_expiry(attributes, now),
        created=now,
    )
    if cookie.secure and not url.is_secure:
        raise CookieRefused("it is Secure, and the answer came without TLS")
    _check_prefix(cookie, path)
    return cookie


def _attributes(text: str) -> dict[str, str]:
    """Return the attributes by lower-case name; the last of a name counts."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        name, value = name.strip(" \t").lower(), value.strip(" \t")
        if len(value.encode("utf-8", "surrogatepass")) > MAX_ATTRIBUTE:
            continue
        if name == "max-age" and not _is_delta(value):
            continue
        if name == "expires" and parse_cookie_date(value) is None:
            continue
        found[name] = value
    return found


def _expiry(attributes: dict[str, str], now: float) -> float | None:
    if "max-age" in attributes:
        seconds = min(float(attributes["max-age"]), MAX_AGE)
        return now + seconds if seconds > 0 else 0.0
    expires = parse_cookie_date(attributes["expires"]) if "expires" in attributes else None
    return None if expires is None else min(expires, now + MAX_AGE)


def _domain(attribute: str, host: str) -> tuple[str, bool]:
    """Return the cookie's domain, and whether it is for that host alone."""
    if not attribute.isascii():
        raise CookieRefused("its Domain is not ASCII")
    domain = attribute.removeprefix(".").lower()
    if domain.startswith("["):
        domain = domain.strip("[]")
    if not domain:
        return host, True
    if is_public_suffix(domain):
        if domain != host:
            raise CookieRefused(f"its Domain {domain!r} is a public suffix, which has no owner")
        return host, True
    if not domain_matches(host, domain):
        raise CookieRefused(f"its Domain {domain!r} is not that of {host}")
    return domain, is_address(domain)


def default_path(path: str) -> str:
    """Return the path of a cookie that names none (RFC 6265bis 5.1.4): the request's folder."""
    return path[: path.rfind("/")] or "/"


def _check_prefix(cookie: Cookie, path_attribute: str) -> None:
    name = cookie.name.lower()
    if not name and cookie.value.lower().startswith(("__secure-", "__host-")):
        raise CookieRefused("it has no name, and a value that looks like a prefixed one")
    if name.startswith("__secure-") and not cookie.secure:
        raise CookieRefused("a __Secure- cookie has to be Secure")
    if name.startswith("__host-") and not (
        cookie.secure and cookie.host_only and path_attribute == "/"
    ):
        raise CookieRefused("a __Host- cookie has to be Secure, without Domain, with Path=/")
