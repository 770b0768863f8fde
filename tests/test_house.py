"""What the papers promise about the repository, held to the repository."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
ROOMS = ("pictures", "model", "catalog", "worker", "dashboard", "migrations", "benchmarks")


def test_the_readme_names_every_module_and_no_other() -> None:
    named: set[str] = set()
    folders: list[str] = []
    tree = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What is where")[2]
    for line in tree.splitlines():
        if found := re.match(r"( +)([\w./]+?)(/?)  +\S", line):
            depth = (len(found.group(1)) - 4) // 2
            folders[depth:] = [found.group(2)]
            if not found.group(3):
                named.add("/".join(folders))
    modules = {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if path.name != "__init__.py" or len(path.read_text(encoding="utf-8").splitlines()) > 2
    }
    assert modules | {"recaption.py"} == {name for name in named if name.endswith(".py")}


def test_every_package_is_packed() -> None:
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {path.parent for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert set(packed["packages"]) == {".".join(folder.relative_to(ROOT).parts) for folder in folders}


def test_every_requirement_is_pinned_and_no_line_holds_an_address() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins: dict[str, str] = {}
    for name in ("runtime.txt", "dev.txt"):
        for line in (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines():
            package, _, version = line.partition("==")
            assert re.fullmatch(r"[\w.-]+==[\w.]+", line), f"{name} holds {line!r}"
            pins[package.lower()] = version
    extras = project["optional-dependencies"]
    for line in [*project["dependencies"], *extras["demo"], *extras["dev"]]:
        requirement = Requirement(line)
        pinned = pins.get(requirement.name.lower())
        assert pinned, f"{requirement.name} has no pin; run `make pins`"
        assert requirement.specifier.contains(pinned), f"{requirement.name}=={pinned} breaks {line!r}"
