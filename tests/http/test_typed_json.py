"""JSON to typed objects and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from enum import Enum, IntEnum
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    NotRequired,
    Optional,
    Required,
    TypedDict,
    TypeVar,
    Union,
)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktor_client.errors import DeserializationError
from ktor_client.http.typed_json import from_json, structure, to_json

T = TypeVar("T")
U = TypeVar("U")


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Shape:
    name: str
    color: Color
    points: list[Point]
    tags: frozenset[str] = frozenset()
    extra: dict[str, Any] = field(default_factory=dict)
    area: float = field(default=0.0, init=False)


@dataclass
class Positive:
    n: int

    def __post_init__(self) -> None:
        if self.n <= 0:
            raise ValueError("not positive")


@dataclass
class Node:
    child: Node | None = None


@dataclass
class Page(Generic[T]):
    first: T
    items: list[T] | None = None
    next: Page[T] | None = None
    limit: Annotated[int, []] = 0


@dataclass
class Points(Page[Point]):
    total: int = 0


@dataclass
class Labelled(Page[dict[str, U]], Generic[T, U]):
    label: T | None = None


@dataclass
class Ledger(Labelled[str, int]):
    pass


@dataclass
class Stamp:
    kind: ClassVar[str] = "stamp"
    n: int
    scale: InitVar[int] = 1


class Who(TypedDict):
    name: str
    age: NotRequired[int]


class Part(TypedDict, Generic[T], total=False):
    item: Required[T]
    note: str


class Note(Part[Point]):
    by: NotRequired[str]


SHAPE = Shape("s", Color.RED, [Point(1, 2), Point(3)], frozenset({"a"}), {"k": [1, None]})


def test_dataclasses_there_and_back() -> None:
    text = to_json(SHAPE)
    assert text == (
        '{"name":"s","color":"red","points":[{"x":1,"y":2},{"x":3,"y":0}],'
        '"tags":["a"],"extra":{"k":[1,null]},"area":0.0}'
    )
    assert from_json(text, Shape) == SHAPE
    assert from_json(text.encode(), Shape) == SHAPE


@pytest.mark.parametrize(
    ("value", "type_", "expected"),
    [
        (None, None, None),
        (None, type(None), None),
        ({"a": [1]}, Any, {"a": [1]}),
        ("x", object, "x"),
        ("x", str, "x"),
        (1, int, 1),
        (True, bool, True),
        (1.5, float, 1.5),
        (1, float, 1.0),
        ([1, 2], list[int], [1, 2]),
        ([1, "a"], list, [1, "a"]),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, "a"], tuple[int, str], (1, "a")),
        ([1, 2], tuple, (1, 2)),
        ([1, 1], set[int], {1}),
        ([1], frozenset[int], frozenset({1})),
        ({"a": 1}, dict[str, int], {"a": 1}),
        ({"a": 1}, dict, {"a": 1}),
        ({"a": 1}, Mapping[str, float], {"a": 1.0}),
        ({"red": 1}, dict[Color, int], {Color.RED: 1}),
        ("red", Color, Color.RED),
        (1, Level, Level.LOW),
        ("a", Literal["a", 1], "a"),
        (1, Literal["a", 1], 1),
        (None, Optional[int], None),  # noqa: UP045  # both ways of writing
        (1, int | None, 1),
        ("a", Union[int, str], "a"),  # noqa: UP007
        ({"x": 1}, int | Point, Point(1)),
        (1, Annotated[int, "note"], 1),
        ({"x": 1, "unknown": 2}, Point, Point(1)),
        (2**53 + 1, float | int, 2**53 + 1),
        (0.5, float | int, 0.5),
        ({"first": {"x": 1}}, Page[Point], Page(Point(1))),
        (
            {"first": 1, "items": [2], "next": {"first": 3}, "limit": 4},
            Page[int],
            Page(1, [2], Page(3), 4),
        ),
        ([{"first": {"first": 1}}], list[Page[Page[int]]], [Page(Page(1))]),
        ({"first": {"x": 1}, "total": 1}, Points, Points(Point(1), total=1)),
        ({"first": {"a": 1}, "label": "b"}, Ledger, Ledger({"a": 1}, label="b")),
        ({"first": {"a": 1}, "label": "b"}, Labelled[str, int], Labelled({"a": 1}, label="b")),
        ({"item": {"x": 1}, "by": "a"}, Note, {"item": Point(1), "by": "a"}),
        ({"name": "a"}, Who, {"name": "a"}),
        ({"name": "a", "age": 1, "more": []}, Who, {"name": "a", "age": 1, "more": []}),
        ({"item": {"x": 1}}, Part[Point], {"item": Point(1)}),
    ],
)
def test_types(value: Any, type_: Any, expected: Any) -> None:
    found = structure(value, type_)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "type_", "message"),
    [
        (0, None, r"\$: expected null, got 0"),
        (1, str, r"\$: expected str, got 1"),
        ("1", int, r"\$: expected int, got '1'"),
        (True, int, r"\$: expected int, got True"),
        (1.0, int, r"\$: expected int, got 1.0"),
        (1, bool, r"\$: expected bool, got 1"),
        (True, float, r"\$: expected float, got True"),
        (10**400, float, r"\$: expected float, got 1000"),
        ({}, list[int], r"\$: expected list, got {}"),
        ([1, "a"], list[int], r"\$\[1\]: expected int, got 'a'"),
        ([1], tuple[int, str], r"\$: expected 2 items, got \[1\]"),
        ([1, 2], tuple[int, str], r"\$\[1\]: expected str"),
        ([], dict[str, int], r"\$: expected an object"),
        ({"a": {"b": "c"}}, dict[str, dict[str, int]], r"\$\.a\.b: expected int, got 'c'"),
        ({"1": 1}, dict[int, int], r"\$: expected int, got '1'"),
        ("green", Color, r"\$: expected Color, got 'green'"),
        ([], Color, r"\$: expected Color"),
        ("b", Literal["a", 1], r"\$: expected one of \('a', 1\), got 'b'"),
        (True, Literal[1], r"\$: expected one of"),
        ("a", int | None, r"\$: no member of int \| None fits \(.*expected int.*expected null"),
        ([], Point, r"\$: expected Point, got \[\]"),
        ({"y": 1}, Point, r"\$: Point needs 'x'"),
        ({"x": "1"}, Point, r"\$\.x: expected int, got '1'"),
        ({"first": "a"}, Page[int], r"\$\.first: expected int, got 'a'"),
        ({"first": 1, "items": ["a"]}, Page[int], r"\$\.items\[0\]: expected int"),
        ({"items": []}, Page[int], r"\$: Page needs 'first'"),
        ([], Page[int], r"\$: expected Page"),
        ({"first": {"x": "a"}}, Points, r"\$\.first\.x: expected int, got 'a'"),
        ({"first": {"a": "b"}}, Ledger, r"\$\.first\.a: expected int, got 'b'"),
        ({"first": {}, "label": 1}, Ledger, r"\$\.label: no member of "),
        ({"item": {"x": "a"}}, Note, r"\$\.item\.x: expected int, got 'a'"),
        ({"a": [[1]]}, dict[str, set[Any]], r"\$\.a: a set cannot hold these: .*unhashable"),
        ([{}], frozenset, r"\$: a frozenset cannot hold these: .*unhashable"),
        ([[1]], set[list[int]], r"\$: a set cannot hold these: .*unhashable"),
        ({"age": 1}, Who, r"\$: Who needs 'name'"),
        ({"name": "a", "age": "b"}, Who, r"\$\.age: expected int, got 'b'"),
        ({"note": "a"}, Part[int], r"\$: Part needs 'item'"),
        ({"item": "a"}, Part[int], r"\$\.item: expected int"),
        ([], Who, r"\$: expected Who"),
        ({"n": 0}, Positive, r"\$: Positive refused: not positive"),
        ("x" * 100, int, r"got 'x{59}\.\.\.$"),
    ],
)
def test_what_does_not_fit(value: Any, type_: Any, message: str) -> None:
    with pytest.raises(DeserializationError, match=message):
        structure(value, type_)


@pytest.mark.parametrize("type_", [complex, bytes, Exception, 5, "int", T])
def test_types_that_json_has_not(type_: Any) -> None:
    with pytest.raises(TypeError, match="JSON cannot be turned into"):
        structure({}, type_)


@pytest.mark.parametrize("data", ["", "{", b"\xff", "[" * 100_000, "nul", b"{'a': 1}", "1" * 5000])
def test_what_is_no_json(data: str | bytes) -> None:
    with pytest.raises(DeserializationError, match="not JSON") as caught:
        from_json(data, object)
    assert caught.value.__cause__ is not None
    assert caught.value.frame is None


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("", "; got ''"),
        (b"hello", "; got 'hello'"),
        ("<html>" + "x" * 100, f"; got '<html>{'x' * 54}'..."),
        (b"\xff", r"; got '\\xff'"),
    ],
)
def test_what_is_no_json_is_shown(data: str | bytes, shown: str) -> None:
    with pytest.raises(DeserializationError) as caught:
        from_json(data, object)
    assert str(caught.value).endswith(shown)


def test_what_is_nested_too_deeply_for_its_type() -> None:
    depth = 500
    data = '{"child":' * depth + "null" + "}" * depth
    assert isinstance(from_json(data, object), dict)
    with pytest.raises(DeserializationError, match=r"nested too deeply; got '\{\"child\":"):
        from_json(data, Node)


def test_what_is_no_field_is_not_written() -> None:
    assert to_json(Stamp(1)) == '{"n":1}'
    assert from_json('{"n":1,"kind":"x"}', Stamp) == Stamp(1)


def test_writing() -> None:
    assert to_json({"ä": [1, 2.5, None, True, "\n"]}) == '{"ä":[1,2.5,null,true,"\\n"]}'
    assert to_json([Color.BLUE, Level.LOW]) == '["blue",1]'
    assert to_json({1, 2}) in ("[1,2]", "[2,1]")
    assert to_json((1, (2,))) == "[1,[2]]"


def test_what_cannot_be_written() -> None:
    for value in (b"x", object(), Point):
        with pytest.raises(TypeError, match="has no JSON form"):
            to_json(value)
    for number in (math.nan, math.inf):
        with pytest.raises(ValueError, match="Out of range"):
            to_json(number)
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="Circular"):
        to_json(circle)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
).filter(lambda value: "inf" not in repr(value))


@given(JSON)
def test_any_json_comes_back(value: Any) -> None:
    assert from_json(to_json(value), object) == value
