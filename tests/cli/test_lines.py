"""Lines of a pipe or file, as they come."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ktor_client.cli import lines
from ktor_client.cli.failure import CommandError
from ktor_client.cli.lines import Lines


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


async def test_lines_come_as_they_are_written(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    found = Lines(reading)
    os.write(writing, "one\r\ntwo\n\nжу".encode())
    assert [await anext(found) for _ in range(3)] == ["one", "two", ""]
    os.write(writing, "к\nlast".encode())
    assert await anext(found) == "жук"
    os.close(writing)
    assert [line async for line in found] == ["last"]
    assert [line async for line in found] == []


async def test_a_cancelled_wait_loses_nothing(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    found = Lines(reading)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(found)
    os.write(writing, b"late\n")
    assert await anext(found) == "late"
    os.close(writing)
    assert [line async for line in found] == []


async def test_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"".join(b"%d\n" % i for i in range(100_000)) + b"x" * 1_000_000)
    with path.open("rb") as file:
        found = [line async for line in Lines(file.fileno())]
    assert found == [*map(str, range(100_000)), "x" * 1_000_000]


async def test_what_is_not_utf_8_is_refused(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"\xff\n")
    os.close(writing)
    found = Lines(reading)
    with pytest.raises(CommandError, match="not UTF-8"):
        await anext(found)
    assert [line async for line in found] == []


async def test_a_line_without_end_is_refused(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 1000)
    reading, writing = pipe
    os.write(writing, b"x" * 1001)
    found = Lines(reading)
    with pytest.raises(CommandError, match="longer than 1000"):
        async for _ in found:
            pytest.fail("a line came")
    os.close(writing)


def test_a_line_that_comes_after_the_loops_end_ends_the_thread(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    before = set(threading.enumerate())

    async def wait() -> None:
        found = Lines(reading)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(found)

    asyncio.run(wait())
    (thread,) = set(threading.enumerate()) - before
    os.write(writing, b"late\n")
    thread.join(30)
    assert not thread.is_alive()
    os.close(writing)


async def test_a_descriptor_that_is_gone_is_an_end(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)  # reading a folder is an OSError
    assert [line async for line in Lines(folder)] == []
    os.close(folder)
