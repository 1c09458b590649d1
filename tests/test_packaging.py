"""What a user installs: the wheel, unpacked into an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import wsdev

pytestmark = pytest.mark.from_source  # the package that others put in the way is none of it

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(*command: str | Path, cwd: Path) -> str:
    """The standard output of ``command``, which must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as ``pip install .`` builds it, without fetching the build backend."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", "wheel", *options, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path, names: set[str]) -> Message:
    (name,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs' folder of a fresh environment that has the wheel.

    The dependencies are those of the running environment, by a path file; path files in there,
    such as the one of an editable install, are not followed from it.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    options = ("--no-deps", "--no-index", "--disable-pip-version-check")
    pip = (sys.executable, "-m", "pip", "--python", programs / "python")
    run(*pip, "install", *options, wheel, cwd=folder)
    (site_packages,) = folder.rglob("site-packages")
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages / "dependencies.pth").write_text("\n".join(sorted(paths)), encoding="utf-8")
    return programs


def test_wheel_holds_every_module_and_the_typing_mark(names: set[str]) -> None:
    package = ROOT / "wsdev"
    sources = {
        str(path.relative_to(ROOT))
        for kind in ("py", "toml", "html", "js", "css", "svg")
        for path in package.rglob(f"*.{kind}")
    }
    assert sources | {"wsdev/py.typed"} == {name for name in names if ".dist-info/" not in name}


def test_wheel_names_version_and_license(metadata: Message) -> None:
    assert metadata["Version"] == wsdev.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"


def test_every_dependency_has_an_upper_bound() -> None:
    requirements = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    assert [text for text in requirements if "<" not in text.partition(";")[0]] == []


def test_installed_package_is_the_wheel_and_not_this_checkout(installed: Path) -> None:
    where = run(installed / "python", "-c", "import wsdev; print(wsdev.__file__)", cwd=installed)
    assert Path(where.strip()).is_relative_to(installed.parent)


@pytest.mark.parametrize("command", [["wsdev"], ["python", "-m", "wsdev"]], ids=" ".join)
def test_installed_program_tells_its_version(installed: Path, command: list[str]) -> None:
    program, *arguments = command
    assert wsdev.__version__ in run(installed / program, *arguments, "--version", cwd=installed)
