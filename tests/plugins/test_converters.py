"""Converters: what goes out, what comes back, and what is refused with the frame that was wrong."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pytest

from ktor_client import DeserializationError, Frame
from ktor_client.plugins import (
    JsonConverter,
    MsgspecConverter,
    PydanticConverter,
    WebSocketContentConverter,
)


@dataclass
class Customer:
    id: int
    name: str


class Order(msgspec.Struct):
    id: int


class Model(pydantic.BaseModel):
    id: int


JANE = Customer(1, "Jane")
CONVERTERS = [JsonConverter, MsgspecConverter, PydanticConverter]


@pytest.mark.parametrize("make", CONVERTERS)
def test_dataclasses_go_there_and_back(make: type[WebSocketContentConverter]) -> None:
    converter = make()
    frame = converter.serialize(JANE)
    assert frame == Frame.Text('{"id":1,"name":"Jane"}')
    assert converter.is_applicable(frame)
    assert converter.deserialize(frame, Customer) == JANE
    assert converter.deserialize(Frame.Binary(frame.data), Customer) == JANE
    assert converter.is_applicable(Frame.Binary(b"{}"))
    assert not converter.is_applicable(Frame.Ping())
    assert converter.deserialize(Frame.Text("null"), Customer | None) is None


@dataclass
class Node:
    child: Node | None = None


@pytest.mark.parametrize("make", CONVERTERS)
@pytest.mark.parametrize("depth", [500, 5000])
def test_what_is_nested_too_deeply_is_refused(
    make: type[WebSocketContentConverter], depth: int
) -> None:
    with pytest.raises(DeserializationError):
        make().deserialize(Frame.Text('{"child":' * depth + "1" + "}" * depth), Node)


@pytest.mark.parametrize("make", CONVERTERS)
@pytest.mark.parametrize("text", ["{", '{"id":"x","name":"Jane"}', '{"id":1}', "[]"])
def test_what_does_not_fit_is_refused(make: type[WebSocketContentConverter], text: str) -> None:
    with pytest.raises(DeserializationError):
        make().deserialize(Frame.Text(text), Customer)


@pytest.mark.parametrize(
    ("converter", "value"),
    [(MsgspecConverter(), Order(7)), (PydanticConverter(), Model(id=7))],
)
def test_types_of_the_library(converter: WebSocketContentConverter, value: Any) -> None:
    assert converter.deserialize(converter.serialize(value), type(value)) == value


def test_an_alias_is_written_as_it_is_read() -> None:
    class Renamed(pydantic.BaseModel):
        user_id: int = pydantic.Field(alias="userId")

    converter, value = PydanticConverter(), Renamed(userId=7)
    assert converter.to_bytes([value]) == b'[{"userId":7}]'
    assert converter.from_bytes(converter.to_bytes(value), Renamed) == value
    assert converter.deserialize(converter.serialize(value), Renamed) == value


def test_message_pack_is_binary() -> None:
    converter = MsgspecConverter(format="msgpack")
    frame = converter.serialize(Order(7))
    assert frame == Frame.Binary(msgspec.msgpack.encode(Order(7)))
    assert converter.deserialize(frame, Order) == Order(7)
    assert not converter.is_applicable(Frame.Text("7"))
    with pytest.raises(DeserializationError):
        converter.deserialize(Frame.Binary(b"\xc1"), Order)


def test_other_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="'json' or 'msgpack', not 'yaml'"):
        MsgspecConverter(format="yaml")


@pytest.mark.parametrize("converter", [MsgspecConverter, PydanticConverter])
def test_a_library_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, converter: type[MsgspecConverter | PydanticConverter]
) -> None:
    name = converter.__name__.removesuffix("Converter").lower()
    monkeypatch.setitem(sys.modules, name, None)  # as Python notes what cannot be imported
    with pytest.raises(ModuleNotFoundError) as caught:
        converter()
    told = f"{converter.__name__} needs {name}; try: pip install {name}"
    assert (str(caught.value), caught.value.name) == (told, name)


def test_a_library_that_lacks_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pydantic.py").write_text("import a_library_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pydantic")
    with pytest.raises(ModuleNotFoundError, match="named 'a_library_that_is_not_there'"):
        PydanticConverter()
