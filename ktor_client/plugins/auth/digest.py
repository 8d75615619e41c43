"""Digest access authentication (RFC 7616, and RFC 2617 for older servers)."""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias
from urllib.parse import quote

from ktor_client.errors import AuthError, InvalidUrlError
from ktor_client.http import HttpRequest, HttpResponse, RequestBody, Url
from ktor_client.http.body import once_only, opened
from ktor_client.plugins.auth.challenge import Challenge, parse_parameters, quoted
from ktor_client.plugins.auth.provider import (
    AuthProvider,
    Refusal,
    SendWithoutRequest,
    check_credentials,
)

__all__ = ["DigestAuth"]

MAX_ORIGINS = 100
"""Origins whose challenge is remembered."""
MAX_REPEATS = 3
"""Nonces that a server may call stale in a row."""

Hash: TypeAlias = Callable[[bytes], Any]

_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_SESSION = "-SESS"


def _hash_of(algorithm: str) -> Hash | None:
    name = _HASHES.get(algorithm.upper().removesuffix(_SESSION))
    if name is None:
        return None
    try:
        # MD5 is what the server asks for; the flag is for machines that forbid it otherwise.
        hashlib.new(name, usedforsecurity=False)
    except ValueError:
        return None  # not in this build of Python
    return lambda data: hashlib.new(name, data, usedforsecurity=False)


class _Space:
    """What a server has asked for, and how often it was answered: a protection space."""

    def __init__(self, challenge: Challenge, hash_: Hash) -> None:
        given = challenge.parameters
        self.challenge = challenge
        self.realm = given["realm"]
        self.nonce = given["nonce"]
        self.opaque = given.get("opaque")
        self.algorithm = given.get("algorithm")
        self.quality = _quality(challenge)
        self.hides_user = given.get("userhash", "").lower() == "true"
        self.is_unicode = given.get("charset", "").upper() == "UTF-8"
        self.is_session = (self.algorithm or "").upper().endswith(_SESSION)
        self._hash = hash_
        self._client_nonce = secrets.token_hex(16)
        self._count = 0

    def is_of(self, challenge: Challenge) -> bool:
        """Whether a challenge is this one once more, so that the count goes on."""
        names = ("realm", "algorithm", "qop", "opaque", "userhash", "charset")
        mine, other = self.challenge.parameters, challenge.parameters
        return other["nonce"] == self.nonce and all(mine.get(n) == other.get(n) for n in names)

    def covers(self, url: Url) -> bool:
        """Whether a URL of the same origin is protected too (RFC 7616 3.3, `domain`)."""
        places = self.challenge.parameters.get("domain", "").split()
        if not places:
            return True
        for place in places:
            try:
                target = url.join(place).with_scheme(url.scheme)
            except InvalidUrlError:
                continue
            if target.origin == url.origin and url.path.startswith(target.path):
                return True
        return False

    def renew(self, nonce: str) -> None:
        """Go on with another nonce (RFC 7616 3.5)."""
        self.nonce = nonce
        self._count = 0

    def header(self, user: str, password: str, method: str, target: str, body: str | None) -> str:
        """Return the value of `Authorization`; `body` is the hash of the body for auth-int."""
        if self.is_unicode:
            user, password = (unicodedata.normalize("NFC", text) for text in (user, password))
        self._count += 1
        count = f"{self._count:08x}"
        secret = self.hash(f"{user}:{self.realm}:{password}")
        if self.is_session:
            secret = self.hash(f"{secret}:{self.nonce}:{self._client_nonce}")
        action = self.hash(":".join([method, target] if body is None else [method, target, body]))
        parts = [secret, self.nonce, action]
        if self.quality:
            parts[2:2] = [count, self._client_nonce, self.quality]
        fields = [
            *self._user_fields(user),
            f"realm={quoted(self.realm)}",
            f"nonce={quoted(self.nonce)}",
            f"uri={quoted(target)}",
            f'response="{self.hash(":".join(parts))}"',
        ]
        if self.algorithm is not None:
            fields.append(f"algorithm={self.algorithm}")
        if self.opaque is not None:
            fields.append(f"opaque={quoted(self.opaque)}")
        if self.quality:
            fields += [f"qop={self.quality}", f"nc={count}"]
        if self.quality or self.is_session:
            fields.append(f'cnonce="{self._client_nonce}"')
        if self.hides_user:
            fields.append("userhash=true")
        return f"Digest {', '.join(fields)}"

    def _user_fields(self, user: str) -> list[str]:
        if self.hides_user:
            return [f'username="{self.hash(f"{user}:{self.realm}")}"']
        if self.is_unicode and not user.isascii():
            return [f"username*=UTF-8''{quote(user, safe='')}"]
        return [f"username={quoted(user)}"]

    def hash(self, text: str) -> str:
        """Return the hash of a text, in hexadecimal."""
        digest: str = self._hash(text.encode()).hexdigest()
        return digest

    async def hash_of(self, body: RequestBody | None) -> str:
        """Return the hash of a body, in hexadecimal."""
        hashed = self._hash(body if isinstance(body, bytes) else b"")
        if body is not None and not isinstance(body, bytes):
            async with opened(body) as chunks:
                async for chunk in chunks:
                    hashed.update(chunk)
        digest: str = hashed.hexdigest()
        return digest


