"""Runs `ktor-client` as its users do: in a process of its own, on pipes or on a terminal."""

from __future__ import annotations

import asyncio
import codecs
import os
import pty
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from ktor_client.cli import main

COMMAND = [sys.executable, "-W", "error", "-m", "ktor_client"]


class Outcome(NamedTuple):
    status: int
    out: str
    err: str

    def fails(self, status: int, *parts: str) -> None:
        """Check that it ended with that status and one line on stderr that has the parts."""
        assert self.status == status, self
        assert self.err.endswith("\n"), self
        assert len(self.err.splitlines()) == 1, self
        assert "Traceback" not in self.err
        for part in parts:
            assert part in self.err, self


def outcome(*arguments: str, capsys: pytest.CaptureFixture[str]) -> Outcome:
    """Run in this process, which suffices for what ends before anything is connected."""
    status = main(arguments)
    captured = capsys.readouterr()
    return Outcome(status, captured.out, captured.err)


async def start(
    *arguments: str, stdin: int | None = asyncio.subprocess.PIPE, cwd: Path | None = None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
    )


async def run(*arguments: str, stdin: bytes = b"", cwd: Path | None = None) -> Outcome:
    """Run to the end, with that input."""
    process = await start(*arguments, cwd=cwd)
    out, err = await process.communicate(stdin)
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), err.decode())


async def python(code: str, *options: str) -> Outcome:
    """Run code in an interpreter of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", *options, "-c", code),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), err.decode())


class Terminal:
    """A process on a pseudo terminal: what a person sees and types."""

    def __init__(self, process: asyncio.subprocess.Process, fd: int) -> None:
        self.process = process
        self.screen = ""
        self._fd = fd
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # Linux says EIO when the last process has left the terminal
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._fd)
        self.screen += self._decode(data)
        self._changed.set()

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    async def sees(self, text: str) -> None:
        """Wait until the screen has that text."""
        while text not in self.screen:
            self._changed.clear()
            try:
                async with asyncio.timeout(20):
                    await self._changed.wait()
            except TimeoutError:
                raise AssertionError(
                    f"{text!r} did not come; the screen: {self.screen!r}"
                ) from None


@asynccontextmanager
async def terminal(*arguments: str, **environment: str) -> AsyncGenerator[Terminal]:
    """Run on a terminal of its own, as its foreground process; without colours unless asked."""
    environment = {"TERM": "xterm", "NO_COLOR": "1"} | environment
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _IN_FOREGROUND, *COMMAND[1:], *arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=os.environ | environment,
        )
    finally:
        os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
        os.close(ours)


_IN_FOREGROUND = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
