"""Reading the body of a refused handshake: so much, and for so long, that the refusal is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktor_client.engine.contract import WebSocketOptions
from ktor_client.http import HttpResponse
from ktor_client.http.response import MAX_REFUSAL_BODY
from ktor_client.link.time_limit import TimeLimit

if TYPE_CHECKING:
    from ktor_client.link import Clock

__all__ = ["read_refusal"]


async def read_refusal(response: HttpResponse, options: WebSocketOptions, clock: Clock) -> None:
    """Keep the body of a refusal: 1 MiB, and what comes in half of the time until the deadline.

    In the other half the refusal is told, with the body's beginning.
    """
    deadline = options.deadline
    in_time = None if deadline is None else TimeLimit(clock, (deadline - clock.time()) / 2)
    await response.read_up_to(MAX_REFUSAL_BODY, in_time)
