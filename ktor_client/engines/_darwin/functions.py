"""Apple's C functions: which frameworks have them, what each takes and returns."""

from __future__ import annotations

import ctypes
import sys
from ctypes import (
    c_bool,
    c_char_p,
    c_int,
    c_long,
    c_size_t,
    c_ubyte,
    c_uint16,
    c_uint32,
    c_void_p,
)
from typing import TYPE_CHECKING, Any, NamedTuple

from ktor_client.errors import EngineUnavailableError

__all__ = ["Frameworks", "Functions", "frameworks"]


class Frameworks(NamedTuple):
    """The libraries."""

    network: ctypes.CDLL
    security: ctypes.CDLL
    core: ctypes.CDLL
    system: ctypes.CDLL
    """libdispatch and blocks are part of it."""


def frameworks() -> Frameworks:
    """Load Apple's libraries.

    Raises:
        EngineUnavailableError: this is no system of Apple's.
    """
    if sys.platform not in ("darwin", "ios"):
        raise EngineUnavailableError(
            f"DarwinEngine stands on Apple's Network.framework, and this is {sys.platform}: "
            "take CioEngine here, which does the same on sockets"
        )
    return Frameworks(
        ctypes.CDLL("/System/Library/Frameworks/Network.framework/Network"),
        ctypes.CDLL("/System/Library/Frameworks/Security.framework/Security"),
        ctypes.CDLL("/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation"),
        ctypes.CDLL("/usr/lib/libSystem.B.dylib"),
    )


_FUNCTIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "network": {
        "nw_connection_cancel": (None, c_void_p),
        "nw_connection_copy_current_path": (c_void_p, c_void_p),
        "nw_connection_create": (c_void_p, c_void_p, c_void_p),
        "nw_connection_force_cancel": (None, c_void_p),
        "nw_connection_receive": (None, c_void_p, c_uint32, c_uint32, c_void_p),
        "nw_connection_send": (None, c_void_p, c_void_p, c_void_p, c_bool, c_void_p),
        "nw_connection_set_queue": (None, c_void_p, c_void_p),
        "nw_connection_set_state_changed_handler": (None, c_void_p, c_void_p),
        "nw_connection_start": (None, c_void_p),
        "nw_endpoint_copy_address_string": (c_void_p, c_void_p),
        "nw_endpoint_create_host": (c_void_p, c_char_p, c_char_p),
        "nw_endpoint_get_port": (c_uint16, c_void_p),
        "nw_error_get_error_code": (c_int, c_void_p),
        "nw_error_get_error_domain": (c_int, c_void_p),
        "nw_parameters_create_secure_tcp": (c_void_p, c_void_p, c_void_p),
        "nw_path_copy_effective_remote_endpoint": (c_void_p, c_void_p),
        "nw_release": (None, c_void_p),
        "nw_tcp_options_set_no_delay": (None, c_void_p, c_bool),
        "nw_tls_copy_sec_protocol_options": (c_void_p, c_void_p),
    },
    "security": {
        "SecCertificateCreateWithData": (c_void_p, c_void_p, c_void_p),
        "SecPKCS12Import": (c_int, c_void_p, c_void_p, c_void_p),
        "SecPolicyCreateSSL": (c_void_p, c_ubyte, c_void_p),
        "SecTrustEvaluateWithError": (c_bool, c_void_p, c_void_p),
        "SecTrustSetAnchorCertificates": (c_int, c_void_p, c_void_p),
        "SecTrustSetAnchorCertificatesOnly": (c_int, c_void_p, c_ubyte),
        "SecTrustSetPolicies": (c_int, c_void_p, c_void_p),
        "sec_identity_create_with_certificates": (c_void_p, c_void_p, c_void_p),
        "sec_protocol_options_add_tls_application_protocol": (None, c_void_p, c_char_p),
        "sec_protocol_options_set_local_identity": (None, c_void_p, c_void_p),
        "sec_protocol_options_set_tls_server_name": (None, c_void_p, c_char_p),
        "sec_protocol_options_set_verify_block": (None, c_void_p, c_void_p, c_void_p),
        "sec_release": (None, c_void_p),
        "sec_trust_copy_ref": (c_void_p, c_void_p),
    },
    "core": {
        "CFArrayCreate": (c_void_p, c_void_p, c_void_p, c_long, c_void_p),
        "CFArrayGetCount": (c_long, c_void_p),
        "CFArrayGetValueAtIndex": (c_void_p, c_void_p, c_long),
        "CFDataCreate": (c_void_p, c_void_p, c_char_p, c_long),
        "CFDictionaryCreate": (
            *(c_void_p, c_void_p, c_void_p, c_void_p, c_long, c_void_p, c_void_p),
        ),
        "CFDictionaryGetValue": (c_void_p, c_void_p, c_void_p),
        "CFErrorCopyDescription": (c_void_p, c_void_p),
        "CFErrorGetCode": (c_long, c_void_p),
        "CFRelease": (None, c_void_p),
        "CFStringCreateWithCString": (c_void_p, c_void_p, c_char_p, c_uint32),
        "CFStringGetCString": (c_bool, c_void_p, c_char_p, c_long, c_uint32),
    },
    "system": {
        "dispatch_data_create": (c_void_p, c_char_p, c_size_t, c_void_p, c_void_p),
        "dispatch_data_create_map": (c_void_p, c_void_p, c_void_p, c_void_p),
        "dispatch_queue_create": (c_void_p, c_char_p, c_void_p),
        "dispatch_release": (None, c_void_p),
        "dispatch_sync_f": (None, c_void_p, c_void_p, c_void_p),
        "free": (None, c_void_p),
    },
}
"""What each returns and takes."""


class Functions:
    """Apple's functions, by their names."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, libraries: Frameworks) -> None:
        """Find them.

        Raises:
            EngineUnavailableError: the system is too old.
        """
        try:
            for library, functions in _FUNCTIONS.items():
                for name, (result, *arguments) in functions.items():
                    function = getattr(getattr(libraries, library), name)
                    function.restype, function.argtypes = result, arguments
                    setattr(self, name, function)
        except AttributeError as error:
            raise EngineUnavailableError(
                f"DarwinEngine needs macOS 10.15, iOS 13 or newer: {error}"
            ) from error
