"""The orders that Apple's documentation allows: none loses a byte, and each of them matters."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, TypeAlias

import pytest

from ktor_client.engines._darwin.bridge import CANCELLED, FAILED, READY, WAITING, Bridge, Line
from ktor_client.engines._darwin.tls import Handshake
from ktor_client.engines._darwin.transport import WINDOW, AppleTransport
from tests.engines.darwin.double import WITHOUT, Double
from tests.engines.darwin.traffic import (
    END,
    HEADER,
    RESET,
    WAIT,
    Party,
    connected,
    converse,
    known,
    party,
    trusting,
)
from tests.support.fake_link import steps

ALWAYS = (
    "late_completions",
    "late_receives",
    "pieces",
    "short_sends",
    "waiting_first",
    "states_repeated",
    "ready_after_cancelled",
    "verified_twice",
)
"""What any conversation can meet; the others wait for their moment."""
NEVER_READY = ("waiting_on", "preparing_on")
A_FEW = 300
MANY = 10_000


async def run_seeds(bridge: Bridge, double: Double, seeds: range) -> dict[str, int]:
    """Converse once for each seed, under switches that it chooses; return how often each did."""
    uses = dict.fromkeys(double.switches, 0)
    tls = trusting(bridge)
    async with party() as peer:
        for seed in seeds:
            random = Random(seed)
            able = [one for one in double.switches if one not in NEVER_READY]
            chosen = [one for one in able if random.random() < 0.4]
            with double.doing(*chosen, seed=seed, chance=random.choice((1, 2, 5))):
                async with asyncio.timeout(50):
                    await converse(bridge, peer, seed, tls if seed % 4 == 3 else None)
                for one in chosen:
                    uses[one] += double.uses(one)
    return uses


@pytest.mark.usefixtures("tls")
async def test_no_byte_is_lost(bridge: Bridge, double: Double) -> None:
    uses = await run_seeds(bridge, double, range(A_FEW))
    assert all(uses[one] for one in ALWAYS), uses


@pytest.mark.exhaustive
@pytest.mark.usefixtures("tls")
@pytest.mark.timeout(1800)
async def test_no_byte_is_lost_in_ten_thousand(bridge: Bridge, double: Double) -> None:
    await run_seeds(bridge, double, range(MANY))


# --- each order by itself, and a transport that has not thought of it


async def gets_all(bridge: Bridge, peer: Party, *, ending: int = END, size: int = 20_000) -> None:
    """Read what the peer sends until its end."""
    transport, protocol = await connected(bridge, peer.port)
    transport.write(HEADER.pack(ending, size, 0))
    await protocol.lost
    assert bytes(protocol.got) == known(size, 1)
    assert isinstance(protocol.error, OSError) == (ending == RESET)


async def gets_all_before_a_reset(bridge: Bridge, peer: Party) -> None:
    await gets_all(bridge, peer, ending=RESET)


async def reads_behind_a_pause(bridge: Bridge, peer: Party) -> None:
    """Pause, and write into a connection that was reset: what had come before is there."""
    transport, protocol = await connected(bridge, peer.port)
    transport.pause_reading()
    transport.write(HEADER.pack(RESET, 20_000, 0))
    await peer.heard.get()
    while not protocol.lost.done():
        transport.write(b"?")
        await asyncio.sleep(0)
    assert bytes(protocol.got) == known(20_000, 1)
    assert isinstance(protocol.error, OSError)


async def sends_all(bridge: Bridge, peer: Party) -> None:
    """Close behind a long write: all of it arrives."""
    transport, protocol = await connected(bridge, peer.port)
    ours = known(12_000_000, 2)  # more than the kernel takes while nobody reads
    transport.write(HEADER.pack(WAIT, 0, len(ours)))
    transport.write(ours)
    transport.close()
    await protocol.lost
    assert await peer.heard.get() == ours
    assert protocol.error is None


async def counts_what_waits(bridge: Bridge, peer: Party) -> None:
    """What was written waits until Apple says that it does not."""
    transport, protocol = await connected(bridge, peer.port)
    transport.write(HEADER.pack(WAIT, 1, WINDOW))
    transport.write(bytes(WINDOW))
    assert transport.get_write_buffer_size() == HEADER.size
    transport.set_write_buffer_limits(high=0)
    assert not protocol.writable.is_set()
    await protocol.writable.wait()
    assert transport.get_write_buffer_size() == 0
    transport.abort()
    await protocol.lost


async def connects(bridge: Bridge, peer: Party) -> None:
    transport, protocol = await connected(bridge, peer.port)
    transport.abort()
    await protocol.lost
    assert protocol.events == ["made", "lost"]


async def waits_in_vain(bridge: Bridge, peer: Party) -> None:
    """Give up in the end, and leave nothing."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connected(bridge, peer.port)
    assert not bridge.lines


