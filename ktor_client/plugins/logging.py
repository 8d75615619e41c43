"""Requests, responses and frames in the standard library's log, without secrets (Ktor's `Logging`).

What is secret, and how a text is cut, is said in `http/`; bodies and frames have their own files.
"""

from __future__ import annotations

import functools
import itertools
import logging
import sys
import traceback
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TypeAlias

from ktor_client.errors import KtorClientError
from ktor_client.http import AttributeKey, Headers, HttpRequest, HttpResponse
from ktor_client.http.redaction import with_more_secrets
from ktor_client.http.shown_text import Redactor, visible
from ktor_client.link import FrameLink
from ktor_client.mistakes import TaughtEnum
from ktor_client.plugin import HttpClientPlugin, LayerKind, PluginScope, Send
from ktor_client.plugins.logged_bodies import BodyLog, LoggedBody, logged_upload
from ktor_client.plugins.logged_frames import FrameLog
from ktor_client.session import HttpClientCall

__all__ = ["LogLevel", "Logging"]

AnyLogger: TypeAlias = "logging.Logger | logging.LoggerAdapter[logging.Logger]"

_NUMBER: AttributeKey[int] = AttributeKey("number of the request in the log")


class LogLevel(Enum, metaclass=TaughtEnum):
    """How much `Logging` logs; each level includes the ones before it (Ktor's `LogLevel`)."""

    NONE = 0
    """Nothing."""
    INFO = 1
    """Method, URL, status, time."""
    HEADERS = 2
    """And headers."""
    BODY = 3
    """And bodies."""
    ALL = 4
    """And frames of WebSockets."""

    def says(self, what: LogLevel) -> bool:
        """Whether this level includes `what`."""
        return self.value >= what.value


class Logging(HttpClientPlugin):
    """Log what goes over the wire: `install(Logging, level=LogLevel.HEADERS)`.

    Everything is logged at INFO: HTTP and handshakes by the logger `ktor_client.http`, frames by
    `ktor_client.websocket`. All records of a request and its session begin with the same number.
    """

    def __init__(
        self,
        *,
        level: LogLevel = LogLevel.INFO,
        logger: AnyLogger | None = None,
        frames: bool = False,
        body_limit: int = 1000,
        sanitize: Iterable[str] | Callable[[str], bool] = (),
    ) -> None:
        """Check and keep the options.

        Args:
            level: how much is logged.
            logger: one logger for everything instead of the two.
            frames: log frames too, as `LogLevel.ALL` does.
            body_limit: characters to show of a body or a frame.
            sanitize: more names of headers, parameters, form fields and JSON members whose values
                are hidden, in any spelling (`X-My-Key`, `xMyKey`); or a function that decides for
                each name.

        Raises:
            TypeError: an option of the wrong type.
            ValueError: `body_limit` is negative.
        """
        if not isinstance(level, LogLevel):
            raise TypeError(f"level takes LogLevel.INFO, HEADERS, BODY or ALL, not {level!r}")
        if logger is not None and not isinstance(logger, logging.Logger | logging.LoggerAdapter):
            raise TypeError(f"logger takes a logging.Logger, not {logger!r}")
        if not isinstance(frames, bool):
            raise TypeError(f"frames is True or False, not {frames!r}")
        if isinstance(body_limit, bool) or not isinstance(body_limit, int):
            raise TypeError(f"body_limit takes a number of characters, not {body_limit!r}")
        if body_limit < 0:
            raise ValueError(f"body_limit must be 0 or more, not {body_limit}")
        self._level = level
        self._http = logger or logging.getLogger("ktor_client.http")
        self._web_socket = logger or logging.getLogger("ktor_client.websocket")
        self._frames = frames or level.says(LogLevel.ALL)
        self._redactor = Redactor(body_limit, with_more_secrets(sanitize))
        self._numbers = itertools.count(1)

    def install(self, scope: PluginScope) -> None:
        """Register what the level needs; nothing for `LogLevel.NONE`."""
        self._engine = scope.engine
        if self._level is not LogLevel.NONE:
            scope.on_send(self._log, kind=LayerKind.LOGGING, when=self._is_on)
        if self._frames:
            scope.on_link(self._log_frames)

    # --- HTTP ---

    def _is_on(self, request: HttpRequest) -> bool:
        return self._http.isEnabledFor(logging.INFO)

    async def _log(self, request: HttpRequest, send: Send) -> HttpResponse:
        mark = self._next_mark(request)
        what = f"{request.method} {self._redactor.url(request.url)}"
        self._say(f"{mark} --> {what}{self._shown(request.headers)}")
        clock = self._engine.clock
        begun = clock.time()
        try:
            response = await send(self._with_body_log(request, mark))
        except BaseException as error:
            self._say(f"{mark} <-- {_end(error)} after {clock.time() - begun:.3f} s, {what}")
            raise
        status = f"{response.status} {visible(response.reason)}".rstrip()
        took = f"{clock.time() - begun:.3f} s"
        self._say(f"{mark} <-- {status} after {took}, {what}{self._shown(response.headers)}")
        if not self._level.says(LogLevel.BODY) or response.status == 101:
            return response
        log = self._body_log(f"{mark} <--", response.headers)
        return response.copy(body=lambda body: LoggedBody(body, log))

    def _next_mark(self, request: HttpRequest) -> str:
        number = request.attributes[_NUMBER] = next(self._numbers)
        return f"#{number}"

    def _shown(self, headers: Headers) -> str:
        return self._redactor.headers(headers) if self._level.says(LogLevel.HEADERS) else ""

    def _with_body_log(self, request: HttpRequest, mark: str) -> HttpRequest:
        body = request.body
        if body is None or not self._level.says(LogLevel.BODY):
            return request
        if not isinstance(body, bytes):
            log = functools.partial(self._body_log, f"{mark} -->", request.headers)
            return request.copy(body=logged_upload(body, log))
        self._body_log(f"{mark} -->", request.headers).whole(body)
        return request

    def _body_log(self, mark: str, headers: Headers) -> BodyLog:
        return BodyLog(mark, headers, self._say, self._redactor)

    def _say(self, text: str) -> None:
        _log_safely(self._http, text)

    # --- WebSockets ---

    def _log_frames(self, link: FrameLink, call: HttpClientCall) -> FrameLink:
        if not self._web_socket.isEnabledFor(logging.INFO):
            return link
        number = call.request.attributes.get(_NUMBER)
        mark = self._next_mark(call.request) if number is None else f"#{number}"
        return FrameLog(link, mark, self._say_of_frames, self._redactor)

    def _say_of_frames(self, text: str) -> None:
        _log_safely(self._web_socket, text)


def _end(error: BaseException) -> str:
    """Return how a request ended; the text of an error that is not ours may hold anything."""
    text = f": {visible(str(error))}" if isinstance(error, KtorClientError) else ""
    return f"{type(error).__name__}{text}"


def _log_safely(logger: AnyLogger, text: str) -> None:
    """Log a text. What a logger, a filter or a handler raises is shown where logging shows it."""
    try:
        logger.info("%s", text)
    except Exception:
        if logging.raiseExceptions and sys.stderr is not None:
            traceback.print_exc()
