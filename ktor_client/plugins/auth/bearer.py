"""`BearerAuth`: tokens that are loaded, sent unasked, and refreshed once for all who need it."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, TypeAlias, TypeGuard

from ktor_client.durations import Duration, seconds
from ktor_client.engine import HttpClientEngine
from ktor_client.errors import AuthError
from ktor_client.http import HttpRequest, HttpResponse
from ktor_client.http.headers import HeadersBuilder
from ktor_client.plugins.auth.challenge import Challenge
from ktor_client.plugins.auth.provider import AuthProvider, Refusal, SendWithoutRequest

if TYPE_CHECKING:
    from ktor_client.client import HttpClient

__all__ = ["BearerAuth", "BearerTokens", "RefreshTokensParams"]


@dataclass(frozen=True, slots=True)
class BearerTokens:
    """An access token and the token that refreshes it. `repr` shows neither.

    Raises:
        UnsafeHeaderError: the access token cannot be sent.
        TypeError: a token is not a str.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.access_token, str):
            raise TypeError(f"access_token is a str, not {type(self.access_token).__name__}")
        if self.refresh_token is not None and not isinstance(self.refresh_token, str):
            raise TypeError(
                f"refresh_token is a str or None, not {type(self.refresh_token).__name__}"
            )
        HeadersBuilder({"Authorization": self.access_token})


@dataclass(frozen=True, slots=True)
class RefreshTokensParams:
    """What `refresh_tokens` gets (Ktor's `RefreshTokensParams`)."""

    client: HttpClient
    """A client on the same engine, with every plugin but `Auth`. It is not yours to close."""
    response: HttpResponse
    """The 401. Its body may be read."""
    old_tokens: BearerTokens | None
    """The tokens that were refused; None where there were none."""


_Task: TypeAlias = asyncio.Task[BearerTokens | None]
LoadTokens: TypeAlias = Callable[[], Awaitable[BearerTokens | None] | BearerTokens | None]
RefreshTokens: TypeAlias = Callable[
    [RefreshTokensParams], Awaitable[BearerTokens | None] | BearerTokens | None
]


LOAD, REFRESH = "load_tokens", "refresh_tokens"


class _Work:
    """A call of one of the user's functions, in a task that no request owns."""

    def __init__(self, provider: BearerAuth) -> None:
        self.provider = provider
        self.is_over = False


_WITHIN: contextvars.ContextVar[tuple[_Work, ...]] = contextvars.ContextVar(
    "what loads or refreshes tokens here", default=()
)


