"""What Apple's errors are in Python: domain and code become the exception that a socket raises."""

from __future__ import annotations

import errno
import os
import socket
import ssl

__all__ = ["exception_of", "is_worth_waiting"]

_POSIX, _DNS, _TLS = 1, 2, 3

_DNS_TEXTS = {
    -65537: "the look-up failed",
    -65538: "no such name",
    -65554: "no such record",
    -65563: "the resolver is not running",
    -65568: "the look-up took too long",
}
"""By the codes of `dns_sd.h`."""

_UNTRUSTED = "; to trust it, give the engine its authority: trust=..."
_CLIENT = " (client_identity=...)"
_CERTIFICATE_TEXTS = {
    -9807: f"its chain of certificates is not valid{_UNTRUSTED}",
    -9808: f"its certificate is bad{_UNTRUSTED}",
    -9812: f"its root certificate is not known{_UNTRUSTED}",
    -9813: f"its root certificate is missing{_UNTRUSTED}",
    -9814: "its certificate has expired",
    -9815: "its certificate is not yet valid",
    -9843: "its certificate is for another host",
}
_TLS_TEXTS = {
    -9801: "no cipher suite in common",
    -9805: "the connection was closed gracefully",
    -9806: "the connection was closed by an error",
    -9816: "the connection ended without TLS's farewell",
    -9824: "the server refused the handshake",
    -9825: f"the server finds the client's certificate bad{_CLIENT}",
    -9829: f"the server does not accept the client's certificate{_CLIENT}",
    -9831: f"the server does not know who signed the client's certificate{_CLIENT}",
    -9836: "no version of TLS in common",
    -9849: "unexpected bytes; no TLS may be spoken there, so ws:// or http:// may be meant",
    -9858: "the handshake failed",
    -9863: f"the server wants a client's certificate{_CLIENT}",
}
"""By the codes of `SecureTransport.h`, which Network.framework reports still."""

_WORTH_WAITING = frozenset(
    {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL}
)


def exception_of(domain: int, code: int) -> OSError:
    """Return the exception for an `nw_error`."""
    if domain == _POSIX:
        return OSError(code, os.strerror(code))
    if domain == _DNS:
        return socket.gaierror(code, _DNS_TEXTS.get(code, f"DNS error {code}"))
    if domain == _TLS:
        if (text := _CERTIFICATE_TEXTS.get(code)) is not None:
            return ssl.SSLCertVerificationError(code, text)
        return ssl.SSLError(code, _TLS_TEXTS.get(code, f"TLS error {code}"))
    return OSError(code, f"error {code} of domain {domain}")


def is_worth_waiting(error: OSError | None) -> bool:
    """Whether a connection that waits may yet be made: there is no network at the moment."""
    return error is None or (
        error.errno in _WORTH_WAITING and not isinstance(error, ssl.SSLError | socket.gaierror)
    )
