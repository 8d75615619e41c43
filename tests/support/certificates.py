"""A certificate authority of the suite's own, and contexts that trust it."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path

import trustme


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def _identity(*names: str) -> trustme.LeafCert:
    return _authority().issue_cert(*names)


def server_context(*names: str, client_certificate: bool = False) -> ssl.SSLContext:
    """Return a server's context for these names; 127.0.0.1 and localhost by default."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _identity(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
    if client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        _authority().configure_trust(context)
    return context


def write_identity(certificate: Path, key: Path) -> None:
    """Write the certificate of 127.0.0.1 and its key, for servers that read files."""
    identity = _identity("127.0.0.1", "localhost")
    key.write_bytes(identity.private_key_pem.bytes())
    certificate.write_bytes(b"".join(one.bytes() for one in identity.cert_chain_pems))


def client_context(*, certificate: bool = False) -> ssl.SSLContext:
    """Return a client's context that trusts our authority, with a certificate if asked."""
    context = ssl.create_default_context()
    _authority().configure_trust(context)
    if certificate:
        _identity("client@example.org").configure_cert(context)
    return context
