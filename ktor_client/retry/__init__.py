"""Trying again: when, how often, and what is worth it. Pure rules: no clock, no task, no socket.

Everything that repeats something on a user's behalf uses this room, and only this room.
"""

from ktor_client.retry.attempts import Attempts
from ktor_client.retry.backoff import Backoff
from ktor_client.retry.policy import Failure, Retry, RetryPolicy, Stop
from ktor_client.retry.table import is_worth_a_retry

__all__ = [
    "Attempts",
    "Backoff",
    "Failure",
    "Retry",
    "RetryPolicy",
    "Stop",
    "is_worth_a_retry",
]
