"""Clients that a test makes and need not close, and how those that stay open are named."""

from __future__ import annotations

from collections.abc import Iterable

from ktor_client.client import HttpClient
from ktor_client.config import Block
from ktor_client.engine import EngineLike

__all__ = ["ClientFactory", "describe_leaks"]


class ClientFactory:
    """The fixture `ktor_client_factory`: call it as you would call `HttpClient`."""

    def __init__(self, default_engine: EngineLike = None) -> None:
        self.clients: list[HttpClient] = []
        """Clients that were made."""
        self._default_engine = default_engine

    def __call__(self, engine: EngineLike = None, *blocks: Block, **options: bool) -> HttpClient:
        """Make a client; see `HttpClient`. None takes the test's engine."""
        chosen = self._default_engine if engine is None else engine
        client = HttpClient(chosen, *blocks, **options)
        self.clients.append(client)
        return client

    async def close(self) -> None:
        """Close the clients, the last one first; then raise the first error."""
        __tracebackhide__ = True
        failure: Exception | None = None
        for client in reversed(self.clients):
            try:
                await client.close()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure


def describe_leaks(clients: Iterable[HttpClient]) -> str:
    """Return a line for each client that was used and not closed, with its open sessions."""
    lines: list[str] = []
    for client in clients:
        if client.is_closed or not client._used:
            continue
        lines.append(f"    {client!r}")
        lines += [f"        {session!r}" for session in client._sessions.values()]
        client._used = False  # it is named here; no ResourceWarning in the midst of another test
    return "\n".join(lines)
