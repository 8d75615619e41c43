"""Not part of the suite: a test of each outcome, for the test that the lane reports truthfully."""

import asyncio

import pytest

from ktor_client import KtorClientError


async def test_passes() -> None:
    await asyncio.sleep(0)


async def test_fails() -> None:
    number = 41
    assert number == 42


async def test_raises() -> None:
    raise KtorClientError("on purpose")


async def test_skips() -> None:
    pytest.skip("not here")


async def test_warns() -> None:
    import warnings

    warnings.warn("on purpose", UserWarning, stacklevel=1)


async def test_leaves_a_task() -> None:
    global left
    left = asyncio.create_task(asyncio.sleep(0.2))


async def test_upsets_the_loop() -> None:
    asyncio.get_running_loop().call_exception_handler({"message": "on purpose"})


@pytest.fixture
async def broken() -> None:
    raise KtorClientError("on purpose")


async def test_has_a_broken_fixture(broken: None) -> None:
    pass


left: asyncio.Task[None]
