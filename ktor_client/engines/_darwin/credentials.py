"""Whom connections trust and who they say they are: what users give, checked and read."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import NamedTuple, TypeAlias

__all__ = ["NO_CREDENTIALS", "ClientIdentity", "Content", "Credentials", "Identity"]

Content: TypeAlias = str | os.PathLike[str] | bytes
"""A file's path, or what is in such a file."""
ClientIdentity: TypeAlias = tuple[Content, str]
"""A PKCS#12 file and its password."""

_PEM = "-----BEGIN "
_certificates = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_TO_PKCS12 = "openssl pkcs12 -export -in me.pem -inkey me.key -out me.p12"


class Identity(NamedTuple):
    """A PKCS#12 file that was read."""

    name: str
    content: bytes
    password: str


class Credentials(NamedTuple):
    """What TLS needs beyond a server's name."""

    anchors: tuple[bytes, ...] = ()
    """Certificates (DER) that are trusted besides the system's."""
    trusts_system: bool = True
    identity: Identity | None = None

    @classmethod
    def of(
        cls,
        trust: Content | None,
        trust_system: bool,
        client_identity: ClientIdentity | None,
    ) -> Credentials:
        """Check and read an engine's options.

        Raises:
            OSError: a file cannot be read.
            TypeError: an option of the wrong type.
            ValueError: no certificate, no PKCS#12, no password, or nobody to trust.
        """
        if not isinstance(trust_system, bool):
            raise TypeError(f"trust_system is True or False, not {type(trust_system).__name__}")
        if trust is None and not trust_system:
            raise ValueError("trust_system=False trusts nobody; name those to trust: trust=...")
        return cls(
            () if trust is None else _anchors(trust),
            trust_system,
            None if client_identity is None else _identity(client_identity),
        )


NO_CREDENTIALS = Credentials()


def _anchors(trust: Content) -> tuple[bytes, ...]:
    name, content = _read(
        trust, "trust is a file of certificates, PEM or DER (a path, or its bytes)"
    )
    text = content.decode("latin-1")
    if _PEM not in text:
        return (content,)
    found = _certificates.findall(text)
    if not found:
        raise ValueError(f"trust: {name} has no certificate; it wants {_PEM}CERTIFICATE-----")
    try:
        return tuple(map(ssl.PEM_cert_to_DER_cert, found))
    except ValueError as error:
        raise ValueError(f"trust: a certificate in {name} is no PEM: {error}") from None


def _identity(given: ClientIdentity) -> Identity:
    what = "client_identity is a PKCS#12 file and its password: ('me.p12', 'password')"
    if not isinstance(given, tuple) or len(given) != 2:
        raise TypeError(f"{what}, not {type(given).__name__}; to make one: {_TO_PKCS12}")
    file, password = given
    if not isinstance(password, str):
        raise TypeError(f"{what}; the password is a str, not {type(password).__name__}")
    name, content = _read(file, what)
    if content.lstrip().startswith(_PEM.encode()):
        raise ValueError(
            f"client_identity: {name} is PEM, and Apple takes PKCS#12; to make one: {_TO_PKCS12}"
        )
    if not password:
        raise ValueError(
            "client_identity: the password is empty, and Apple opens no PKCS#12 without one"
        )
    return Identity(name, content, password)


def _read(given: Content, what: str) -> tuple[str, bytes]:
    """Return a name for messages, and the content."""
    if isinstance(given, str) and given.lstrip().startswith(_PEM):
        given = given.encode()
    if isinstance(given, bytes):
        return f"what was given ({len(given)} bytes)", given
    if not isinstance(given, str | os.PathLike):
        raise TypeError(f"{what}, not {type(given).__name__}")
    return os.fspath(given), Path(given).read_bytes()
