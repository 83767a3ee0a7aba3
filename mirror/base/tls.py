"""What went wrong between two ends that speak TLS, in words that name the cure.

`reason` reads the errors of Python's `ssl`, wherever a library has wrapped them. The mirror
verifies certificates and host names everywhere and never goes on without; what may be configured
otherwise is the settings' business.
"""

from __future__ import annotations

import ssl
from typing import Final

_WANTS_CERTIFICATE: Final = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE")
_REFUSES_CERTIFICATE: Final = ("BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_EXPIRED")
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")


def reason(error: BaseException) -> str | None:
    """Why TLS failed, None where it did not: looks through what caused `error`."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {_verdict(cause)}"
        if isinstance(cause, ssl.SSLError):
            return _alert(cause)
        cause = next((inner for inner in cause.args if isinstance(inner, ssl.SSLError)), None) or (
            cause.__cause__ or cause.__context__
        )
    return None


def _verdict(error: ssl.SSLCertVerificationError) -> str:
    message = str(error.verify_message)
    if "unable to get" in message or "self-signed" in message or "self signed" in message:
        return f"{message}; SSL_CERT_FILE names the file of a private CA"
    return message


def _alert(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLEOFError):
        # With TLS 1.3 a server tells only after the handshake that it wanted a certificate, and its
        # alert may be overtaken by the end of the connection.
        return "it closed the connection; it may want a client certificate"
    name = (error.reason or "").upper().replace(" ", "_")
    if any(word in name for word in _WANTS_CERTIFICATE):
        return "it wants a client certificate"
    if any(word in name for word in _REFUSES_CERTIFICATE):
        return "it refuses the client certificate, or the lack of one"
    if any(word in name for word in _NOT_TLS):
        return "it does not speak TLS there"
    return f"TLS failed: {name.replace('_', ' ').lower() or type(error).__name__}"
