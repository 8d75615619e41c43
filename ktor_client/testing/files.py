"""Files over HTTP, for pages that tests open in a browser. One origin with the WebSockets."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Mapping
from pathlib import Path

from ktor_client.testing.exchange import Refusal, Response

__all__ = ["find_file"]

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".py": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".whl": "application/zip",
    ".zip": "application/zip",
}


async def find_file(folder: Path, name: str, headers: Mapping[str, str]) -> Response:
    """Return the file `name` below `folder`; of a folder its index.html.

    Raises:
        Refusal: 404, where there is none, or where it is outside of `folder`.
    """
    found = await asyncio.to_thread(_read, folder, name)
    if found is None:
        raise Refusal(404, f"there is no file {name}")
    suffix, body = found
    kind = _TYPES.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")
    headers = {"Cache-Control": "no-store", **headers}
    return Response(200, body, headers=headers, content_type=kind)


def _read(root: Path, name: str) -> tuple[str, bytes] | None:
    root = root.resolve()
    path = (root / name).resolve()
    if path.is_dir():
        path /= "index.html"
    if not path.is_relative_to(root) or not path.is_file():
        return None
    return path.suffix, path.read_bytes()
