"""What came over the wire, in the types of `http`: alike for every library."""

from __future__ import annotations

from collections.abc import Container, Iterable

from ktor_client.http import Headers

__all__ = ["ReceivedHeaders"]


class ReceivedHeaders(Headers):
    """Header fields as text: UTF-8 if they are that, else Latin-1 (RFC 9110 5.5).

    They become text when somebody looks at them: a session keeps its head for long.
    """

    __slots__ = ("_names", "_raw")

    def __init__(
        self, fields: Iterable[tuple[bytes, bytes]], names: Container[bytes] | None = None
    ) -> None:
        """Take the fields, and their names in lower case where somebody has them already."""
        self._raw = tuple(fields)
        self._names = names
        self._index = None

    @property
    def _fields(self) -> list[tuple[str, str]]:  # type: ignore[override]  # computed here
        try:
            return [(name.decode(), value.decode()) for name, value in self._raw]
        except UnicodeDecodeError:  # of one of them
            return [(_text(name), _text(value)) for name, value in self._raw]

    def __contains__(self, name: object) -> bool:
        if self._index is not None or not isinstance(name, str):
            return super().__contains__(name)
        if self._names is None:
            self._names = {raw.lower() for raw, _ in self._raw}
        return name.lower().encode() in self._names

    def __reduce__(self) -> tuple[type[Headers], tuple[list[tuple[str, str]]]]:
        return Headers, (self._fields,)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
