"""Hosts of URLs and proxies: a name or an address; checked, lower-case and ASCII."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

from ktor_client.errors import InvalidUrlError
from ktor_client.http.redaction import shown

__all__ = ["checked_host", "in_brackets", "normal_host", "without_zone"]

_is_zone = re.compile(r"[A-Za-z0-9._~-]+").fullmatch
_has_port = re.compile(r"[^/?#]*:[0-9]+(?![^/?#])").match
_flaw = re.compile(r"[\x00-\x20\x7f/?#@\\<>^`{|}%\[\]:\ud800-\udfff]").search


def checked_host(host: str) -> str:
    """Return a host as URLs have it. An address may have a zone: `fe80::1%eth0` (RFC 4007 11).

    Raises:
        InvalidUrlError: it is neither name nor address; its message shows no credentials.
        TypeError: it is no str.
    """
    if not isinstance(host, str):
        raise TypeError(f"host is a str, not {type(host).__name__}")
    try:
        return normal_host(host)
    except ValueError as error:
        raise InvalidUrlError(f"{shown(host)} {error}") from None


@lru_cache(256)
def normal_host(host: str) -> str:
    """Return a host as URLs have it.

    Raises:
        ValueError: it is none; the message, what follows the word "host", does not repeat it.
    """
    if host[:1] == "[" and host[-1:] == "]":
        return _address(host[1:-1])
    if "://" in host:
        raise ValueError("is not a host name but a URL; give it as the url")
    if host.count(":") == 1 and _has_port(host):
        raise ValueError("is not a host name: give the port as port=")
    return _address(host) if ":" in host and "@" not in host else _name(host)


def _address(text: str) -> str:
    address, mark, zone = text.partition("%")
    if mark and not _is_zone(zone):
        raise ValueError("is not an IPv6 address: bad zone")
    try:
        return IPv6Address(address).compressed + mark + zone
    except AddressValueError:
        pass  # it shows what stands there, which may be a secret
    raise ValueError("is not an IPv6 address")


def _name(host: str) -> str:
    _check(host, host)
    if host.isascii():
        return host.lower()
    from ktor_client.http.domain_names import to_ascii

    try:
        name = to_ascii(host).lower()
    except UnicodeError as error:
        raise ValueError(f"is not a host name: {error}") from None
    _check(name, host)  # again: compatible characters have become others
    return name


def _check(name: str, host: str) -> None:
    flaw = _flaw(name)
    if flaw is not None:
        where = "" if flaw[0] in host else "; it means the same as a name with that"
        raise ValueError(f"is not a host name: no name has {flaw[0]!a} in it{where}")
    if not name or name.startswith(".") or ".." in name:
        raise ValueError("is not a host name: a part of it is empty")


def without_zone(host: str) -> str:
    """Return a host as others may know it: a zone means something on this machine only.

    So it never leaves in a Host field, to a proxy, or for a certificate (RFC 6874 4).
    """
    return host.partition("%")[0]


def in_brackets(host: str) -> str:
    """Return a host as it stands before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
