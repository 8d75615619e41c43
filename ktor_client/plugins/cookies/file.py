"""Cookies in a file, which outlive the program."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from ktor_client.plugins.cookies.cookie import Cookie
from ktor_client.plugins.cookies.storage import InMemoryCookies

__all__ = ["FileCookies"]

FORMAT = "ktor-client cookies 1"


class FileCookies(InMemoryCookies):
    """Cookies that survive a restart, in a JSON file that only its owner may read (mode 0600).

    The file is read once, here, and rewritten after each change: to a second file that then
    replaces it, so it is never half written. Let only one program use it at a time; of two, the
    last to write wins.
    """

    def __init__(self, path: str | os.PathLike[str], *, keep_session_cookies: bool = True) -> None:
        """Read the file if it exists.

        Args:
            path: of the file, in an existing folder.
            keep_session_cookies: whether to write cookies without an expiry too. Logins often use
                only those.

        Raises:
            ValueError: the file has another format or is damaged.
            OSError: it cannot be read.
        """
        super().__init__()
        if not isinstance(keep_session_cookies, bool):
            raise TypeError(f"keep_session_cookies is True or False, not {keep_session_cookies!r}")
        self._path = Path(os.path.realpath(os.fspath(path)))  # of a link, what it leads to
        self._keep_session_cookies = keep_session_cookies
        self._versions = 0
        self._written = 0
        self._writing = threading.Lock()
        super().put(_read(self._path))

    async def put(self, cookies: Sequence[Cookie]) -> None:
        """Keep cookies and write them. Raises `OSError` if the file cannot be written."""
        before = self._changes
        super().put(cookies)
        await self._save_since(before)

    async def clear(self) -> None:
        """Forget every cookie and rewrite the file. Raises `OSError` as `put` does."""
        before = self._changes
        super().clear()
        await self._save_since(before)

    async def _save_since(self, before: int) -> None:
        if self._changes != before:
            await asyncio.to_thread(self._write, self._changes, self._text())

    def _text(self) -> str:
        kept = [cookie for cookie in self if self._keep_session_cookies or cookie.expires]
        return json.dumps({"format": FORMAT, "cookies": [asdict(c) for c in kept]}, indent=1)

    def _write(self, version: int, text: str) -> None:
        with self._writing:
            if version <= self._written:
                return  # a newer state is there already
            temporary, name = tempfile.mkstemp(  # which gives mode 0600
                prefix=f".{self._path.name}.", dir=self._path.parent
            )
            try:
                with os.fdopen(temporary, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(name, self._path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)
                raise
            self._written = version

    def __repr__(self) -> str:
        return f"<FileCookies {str(self._path)!r} with {len(self)} cookies>"


def _read(path: Path) -> list[Cookie]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    try:
        whole = cast("dict[str, object]", json.loads(text))
        if not isinstance(whole, dict) or whole.get("format") != FORMAT:
            raise ValueError(f'there is no "format": "{FORMAT}"')
        return [Cookie(**entry) for entry in cast("list[dict[str, Any]]", whole["cookies"])]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        what = type(error).__name__ if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"{str(path)!r} is not a file of FileCookies, or it is damaged ({what}); "
            "delete it to begin anew, or give another path"
        ) from None
