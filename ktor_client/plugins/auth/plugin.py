"""The `Auth` plugin: who answers a 401, and when that is given up. How, the providers know."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from ktor_client.errors import AuthError
from ktor_client.http import AttributeKey, HttpRequest, HttpResponse
from ktor_client.http.body import once_only
from ktor_client.plugin import HttpClientPlugin, LayerKind, PluginScope, Send
from ktor_client.plugins.auth.challenge import Challenge, parse_challenges
from ktor_client.plugins.auth.provider import AuthProvider, Refusal

if TYPE_CHECKING:
    from ktor_client.client import HttpClient

__all__ = ["Auth"]

Judge: TypeAlias = Callable[[HttpResponse], bool | Awaitable[bool]]

_WAITING: AttributeKey[tuple[int, ...]] = AttributeKey("requests that get credentials when asked")
"""By their `id`: a copy of one, for the next hop of a redirect, may have them at once."""

MAX_ANSWERS = 10
"""Answers to 401s in one call, whatever providers may say."""


class Auth(HttpClientPlugin):
    """Answer a 401 to requests and WebSocket handshakes (Ktor's `Auth`).

    Credentials go only to the origin that the caller addressed, never to where a redirect leads. A
    request with credentials of its own, from `bearer_auth(...)` or a header, is left alone.
    """

    def __init__(
        self,
        *,
        providers: Sequence[AuthProvider] = (),
        reauthorize_on: Judge | None = None,
    ) -> None:
        """Check and keep the options.

        Args:
            providers: tried in this order; the first that can answer does.
            reauthorize_on: which responses count as a 401; by default those with status 401.

        Raises:
            TypeError: no providers, or something that is not a provider.
        """
        if isinstance(providers, AuthProvider) or not isinstance(providers, Iterable):
            raise TypeError(f"providers takes a sequence: providers=[{providers!r}]")
        self._providers = tuple(providers)
        for provider in self._providers:
            if not isinstance(provider, AuthProvider):
                shown = provider.__name__ if isinstance(provider, type) else type(provider).__name__
                raise TypeError(
                    f"providers takes instances such as BasicAuth(user, password), not {shown}"
                )
        if not self._providers:
            raise TypeError("Auth needs providers: install(Auth, providers=[BearerAuth(...)])")
        if reauthorize_on is not None and not callable(reauthorize_on):
            raise TypeError(f"reauthorize_on is a function, not {reauthorize_on!r}")
        self._reauthorize_on = reauthorize_on
        self._scope: PluginScope | None = None
        self._client: HttpClient | None = None

    def install(self, scope: PluginScope) -> None:
        """Register the layer."""
        self._scope = scope
        for provider in self._providers:
            provider.install(scope.engine)
        scope.on_send(self._send, kind=LayerKind.AUTH, when=self._is_for)
        scope.on_close(self._close)

    @property
    def providers(self) -> tuple[AuthProvider, ...]:
        """The providers, in order."""
        return self._providers

    def clear_tokens(self) -> None:
        """Forget tokens and challenges, as after a logout (Ktor's `clearAuthTokens`)."""
        for provider in self._providers:
            provider.clear()

    def _is_for(self, request: HttpRequest) -> bool | Callable[[HttpResponse], bool]:
        """Return True where a provider sends credentials unasked, or else what a refusal is.

        What went without credentials once goes without them each time: its first answer may be
        still to come, to a layer that sends nothing unasked then.
        """
        if request.is_elsewhere:
            return False
        if self._reauthorize_on is not None:
            return True
        waiting = request.attributes.get(_WAITING) or ()
        if id(request) not in waiting:
            for provider in self._providers:
                if provider.sends_unasked(request):
                    return True
            request.attributes[_WAITING] = (id(request), *waiting)
        return _is_refusal

    async def _send(self, request: HttpRequest, send: Send) -> HttpResponse:
        ready, sent = request, list[AuthProvider]()
        is_waiting = id(request) in (request.attributes.get(_WAITING) or ())
        for provider in () if is_waiting else self._providers:
            if (
                provider.sends_unasked(request)
                and not provider.keeps_out(request)
                and not provider.keeps_out(ready)
            ):
                with_credentials = await provider.authorize(ready, None)
                if with_credentials is not None:
                    ready = with_credentials
                    sent.append(provider)
        response = await send(ready)
        answers: dict[AuthProvider, int] = dict.fromkeys(sent, 0)
        refreshed: set[AuthProvider] = set()
        judge = self._reauthorize_on
        for _ in range(MAX_ANSWERS):
            if not (_is_refusal(response) if judge is None else await _says(judge, response)):
                for provider in answers:
                    provider.accepted(ready, response)
                break
            providers = [one for one in self._providers if not one.keeps_out(request)]
            response, again = await self._answer(ready, response, providers, answers, refreshed)
            if again is None:
                break
            _check_body(request, response)
            ready = again
            await response.discard()
            response = await send(ready)
        return response

    async def _answer(
        self,
        request: HttpRequest,
        response: HttpResponse,
        providers: Sequence[AuthProvider],
        answers: dict[AuthProvider, int],
        refreshed: set[AuthProvider],
    ) -> tuple[HttpResponse, HttpRequest | None]:
        """Return the response, perhaps with its body read ahead, and what to send now."""
        challenges = parse_challenges(response.headers.get_all("www-authenticate"))
        for provider in providers:
            challenge = next((one for one in challenges if provider.can_answer(one)), None)
            was_sent = provider in answers
            if challenge is None and not self._is_meant(provider, challenges, was_sent=was_sent):
                continue
            refusal = Refusal(
                request,
                response,
                challenge,
                was_sent=was_sent,
                unasked=was_sent and answers[provider] == 0,
                repeats=answers.get(provider, 0),
                was_refreshed=provider in refreshed,
                make_client=self._client_without_auth,
            )
            again = None if was_sent else await provider.authorize(request, challenge)
            if again is None:
                refreshed.add(provider)
                if await provider.refresh(refusal):
                    again = await provider.authorize(request, challenge)
            response = refusal.response
            if again is not None:
                answers[provider] = answers.get(provider, 0) + 1
                return response, again
        return response, None

    def _is_meant(
        self, provider: AuthProvider, challenges: Sequence[Challenge], *, was_sent: bool
    ) -> bool:
        """Whether a 401 without a challenge for a provider is for it all the same.

        Many servers ask for nothing, or for something else than they take. With one provider there
        is no doubt who is meant; but a secret goes out only if it was sent before, or if nothing
        speaks against it.
        """
        if len(self._providers) > 1 or any(one.scheme == provider.scheme for one in challenges):
            return False
        return was_sent or (not challenges and provider.realm is None)

    def _client_without_auth(self) -> HttpClient:
        if self._client is None or self._client.is_closed:
            assert self._scope is not None
            self._client = self._scope.client_without(type(self))
        return self._client

    async def _close(self) -> None:
        for provider in self._providers:
            await provider.close()


def _is_refusal(response: HttpResponse) -> bool:
    return response.status == 401


async def _says(judge: Judge, response: HttpResponse) -> bool:
    result = judge(response)
    return bool(await result) if inspect.isawaitable(result) else bool(result)


def _check_body(request: HttpRequest, response: HttpResponse) -> None:
    once = once_only(request.body)
    if once is not None:
        raise AuthError(
            f"{request.method} {request.url._shown} was answered with {response.status}, and has "
            f"to be sent again with credentials, but its body ({once}) can be sent only once; "
            "give it as bytes, or as a Body, which is opened again; or send credentials unasked",
            response,
        )
