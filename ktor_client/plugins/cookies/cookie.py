"""A cookie as it is kept, and which requests it goes with (RFC 6265bis 5.1, 5.8.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from math import isfinite
from typing import Literal, TypeAlias

from ktor_client.http import Url

__all__ = ["Cookie", "SameSite", "domain_matches", "is_address", "path_matches", "why_unusable"]

SameSite: TypeAlias = Literal["Strict", "Lax", "None"]

MAX_SIZE = 4096
"""Bytes of name and value together."""

_unsendable = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]").search


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie of a site. Its value is sent exactly as given, including quotes.

    `repr` does not show the value.
    """

    name: str
    value: str = field(repr=False)
    domain: str
    """Lower-case host name, without a dot in front."""
    path: str = "/"
    host_only: bool = True
    """Whether it is for `domain` alone and not for the names below it."""
    secure: bool = False
    """Whether it is sent over TLS only: https and wss."""
    http_only: bool = False
    """Whether scripts of a page are kept from it; kept, and without effect here."""
    same_site: SameSite | None = None
    """What the server said; kept, and without effect: here is no other site that could ask."""
    expires: float | None = None
    """Seconds since 1970, or None for a cookie of this session."""
    created: float = field(default=0.0, compare=False)
    """Seconds since 1970; older ones are sent first."""

    def __post_init__(self) -> None:
        """Check what would break the Cookie header.

        Raises:
            ValueError: neither name nor value; a semicolon, a control character or a lone
                surrogate in them, an equals sign in the name; more than 4096 bytes; a domain or
                path of another shape.
            TypeError: a field of another type.
        """
        for part in ("name", "value", "domain", "path"):
            if not isinstance(getattr(self, part), str):
                raise TypeError(f"{part} of a cookie is a str")
        for part in ("host_only", "secure", "http_only"):
            if not isinstance(getattr(self, part), bool):
                raise TypeError(f"{part} of a cookie is True or False")
        if self.same_site not in (None, "Strict", "Lax", "None"):
            raise ValueError('same_site of a cookie is "Strict", "Lax", "None" or None')
        for time in (self.created, 0.0 if self.expires is None else self.expires):
            if isinstance(time, bool) or not isinstance(time, int | float) or not isfinite(time):
                raise TypeError("expires and created of a cookie are seconds since 1970")
        reason = why_unusable(self.name, self.value)
        if reason is not None:
            raise ValueError(f"a cookie {reason}")
        if not self.domain or self.domain != self.domain.lower() or self.domain.startswith("."):
            raise ValueError("domain of a cookie is a lower-case host name, without a dot in front")
        if not self.path.startswith("/"):
            raise ValueError("path of a cookie starts with /")

    @property
    def pair(self) -> str:
        """Its part of the `Cookie` header."""
        return f"{self.name}={self.value}" if self.name else self.value

    def is_expired(self, now: float) -> bool:
        """Whether it has expired at `now`, in seconds since 1970."""
        return self.expires is not None and self.expires <= now

    def matches(self, url: Url, now: float) -> bool:
        """Whether it is sent with a request to `url` at `now`."""
        return (
            (url.host == self.domain if self.host_only else domain_matches(url.host, self.domain))
            and path_matches(url.path, self.path)
            and (url.is_secure or not self.secure)
            and not self.is_expired(now)
        )


def why_unusable(name: str, value: str) -> str | None:
    """Return what is wrong with a cookie's name or value, or None. Nothing secret is shown."""
    if not name and not value:
        return "has a name or a value"
    if "=" in name or ";" in name or ";" in value:
        return "has no semicolon, and no equals sign in its name; percent-encode them"
    if _unsendable(name) or _unsendable(value):
        return "has no control characters, and no lone surrogates"
    if len(name.encode()) + len(value.encode()) > MAX_SIZE:
        return f"has at most {MAX_SIZE} bytes in name and value"
    return None


def domain_matches(host: str, domain: str) -> bool:
    """Whether `host` is `domain` or a name below it (RFC 6265bis 5.1.3); both in lower case."""
    return host == domain or (host.endswith(f".{domain}") and not is_address(host))


def path_matches(path: str, cookie_path: str) -> bool:
    """Whether a request's path is the cookie's or below it (RFC 6265bis 5.1.4)."""
    return path == cookie_path or (
        path.startswith(cookie_path)
        and (cookie_path.endswith("/") or path[len(cookie_path)] == "/")
    )


def is_address(host: str) -> bool:
    """Whether a host is an IP address, below which there are no names."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
