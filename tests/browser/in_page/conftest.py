"""Fixtures inside the browser: where the site is, and what its peers saw."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from ktor_client import HttpClient, install
from ktor_client.plugins import WebSockets


@dataclass(frozen=True)
class Site:
    """The site that the page came from."""

    origin: str
    client: HttpClient

    def http(self, path: str) -> str:
        return f"{self.origin}{path}"

    def ws(self, path: str) -> str:
        return f"{self.origin.replace('http', 'ws', 1)}{path}"

    async def seen(self, name: str) -> dict[str, Any]:
        """What the peer saw of the conversation with that id, once it is over."""
        response = await self.client.get(self.http(f"/seen/{name}"))
        seen: dict[str, Any] = await response.body(dict)
        return seen

    async def passed(self, gate: str) -> None:
        """Wait until somebody has let the peer of that id go on."""
        await self.client.get(self.http(f"/passed/{gate}"))

    async def go(self, name: str) -> None:
        """Let the peer of that id go on."""
        await self.client.post(self.http(f"/go/{name}"))


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient(None, install(WebSockets)) as client:
        yield client


@pytest.fixture
def site(client: HttpClient) -> Site:
    return Site(os.environ["SITE"], client)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """An id of this test's own, for `seen` and `go`."""
    return f"{os.environ['LANE']}-{request.node.name}".translate(str.maketrans("[]/ ", "----"))
