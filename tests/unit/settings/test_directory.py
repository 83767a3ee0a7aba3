"""Directories that settings name: tried out, also as root, who may write everywhere else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mirror.base.errors import SettingsError
from mirror.checks.machine import check_spool
from mirror.settings import load
from mirror.settings.directory import make_directory, why_not_writable

# A directory in which nobody can make a file, though root may write to it by its mode.
PROC = Path("/proc")
needs_proc = pytest.mark.skipif(not PROC.exists(), reason="there is no /proc here")


def test_a_directory_is_tried_with_a_file_that_goes_away_again(tmp_path: Path) -> None:
    """Whether it exists or would have to be made; nothing is left, and nothing is made."""
    assert why_not_writable(tmp_path) is None
    assert why_not_writable(tmp_path / "spool" / "deep") is None
    assert list(tmp_path.iterdir()) == []


@needs_proc
@pytest.mark.parametrize("path", [PROC, PROC / "nope", PROC / "nope" / "deep"])
def test_a_place_where_no_file_can_be_made_is_refused(path: Path) -> None:
    """The mode alone would allow it to root."""
    assert why_not_writable(path)
    assert not path.exists() or path == PROC


def test_a_file_or_a_link_to_nothing_in_the_way_is_refused(tmp_path: Path) -> None:
    """No directory can be made there."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "gone" / "further")
    assert why_not_writable(tmp_path / "file") == os.strerror(errno.ENOTDIR)
    assert why_not_writable(tmp_path / "file" / "spool") == os.strerror(errno.ENOTDIR)
    assert why_not_writable(tmp_path / "link") == os.strerror(errno.ENOENT)


@needs_proc
def test_doctor_finds_a_spool_that_cannot_be_written_to() -> None:
    """The finding says why."""
    finding = check_spool(load({"MIRROR_SPOOL_DIR": str(PROC / "nope"), "MIRROR_SPOOL_LIMIT": "1"}))
    assert not finding.ok
    assert f"{PROC / 'nope'} cannot be written to (" in finding.detail


def test_doctor_finds_a_spool_that_would_be_made(tmp_path: Path) -> None:
    """A first start is not a problem: the listener makes the directory."""
    environ = {"MIRROR_SPOOL_DIR": str(tmp_path / "spool"), "MIRROR_SPOOL_LIMIT": "1KiB"}
    assert check_spool(load(environ)).ok


@needs_proc
def test_no_process_starts_with_a_directory_that_takes_no_file() -> None:
    """It exists, so there is nothing to make; the line names the variable."""
    with pytest.raises(SettingsError, match=r"MIRROR_SPOOL_DIR is '/proc', which cannot be"):
        make_directory("MIRROR_SPOOL_DIR", PROC)


def test_a_directory_is_made(tmp_path: Path) -> None:
    """With its parents; a second start finds it."""
    for _ in range(2):
        make_directory("MIRROR_SPOOL_DIR", tmp_path / "a" / "b")
    assert list((tmp_path / "a").iterdir()) == [tmp_path / "a" / "b"]
    assert list((tmp_path / "a" / "b").iterdir()) == []
