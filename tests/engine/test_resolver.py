"""Hosts become addresses; a name is looked up once in a while, an address never."""

from __future__ import annotations

import asyncio
import socket

import pytest

from ktor_client.engine import resolver as resolver_module
from ktor_client.engine.resolver import Resolver


class Names:
    """What the system's resolver knows, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None
        self._news = asyncio.Condition()
        self.found: list[tuple[int, str]] = [(socket.AF_INET, "127.0.0.1")]

    async def getaddrinfo(self, _: object, host: str, port: int, **__: object) -> list[object]:
        self.asked += 1
        async with self._news:
            self._news.notify_all()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [(family, 1, 6, "", (address, port)) for family, address in self.found]

    async def begun(self, count: int) -> None:
        """Wait for so many questions."""
        async with self._news:
            await self._news.wait_for(lambda: self.asked >= count)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()

    async def getaddrinfo(loop: object, host: str, port: int, **options: object) -> list[object]:
        return await names.getaddrinfo(loop, host, port, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return names


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_an_address_needs_no_lookup(names: Names, address: str) -> None:
    resolver = Resolver()
    for _ in range(2):
        [found] = await resolver.addresses(address, 80)
        assert found[3][:2] == (address, 80)
    assert names.asked == 0


async def test_a_name_is_remembered(names: Names) -> None:
    resolver = Resolver()
    for _ in range(2):
        assert await resolver.addresses("host", 80) == [(2, 1, 6, ("127.0.0.1", 80))]
    assert names.asked == 1
    assert await resolver.addresses("host", 81) == [(2, 1, 6, ("127.0.0.1", 81))]
    assert names.asked == 2


async def test_an_old_answer_is_asked_for_again(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver_module, "TTL", 0)
    resolver = Resolver()
    for _ in range(2):
        await resolver.addresses("host", 80)
    assert names.asked == 2


async def test_what_could_not_be_reached_is_forgotten(names: Names) -> None:
    resolver = Resolver()
    await resolver.addresses("host", 80)
    resolver.forget("host", 80)
    resolver.forget("never heard of", 80)
    await resolver.addresses("host", 80)
    assert names.asked == 2


async def test_the_memory_is_bounded(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "MAX_KNOWN", 2)
    resolver = Resolver()
    for host in ("a", "b", "c", "c", "a"):
        await resolver.addresses(host, 80)
    assert names.asked == 4


async def test_no_address(names: Names) -> None:
    names.found = []
    with pytest.raises(OSError, match="no address"):
        await Resolver().addresses("host", 1)


async def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(socket.gaierror):
        await Resolver().addresses("nobody.invalid", 1)


async def test_families_take_turns(names: Names) -> None:
    """With both families at hand, the second attempt is of the other one."""
    six = [(socket.AF_INET6, f"::{n}") for n in range(3)]
    four = [(socket.AF_INET, f"127.0.0.{n}") for n in range(2)]
    names.found = [*six, *four]
    found = [address[3][0] for address in await Resolver().addresses("host", 1)]
    assert found == ["::0", "127.0.0.0", "::1", "127.0.0.1", "::2"]
    names.found = [*four, *six]
    found = [address[3][0] for address in await Resolver().addresses("host", 1)]
    assert found[:2] == ["127.0.0.0", "::0"]


async def test_lookups_that_overlap_are_joined(names: Names) -> None:
    names.gate = asyncio.Event()
    resolver = Resolver()
    lookups = [asyncio.create_task(resolver.addresses("host", 80)) for _ in range(50)]
    other = asyncio.create_task(resolver.addresses("host", 81))
    await names.begun(2)
    names.gate.set()
    for found in await asyncio.gather(*lookups):
        assert found == [(2, 1, 6, ("127.0.0.1", 80))]
    assert await other == [(2, 1, 6, ("127.0.0.1", 81))]
    assert names.asked == 2


async def test_who_asked_first_is_cancelled_alone(names: Names) -> None:
    names.gate = asyncio.Event()
    resolver = Resolver()
    first, second, third = (asyncio.create_task(resolver.addresses("host", 80)) for _ in range(3))
    await names.begun(1)
    first.cancel()
    second.cancel()
    await asyncio.wait({first, second})
    assert first.cancelled()
    assert second.cancelled()
    await names.begun(2)  # by the third
    names.gate.set()
    assert await third == [(2, 1, 6, ("127.0.0.1", 80))]
    assert names.asked == 2


@pytest.mark.parametrize(
    "error", [socket.gaierror(-2, "unknown"), OSError("no route"), UnicodeError("label too long")]
)
async def test_all_hear_of_a_lookup_that_failed(names: Names, error: Exception) -> None:
    """Each by an error of its own, since a traceback is written on it."""
    names.gate, names.error = asyncio.Event(), error
    resolver = Resolver()
    lookups = [asyncio.create_task(resolver.addresses("host", 80)) for _ in range(3)]
    await names.begun(1)
    names.gate.set()
    heard = await asyncio.gather(*lookups, return_exceptions=True)
    assert [type(one) for one in heard] == [type(error)] * 3
    assert [str(one) for one in heard] == [str(error)] * 3
    assert len({id(one) for one in heard}) == 3
    names.error = None
    assert await resolver.addresses("host", 80) == [(2, 1, 6, ("127.0.0.1", 80))]
    assert names.asked == 2
