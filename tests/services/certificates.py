"""Certificates of a private CA for tests, as the PEM files that servers and clients take.

`Authority` is one CA. `server` and `client` issue certificates; `expired=True` one whose time is
over. Nothing of it is trusted by anybody who is not told to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Certificate:
    """Files with a certificate and its key, and one with both, as Kafka's key stores want them."""

    cert: Path
    key: Path
    store: Path

    @property
    def cert_pem(self) -> str:
        """The certificate's text."""
        return self.cert.read_text()

    @property
    def key_pem(self) -> str:
        """The key's text."""
        return self.key.read_text()


class Authority:
    """A CA of the test's own; its files lie in `folder`."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = name
        self._ca = trustme.CA(organization_name=name)
        self.path = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.path))

    @property
    def pem(self) -> str:
        """The CA's certificate."""
        return self.path.read_text()

    def server(self, *hosts: str, expired: bool = False) -> Certificate:
        """A server's certificate for `hosts` (127.0.0.1 where none is given)."""
        return self._issue("server-" + "-".join(hosts or ("own",)), hosts or (LOOPBACK,), expired)

    def client(self, name: str, *, expired: bool = False) -> Certificate:
        """A client's certificate; Kafka sees `CN=name` first in its subject."""
        return self._issue(f"client-{name}", (f"{name}.example",), expired, common_name=name)

    def _issue(
        self, name: str, hosts: tuple[str, ...], expired: bool, common_name: str | None = None
    ) -> Certificate:
        yesterday = datetime.now(UTC) - timedelta(days=1)
        leaf = self._ca.issue_cert(
            *hosts, common_name=common_name, not_after=yesterday if expired else None
        )
        stem = f"{self._name}-{name}" + ("-expired" if expired else "")
        certificate = Certificate(
            *(self._folder / f"{stem}.{kind}" for kind in ("crt", "key", "pem"))
        )
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        # PKCS 8: the only form of a key that Kafka's PEM stores take.
        key = serialization.load_pem_private_key(
            leaf.private_key_pem.bytes(), password=None
        ).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        certificate.cert.write_bytes(chain)
        certificate.key.write_bytes(key)
        certificate.store.write_bytes(key + chain)
        for path in (certificate.key, certificate.store):
            path.chmod(0o600)
        return certificate
