"""A small schema registry for tests: the few calls of Confluent's API that the mirror makes.

It behaves as Confluent's documentation says (`POST /subjects/{subject}/versions`, `GET
/schemas/guids/{guid}`, `GET /schemas/ids/{id}`, basic authentication, error bodies), keeps what it
is given in memory, and gives GUIDs or, as before Confluent Platform 8.0, none. It is no registry:
it checks neither schemas nor their compatibility. No real one can be had from a package registry:
Confluent's own is under a licence of its own and not on Maven Central.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

_TYPE = "application/vnd.schemaregistry.v1+json"


class SchemaRegistry:
    """The server, on a loopback port; a context manager that ends it.

    `guids` says whether it gives GUIDs, `refuse` an HTTP status with which it answers everything.
    """

    def __init__(self, *, guids: bool = True, user: str = "", refuse: int = 0) -> None:
        self.subjects: dict[str, list[int]] = {}
        self.schemas: list[dict[str, Any]] = []
        self.guids, self.user, self.refuse = guids, user, refuse
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.answer(self, None)

            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length", "0"))
                registry.answer(self, json.loads(self.rfile.read(size)))

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its parent's
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler, body: Any) -> None:
        """Answer one request."""
        wanted = "Basic " + base64.b64encode(self.user.encode()).decode()
        if self.refuse:
            status, said = self.refuse, _error(self.refuse, "as the test wishes")
        elif self.user and request.headers.get("Authorization") != wanted:
            status, said = 401, _error(401, "Unauthorized")
        else:
            parts = [unquote(part) for part in urlsplit(request.path).path.strip("/").split("/")]
            status, said = self._route(parts, body)
        raw = json.dumps(said).encode()
        request.send_response(status)
        request.send_header("Content-Type", _TYPE)
        request.send_header("Content-Length", str(len(raw)))
        request.end_headers()
        request.wfile.write(raw)

    def _route(self, parts: list[str], body: Any) -> tuple[int, Any]:
        if len(parts) == 3 and (parts[0], parts[2]) == ("subjects", "versions") and body:
            return 200, self._register(parts[1], body)
        if parts == ["subjects"]:
            return 200, list(self.subjects)
        if parts[:2] == ["schemas", "ids"]:
            return self._found([s for s in self.schemas if s["id"] == int(parts[2])])
        if parts[:2] == ["schemas", "guids"] and self.guids:
            return self._found([s for s in self.schemas if s["guid"] == parts[2]])
        return 404, _error(404, "HTTP 404 Not Found")

    def _register(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        kept = {"schema": body["schema"], "schemaType": body.get("schemaType", "AVRO")}
        known = next((s for s in self.schemas if s["schema"] == kept["schema"]), None)
        if known is None:
            digest = hashlib.md5(kept["schema"].encode(), usedforsecurity=False)
            guid = str(uuid.UUID(bytes=digest.digest()))
            known = {**kept, "id": len(self.schemas) + 1, "guid": guid}
            self.schemas.append(known)
        versions = self.subjects.setdefault(subject, [])
        if known["id"] not in versions:
            versions.append(known["id"])
        said = {**known, "subject": subject, "version": versions.index(known["id"]) + 1}
        return said if self.guids else {"id": said["id"]}

    def _found(self, schemas: list[dict[str, Any]]) -> tuple[int, Any]:
        if not schemas:
            return 404, _error(40403, "Schema not found")
        return 200, {name: schemas[0][name] for name in ("schema", "schemaType")}


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error_code": code, "message": message}