class BearerAuth(AuthProvider):
    """Tokens in `Authorization: Bearer ...` (RFC 6750; Ktor's `bearer`).

    They are sent without being asked for. When a token gets a 401, `refresh_tokens` runs once for
    all waiting requests, and each of them is sent again. A second 401 goes to the caller.
    """

    scheme: ClassVar[str] = "bearer"

    def __init__(
        self,
        load_tokens: LoadTokens,
        refresh_tokens: RefreshTokens | None = None,
        realm: str | None = None,
        *,
        send_without_request: SendWithoutRequest = True,
        timeout: Duration = 30.0,
    ) -> None:
        """Check the options.

        Args:
            load_tokens: returns the initial tokens, or None if there are none yet. Called once, and
                again after `clear_tokens` or a failed refresh.
            refresh_tokens: returns new tokens, or None to pass the 401 to the caller. Requests that
                it makes with `params.client`, or with the client itself, skip this provider.
            realm: see `AuthProvider`.
            send_without_request: see `AuthProvider`.
            timeout: seconds that each of the two functions may take.

        Both may be plain or coroutine functions. A refresh continues even if the request that
        started it is cancelled; it ends with that request's client.

        Raises:
            TypeError, ValueError: an option of the wrong type, or out of range.
        """
        super().__init__(realm=realm, send_without_request=send_without_request)
        if not callable(load_tokens):
            raise TypeError(
                f"load_tokens is a function, not {type(load_tokens).__name__}; a token that stays "
                "the same is a header: install(DefaultRequest, headers={'Authorization': ...})"
            )
        if refresh_tokens is not None and not callable(refresh_tokens):
            raise TypeError(f"refresh_tokens is a function, not {type(refresh_tokens).__name__}")
        self._load_tokens = load_tokens
        self._refresh_tokens = refresh_tokens
        self._timeout = seconds(timeout, "timeout")
        self._engine: HttpClientEngine | None = None
        self._tokens: BearerTokens | None = None
        self._tasks: dict[str, _Task] = {}
        """What runs, or ran last, by the name of the function."""
        self._clearings = 0
        self._clients = 0
        """How many use this provider."""
        self._refreshing: HttpClient | None = None
        """With what the newest refresh sends."""

    def install(self, engine: HttpClientEngine) -> None:
        """Keep the engine's clock."""
        self._engine = engine
        self._clients += 1

    def keeps_out(self, request: HttpRequest) -> bool:
        """Whether the request has its own credentials, or loads or refreshes tokens."""
        return super().keeps_out(request) or any(
            work.provider is self and not work.is_over for work in _WITHIN.get()
        )

    async def authorize(
        self, request: HttpRequest, challenge: Challenge | None
    ) -> HttpRequest | None:
        """Set the header. Raises `AuthError` if the tokens cannot be loaded."""
        refreshing = self._tasks.get(REFRESH)
        if _is_running(refreshing):  # what there is now was just refused
            await asyncio.wait([refreshing])
        tokens = self._tokens or await self._shared(LOAD, self._load)
        if tokens is None:
            return None
        return request.with_header("Authorization", _field(tokens))

    async def refresh(self, refusal: Refusal) -> bool:
        """Refresh the tokens, unless that happened after they were sent.

        Raises:
            AuthError: `refresh_tokens` raised something, or took longer than `timeout`.
        """
        if self._refresh_tokens is None or refusal.was_refreshed:
            return False
        if self._was_sent(refusal):
            await refusal.release()
        if self._was_sent(refusal):  # still what there is
            await self._shared(REFRESH, lambda: self._renew(refusal), refusal.response)
        return self._tokens is not None

    def _was_sent(self, refusal: Refusal) -> bool:
        """Whether the tokens that there are now are the refused ones."""
        sent = refusal.request.headers.get("authorization") if refusal.was_sent else None
        return sent == (None if self._tokens is None else _field(self._tokens))

    def clear(self) -> None:
        """Forget the tokens; the result of a running refresh is not kept either."""
        self._tokens = None
        self._clearings += 1

    async def close(self) -> None:
        """End what nobody else is to go on with, unless it is what closes the client."""
        self._clients -= 1
        this = asyncio.current_task()
        tasks = [
            task
            for what, task in self._tasks.items()
            if _is_running(task) and task is not this and self._ends(what)
        ]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ends(self, what: str) -> bool:
        """Whether a call ends with the client that closes now: others may wait for it."""
        if what == REFRESH:
            return self._refreshing is None or self._refreshing.is_closed
        return self._clients == 0

    async def _load(self) -> BearerTokens | None:
        clearings = self._clearings
        tokens = await self._call(self._load_tokens)
        if clearings == self._clearings and self._tokens is None:  # nobody has logged in meanwhile
            self._tokens = tokens
        return tokens

    async def _renew(self, refusal: Refusal) -> BearerTokens | None:
        assert self._refresh_tokens is not None
        clearings = self._clearings
        self._refreshing = refusal.make_client()
        params = RefreshTokensParams(self._refreshing, refusal.response, self._tokens)
        tokens = await self._call(functools.partial(self._refresh_tokens, params))
        if clearings == self._clearings:
            self._tokens = tokens  # None too: then they are loaded anew
        return tokens

    async def _call(self, function: LoadTokens) -> BearerTokens | None:
        assert self._engine is not None
        work = _Work(self)
        _WITHIN.set((*_WITHIN.get(), work))  # in this task, and in those that it starts
        limit = asyncio.timeout(None)
        timer = self._engine.clock.call_later(self._timeout, _expire, limit)
        try:
            async with limit:
                tokens: object = function()
                if inspect.isawaitable(tokens):
                    tokens = await tokens
        except TimeoutError as error:
            if limit.expired():
                raise _TooLate from error
            raise
        finally:
            timer.cancel()
            work.is_over = True
        if tokens is not None and not isinstance(tokens, BearerTokens):
            raise TypeError(
                f"it returned {type(tokens).__name__}; return BearerTokens(...) or None"
            )
        return tokens

    async def _shared(
        self,
        what: str,
        begin: Callable[[], Coroutine[None, None, BearerTokens | None]],
        response: HttpResponse | None = None,
    ) -> BearerTokens | None:
        """Wait for a task that others may wait for too, and that goes on if this is cancelled."""
        task = await self._ended(what, begin)
        if task.cancelled():  # with the client that began it; this one may be another
            task = await self._ended(what, begin)
        if task.cancelled():
            raise AuthError(f"{what} of {self!r} was ended with its client", response)
        error = task.exception()
        if error is None:
            return task.result()
        if isinstance(error, _TooLate):
            why = f"took longer than timeout={self._timeout:g} s"
        else:
            why = f"raised {type(error).__name__}"  # what that says may be secret
        raise AuthError(f"{what} of {self!r} {why}", response) from error

    async def _ended(
        self, what: str, begin: Callable[[], Coroutine[None, None, BearerTokens | None]]
    ) -> _Task:
        task = self._tasks.get(what)
        if not _is_running(task):
            task = self._tasks[what] = asyncio.create_task(begin())
            task.add_done_callback(_notice)
        await asyncio.wait([task])
        return task

    def __repr__(self) -> str:
        return f"BearerAuth(realm={self.realm!r})"


def _field(tokens: BearerTokens) -> str:
    return f"Bearer {tokens.access_token}"


class _TooLate(Exception):
    """A function of the user's took too long."""


def _notice(task: _Task) -> None:
    """Look at how a task has ended: asyncio complains of errors that nobody has seen."""
    if not task.cancelled():
        task.exception()


def _is_running(task: _Task | None) -> TypeGuard[_Task]:
    return task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()


def _expire(limit: asyncio.Timeout) -> None:
    limit.reschedule(asyncio.get_running_loop().time())
