"""What a server wants to know of a client: the grammar of `WWW-Authenticate` (RFC 9110 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["Challenge", "parse_challenges", "parse_parameters", "quoted"]

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_token = re.compile(_TOKEN).match
_parameter = re.compile(rf"({_TOKEN})[ \t]*=(?!=)[ \t]*").match
_token68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))").match
_quoted = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match
_escaped = re.compile(r"\\(.)", re.DOTALL).sub
_between = re.compile(r"[ \t,]*").match
_blanks = re.compile(r"[ \t]*").match
_to_comma = re.compile(r"[^,]*").match


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a 401: a scheme, and its parameters."""

    scheme: str
    """In lower case: "basic", "bearer", "digest"."""
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    """By lower-case name, unquoted; of a repeated one the first."""
    token: str | None = None
    """What some schemes have instead of parameters ("token68")."""

    @property
    def realm(self) -> str | None:
        """What is protected together."""
        return self.parameters.get("realm")


def parse_challenges(fields: Iterable[str]) -> list[Challenge]:
    """Return the challenges of all `WWW-Authenticate` fields, in order.

    What is no challenge is left out, up to the next comma; nothing is an error.
    """
    return [challenge for text in fields for challenge in _Reader(text).challenges()]


def parse_parameters(text: str) -> Mapping[str, str]:
    """Return the parameters of a field that has no scheme, such as `Authentication-Info`."""
    return MappingProxyType(_Reader(text).parameters())


def quoted(text: str) -> str:
    """Return a text as a quoted string (RFC 9110 5.6.4)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class _Reader:
    """Reads one field from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def challenges(self) -> list[Challenge]:
        found: list[Challenge] = []
        while self._skip(_between) < len(self._text):
            scheme = _token(self._text, self._at)
            after = len(self._text) if scheme is None else scheme.end()
            if scheme is None or self._text[after : after + 1] not in ("", " ", "\t", ","):
                self._skip_garbage()
                continue
            self._at = after
            found.append(self._rest_of(scheme[0].lower()))
        return found

    def _rest_of(self, scheme: str) -> Challenge:
        end_of_scheme = self._at
        if self._skip(_blanks) > end_of_scheme and (token := _token68(self._text, self._at)):
            self._at = token.end()
            return Challenge(scheme, token=token[0])
        return Challenge(scheme, MappingProxyType(self.parameters()))

    def parameters(self) -> dict[str, str]:
        """Read parameters up to what is none: the next scheme, or the end."""
        found: dict[str, str] = {}
        while name := _parameter(self._text, self._skip(_between)):
            self._at = name.end()
            found.setdefault(name[1].lower(), self._value())
        return found

    def _value(self) -> str:
        text = _quoted(self._text, self._at)
        if text is not None:
            self._at = text.end()
            return _escaped(r"\1", text[1])
        start = self._at  # of a token, or of what a careless server has not quoted
        return self._text[start : self._skip(_to_comma)].strip(" \t")

    def _skip_garbage(self) -> None:
        text = _quoted(self._text, self._at)
        if text is not None:
            self._at = text.end()
            return
        self._at += 1
        self._skip(_to_comma)

    def _skip(self, pattern: Callable[[str, int], re.Match[str] | None]) -> int:
        """Go beyond what matches, be it nothing; return where that ends."""
        found = pattern(self._text, self._at)
        assert found is not None  # for these patterns match nothing, too
        self._at = found.end()
        return self._at
