"""Authentication: the `Auth` plugin and its providers: basic, bearer, digest and keys."""

from ktor_client.plugins.auth.basic import ApiKeyAuth, BasicAuth
from ktor_client.plugins.auth.bearer import BearerAuth, BearerTokens, RefreshTokensParams
from ktor_client.plugins.auth.challenge import Challenge
from ktor_client.plugins.auth.digest import DigestAuth
from ktor_client.plugins.auth.plugin import Auth
from ktor_client.plugins.auth.provider import AuthProvider, Refusal

__all__ = [
    "ApiKeyAuth",
    "Auth",
    "AuthProvider",
    "BasicAuth",
    "BearerAuth",
    "BearerTokens",
    "Challenge",
    "DigestAuth",
    "RefreshTokensParams",
    "Refusal",
]