async def is_refused(bridge: Bridge, peer: Party) -> None:
    with pytest.raises(ConnectionRefusedError):
        await connected(bridge, 1)


async def hears_the_last_state_last(bridge: Bridge, peer: Party) -> None:
    heard: list[int] = []
    is_ready, is_cancelled = asyncio.Event(), asyncio.Event()

    class Owner:
        def state_changed(self, state: int, error: OSError | None) -> None:
            heard.append(state)
            if state == READY:
                is_ready.set()
            elif state == CANCELLED:
                line.end()
                is_cancelled.set()

        def received(self, data: bytes, is_complete: bool, error: OSError | None) -> None: ...

        def sent(self, size: int, error: OSError | None) -> None: ...

    line = bridge.open("127.0.0.1", peer.port, None, Owner())
    await is_ready.wait()
    line.cancel()
    await is_cancelled.wait()
    while len(bridge.blocks) or line.unheard:  # noqa: ASYNC110  # nobody tells of a block's end
        await asyncio.sleep(0)
    assert heard[-1] == CANCELLED


async def is_trusted(bridge: Bridge, peer: Party) -> None:
    transport, protocol = await connected(bridge, peer.tls_port, tls=trusting(bridge))
    transport.abort()
    await protocol.lost


Scenario: TypeAlias = Callable[[Bridge, Party], Awaitable[None]]
Careless: TypeAlias = Callable[[pytest.MonkeyPatch], None]


def replacing(owner: type[object], method: str, other: Callable[..., Any]) -> Careless:
    """Return what gives a class a careless method; `other` gets the careful one first."""
    careful = getattr(owner, method)

    def careless(self: Any, *args: Any, **options: Any) -> Any:
        return other(careful, self, *args, **options)

    return lambda patch: patch.setattr(owner, method, careless)


def close_at_once(close: Any, self: Any) -> None:
    close(self)
    self._line.cancel()


def count_at_once(write: Any, self: Any, data: Any) -> None:
    write(self, data)
    self._given = 0
    self._send_more()


def end_by_failing(changed: Any, self: Any, state: int, error: OSError | None) -> None:
    changed(self, state, error)
    if state == FAILED:
        self.abort()


def only_states(broke: Any, self: Any, error: OSError) -> None:
    """Do nothing: a state will tell."""


def end_without_content(
    received: Any, self: Any, data: bytes, is_complete: bool, error: OSError | None
) -> None:
    received(self, b"" if is_complete else data, is_complete, error)


def error_without_content(
    received: Any, self: Any, data: bytes, is_complete: bool, error: OSError | None
) -> None:
    received(self, b"" if error else data, is_complete, error)


def waiting_is_failing(changed: Any, self: Any, state: int, error: OSError | None) -> None:
    changed(self, FAILED if state == WAITING else state, error)


def only_waiting_fails(changed: Any, self: Any, state: int, error: OSError | None) -> None:
    if state != FAILED:
        changed(self, state, error)


