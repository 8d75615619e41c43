"""What is never shown: which names are those of secrets, and URLs and headers without their values.

Logs, errors and `repr` ask here. Nothing is changed in what is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias, overload
from urllib.parse import unquote_plus

from ktor_client.functions import check_plain

if TYPE_CHECKING:
    from ktor_client.http.headers import Headers, HeadersLike
    from ktor_client.http.url import Url

__all__ = [
    "HIDDEN",
    "IsSecret",
    "is_secret_name",
    "keep_secret",
    "redacted",
    "redacted_query",
    "redacted_value",
    "repeats_secrets",
    "shown",
    "terse_query",
    "with_more_secrets",
]

HIDDEN = "***"

IsSecret: TypeAlias = Callable[[str], bool]
"""Says of a name whether it is a secret's."""

_SECRET_WORDS = frozenset(
    "apikey assertion authorization cookie credential credentials jwt passcode passphrase passwd "
    "password pwd secret sid signature token".split()
)
_SECRET_RUNS = ("apikey", "accesskey", "password", "privatekey", "secret", "sessionid", "token")
"""Parts of names that are written in one; `token` at the end only, for there are "tokenizers"."""
_ABOUT_SECRETS = frozenset(
    "at count endpoint expires expiry in length limit max min name ttl type uri url".split()
)
"""Last words of names that say something about a secret, and are none."""
_SECRET_IN_QUERIES = frozenset({"auth", "code", "key", "pass", "session", "sig", "ticket"})
_SCHEMES = frozenset({"basic", "bearer", "digest", "negotiate", "ntlm"})
_SUBPROTOCOLS = re.compile(  # of the IANA registry, and what Kubernetes and Jupyter call theirs
    r"(?:graphql(?:-transport)?-ws|mqtt|amqp|sip|xmpp|soap|msrp|chat|superchat|json|wamp(?:\.2\.\w+)?"
    r"|v1[0-2]\.stomp|ocpp\d(?:\.\d){1,2}|(?:v\d\.)?(?:base64\.)?(?:binary|channel)\.k8s\.io"
    r"|v\d\.kernel\.websocket\.jupyter\.org|actioncable-v1-\w{4,7}|vite-(?:hmr|ping))"
).fullmatch
_is_plain = re.compile(r"[0-9]{0,6}|.{0,3}|\*\*\*", re.DOTALL).fullmatch
_words = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+").findall
_WITH_USER = re.compile(  # also where a password has a / ? or # and is not encoded
    r"(?<=//)(?:[^/?#]*@|[^/?#@:]*:(?![0-9]{0,5}(?:[/?#]|$))[^@]*@)"
)
_SHORTEST_SECRET = 4
_pieces = re.compile(r"[\s,;=]+").split  # of credentials, cookies, subprotocols
_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://").match
_behind_path = re.compile(r"[?#]").search


_kept_secret: set[str] = set()
"""What users have called the places of their keys."""


def keep_secret(name: str) -> None:
    """Let a name be a secret's from now on, wherever it is shown: a user has put a key there."""
    _kept_secret.add(_run(name))


def is_secret_name(name: str) -> bool:
    """Whether a header, a query parameter, a form field or a JSON member of that name is secret."""
    if _kept_secret and _run(name) in _kept_secret:
        return True
    words = [word.lower() for word in _words(name)]
    if not words or words[-1] in _ABOUT_SECRETS:
        return False
    run = "".join(words)
    return not _SECRET_WORDS.isdisjoint(words) or any(
        run.endswith(part) if part == "token" else part in run for part in _SECRET_RUNS
    )


def with_more_secrets(names: Iterable[str] | Callable[[str], bool]) -> IsSecret:
    """Return what says of a name whether it is a secret's: the usual ones, and some more.

    Names are the same however they are spelt: `X-My-Key`, `x_my_key`, `xMyKey`.

    Raises:
        TypeError: one text in place of names, a name that is none, or a coroutine function.
    """
    if callable(names):
        check_plain(names, "what says which names are secret")
        says = names
        return lambda name: is_secret_name(name) or bool(says(name))
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise TypeError(f"names of secrets are a collection of str, or a function, not {names!r}")
    more: set[str] = set()
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"the name of a secret is a str, not {name!r}")
        more.add(_run(name))
    return lambda name: is_secret_name(name) or _run(name) in more


def _run(name: str) -> str:
    return "".join(word for word in name.lower() if word.isalnum())


