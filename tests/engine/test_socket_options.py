"""The options of engines that have sockets: what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from ktor_client.engine.registry import engine_class
from tests.conftest import ENGINES


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"limit": "5"}, TypeError, "limit is a number of connections, not str"),
        ({"limit": True}, TypeError, "limit is a number of connections, not bool"),
        ({"limit": 0}, ValueError, "limit must be at least 1 connection, not 0"),
        ({"ssl_context": True}, TypeError, "ssl_context is an ssl.SSLContext, not bool"),
        ({"server_hostname": b"h"}, TypeError, "server_hostname is a name on a certificate"),
        ({"server_hostname": ""}, ValueError, "server_hostname is a name on a certificate"),
        ({"server_hostname": "a b"}, ValueError, "no name has ' ' in it"),
        ({"unix_socket": b"/s"}, TypeError, r"unix_socket is a path \(str\), not bytes"),
        ({"unix_socket": "/s", "proxy": "http://p"}, ValueError, "neither proxy nor trust_env"),
        ({"unix_socket": "/s", "trust_env": True}, ValueError, "neither proxy nor trust_env"),
        ({"connect_timeout": 0}, ValueError, "connect_timeout"),
        ({"connect_timeout": "5"}, TypeError, "connect_timeout"),
    ],
)
def test_impossible_options(
    name: str, options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    make: Any = engine_class(name)
    with pytest.raises(kind, match=text):
        make(**options)
