"""How Apache Kafka comes to a machine: from where, checked against what, and what is said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import kafka_install
from harness.kafka_install import Jar, KafkaUnavailable, WrongJars, main, sha256_of

MAVEN = """#!/bin/sh
for word in "$@"; do
    case $word in -DoutputDirectory=*) folder=${word#*=} ;; esac
done
cp "$JARS"/*.jar "$folder"
"""
BROKEN_MAVEN = "#!/bin/sh\necho '[ERROR] no plugin found'\nexit 1\n"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """An empty cache and a PATH with nothing in it but sh and cp; adds a program to it."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("sh", "cp"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv(kafka_install.LIBS_VARIABLE, raising=False)

    def add(name: str, text: str) -> None:
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)

    return add


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two small jars that Maven brings, and a lock file that names them."""
    folder = tmp_path / "jars"
    folder.mkdir()
    lines = ["# a comment"]
    for name in ("one", "two"):
        path = folder / f"{name}-1.0.jar"
        path.write_text(name)
        lines.append(f"{sha256_of(path)}  org.example:{name}:1.0")
    lock = tmp_path / "jars.lock"
    lock.write_text("\n".join(lines))
    monkeypatch.setattr(kafka_install, "LOCK", lock)
    monkeypatch.setenv("JARS", str(folder))
    return folder


def java(version: str) -> str:
    """A program that says that it is Java of a version."""
    return f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n"


def no_network(name: str, _target: Path) -> None:
    """In the place of pip: every wheel is out of reach."""
    raise KafkaUnavailable(f"the wheel {name} cannot be installed here: no network")


def test_the_lock_names_the_broker_of_the_pom() -> None:
    """A new version in pom.xml needs a new lock file."""
    jars = kafka_install.locked()
    version = kafka_install.kafka_version()
    assert f"kafka_2.13-{version}.jar" in {jar.file for jar in jars}
    assert {jar.version for jar in jars if jar.group == "org.apache.kafka"} == {version}
    assert all(len(jar.sha256) == 64 for jar in jars)


def test_maven_brings_the_jars_once(
    tools: Callable[[str, str], None], jars: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With Java and Maven; the second time nothing is asked. stdout has the folder alone."""
    tools("java", java("17.0.2"))
    tools("mvn", MAVEN)
    assert main([]) == 0
    libs = kafka_install.find_libs()
    assert sorted(path.name for path in libs.iterdir()) == ["one-1.0.jar", "two-1.0.jar"]
    assert capfd.readouterr().out == f"{libs}\n"
    tools("mvn", BROKEN_MAVEN)
    assert main([]) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("change", ["other", "more", "missing"])
def test_jars_that_are_not_the_locked_ones_are_refused(
    tools: Callable[[str, str], None], jars: Path, capfd: pytest.CaptureFixture[str], change: str
) -> None:
    """Another byte, a jar too many or too few: one line, exit code 1, nothing in the cache."""
    tools("java", java("17.0.2"))
    tools("mvn", MAVEN)
    match change:
        case "other":
            (jars / "one-1.0.jar").write_text("others")
        case "more":
            (jars / "three-1.0.jar").write_text("three")
        case _:
            (jars / "two-1.0.jar").unlink()
    assert main(["--or-skip"]) == 1
    assert "in the lock file: " in capfd.readouterr().err
    with pytest.raises(KafkaUnavailable, match="make kafka"):
        kafka_install.find_libs()


def test_a_cache_that_was_damaged_is_filled_again(
    tools: Callable[[str, str], None], jars: Path
) -> None:
    """Also what an earlier version of the lock file left."""
    tools("java", java("17.0.2"))
    tools("mvn", MAVEN)
    assert main([]) == 0
    libs = kafka_install.find_libs()
    (libs / "one-1.0.jar").write_text("damaged")
    (libs.parent / "checked").unlink()
    assert main([]) == 0
    assert (libs / "one-1.0.jar").read_text() == "one"


@pytest.mark.parametrize("installed", [None, "11.0.2"])
def test_without_java_and_network_the_tests_are_skipped(
    tools: Callable[[str, str], None],
    jars: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    installed: str | None,
) -> None:
    """No Java or one that is too old: Maven is of no use. Exit code 0 for `make test` alone."""
    tools("mvn", MAVEN)
    if installed:
        tools("java", java(installed))
    monkeypatch.setattr(kafka_install, "_install_wheel", no_network)
    assert main(["--or-skip"]) == 0
    assert capfd.readouterr().err == (
        "kafka: the wheel jgo cannot be installed here: no network; "
        "tests that need Kafka are skipped\n"
    )
    assert main([]) == 1
    monkeypatch.setenv("CI", "true")
    assert main(["--or-skip"]) == 1
    with pytest.raises(KafkaUnavailable, match="Java 17"):
        kafka_install.find_java()


def test_a_maven_that_fails_gives_way_to_the_wheel(
    tools: Callable[[str, str], None],
    jars: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Maven's own line is shown before."""
    tools("java", java("21.0.1"))
    tools("mvn", BROKEN_MAVEN)
    monkeypatch.setattr(kafka_install, "_install_wheel", no_network)
    assert main(["--or-skip"]) == 0
    said = capfd.readouterr().err
    assert "Maven failed (3 of 3): [ERROR] no plugin found" in said
    assert "the wheel jgo cannot be installed here" in said


def test_a_folder_of_jars_can_be_given(
    tools: Callable[[str, str], None], jars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing is fetched, checked or cached."""
    tools("java", java("17.0.2"))
    monkeypatch.setenv(kafka_install.LIBS_VARIABLE, str(jars))
    assert main([]) == 0
    assert kafka_install.find_libs() == jars
    assert not kafka_install.cache().exists()


def test_a_cache_that_cannot_be_written_is_one_line(
    tools: Callable[[str, str], None],
    jars: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It names the variable that moves the cache."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert main([]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "XDG_CACHE_HOME" in line


def test_the_machines_own_authorities_are_trusted() -> None:
    """A variable wins; else what this machine trusts, which is somewhere."""
    both = {"PIP_CERT": "/pip.pem", "SSL_CERT_FILE": "/ssl.pem"}
    assert kafka_install._trusted(both) == "/ssl.pem"
    assert kafka_install._trusted({"PIP_CERT": "/pip.pem"}) == "/pip.pem"
    found = kafka_install._trusted({})
    assert found is None or Path(found).exists()


def test_sums_are_compared(tmp_path: Path) -> None:
    """The complaint names the jar and both sums."""
    (tmp_path / "one-1.0.jar").write_text("one")
    with pytest.raises(WrongJars, match=r"one-1\.0\.jar has the checksum [0-9a-f]{64}, .* abc"):
        kafka_install.check(tmp_path, [Jar("org.example", "one", "1.0", "abc")])


def test_it_needs_no_package_of_ours() -> None:
    """It runs before anything is known to work: the standard library is enough."""
    code = "import sys, harness.kafka_install; print([n for n in sys.modules if n in "
    code += "('mirror', 'confluent_kafka', 'msgspec', 'redis')])"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=kafka_install.ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (answer.returncode, answer.stdout) == (0, "[]\n"), answer.stderr
