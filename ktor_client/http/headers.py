"""Header fields: case-insensitive, in order, repeated where the sender repeated them.

The rules about single names and values live here (RFC 9110 5.5, 5.6.2). Which header the client
owns is the request's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias, cast

from ktor_client.errors import UnsafeHeaderError
from ktor_client.http.redaction import redacted_value
from ktor_client.mistakes import TaughtABC

__all__ = ["Headers", "HeadersBuilder", "HeadersLike"]

_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_is_token, token_begin = _token.fullmatch, _token.match
_is_unsendable = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]").search


def check_field(name: str, value: str) -> None:
    """Check that a field can be sent. Raises what `HeadersBuilder.add` raises."""
    if not isinstance(name, str) or not isinstance(value, str):
        wrong, what = (value, f"value of {name!r}") if isinstance(name, str) else (name, "name")
        raise TypeError(f"header names and values are str; the {what} is {type(wrong).__name__}")
    _check_name(name)
    if value.isascii() and value.isprintable():  # most often, and told faster than by a pattern
        return
    if (found := _is_unsendable(value)) is not None:
        what = "a control character (CR, LF, NUL ...)"
        if found[0] > "\x7f":
            what = f"a lone surrogate ({found[0]!r}), which cannot be encoded"
        raise UnsafeHeaderError(f"the value of header {name!r} has {what}")


@lru_cache(256)  # of those that are right
def _check_name(name: str) -> None:
    if not is_token(name):
        raise UnsafeHeaderError(f"{_begin(name)} is not a header name (RFC 9110 5.6.2)")


def _begin(name: str) -> str:
    """Show a name that is none, up to what is wrong: a value may have been written behind it."""
    right = token_begin(name)
    end = 1 if right is None else right.end() + 1
    return repr(name[:end] + ("..." if len(name) > end else ""))


def is_token(text: str) -> bool:
    """Whether `text` is a token (RFC 9110 5.6.2): a header name, a method, a subprotocol."""
    return _is_token(text) is not None


class Headers(Mapping[str, str], metaclass=TaughtABC):
    """Header fields as received or as sent. `headers["x-id"]` joins repeated fields with ", "."""

    __slots__ = ("_fields", "_index")

    def __init__(self, fields: HeadersLike = ()) -> None:
        self._fields: list[tuple[str, str]] = [(n, v) for n, v in _pairs(fields)] if fields else []
        self._index: dict[str, tuple[str, ...]] | None = None

    @classmethod
    def _of(
        cls, fields: list[tuple[str, str]], index: dict[str, tuple[str, ...]] | None = None
    ) -> Headers:
        """Return headers of a list that is theirs from now on, and of its index if there is one."""
        headers = cls.__new__(cls)
        headers._fields = fields
        headers._index = index
        return headers

    def _with(self, name: str, value: str) -> Headers:
        """Return headers in which `name` has just this value, which was checked."""
        key, fields, index = name.lower(), self._fields, self._by_name()
        if key in index:
            fields = [field for field in fields if field[0].lower() != key]
        return Headers._of([*fields, (name, value)], {**index, key: (value,)})

    def get_all(self, name: str) -> list[str]:
        """Return every value of that name in order; an empty list if there is none."""
        return list(self._by_name().get(name.lower(), ()))

    def single(self, name: str) -> str | None:
        """Return the value of a field that is no list, such as `Location`; None without one.

        One that was sent several times with one value is that value; others are joined, and so are
        what no such field can be (RFC 9110 5.3).
        """
        values = self._by_name().get(name.lower(), ())
        return values[0] if len(set(values)) == 1 else self.get(name)

    def fields(self) -> list[tuple[str, str]]:
        """Return every field in order, repeated names included."""
        return list(self._fields)

    def __getitem__(self, name: str) -> str:
        values = self._by_name().get(name.lower())
        if values is None:
            raise KeyError(name)
        return ("; " if name.lower() == "cookie" else ", ").join(values)

    def __contains__(self, name: object) -> bool:
        index = self._by_name() if self._index is None else self._index
        return isinstance(name, str) and name.lower() in index

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        for name, _ in self._fields:
            key = name.lower()
            if key not in seen:
                seen.add(key)
                yield name

    def __len__(self) -> int:
        return len(self._by_name())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Headers):
            mine = [(n.lower(), v) for n, v in self._fields]
            return mine == [(n.lower(), v) for n, v in other._fields]
        return super().__eq__(other)

    def __hash__(self) -> int:
        return hash(tuple((n.lower(), v) for n, v in self._fields))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}: {redacted_value(name, value)}" for name, value in self._fields)
        return f"Headers({shown})"

    def _forget_index(self) -> None:
        """Give back what looking fields up has cost: for who keeps headers for long."""
        self._index = None

    def _by_name(self) -> dict[str, tuple[str, ...]]:
        if self._index is None:
            index: dict[str, tuple[str, ...]] = {}
            for name, value in self._fields:
                key = name.lower()
                index[key] = (*index.get(key, ()), value)
            self._index = index  # whole from the start: another thread may be reading
        return self._index


HeadersLike: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]


def _pairs(fields: HeadersLike) -> Iterable[tuple[str, str]]:
    if isinstance(fields, Headers):
        return fields._fields
    if isinstance(fields, list | tuple):  # most often, and told faster than a Mapping
        return fields
    if isinstance(fields, Mapping):
        return cast("Mapping[str, str]", fields).items()
    return fields


class HeadersBuilder(Headers):
    """Headers that can be changed, each change checked before any I/O."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # mutable, so not a key

    def __init__(self, fields: HeadersLike = ()) -> None:
        self._fields = []
        self._index = None
        if fields:
            self.add_all(fields)

    def add_all(self, fields: HeadersLike) -> None:
        """Append fields. Raises what `add` raises, and `TypeError` where there are none."""
        if isinstance(fields, str | bytes) or not isinstance(fields, Iterable):
            raise TypeError(
                f"headers takes a mapping or pairs, such as {{'X-Id': '1'}}, "
                f"not {type(fields).__name__}"
            )
        for pair in _pairs(fields):
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise TypeError(  # and shows nothing, which may be a secret
                    f"headers takes a mapping or pairs, such as {{'X-Id': '1'}} or "
                    f"[('X-Id', '1')]; this {type(fields).__name__} has "
                    f"{type(pair).__name__} in place of a pair"
                )
            self.add(*pair)

    def add(self, name: str, value: str) -> None:
        """Append a field, keeping others of that name.

        Raises:
            UnsafeHeaderError: the name is not a token; or the value has CR, LF, NUL or another
                control character: such bytes could smuggle a second header; or it has a lone
                surrogate, which no encoding can send. (Other characters beyond ASCII leave as
                UTF-8.)
        """
        check_field(name, value)
        value = value.strip(" \t")
        self._fields.append((name, value))
        if self._index is not None:
            key = name.lower()
            self._index[key] = (*self._index.get(key, ()), value)

    def add_if_absent(self, name: str, value: str) -> None:
        """Append a field unless there is one of that name (Ktor's `appendIfNameAbsent`).

        Raises what `add` raises.
        """
        key = name.lower()
        for there, _ in self._fields:
            if there.lower() == key:
                return
        self.add(name, value)

    def set(self, name: str, value: str) -> None:
        """Put a field in place of all of that name. Raises what `add` raises."""
        self.remove(name)
        self.add(name, value)

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def remove(self, name: str) -> None:
        """Drop every field of that name; none is fine."""
        wanted = name.lower()
        if wanted in self:
            self._fields = [field for field in self._fields if field[0].lower() != wanted]
            self._index = None

    def build(self) -> Headers:
        """Return what stands here now, unchangeable."""
        return Headers._of(self._fields.copy(), None if self._index is None else {**self._index})
