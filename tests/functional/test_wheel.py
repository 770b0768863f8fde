"""The built wheel, installed into a clean environment and run from a folder with hostile modules in it."""

import json
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from catalog.settings import child_environment

ROOT = Path(__file__).parents[2]
NOT_BUILT_FROM = (".*", "build", "dist", "docs", "tests", "*.egg-info", "__pycache__")
ROGUES = ("model", "worker", "catalog", "pictures", "dashboard", "migrations", "celery", "torch")


@pytest.fixture(scope="module")
def recaption(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The console script of an environment that holds our wheel; libraries come from this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, because a build leaves files beside its sources which the next one would pack again.
    source = shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*NOT_BUILT_FROM))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # A path file adds our libraries, and not the editable install: its own path file is not read there.
    borrowed = folder / "env" / "lib" / version / "site-packages" / "libraries.pth"
    borrowed.write_text(sysconfig.get_path("purelib") + "\n")
    return python.with_name("recaption")


@pytest.fixture
def rogue_folder(tmp_path: Path) -> Path:
    """A working directory whose modules are named as ours and refuse to be imported."""
    folder = tmp_path / "rogue"
    folder.mkdir()
    for name in ROGUES:
        (folder / f"{name}.py").write_text(f"raise RuntimeError('the rogue {name} was imported')\n")
    return folder


@contextmanager
def demo(command: list[str], folder: Path, variables: dict[str, str]) -> Iterator[list[str]]:
    """Run the demo until it says that the captions can be reviewed; gives its lines, then ends it."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=child_environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Jobs that a shell runs in the background ignore it, and so would what they start.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    lines: list[str] = []
    assert process.stdout
    try:
        for line in process.stdout:
            lines.append(line)
            if "Review the captions" in line:
                break
        yield lines
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)[0]
    assert process.returncode == 0, "".join([*lines, rest])


def test_the_installed_wheel_runs_the_demo_beside_rogue_modules(
    recaption: Path, rogue_folder: Path, tmp_path: Path, photo: Callable[..., Path], free_port: int
) -> None:
    for number in range(3):
        photo(tmp_path / "Album" / f"{number}.jpg", number)
    variables = {"RECAPTION_HOME": str(tmp_path / "home")}
    command = [str(recaption), "demo", "--port", str(free_port), "--photos", str(tmp_path / "Album")]
    with demo(command, rogue_folder, variables) as lines:
        said = "".join(lines)
        link = re.search(r"http://\S+/login/link/\S+", said)
        assert link, said
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(link.group()) as page:
            assert "Album" in page.read().decode()
    assert "Captioned 3 of 3 photos" in said

    with demo(command, rogue_folder, variables) as lines:
        again = "".join(lines)
    assert "Every photo has a caption." in again
    assert link.group() not in again

    listing = subprocess.run(
        [str(recaption), "job", "list", "--json"],
        cwd=rogue_folder,
        env=child_environment(**variables),
        capture_output=True,
        check=True,
    )
    (job,) = json.loads(listing.stdout)
    assert (job["state"], job["done"], job["total"]) == ("done", 3, 3)
