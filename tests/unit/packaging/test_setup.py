"""What setup.cfg promises is what an installation brings."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
PACKAGES = (
    "mirror",
    "listeners",
    "coordinator",
    "janitor",
    "projector",
    "dashboard",
    "console",
    "harness",
    "simulator",
    "deploy",
)


@pytest.fixture(scope="module")
def setup() -> configparser.ConfigParser:
    """setup.cfg, read as setuptools does."""
    parser = configparser.ConfigParser()
    assert parser.read(ROOT / "setup.cfg") == [str(ROOT / "setup.cfg")]
    return parser


def lines(text: str) -> list[str]:
    """Return the entries of a many-line value without blank and comment lines."""
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def test_every_room_is_installed(setup: configparser.ConfigParser) -> None:
    """Every package and its subpackages are found; tests and benchmarks are not."""
    patterns = lines(setup["options.packages.find"]["include"])
    assert sorted(patterns) == sorted([*PACKAGES, *(f"{package}.*" for package in PACKAGES)])


def test_every_folder_of_code_is_a_package() -> None:
    """A folder with modules but without `__init__.py` would be left out of the wheel."""
    modules = [module.parent for package in PACKAGES for module in (ROOT / package).rglob("*.py")]
    folders = {folder for module in modules for folder in (module, *module.parents)}
    inside = {folder for folder in folders if ROOT in folder.parents}
    assert {folder for folder in inside if not (folder / "__init__.py").is_file()} == set()


def test_requirements_have_a_lower_bound_and_a_tested_version(
    setup: configparser.ConfigParser,
) -> None:
    """Each requirement says the oldest release it takes, and constraints.txt one that fits."""
    pins: dict[str, str] = {}
    for line in lines((ROOT / "constraints.txt").read_text()):
        name, version = line.split("==")
        pins[canonicalize_name(name)] = version
    wanted = lines(setup["options"]["install_requires"])
    for extra in setup["options.extras_require"].values():
        wanted += lines(extra)
    assert wanted
    for requirement in map(Requirement, wanted):
        assert any(bound.operator == ">=" for bound in requirement.specifier), requirement
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def imported_modules(package: str) -> set[str]:
    """Return the top-level names that the modules of a package import, anywhere in them."""
    found: set[str] = set()
    for module in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_every_import_is_a_requirement(setup: configparser.ConfigParser, package: str) -> None:
    """Nothing is imported that comes only because some requirement happens to bring it."""
    wanted = lines(setup["options"]["install_requires"])
    extras = (
        "sandbox",
        "dashboard",
        "registry",
        *(("dev", "kafka") if package == "harness" else ()),
    )
    for extra in extras:
        wanted += lines(setup["options.extras_require"][extra])
    declared = {canonicalize_name(Requirement(line).name) for line in wanted}
    providers = importlib.metadata.packages_distributions()
    for module in imported_modules(package) - sys.stdlib_module_names - set(PACKAGES):
        names = {canonicalize_name(name) for name in providers.get(module, [module])}
        assert names & declared, f"{package} imports {module}, which setup.cfg does not name"


def test_console_script_is_mirror(setup: configparser.ConfigParser) -> None:
    """The installed distribution has the version of setup.cfg and the one command `mirror`."""
    installed = importlib.metadata.distribution("interaction-mirror")
    assert installed.version == setup["metadata"]["version"]
    scripts = installed.entry_points.select(group="console_scripts")
    assert [(script.name, script.value) for script in scripts] == [("mirror", "console:main")]


def test_licence_is_the_apache_licence() -> None:
    """The licence that setup.cfg names lies at the root in full."""
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.slow
def test_wheel_carries_code_scripts_and_deployment_files(tmp_path: Path) -> None:
    """A wheel built from the files under version control has every package and data file.

    Lua scripts, the dashboard's pages and the files of `deploy/` that commands read are data: they
    work from a checkout whether or not they are listed, so only the wheel can tell.
    """
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        answer = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, timeout=30)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout: an unpacked archive has no list of its files")
    listed = [name for name in answer.stdout.decode().split("\0") if name]
    files = [name for name in listed if (ROOT / name).is_file()]  # one may be deleted, uncommitted
    source = tmp_path / "source"
    for name in files:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(command, check=True, timeout=100)
    (wheel,) = tmp_path.glob("interaction_mirror-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())

    data = re.compile(r"\.(py|lua|conf|example|html|css|js|svg|woff2|service|ya?ml|json)$")
    wanted = {name for name in files if name.split("/")[0] in PACKAGES and data.search(name)}
    assert wanted - carried == set()
    assert not [name for name in carried if name.startswith(("tests/", "bench/"))]
