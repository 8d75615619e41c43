"""TLS as Apple has it: what an engine's options become, and whom to trust beside the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence

from ktor_client.engines._darwin.bridge import Bridge
from ktor_client.engines._darwin.credentials import Credentials, Identity
from ktor_client.engines._darwin.pool import Pool
from ktor_client.errors import UnsupportedCapabilityError

__all__ = ["AppleTls", "Handshake"]

_AUTH_FAILED = -25293  # errSecAuthFailed
_NOT_FOR_THIS_HOST = -67602  # errSecHostNameMismatch


class AppleTls:
    """An engine's part of TLS; Apple's objects are made once, and released with it."""

    def __init__(self, bridge: Bridge, protocols: Sequence[str], credentials: Credentials) -> None:
        """Take the protocols that are offered (ALPN), and make Apple's objects.

        Raises:
            UnsupportedCapabilityError: the system would put the client's key into a keychain.
            ValueError: a damaged certificate, or a PKCS#12 file that cannot be opened.
        """
        self.bridge = bridge
        self.protocols = [protocol.encode() for protocol in protocols]
        self.trusts_system = credentials.trusts_system
        pool = self._pool = Pool(bridge.libraries, bridge.functions)
        self.anchors = _anchors(pool, bridge, credentials.anchors)
        identity = credentials.identity
        self.identity = None if identity is None else _identity(pool, bridge, identity)

    def __del__(self) -> None:
        if not self.bridge.is_dead:
            self._pool.close()

    def handshake(self, host: str, server_name: str | None) -> Handshake:
        """Begin one; `server_name` is what the certificate must have, where that is not `host`."""
        return Handshake(self, host, server_name)


class Handshake:
    """TLS for one connection."""

    def __init__(self, tls: AppleTls, host: str, server_name: str | None) -> None:
        self._tls = tls
        self._name = server_name or host
        self._server_name = server_name
        self.refusal: tuple[int, str] | None = None
        """Code and text of why we do not trust the server. Apple's own error says only that."""

    def configure(self, tls_options: int) -> None:
        """Set the options of a connection."""
        tls, functions = self._tls, self._tls.bridge.functions
        options = functions.nw_tls_copy_sec_protocol_options(tls_options)
        for protocol in tls.protocols:
            functions.sec_protocol_options_add_tls_application_protocol(options, protocol)
        if self._server_name is not None:
            name = self._server_name.encode()
            functions.sec_protocol_options_set_tls_server_name(options, name)
        if tls.identity is not None:
            functions.sec_protocol_options_set_local_identity(options, tls.identity)
        if tls.anchors is not None:
            tls.bridge.set_verify_block(options, self._verify)
        functions.sec_release(options)

    # --- on the queue's thread ---

    def _verify(self, trust: int, answer: int) -> None:
        """Answer whether to trust a server; Apple may ask more than once."""
        self.refusal = 0, "it could not be verified"
        try:
            with Pool(self._tls.bridge.libraries, self._tls.bridge.functions) as pool:
                self.refusal = self._judged(pool, trust)
        finally:
            self._tls.bridge.blocks.answer(answer, self.refusal is None)

    def _judged(self, pool: Pool, trust: int) -> tuple[int, str] | None:
        tls, functions = self._tls, self._tls.bridge.functions
        of = pool.own(functions.sec_trust_copy_ref(trust))
        policy = pool.own(functions.SecPolicyCreateSSL(True, pool.string(self._name)))
        for function, value in (
            (functions.SecTrustSetPolicies, policy),
            (functions.SecTrustSetAnchorCertificates, tls.anchors),
            (functions.SecTrustSetAnchorCertificatesOnly, not tls.trusts_system),
        ):
            if (status := function(of, value)) != 0:
                return status, f"{function.__name__} failed with {status}"
        why = ctypes.c_void_p()
        if functions.SecTrustEvaluateWithError(of, ctypes.byref(why)):
            return None
        error = pool.own(why.value)
        code: int = functions.CFErrorGetCode(error)
        says = pool.own(functions.CFErrorCopyDescription(error))
        text = f"error {code}" if says is None else pool.text(says)
        return code, f"{text}; {self._hint(code)}"

    def _hint(self, code: int) -> str:
        if code == _NOT_FOR_THIS_HOST:
            return f"it is not for {self._name}; server_hostname=... names another host"
        if self._tls.trusts_system:
            return "its authority is neither the system's nor in trust=..."
        return "its authority is not in trust=..., and trust_system=False leaves the system's out"


def _anchors(pool: Pool, bridge: Bridge, certificates: Sequence[bytes]) -> int | None:
    """Return an array of certificates, None if there are none."""
    made: list[int] = []
    for number, certificate in enumerate(certificates, 1):
        create: Callable[..., int | None] = bridge.functions.SecCertificateCreateWithData
        one = pool.own(create(None, pool.data(certificate)))
        if one is None:
            raise ValueError(
                f"trust: certificate {number} of {len(certificates)} is none (X.509, PEM or DER)"
            )
        made.append(one)
    return pool.array(made) if made else None


def _identity(pool: Pool, bridge: Bridge, identity: Identity) -> int:
    """Open a PKCS#12 file, in memory."""
    functions, items = bridge.functions, ctypes.c_void_p()
    how = {pool.constant("kSecImportExportPassphrase"): pool.string(identity.password)}
    in_memory = pool.constant("kSecImportToMemoryOnly")
    if in_memory is not None:
        how[in_memory] = pool.constant("kCFBooleanTrue")
    elif sys.platform == "darwin":
        raise UnsupportedCapabilityError(
            "Engine DarwinEngine doesn't support client_identity before macOS 15: "
            "the system would keep the key in the login keychain; take CioEngine there"
        )
    content = pool.data(identity.content)
    status: int = functions.SecPKCS12Import(content, pool.dictionary(how), ctypes.byref(items))
    if status == _AUTH_FAILED:
        raise ValueError(
            f"client_identity: {identity.name} does not open with this password, or has a cipher "
            "that this system does not know; `openssl pkcs12 -export -legacy` takes an older one"
        )
    found = pool.own(items.value)
    if status != 0 or found is None:
        raise ValueError(f"client_identity: {identity.name} is no PKCS#12 file (error {status})")
    if functions.CFArrayGetCount(found) == 0:
        raise ValueError(f"client_identity: {identity.name} has no certificate with its key")
    item = functions.CFArrayGetValueAtIndex(found, 0)
    key, chain = (
        functions.CFDictionaryGetValue(item, pool.constant(f"kSecImportItem{name}"))
        for name in ("Identity", "CertChain")
    )
    made: int = functions.sec_identity_create_with_certificates(key, chain)
    pool.callback(functions.sec_release, made)
    return made
