"""The `HttpCookies` plugin: which cookies go with a request, and which an answer may set.

How they are kept is the storage's business.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar, cast

from ktor_client.engine.capabilities import CookiesCapability
from ktor_client.engine.shared import require
from ktor_client.http import AttributeKey, Headers, HttpRequest, HttpResponse, Url
from ktor_client.plugin import HttpClientPlugin, LayerKind, PluginScope, Send
from ktor_client.plugins.cookies.cookie import Cookie, domain_matches, path_matches
from ktor_client.plugins.cookies.set_cookie import CookieRefused, default_path, parse_set_cookie
from ktor_client.plugins.cookies.storage import CookieStorage, InMemoryCookies
from ktor_client.unset import UNSET

__all__ = ["CookieSeeds", "HttpCookies"]

T = TypeVar("T")

CookieSeeds: TypeAlias = Mapping[str, str] | Mapping[str, Mapping[str, str]] | Iterable[Cookie]
"""Names and values by URL; or whole cookies; or names and values for whatever host is asked."""

_HOP = AttributeKey[tuple[list[str], list[str], int]](
    "Cookie fields of the request's own, those that it was sent with, and what was kept then"
)
_NONE: list[str] = []
_REPLACED = AttributeKey[frozenset[str]]("cookies of the request that an answer has set anew")


class HttpCookies(HttpClientPlugin):
    """Keep the cookies that servers set, and send them back (Ktor's `HttpCookies`, RFC 6265bis).

    It serves requests and WebSocket handshakes alike, and each step of a redirect separately. A
    request's own `Cookie` header takes precedence over kept cookies of the same name.
    """

    def __init__(self, *, storage: CookieStorage = UNSET, cookies: CookieSeeds = ()) -> None:
        """Check and keep the options.

        Args:
            storage: where cookies are kept; by default an `InMemoryCookies()` for this client.
                `FileCookies(path)` outlives the program.
            cookies: initial cookies, unless the storage already has them: `{"https://example.org/":
                {"theme": "dark"}}`, or `Cookie` objects. `{"theme": "dark"}` sends the cookie to
                each host that a call names, but not to one that only a redirect names.

        Raises:
            TypeError: something is not a storage, or not cookies.
            ValueError: a cookie cannot be sent.
            InvalidUrlError: a URL is not valid.
        """
        if storage is not UNSET and not isinstance(storage, CookieStorage):
            raise TypeError(
                f"storage takes an instance of CookieStorage such as InMemoryCookies(), "
                f"not {storage!r}"
            )
        self._storage: CookieStorage = InMemoryCookies() if storage is UNSET else storage
        self._seeds, self._for_each_host = _seeds(cookies)
        self._seeded: set[str] = set()
        self._changes = 0
        """Grows with what is kept or forgotten."""
        self._seeding = asyncio.Lock()

    def install(self, scope: PluginScope) -> None:
        """Register the layers.

        Raises:
            UnsupportedCapabilityError: in a browser, which keeps cookies itself and shows none.
        """
        require(scope.engine, CookiesCapability, "HttpCookies")
        scope.on_send(self._hop, kind=LayerKind.COOKIES, when=self._has_cookies)
        scope.on_send(self._keep_set, kind=LayerKind.TIMEOUT, when=lambda request: _sets_cookies)
        scope.on_send(self._refresh, kind=LayerKind.TIMEOUT, when=self._may_lack_cookies)
        scope.on_close(self._close)

    async def get(self, url: str | Url) -> list[Cookie]:
        """Return the cookies that a request to `url` would send, in order.

        Raises:
            InvalidUrlError: the URL is not absolute. The storage may raise other errors.
        """
        url = _url(url)
        await self._seed(url, asked=False)
        return await self._matching(url, self._storage.get(url))

    async def set(self, url: str | Url, cookie: str | Cookie, value: str | None = None) -> None:
        """Keep a cookie as if a response from `url` had set it.

        `set(url, "theme", "dark")`; `set(url, "theme=dark; Path=/; Max-Age=60")`, in the syntax of
        `Set-Cookie`; or `set(url, Cookie(...))`. With a plain value, the cookie applies to this
        host and path, and only over TLS if the URL uses TLS.

        Raises:
            ValueError: this URL may not set such a cookie; the message says why.
            InvalidUrlError: the URL is not absolute. The storage may raise other errors.
        """
        url, now = _url(url), time.time()
        if value is not None:
            if not isinstance(cookie, str):
                raise TypeError("a Cookie has its value; leave the third argument out")
            cookie = _cookie_of(url, cookie, value, now)
        elif isinstance(cookie, str):
            cookie = parse_set_cookie(cookie, url, now)
        elif not isinstance(cookie, Cookie):
            raise TypeError(f"set takes a name and a value, or a Cookie, not {cookie!r}")
        elif not domain_matches(url.host, cookie.domain):
            raise CookieRefused(f"its domain {cookie.domain!r} is not that of {url.host}")
        await self._seed(url, asked=False)
        if not await self._keep(url, [cookie]):
            raise CookieRefused("there is a Secure cookie of that name, which only TLS may replace")

    async def clear(self, url: str | Url | None = None) -> None:
        """Forget every cookie, or those that a request to `url` would send.

        Raises:
            InvalidUrlError: the URL is not absolute. The storage may raise other errors.
        """
        if url is None:
            self._seeds.clear()
            self._for_each_host.clear()
            self._changes += 1
            await _done(self._storage.clear())
            return
        self._changes += 1
        gone = [replace(cookie, expires=0.0) for cookie in await self.get(url)]
        await _done(self._storage.put(gone))

    # --- the layers ---

    def _has_cookies(self, request: HttpRequest) -> bool:
        if self._seeds or self._for_each_host or "cookie" in request.headers:
            return True
        request.attributes[_HOP] = _NONE, _NONE, self._changes
        return self._storage.may_have(request.url)

    async def _hop(self, request: HttpRequest, send: Send) -> HttpResponse:
        """Send a request, or the next one of a redirect, with its cookies."""
        url = request.url
        if self._seeds or (self._for_each_host and url.host not in self._seeded):
            await self._seed(url, asked=not request.is_elsewhere)
        own, changes = request.headers.get_all("cookie"), self._changes
        sent, kept = own, await self._matching(url, self._storage.get(url))
        if own or kept:
            request = _with_cookies(request, own, kept)
            sent = request.headers.get_all("cookie")
        request.attributes[_HOP] = own, sent, changes
        return await send(request)

    async def _keep_set(self, request: HttpRequest, send: Send) -> HttpResponse:
        """Keep what an answer sets, also one that auth and retry answer with a repetition."""
        response = await send(request)
        if _sets_cookies(response):
            names = await self._take(request.url, response.headers.get_all("set-cookie"))
            if _own(request):
                replaced = request.attributes.get(_REPLACED) or frozenset()
                request.attributes[_REPLACED] = replaced | names
        return response

    def _may_lack_cookies(self, request: HttpRequest) -> bool:
        """Whether some may have been kept since its hop began, as before a repetition."""
        hop = request.attributes.get(_HOP)
        if hop is None:
            return True
        return hop[2] != self._changes and hop[1] == request.headers.get_all("cookie")

    async def _refresh(self, request: HttpRequest, send: Send) -> HttpResponse:
        """Send a request with the cookies that are kept by now."""
        url = request.url
        kept = await self._matching(url, self._storage.get(url))
        return await send(_with_cookies(request, _own(request), kept))

    async def _take(self, url: Url, fields: Sequence[str]) -> frozenset[str]:
        """Keep what may be kept of an answer's `Set-Cookie` fields; return the names."""
        now = time.time()
        cookies: list[Cookie] = []
        for field in fields:
            try:
                cookies.append(parse_set_cookie(field, url, now))
            except CookieRefused:
                continue  # as browsers do: a bad cookie is no cookie, and no error
        return await self._keep(url, cookies)

    async def _keep(self, url: Url, cookies: Sequence[Cookie]) -> frozenset[str]:
        """Keep cookies but those that would shadow a `Secure` one; return the names of the kept."""
        there = {_key(cookie): cookie for cookie in await self._known(url)}
        kept: list[Cookie] = []
        for cookie in cookies:
            if not url.is_secure and any(_is_above(one, cookie) for one in there.values()):
                continue
            old = there.get(_key(cookie))
            if old is not None:
                cookie = replace(cookie, created=old.created)
            there[_key(cookie)] = cookie
            kept.append(cookie)
        if kept:
            self._changes += 1
            await _done(self._storage.put(kept))
        return frozenset(cookie.name for cookie in kept)

    async def _matching(
        self, url: Url, known: Iterable[Cookie] | Awaitable[Iterable[Cookie]]
    ) -> list[Cookie]:
        """Return those of the storage's cookies that a request to `url` sends, in order."""
        if isinstance(known, Awaitable):
            known = await known
        now = time.time()
        found = [cookie for cookie in known if cookie.matches(url, now)]
        if len(found) > 1:
            found.sort(key=lambda cookie: (-len(cookie.path), cookie.created))
        return found

    async def _known(self, url: Url) -> list[Cookie]:
        """Return the storage's cookies, but no expired ones, which it need not have forgotten."""
        known = self._storage.get(url)
        if isinstance(known, Awaitable):
            known = await known
        now = time.time()
        return [cookie for cookie in known if not cookie.is_expired(now)]

    async def _seed(self, url: Url, *, asked: bool) -> None:
        """Put in what the option `cookies` has, once, and nothing over what is there."""
        async with self._seeding:
            seeds = self._seeds
            if asked and url.host not in self._seeded:
                now = time.time()
                at_root = Url(url.scheme, url.host, url.port)
                more = self._for_each_host.items()
                seeds = [*seeds, *(_cookie_of(at_root, name, value, now) for name, value in more)]
            for cookie in seeds:
                place = Url("https" if cookie.secure else "http", cookie.domain)
                if _key(cookie) not in {_key(one) for one in await self._known(place)}:
                    await _done(self._storage.put([cookie]))
            self._seeds = []
            if asked:
                self._seeded.add(url.host)

    async def _close(self) -> None:
        await _done(self._storage.close())


def _sets_cookies(response: HttpResponse) -> bool:
    return "set-cookie" in response.headers


def _own(request: HttpRequest) -> list[str]:
    """Return the `Cookie` fields that are not from here."""
    hop = request.attributes.get(_HOP)
    return request.headers.get_all("cookie") if hop is None else hop[0]


def _with_cookies(request: HttpRequest, own: Sequence[str], kept: Sequence[Cookie]) -> HttpRequest:
    pairs = [pair.strip(" \t") for field in own for pair in field.split(";")]
    replaced = request.attributes.get(_REPLACED) or frozenset()
    pairs = [pair for pair in pairs if pair and _name(pair) not in replaced]
    names = {_name(pair) for pair in pairs}
    pairs += [cookie.pair for cookie in kept if cookie.name not in names]
    if pairs:
        return request.with_header("Cookie", "; ".join(pairs), meant_for=request.url.origin)
    fields = request.headers.fields()
    others = [field for field in fields if field[0].lower() != "cookie"]
    return request if len(others) == len(fields) else request.copy(headers=Headers(others))


def _name(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return name if equals else ""


def _key(cookie: Cookie) -> tuple[str, str, str, bool]:
    return cookie.name, cookie.domain, cookie.path, cookie.host_only


def _is_above(one: Cookie, other: Cookie) -> bool:
    """Whether a `Secure` cookie forbids another, which came without TLS (RFC 6265bis 5.7)."""
    return (
        one.secure
        and one.name == other.name
        and (domain_matches(one.domain, other.domain) or domain_matches(other.domain, one.domain))
        and path_matches(other.path, one.path)
    )


def _cookie_of(url: Url, name: str, value: str, now: float) -> Cookie:
    path = default_path(url.path)
    return Cookie(name, value, url.host, path, secure=url.is_secure, created=now)


def _seeds(cookies: CookieSeeds) -> tuple[list[Cookie], dict[str, str]]:
    """Return cookies of known hosts, and names and values for each host."""
    if isinstance(cookies, str | bytes | Cookie) or not isinstance(cookies, Iterable):
        raise TypeError(
            'cookies takes {"https://example.org/": {"name": "value"}}, or Cookie objects in a list'
        )
    now = time.time()
    seeds: list[Cookie] = []
    for_each_host: dict[str, str] = {}
    if not isinstance(cookies, Mapping):
        for cookie in cookies:
            if not isinstance(cookie, Cookie):  # and shows nothing, which may be a secret
                raise TypeError(f"cookies takes Cookie objects, not {type(cookie).__name__}")
            seeds.append(cookie)
        return seeds, for_each_host
    for place, content in cast("Mapping[str, object]", cookies).items():
        if isinstance(content, str):
            _cookie_of(Url("http", "localhost"), place, content, now)  # raises what is wrong
            for_each_host[place] = content
        elif isinstance(content, Mapping):
            url = Url.parse(place)
            pairs = cast("Mapping[str, str]", content).items()
            seeds += [_cookie_of(url, name, value, now) for name, value in pairs]
        else:
            raise TypeError(
                f"cookies takes names and values for a URL, not {type(content).__name__}"
            )
    return seeds, for_each_host


def _url(url: str | Url) -> Url:
    return url if isinstance(url, Url) else Url.parse(url)


async def _done(result: Awaitable[None] | None) -> None:
    if result is not None:
        await result
