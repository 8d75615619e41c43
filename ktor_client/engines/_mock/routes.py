"""What a request meets in a `MockEngine`: the rules about matching, and what is left to be met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar

from ktor_client.functions import check_plain
from ktor_client.http import HttpRequest

__all__ = ["Match", "Route", "Routes"]

T = TypeVar("T")

Match: TypeAlias = str | Callable[[HttpRequest], bool]
"""A path such as "/echo", with its query or without; "POST /chat"; a whole URL; or a predicate."""


class Route(Generic[T]):
    """One rule: which requests, what they meet, and how often."""

    __slots__ = ("_predicate", "shown", "target", "times", "used")

    def __init__(self, match: Match, target: T, times: int | None) -> None:
        if times is not None and times < 1:
            raise ValueError("times must be at least 1; None means any number")
        self.target = target
        self.times = times
        self.used = 0
        if isinstance(match, str):
            self.shown = match
            self._predicate = _matcher(match)
        elif callable(match):
            check_plain(match, "match")
            self.shown = getattr(match, "__name__", repr(match))
            self._predicate = match
        else:
            raise TypeError(f"match is a path, a URL or a function of the request, not {match!r}")

    @property
    def is_open(self) -> bool:
        """Whether the route takes another request."""
        return self.times is None or self.used < self.times

    @property
    def is_met(self) -> bool:
        """Whether as many requests came as were announced."""
        return self.times is None or self.used == self.times

    def matches(self, request: HttpRequest) -> bool:
        """Whether the rule is about this request."""
        return bool(self._predicate(request))


class Routes(Generic[T]):
    """Routes in the order in which they were added; the first that matches and is open counts."""

    def __init__(self) -> None:
        self._routes: list[Route[T]] = []

    def add(self, match: Match, target: T, times: int | None) -> None:
        """Add a rule behind the others."""
        self._routes.append(Route(match, target, times))

    def take(self, request: HttpRequest) -> T | None:
        """Return what the request meets, and count it; None where no rule takes it."""
        for route in self._routes:
            if route.is_open and route.matches(request):
                route.used += 1
                return route.target
        return None

    def unmet(self) -> list[Route[T]]:
        """Return the routes that wait for more requests."""
        return [route for route in self._routes if not route.is_met]

    def describe(self) -> str:
        """Say which routes there are, for messages."""
        return ", ".join(
            route.shown if route.is_open else f"{route.shown} (used {route.used} of {route.times})"
            for route in self._routes
        )


def _matcher(text: str) -> Callable[[HttpRequest], bool]:
    method, space, rest = text.partition(" ")
    if not space:
        method, rest = "", text
    rest = rest.strip()
    if "://" in rest:
        return lambda request: _method_fits(request, method) and str(request.url) == rest
    if not rest.startswith("/"):
        raise ValueError(
            f'{text!r} is not a path; write "/path", "POST /path", a whole URL, or give a function'
        )
    if "?" in rest:
        return lambda request: _method_fits(request, method) and request.url.target == rest
    return lambda request: _method_fits(request, method) and request.url.path == rest


def _method_fits(request: HttpRequest, method: str) -> bool:
    return not method or request.method == method.upper()