class DigestAuth(AuthProvider):
    """Proves a password without sending it (RFC 7616): MD5, SHA-256, SHA-512-256, each with -sess.

    It answers the first challenge that it can, and prefers `auth` to `auth-int`. It remembers the
    challenge of each origin, so only the first request to an origin needs two round trips.
    """

    scheme: ClassVar[str] = "digest"

    def __init__(
        self,
        user: str,
        password: str,
        realm: str | None = None,
        *,
        send_without_request: SendWithoutRequest = True,
    ) -> None:
        """Check the credentials.

        Args:
            user: without a colon.
            password: any text; its UTF-8 form is hashed.
            realm: see `AuthProvider`.
            send_without_request: whether to answer an origin's last challenge again without being
                asked; its first request always waits for a challenge.

        Raises:
            ValueError: the user has a colon, or there is a control character.
            TypeError: an option of the wrong type.
        """
        super().__init__(realm=realm, send_without_request=send_without_request)
        check_credentials(user, password)
        self.user = user
        self._password = password
        self._spaces: dict[tuple[bool, str, int], _Space] = {}

    def can_answer(self, challenge: Challenge) -> bool:
        """Whether the challenge is complete, has this realm, and uses a known algorithm."""
        given = challenge.parameters
        return (
            super().can_answer(challenge)
            and "nonce" in given
            and "realm" in given
            and _hash_of(given.get("algorithm", "MD5")) is not None
            and ("qop" not in given or bool(_quality(challenge)))
        )

    def sends_unasked(self, request: HttpRequest) -> bool:
        """Whether to send credentials for an earlier challenge; without one there are none."""
        return bool(self._spaces) and super().sends_unasked(request)

    async def authorize(
        self, request: HttpRequest, challenge: Challenge | None
    ) -> HttpRequest | None:
        """Set the header for this challenge, or for the origin's last one."""
        origin = request.url.origin
        space = self._spaces.get(origin)
        if challenge is None:
            if space is None or not space.covers(request.url):
                return None
        elif space is None or not space.is_of(challenge):
            hash_ = _hash_of(challenge.parameters.get("algorithm", "MD5"))
            assert hash_ is not None  # can_answer has said so
            space = self._spaces[origin] = _Space(challenge, hash_)
            if len(self._spaces) > MAX_ORIGINS:
                del self._spaces[next(iter(self._spaces))]
        body = None
        if space.quality == "auth-int":
            once = once_only(request.body)
            if once is not None and challenge is None:
                return None
            if once is not None:
                raise AuthError(
                    f"{request.url._shown} asks for a hash of the body (digest with auth-int), "
                    f"and this one ({once}) can be read only once; give it as bytes, or as a Body"
                )
            body = await space.hash_of(request.body)
        method, target = str(request.method), request.url.target
        value = space.header(self.user, self._password, method, target, body)
        return request.with_header("Authorization", value)

    async def refresh(self, refusal: Refusal) -> bool:
        """Whether the nonce was refused rather than the password."""
        if refusal.challenge is None or refusal.repeats >= MAX_REPEATS:
            return False
        is_stale = refusal.challenge.parameters.get("stale", "").lower() == "true"
        return is_stale or (refusal.was_sent and refusal.unasked)

    def accepted(self, request: HttpRequest, response: HttpResponse) -> None:
        """Keep the nonce for the next request (RFC 7616 3.5)."""
        space = self._spaces.get(request.url.origin)
        info = response.headers.get("authentication-info")
        if space is None or info is None:
            return
        nonce = parse_parameters(info).get("nextnonce")
        if nonce is not None and space.is_session:
            del self._spaces[request.url.origin]  # its key is of the first nonce
        elif nonce is not None:
            space.renew(nonce)

    def clear(self) -> None:
        """Forget every challenge."""
        self._spaces.clear()

    def __repr__(self) -> str:
        return f"DigestAuth(user={self.user!r}, password=***, realm={self.realm!r})"


def _quality(challenge: Challenge) -> str:
    """Return the best quality of protection of the challenge that is known here, or nothing."""
    offered = [text.strip().lower() for text in challenge.parameters.get("qop", "").split(",")]
    return next((name for name in ("auth", "auth-int") if name in offered), "")
