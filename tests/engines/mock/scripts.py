"""Peers that many tests use."""

from __future__ import annotations

from ktor_client.engines._mock import MockPeerSession


async def echo(peer: MockPeerSession) -> None:
    async for message in peer:
        await peer.send(message)


async def idle(peer: MockPeerSession) -> None:
    await peer.wait_closed()