@overload
def redacted(value: str | Url, *, is_secret: IsSecret = is_secret_name) -> str: ...
@overload
def redacted(
    value: Headers | Mapping[str, str] | list[tuple[str, str]],
    *,
    is_secret: IsSecret = is_secret_name,
) -> Headers: ...
def redacted(
    value: str | Url | HeadersLike, *, is_secret: IsSecret = is_secret_name
) -> str | Headers:
    """Return a URL or headers that are safe to log: secrets become `***`.

    In a URL, secrets are user and password, and the values of parameters with a secret name, such
    as `token` or `api_key`. In headers, they are credentials, cookies, unknown subprotocols (which
    may carry tokens), and every field with a secret name. `is_secret` replaces the usual rule for
    names.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        return _redacted_url(str(value), is_secret)
    from ktor_client.http.headers import Headers

    fields = Headers(value).fields()
    return Headers([(name, redacted_value(name, text, is_secret)) for name, text in fields])


def redacted_value(name: str, value: str, is_secret: IsSecret = is_secret_name) -> str:
    """Return the value of a header as it may be shown."""
    key = name.lower()
    if key in ("authorization", "proxy-authorization"):
        scheme, blank, _ = value.partition(" ")
        return f"{scheme} {HIDDEN}" if blank and scheme.lower() in _SCHEMES else HIDDEN
    if key == "sec-websocket-protocol":
        tokens = [token.strip() for token in value.split(",")]
        return ", ".join(
            token if len(token) < 3 or _SUBPROTOCOLS(token) else HIDDEN for token in tokens
        )
    if key in ("location", "content-location", "referer", "link", "refresh"):
        return _redacted_url(value, is_secret)
    return HIDDEN if is_secret(name) else value


def redacted_query(query: str, is_secret: IsSecret = is_secret_name) -> str:
    """Return a query, or the body of a form, with the values of secrets hidden."""
    return "&".join(_redacted_pair(pair, is_secret) for pair in query.split("&"))


def terse_query(query: str) -> str:
    """Return a query as `repr` shows it: names, and values too short or too plain for a secret.

    Whoever redacts for a log knows which names are secret; `repr` gets into places nobody thought
    of.
    """
    return "&".join(map(_terse_pair, redacted_query(query).split("&")))


def _terse_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if equals:
        return pair if _is_plain(value) else f"{name}={HIDDEN}"
    return pair if _is_plain(pair) else HIDDEN


def _redacted_pair(pair: str, is_secret: IsSecret) -> str:
    name, equals, value = pair.partition("=")
    plain = unquote_plus(name)
    if value and (plain.lower() in _SECRET_IN_QUERIES or is_secret(plain)):
        return f"{name}{equals}{HIDDEN}"
    return pair


def _redacted_url(url: str, is_secret: IsSecret) -> str:
    url = _WITH_USER.sub(f"{HIDDEN}@", url)
    place, hash_sign, fragment = url.partition("#")
    path, mark, query = place.partition("?")
    if fragment:  # where OAuth's implicit flow has its token
        fragment = redacted_query(fragment, is_secret)
    return f"{path}{mark}{redacted_query(query, is_secret)}{hash_sign}{fragment}"


def shown(url: str) -> str:
    """Return what messages show of a text that was meant as a URL, or as a host; quoted.

    That is neither credentials nor query nor fragment: what is broken cannot be taken apart.
    """
    head, at, tail = url.rpartition("@")
    if at:  # what stands before it may be a password, with any character in it
        scheme = _scheme(head)
        if _behind_path(head):  # and this one may be the query's
            tail = "..."
        url = f"{'' if scheme is None else scheme[0]}***@{tail}"
    if (more := _behind_path(url)) is not None:
        url = f"{url[: more.end()]}..."
    return repr(url)


def repeats_secrets(text: str, url: Url, headers: Headers) -> bool:
    """Whether an answer's text has something of the request in it that may be secret: an echo."""
    sent = [url.user or "", url.password or ""]
    for pair in url.query.split("&"):
        value = pair.partition("=")[2] or pair
        sent += (value, unquote_plus(value))
    for name, value in headers.fields():
        shown = redacted_value(name, value)
        if shown != value:
            sent += set(_pieces(value)) - set(_pieces(shown))
    return any(len(piece) >= _SHORTEST_SECRET and piece in text for piece in sent)
