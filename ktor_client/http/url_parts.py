"""The text of a URL taken apart (RFC 3986), and what no part of one may have in it."""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import TypeAlias
from urllib.parse import quote, unquote

from ktor_client.errors import InvalidUrlError
from ktor_client.http.redaction import shown

__all__ = [
    "PATH_SAFE",
    "QUERY_SAFE",
    "begins_like_a_host",
    "flaw",
    "has_surrogate",
    "is_query",
    "is_relative_path",
    "joined_path",
    "known_parts",
    "quoted",
    "url_parts",
]

PATH_SAFE = "/:@!$&'()*+,;=-._~%"
QUERY_SAFE = PATH_SAFE + "?"
_bad_character = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]").search
has_surrogate = re.compile(r"[\ud800-\udfff]").search
_split = re.compile(  # RFC 3986 appendix B, with the scheme's characters
    r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(#.*)?", re.DOTALL
).fullmatch
_split_server = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?").fullmatch
_encoded_zone = partial(re.compile(r"%25(?=[^\]])").sub, "%", count=1)  # RFC 6874 2
_has_port = re.compile(r"[^/?#]*:[0-9]+(?![^/?#])").match
is_relative_path = re.compile(r"[^/:]+(?:/.*)?", re.DOTALL).fullmatch
"""Whether a reference without a query begins with the name of a segment (RFC 3986 4.2)."""
begins_like_a_host = re.compile(r"[\w-]+(?:\.[\w-]+)+(?:[/?]|$)").match
"""Whether a text that is taken as a path may have been meant as a URL, without its scheme."""
is_query = re.compile(r"[A-Za-z0-9/:@!$&'()*+,;=\-._~%?]*").fullmatch

_Server: TypeAlias = tuple[str, int | None, str | None, str | None]
_Parts: TypeAlias = tuple[str | None, _Server | None, str | None, str | None]


def url_parts(url: str) -> _Parts:
    """Return scheme, server, path and query of a URL, None where it has none; for `take_from`.

    Of a server there are host, port, user and password.
    """
    if what := flaw(url):
        raise InvalidUrlError(f"{shown(url)} has {what}; percent-encode it")
    found = _split(url)
    assert found is not None  # every text has these parts
    scheme, netloc, path, query, fragment = found.groups()
    if fragment is not None:
        raise InvalidUrlError(f"{shown(url)} has a fragment (#), which is never sent")
    if not netloc and _has_port(url):  # and no path may begin so (RFC 3986 4.2)
        raise InvalidUrlError(
            f"{shown(url)} has no scheme; write http://host/path or ws://host/path"
        )
    path = quote(path, safe=PATH_SAFE) or None
    query = None if query is None else quote(query, safe=QUERY_SAFE)
    if not netloc:
        if scheme:
            raise InvalidUrlError(
                f"{shown(url)} has no host; write ws://host/path, or a path that starts with /"
            )
        return None, None, path, query
    return scheme and scheme.lower(), _server(netloc, url), path or "/", query or ""


def _server(netloc: str, url: str) -> _Server:
    login, at, server = netloc.rpartition("@")
    found = _split_server(server)
    port = None if found is None or not found[2] else int(found[2][:6])
    if found is None:
        raise InvalidUrlError(f"{shown(url)} is not a URL: what follows its host is not a port")
    if port is not None and port > 65535:
        raise InvalidUrlError(f"{shown(url)} is not a URL: a port is at most 65535")
    if not found[1]:
        raise InvalidUrlError(f"{shown(url)} has no host")
    user, colon, password = login.partition(":")
    host = _encoded_zone(found[1])
    return host, port, unquote(user) if at else None, unquote(password) if colon else None


known_parts = lru_cache(256)(url_parts)


def joined_path(base: str, path: str) -> str:
    """Resolve a relative path against that of a URL (RFC 3986 5.2.3, 5.2.4)."""
    segments: list[str] = []
    names = (base[: base.rfind("/") + 1] + path).split("/")[1:]
    for name in names:
        if name == "..":
            del segments[-1:]
        elif name != ".":
            segments.append(name)
    if names[-1] in (".", ".."):
        segments.append("")
    return "/" + "/".join(segments)


def quoted(text: str, safe: str) -> str:
    """Encode what a request line cannot have; mostly there is nothing."""
    return text if text.isascii() else quote(text, safe=safe)


def flaw(text: str) -> str | None:
    """Say what a text has in it that no URL may have; None where there is nothing."""
    bad = _bad_character(text)
    if bad is None:
        return None
    if bad[0] > "\x7f":
        return f"a lone surrogate ({bad[0]!a})"
    return "a space, backslash or control character"
