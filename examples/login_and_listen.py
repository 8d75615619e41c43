"""Log in by a form, then listen on ten WebSockets: a cookie, a token that ages, a log.

python examples/login_and_listen.py [--engine NAME] [--sessions N]

Each handshake needs the login's cookie and a token. The program's first token has expired: it is
refreshed once, for all sessions. The log shows what is sent and received, without passwords,
cookies or tokens.
"""

import argparse
import asyncio
import json
import logging
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import parse_qs

from ktor_client import HttpClient, install
from ktor_client.engines import HttpClientEngine
from ktor_client.plugins import (
    Auth,
    BearerAuth,
    BearerTokens,
    HttpCookies,
    Logging,
    LogLevel,
    RefreshTokensParams,
    WebSockets,
)
from ktor_client.testing import EchoServer, Exchange, Response, echo_server

Engine: TypeAlias = HttpClientEngine | Callable[..., HttpClientEngine] | str | None
"""What `HttpClient` takes first."""

# --- the program ---


@dataclass
class Tokens:
    """What the token service answers."""

    access_token: str
    refresh_token: str


async def log_in(client: HttpClient, base: str, user: str, password: str) -> str:
    response = await client.post(f"{base}/login", form={"user": user, "password": password})
    return await response.body_as_text()  # of the page where the login leads


def auth(base: str) -> BearerAuth:
    async def load() -> BearerTokens:
        return BearerTokens("an old access token", "refresh token 1")  # as kept since last time

    async def refresh(params: RefreshTokensParams) -> BearerTokens | None:
        assert params.old_tokens is not None
        fields = {"grant_type": "refresh_token", "refresh_token": params.old_tokens.refresh_token}
        response = await params.client.post(f"{base}/token", form=fields)
        if response.status != 200:
            return None  # to log in anew is the user's business
        tokens = await response.body(Tokens)
        return BearerTokens(tokens.access_token, tokens.refresh_token)

    return BearerAuth(load, refresh)


async def listen(client: HttpClient, base: str) -> str:
    async with client.web_socket(f"{base}/live") as session:
        greeting = json.loads(await session.receive_text())
        await session.send("thank you")
        return str(greeting["text"])


async def log_in_and_listen(engine: Engine, base: str, sessions: int) -> list[str]:
    """Return the page after the login, and what the sessions were told."""
    async with HttpClient(
        engine,
        install(WebSockets),
        install(HttpCookies),
        install(Auth, providers=[auth(base)]),
        install(Logging, level=LogLevel.ALL),
    ) as client:
        page = await log_in(client, base, "ada", "correct horse")
        return [page, *await asyncio.gather(*(listen(client, base) for _ in range(sessions)))]


# --- the service ---


class Service:
    """A login, a token service and a feed."""

    def __init__(self, server: EchoServer) -> None:
        self.logins: set[str] = set()
        self.access_tokens: set[str] = set()
        self.refresh_token = "refresh token 1"
        self.refreshes = 0
        self.refused = 0
        server.routes |= {
            "/login": self.login,
            "/welcome": self.welcome,
            "/token": self.token,
            "/live": self.live,
            "/feed": self.feed,
        }

    async def login(self, exchange: Exchange) -> Response:
        """Take a form with user and password; give a cookie, and lead to /welcome."""
        form = parse_qs((await exchange.body()).decode())
        if form != {"user": ["ada"], "password": ["correct horse"]}:
            return Response(403, "wrong user or password")
        login = secrets.token_hex(16)
        self.logins.add(login)
        cookie = f"sid={login}; Path=/; HttpOnly; SameSite=Lax"
        return Response(303, headers={"Location": "/welcome", "Set-Cookie": cookie})

    def is_logged_in(self, exchange: Exchange) -> bool:
        cookies = exchange.headers.get("cookie", "").split("; ")
        return any(f"sid={login}" in cookies for login in self.logins)

    async def welcome(self, exchange: Exchange) -> Response:
        """Greet who has logged in."""
        return Response(200, "welcome, ada") if self.is_logged_in(exchange) else Response(403)

    async def token(self, exchange: Exchange) -> Response:
        """Give tokens for a refresh token, which holds once."""
        form = parse_qs((await exchange.body()).decode())
        if not self.is_logged_in(exchange) or form["refresh_token"] != [self.refresh_token]:
            return Response(403, "log in again")
        self.refreshes += 1
        self.refresh_token = secrets.token_hex(16)
        access = secrets.token_hex(16)
        self.access_tokens.add(access)
        return Response.json({"access_token": access, "refresh_token": self.refresh_token})

    async def live(self, exchange: Exchange) -> Response:
        """Lead to where the feed is today."""
        return Response(307, headers={"Location": "/feed"})

    async def feed(self, exchange: Exchange) -> Response | None:
        """Need cookie and token; send a greeting, take an answer."""
        scheme, _, access = exchange.headers.get("authorization", "").partition(" ")
        if not self.is_logged_in(exchange):
            return Response(403, "log in")
        if scheme != "Bearer" or access not in self.access_tokens:
            self.refused += 1
            challenge = 'Bearer realm="feed", error="invalid_token"'
            return Response(401, "refresh your token", headers={"WWW-Authenticate": challenge})
        async with exchange.accept() as session:
            await session.send(json.dumps({"text": "good morning", "token": secrets.token_hex(16)}))
            await session.receive_text()
        return None


async def main(engine: str | None, sessions: int) -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stdout)
    async with echo_server() as server:
        service = Service(server)
        page, *texts = await log_in_and_listen(engine, server.http_url, sessions)
        print(f"{page}; {len(texts)} sessions were told {set(texts)}")
        print(f"{service.refused} handshakes were refused, {service.refreshes} token was fetched")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--engine", help="such as aiohttp or httpx; the best installed one if left out"
    )
    parser.add_argument("--sessions", type=int, default=10)
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(main(options.engine, options.sessions))