async def lets_it_be(drop: Any, self: Any) -> None:
    """Leave the connection to itself."""


def ready_is_once(changed: Any, self: Any, state: int, error: OSError | None) -> None:
    if state == READY:
        self._opened.set_result(None)
    else:
        changed(self, state, error)


def first_region(whole: Any, self: Any, content: int) -> bytes:
    data: bytes = whole(self, content)
    return data[: len(data) // 2 or 1]


def hears_on(end: Any, self: Any) -> None:
    """Keep everything, and the owner too."""


def answers_once(verify: Any, self: Any, trust: int, answer: int) -> None:
    if self.refusal is None:
        verify(self, trust, answer)
        self.refusal = 0, "asked before"


ORDERS: dict[str, tuple[Scenario, Careless]] = {
    "late_completions": (counts_what_waits, replacing(AppleTransport, "write", count_at_once)),
    "late_receives": (
        reads_behind_a_pause,
        replacing(AppleTransport, "state_changed", end_by_failing),
    ),
    "pieces": (gets_all, replacing(Bridge, "_bytes", first_region)),
    "short_sends": (sends_all, replacing(AppleTransport, "close", close_at_once)),
    "end_with_content": (gets_all, replacing(AppleTransport, "received", end_without_content)),
    "error_with_content": (
        gets_all_before_a_reset,
        replacing(AppleTransport, "received", error_without_content),
    ),
    "failed_first": (
        reads_behind_a_pause,
        replacing(AppleTransport, "state_changed", end_by_failing),
    ),
    "failed_never": (
        gets_all_before_a_reset,
        replacing(AppleTransport, "_break", only_states),
    ),
    "waiting_first": (connects, replacing(AppleTransport, "state_changed", waiting_is_failing)),
    "waiting_on": (
        waits_in_vain,
        replacing(AppleTransport, "state_changed", waiting_is_failing),
    ),
    "preparing_on": (waits_in_vain, replacing(AppleTransport, "drop", lets_it_be)),
    "states_repeated": (connects, replacing(AppleTransport, "state_changed", ready_is_once)),
    "refused_fails": (is_refused, replacing(AppleTransport, "state_changed", only_waiting_fails)),
    "ready_after_cancelled": (hears_the_last_state_last, replacing(Line, "end", hears_on)),
    "verified_twice": (is_trusted, replacing(Handshake, "_verify", answers_once)),
}


@pytest.fixture(params=ORDERS)
def switch(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    if chosen == "verified_twice":
        request.getfixturevalue("tls")
    return chosen


def test_each_switch_has_its_test(double: Double) -> None:
    assert list(ORDERS) == double.switches


async def test_an_order_by_itself(bridge: Bridge, double: Double, switch: str) -> None:
    """Each order comes, and is met."""
    scenario, _ = ORDERS[switch]
    async with party() as peer, asyncio.timeout(50 if WITHOUT is None else 3):
        with double.doing(switch):
            while not double.uses(switch):  # some wait for the peer to be quick enough
                await scenario(bridge, peer)


async def test_an_order_that_is_not_thought_of(
    bridge: Bridge, double: Double, switch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the care that an order needs it goes wrong: so the test above does test it."""
    scenario, careless = ORDERS[switch]
    went_wrong: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: went_wrong.append(about))
    async with party() as peer:
        careless(monkeypatch)
        with double.doing(switch):
            while not went_wrong:  # the watchdog ends a vain wait
                try:
                    async with asyncio.timeout(0.3):
                        await scenario(bridge, peer)
                except (AssertionError, OSError, TimeoutError) as error:
                    went_wrong.append(error)
        monkeypatch.undo()
        for line in tuple(bridge.lines):
            line.cancel(force=True)
    while bridge.lines or len(bridge.blocks):  # noqa: ASYNC110  # nobody tells of it
        await asyncio.sleep(0.001)
    await steps()
    went_wrong.clear()  # with what the errors refer to
    gc.collect()
