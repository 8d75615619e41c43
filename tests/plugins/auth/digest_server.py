"""A server's half of digest authentication, which shares no code with the package."""

from __future__ import annotations

import hashlib
import itertools
from urllib.parse import unquote
from urllib.request import parse_http_list, parse_keqv_list

from ktor_client import HttpRequest
from ktor_client.testing import MockResponse, respond

USER, PASSWORD, REALM = "Mufasa", "Circle of Life", "http-auth@example.org"


class DigestServer:
    """A handler for MockEngine: 401 with a challenge, or 200 to who knows the password."""

    def __init__(
        self,
        algorithm: str | None = "SHA-256",
        qop: str | None = "auth",
        *,
        user: str = USER,
        password: str = PASSWORD,
        extra: str = "",
        uses: int = 1_000_000,
        realm: str = REALM,
        says_stale: bool = True,
    ) -> None:
        """Take what is asked for; each nonce holds for so many `uses`."""
        self.algorithm = algorithm
        self.qop = qop
        self.user, self.password = user, password
        self.extra = extra
        self.realm = realm
        self.says_stale = says_stale
        self.uses = uses
        self.answers: list[dict[str, str]] = []
        """Parameters of each `Authorization` that came."""
        self.refusals: list[str] = []
        """Why a request was refused, one for each 401."""
        self._numbers = itertools.count(1)
        self._nonce = ""
        self._count = self._last = 0
        self.renew()

    def renew(self) -> str:
        self._nonce, self._count, self._last = f"nonce {next(self._numbers)}", 0, 0
        return self._nonce

    def hash(self, text: str | bytes) -> str:
        name = (self.algorithm or "MD5").upper().removesuffix("-SESS")
        function = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}[name]
        data = text.encode() if isinstance(text, str) else text
        return hashlib.new(function, data).hexdigest()

    def __call__(self, request: HttpRequest) -> MockResponse | str:
        problem, stale = self._problem(request)
        if not problem:
            return "welcome"
        self.refusals.append(problem)
        if stale:
            self.renew()
        parts = [f'realm="{self.realm}"', f'nonce="{self._nonce}"', 'opaque="o, \\"p\\""']
        if self.qop is not None:
            parts.append(f'qop="{self.qop}"')
        if self.algorithm is not None:
            parts.append(f"algorithm={self.algorithm}")
        if stale and self.says_stale:
            parts.append("stale=TRUE")
        challenge = ", ".join([*parts, *filter(None, [self.extra])])
        return respond("who are you?", 401, {"WWW-Authenticate": f"Digest {challenge}"})

    def _problem(self, request: HttpRequest) -> tuple[str, bool]:
        """Return what is wrong with a request, and whether it is the nonce alone."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme != "Digest":
            return "no credentials", False
        given: dict[str, str] = parse_keqv_list(parse_http_list(text))
        self.answers.append(given)
        if given["realm"] != self.realm:
            return "another realm", False
        assert given["uri"] == request.url.target
        assert given.get("algorithm") == self.algorithm
        assert given["opaque"] == 'o, "p"'
        is_session = (self.algorithm or "").lower().endswith("-sess")
        body = request.body if isinstance(request.body, bytes) else b""
        name = given.get("username", "")
        if "username*" in given:
            kind, name = given["username*"].split("''")
            assert kind == "UTF-8"
            name = unquote(name)
        wanted = self.user
        if given.get("userhash") == "true":
            wanted = self.hash(f"{self.user}:{self.realm}")
        secret = self.hash(f"{self.user}:{self.realm}:{self.password}")
        if is_session:
            secret = self.hash(f"{secret}:{given['nonce']}:{given['cnonce']}")
        action = f"{request.method}:{given['uri']}"
        middle: list[str] = []
        if self.qop is not None:
            assert given["qop"] in [one.strip() for one in self.qop.split(",")]
            if given["qop"] == "auth-int":
                action += f":{self.hash(body)}"
            middle = [given["nc"], given["cnonce"], given["qop"]]
        else:
            assert "qop" not in given
            assert "nc" not in given
        expected = self.hash(":".join([secret, given["nonce"], *middle, self.hash(action)]))
        if name != wanted or given["response"] != expected:
            return "wrong credentials", False
        if given["nonce"] != self._nonce:
            return "old nonce", True
        self._count += 1
        if self._count > self.uses:
            return "used up nonce", True
        if self.qop is not None:
            assert len(given["nc"]) == 8
            assert int(given["nc"], 16) > self._last, "the answer is an old one"
            self._last = int(given["nc"], 16)
        return "", False
