"""Where cookies are kept: the interface, and the storage in memory. Who may set what, not."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from typing import TypeAlias

from ktor_client.http import Url
from ktor_client.plugins.cookies.cookie import Cookie

__all__ = ["CookieStorage", "InMemoryCookies"]

MAX_COOKIES = 3000
MAX_PER_DOMAIN = 180
EXCESS = 50
"""A domain with more cookies than this gives some up first (RFC 6265bis 5.7)."""


class CookieStorage(ABC):
    """Keeps cookies for `HttpCookies` (Ktor's `CookiesStorage`): in memory, a file, a database.

    Each method but `may_have` may be a coroutine function. `HttpCookies` decides which cookies may
    be set and which are sent, so a storage need not know those rules.
    """

    @abstractmethod
    def get(self, url: Url) -> Iterable[Cookie] | Awaitable[Iterable[Cookie]]:
        """Return at least every cookie whose `domain` is the URL's host or ends it."""

    def may_have(self, url: Url) -> bool:
        """Whether `get` may return cookies; asked for each request, so it has to be quick."""
        return True

    @abstractmethod
    def put(self, cookies: Sequence[Cookie]) -> Awaitable[None] | None:
        """Keep cookies; each replaces the one with its name, domain, path and `host_only`.

        An expired cookie replaces it as well and may then be forgotten: that is how servers delete
        cookies.
        """

    @abstractmethod
    def clear(self) -> Awaitable[None] | None:
        """Forget every cookie."""

    def close(self) -> Awaitable[None] | None:  # noqa: B027  # most have nothing to do
        """Called when a client that used this storage closes. Other clients may still use it."""


Key: TypeAlias = tuple[str, str, bool]


class InMemoryCookies(CookieStorage):
    """Cookies that live as long as this object, for one client or several.

    It keeps at most 3,000 cookies, and 180 per domain. Beyond that, expired cookies go first, then
    those unused for longest; `Secure` cookies, and those of domains with fewer than 51, go last
    (RFC 6265bis 5.7).
    """

    def __init__(self) -> None:
        self._domains: dict[str, dict[Key, Cookie]] = {}
        self._used: dict[tuple[str, Key], int] = {}
        self._uses = 0
        self._changes = 0
        """Grows whenever a cookie comes, goes or becomes another; for storages made of this one."""

    def may_have(self, url: Url) -> bool:
        """Whether there are any."""
        return bool(self._used)

    def get(self, url: Url) -> list[Cookie]:
        """Return the cookies of the host and of the domains above it."""
        found: list[Cookie] = []
        now = time.time()
        for domain in _domains_above(url.host):
            for key, cookie in self._domains.get(domain, {}).items():
                found.append(cookie)
                if cookie.matches(url, now):
                    self._touch(domain, key)
        return found

    def put(self, cookies: Sequence[Cookie]) -> Awaitable[None] | None:
        """Keep cookies, within the limits."""
        now = time.time()
        for cookie in cookies:
            key = (cookie.name, cookie.path, cookie.host_only)
            if cookie.is_expired(now):
                self._forget(cookie.domain, key)
                continue
            cookies_there = self._domains.setdefault(cookie.domain, {})
            if cookies_there.get(key) != cookie:
                self._changes += 1
            cookies_there[key] = cookie
            self._touch(cookie.domain, key)
            if len(cookies_there) > MAX_PER_DOMAIN:
                self._evict(now, only=cookie.domain)
            if len(self._used) > MAX_COOKIES:
                self._evict(now)
        return None

    def clear(self) -> Awaitable[None] | None:
        """Forget every cookie."""
        self._changes += 1
        self._domains.clear()
        self._used.clear()
        return None

    def __len__(self) -> int:
        return len(self._used)

    def __iter__(self) -> Iterator[Cookie]:
        """Iterate over all cookies, the least used first."""
        for domain, key in sorted(self._used, key=self._used.__getitem__):
            yield self._domains[domain][key]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self)} cookies>"

    def _touch(self, domain: str, key: Key) -> None:
        self._uses += 1
        self._used[domain, key] = self._uses

    def _forget(self, domain: str, key: Key) -> None:
        if self._used.pop((domain, key), None) is not None:
            self._changes += 1
            del self._domains[domain][key]
            if not self._domains[domain]:
                del self._domains[domain]

    def _evict(self, now: float, only: str | None = None) -> None:
        """Forget what has expired, or else the one cookie that can be missed best."""
        candidates = [
            (self._domains[domain][key], domain, key)
            for domain, key in self._used
            if only is None or domain == only
        ]
        expired = [(domain, key) for cookie, domain, key in candidates if cookie.is_expired(now)]
        if not expired:
            _, domain, key = min(
                candidates,
                key=lambda one: (
                    len(self._domains[one[1]]) <= EXCESS,
                    one[0].secure and len(self._domains[one[1]]) > EXCESS,
                    self._used[one[1], one[2]],
                ),
            )
            expired = [(domain, key)]
        for domain, key in expired:
            self._forget(domain, key)


def _domains_above(host: str) -> Iterator[str]:
    while host:
        yield host
        host = host.partition(".")[2]
