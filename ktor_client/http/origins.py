"""What may go to another origin than the one that was asked: the rule of redirects, written once.

Everything that is not known to be harmless stays at home, so credentials in fields of any name do.
"""

from __future__ import annotations

import re

from ktor_client.http.headers import Headers
from ktor_client.http.redaction import is_secret_name
from ktor_client.http.request import HttpRequest

__all__ = ["fields_for_elsewhere", "is_about_body", "may_go_elsewhere", "only_what_was_meant"]

_HARMLESS = frozenset(
    "accept accept-encoding accept-language content-encoding content-length content-type expect "
    "last-event-id user-agent".split()
)

_is_plain_name = re.compile(r"[a-z0-9]{1,20}(?:[._-][a-z0-9]{1,20})*").fullmatch


def is_about_body(name: str) -> bool:
    """Whether a field is nothing without the body that it speaks of (RFC 9110 10.1.1, 15.4)."""
    key = name.lower()
    return key.startswith("content-") or key in ("digest", "expect", "repr-digest")


def fields_for_elsewhere(headers: Headers) -> list[tuple[str, str]]:
    """Return the fields that may follow a redirect to another origin."""
    return [field for field in headers.fields() if field[0].lower() in _HARMLESS]


def may_go_elsewhere(subprotocol: str) -> bool:
    """Whether a subprotocol is a name, as far as one can see; some servers take tokens as such."""
    return _is_plain_name(subprotocol) is not None and not is_secret_name(subprotocol)


def only_what_was_meant(request: HttpRequest, redirected: HttpRequest) -> HttpRequest:
    """Take from a request what layers have added to it for an origin which it does not go to.

    Args:
        request: as it is about to leave.
        redirected: what the redirect to another origin made, before these layers.
    """
    theirs = set(redirected.headers.fields())
    fields = request.headers.fields()
    kept = [
        (name, value)
        for name, value in fields
        if name.lower() in _HARMLESS or (name, value) in theirs or request.is_meant(name, value)
    ]
    url = redirected.url if request.url.origin == redirected.url.origin else request.url
    if len(kept) == len(fields) and url is request.url:
        return request
    return request.copy(url=url, headers=Headers(kept))
