"""A certificate authority of the suite's own, and contexts that trust it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import PrivateFormat, load_pem_private_key, pkcs12
from cryptography.x509 import load_pem_x509_certificate


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def _identity(*names: str) -> trustme.LeafCert:
    # Apple trusts no server's certificate that is valid for longer.
    return _authority().issue_cert(*names, not_after=datetime.now(UTC) + timedelta(800))


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


def authority_pem() -> bytes:
    """Return the certificate of our authority."""
    return _authority().cert_pem.bytes()


def client_pkcs12(password: str, *, without_key: bool = False) -> bytes:
    """Return a client's certificate and key, in ciphers that old systems know."""
    identity = _identity("client@example.org")
    key: Any = load_pem_private_key(identity.private_key_pem.bytes(), None)
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2048)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(SHA1())
        .build(password.encode())
    )
    leaf, *others = (load_pem_x509_certificate(one.bytes()) for one in identity.cert_chain_pems)
    return pkcs12.serialize_key_and_certificates(
        b"client", None if without_key else key, leaf, others, encryption
    )
