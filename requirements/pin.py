"""Write the pins: the versions installed in this environment of everything that pyproject.toml asks for.

Torch's CUDA packages are left out. They exist on Linux alone, and torch pins its own.
"""

import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
CUDA = ("nvidia-", "cuda-", "triton")


def closure(wanted: list[str]) -> dict[str, str]:
    """Names and versions of the requirements and of all that they need here."""
    found: dict[str, str] = {}
    waiting = [Requirement(line) for line in wanted]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name.startswith(CUDA) or not _applies(requirement):
            continue
        installed = distribution(name)
        first_time = name not in found
        found[name] = installed.version.partition("+")[0]
        needs = [Requirement(line) for line in installed.requires or []]
        extras = requirement.extras or {""}
        waiting += [
            need
            for need in needs
            if (first_time and _applies(need)) or any(_asked_by(need, extra) for extra in extras if extra)
        ]
    return found


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _asked_by(need: Requirement, extra: str) -> bool:
    if need.marker is None or need.marker.evaluate({"extra": ""}):
        return False
    asked = need.marker.evaluate({"extra": extra})
    need.marker = None
    return asked


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    runtime = closure([*project["dependencies"], *extras["demo"]])
    everything = closure([*project["dependencies"], *extras["demo"], *extras["dev"]])
    only_dev = {name: pin for name, pin in everything.items() if name not in runtime}
    for name, pins in (("runtime.txt", runtime), ("dev.txt", only_dev)):
        lines = [f"{package}=={pins[package]}\n" for package in sorted(pins)]
        (ROOT / "requirements" / name).write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
