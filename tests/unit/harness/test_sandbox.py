"""What a sandbox tells a person to type."""

from __future__ import annotations

from pathlib import Path

from harness.embedded import Services
from harness.sandbox import command_here


def _script(folder: Path) -> Path:
    folder.mkdir()
    script = folder / "mirror"
    script.touch(0o755)
    return script


def test_a_command_that_the_shell_finds_is_named_alone(tmp_path: Path) -> None:
    """Also where the shell finds a link to it, as pipx makes."""
    own = _script(tmp_path / "bin")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "mirror").symlink_to(own)
    assert command_here(own, str(own.parent)) == "mirror"
    assert command_here(own, str(tmp_path / "links")) == "mirror"


def test_a_command_that_the_shell_does_not_find_is_named_with_its_path(tmp_path: Path) -> None:
    """So too where the shell finds another installation's."""
    own, other = _script(tmp_path / "my bin"), _script(tmp_path / "other")
    assert command_here(own, str(tmp_path)) == f"'{own}'"
    assert command_here(own, str(other.parent)) == f"'{own}'"


def test_commands_need_settings_once_any_service_has_another_port() -> None:
    """The dashboard's port is in no setting of a command."""
    assert Services(6379, 9092, 8090, 1).on_default_ports
    for services in (Services(1, 9092, 8090, 8080), Services(6379, 1, 8090, 8080)):
        assert not services.on_default_ports
    assert not Services(6379, 9092, 1, 8080).on_default_ports


def test_a_command_that_is_not_installed_has_no_path(tmp_path: Path) -> None:
    """Whoever runs the package from a clone knows how."""
    assert command_here(tmp_path / "mirror", str(tmp_path)) == "mirror"
