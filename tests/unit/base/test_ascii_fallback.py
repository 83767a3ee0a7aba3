"""Output on terminals that cannot show every character."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from mirror.base import ascii_fallback

TEXT = "✓ Redis … → start it · Käse \N{EN DASH} 漢"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", TEXT),
        ("latin-1", "ok Redis ... -> start it · Käse - ?"),
        ("cp1252", "ok Redis … -> start it · Käse \N{EN DASH} ?"),
        ("ascii", "ok Redis ... -> start it - K?se - ?"),
    ],
)
def test_what_cannot_be_encoded_is_shown_plainly(encoding: str, shown: str) -> None:
    """And nothing else is: what the encoding has stays."""
    held = io.BytesIO()
    stream = io.TextIOWrapper(held, encoding=encoding)
    ascii_fallback.install(stream, None, io.StringIO())
    stream.write(TEXT)
    stream.flush()
    assert held.getvalue().decode(encoding) == shown


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "koi8-r"])
def test_doctor_works_in_any_encoding(encoding: str) -> None:
    """Its exit code is that of what it found (nothing answers here), and it says it."""
    away = {
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "GENESYS_API_URL": "http://127.0.0.1:1",
        "PYTHONIOENCODING": encoding,
    }
    result = subprocess.run(
        [sys.executable, "-c", "from console import main; main()", "doctor"],
        env={**os.environ, **away},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 3, result.stderr
    assert b"unexpected" not in result.stderr
    assert "-> " in result.stdout.decode(encoding)
