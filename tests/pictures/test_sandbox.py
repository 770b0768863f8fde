import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

import pictures
from pictures.errors import CorruptPicture, NotAnImage, RefusedPicture, TooLarge
from pictures.intake import measure
from pictures.sandbox import DecodingProcess


@pytest.fixture(scope="module")
def shared():
    with DecodingProcess() as decoding:
        yield decoding


@pytest.fixture
def decoding():
    with DecodingProcess() as own:
        yield own


def is_running(pid: int) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        # In a container nobody may reap orphans; a dead one stays as a zombie.
        return sys.platform == "darwin" or ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


def run_script(script: str, *arguments: object) -> str:
    """Run a script in a fresh interpreter that finds the rooms; its standard output."""
    root = Path(pictures.__file__).parents[1]
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n" + script]
    return subprocess.run(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    ).stdout


def test_the_child_measures_as_its_parent_would(shared, photo):
    assert shared.measure(photo) == measure(photo)


def test_one_child_serves_many_files(shared, photo):
    shared.measure(photo)
    pid = shared.pid
    for _ in range(20):
        shared.measure(photo)
    assert shared.pid == pid != os.getpid()


def test_errors_come_through_with_kind_and_message(shared, tmp_path, photo):
    text, cut = tmp_path / "diary.jpg", tmp_path / "cut.jpg"
    text.write_text("Dear diary")
    cut.write_bytes(photo.read_bytes()[:-200])
    with pytest.raises(NotAnImage, match=r'"diary.jpg" looks like a text file'):
        shared.measure(text)
    with pytest.raises(CorruptPicture, match=r'"cut.jpg" is damaged'):
        shared.measure(cut)
    assert shared.measure(photo).width == 96


def test_the_limit_of_pixels_reaches_the_child(photo):
    with DecodingProcess(max_pixels=10) as process, pytest.raises(TooLarge):
        process.measure(photo)


@pytest.mark.parametrize("name", ["Grüße 写真.jpg", "new\nline.jpg", "caf\udce9.jpg"])
def test_any_file_name_reaches_the_child(name, shared, tmp_path, photo):
    if sys.platform == "darwin" and "\udce9" in name:
        pytest.skip("macOS refuses names that are not UTF-8")
    assert shared.measure(photo.rename(tmp_path / name)).width == 96


def test_relative_paths_are_those_of_the_caller(shared, photo, monkeypatch):
    monkeypatch.chdir(photo.parent)
    assert shared.measure(Path(photo.name)).width == 96


def test_modules_of_the_working_directory_are_not_imported(decoding, photo, tmp_path, monkeypatch):
    for module in ("pictures", "json", "PIL", "numpy"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('rogue')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert decoding.measure(photo).width == 96


@pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="only Linux shows a process's environment"
)
def test_the_child_is_given_no_secrets(decoding, photo, monkeypatch):
    monkeypatch.setenv("RECAPTION_DATABASE_URL", "postgresql://user:password@host/db")
    decoding.measure(photo)
    assert b"password" not in Path(f"/proc/{decoding.pid}/environ").read_bytes()


def test_a_file_that_hangs_is_refused_and_its_child_replaced(photo):
    with DecodingProcess(seconds=0.5) as decoding:
        decoding.measure(photo)
        hanging = decoding.pid
        os.kill(hanging, signal.SIGSTOP)
        with pytest.raises(RefusedPicture, match=r'"photo.jpg" took longer than 0.5 s'):
            decoding.measure(photo)
        assert not is_running(hanging)
        assert decoding.measure(photo).width == 96


def test_a_child_killed_between_files_is_replaced_and_charged_to_none(decoding, photo):
    expected = decoding.measure(photo)
    for _ in range(3):
        killed = decoding.pid
        os.kill(killed, signal.SIGKILL)
        assert decoding.measure(photo) == expected
        assert decoding.pid != killed


FAULTY_CHILD = """
import os, signal, sys
sys.path.insert(0, {root!r})
from pictures.decoding_child import PREFIX, pack
os.write(1, pack({{"ready": True}}))
os.read(0, PREFIX.size)
FAULT  # instead of serve({memory_limit}, {seconds})
"""


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "Segmentation fault"),
        ("os._exit(3)", "exit code 3"),
        ("os.write(1, pack({{}})[:-1])", "exit code 0"),
        ("os.write(1, PREFIX.pack(4, 0) + bytes(4))", "exit code 0"),
        ("os.write(1, PREFIX.pack(1 << 31, 0))", "exit code 0"),
    ],
)
def test_a_file_that_no_child_survives_is_refused(fault, ending, photo, monkeypatch):
    monkeypatch.setattr("pictures.sandbox._CHILD", FAULTY_CHILD.replace("FAULT", fault))
    with DecodingProcess() as decoding:
        with pytest.raises(RefusedPicture, match=rf'"photo.jpg" crashes the decoder \({ending}'):
            decoding.measure(photo)
        assert decoding.pid is None
        monkeypatch.undo()
        assert decoding.measure(photo).width == 96


def test_a_child_that_cannot_start_says_so(photo, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with DecodingProcess() as decoding, pytest.raises(RuntimeError, match=r"did not start \(exit code 1\)"):
        decoding.measure(photo)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not limit address space")
def test_a_file_that_needs_too_much_memory_is_refused_and_its_child_replaced(tmp_path, photo, encode):
    large = tmp_path / "large.png"
    large.write_bytes(encode(Image.new("RGB", (7000, 7000)), compress_level=1))
    with DecodingProcess(memory_limit=384 << 20) as decoding:
        decoding.measure(photo)
        starved = decoding.pid
        with pytest.raises(RefusedPicture, match=r'"large.png" needs more memory'):
            decoding.measure(large)
        assert not is_running(starved)
        assert decoding.measure(photo).width == 96
    with DecodingProcess() as decoding:
        assert decoding.measure(large).width == 7000


def test_leaving_the_context_ends_the_child(photo):
    with DecodingProcess() as decoding:
        assert decoding.pid is None
        decoding.measure(photo)
        pid = decoding.pid
    assert not is_running(pid)
    assert decoding.pid is None


def test_threads_take_turns(shared, photo, tmp_path, scene, encode):
    other = tmp_path / "other.png"
    other.write_bytes(encode(scene.resize((50, 40))))
    widths = []

    def measure_both() -> None:
        for path in (photo, other) * 5:
            widths.append((path.name, shared.measure(path).width))

    threads = [threading.Thread(target=measure_both) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(widths) == 40
    assert set(widths) == {("photo.jpg", 96), ("other.png", 50)}


IN_A_DAEMON = """
import multiprocessing
from pathlib import Path
from pictures.sandbox import DecodingProcess

def measure():
    with DecodingProcess() as decoding:
        print(decoding.measure(Path(sys.argv[1])).width, flush=True)

daemon = multiprocessing.get_context("fork").Process(target=measure, daemon=True)
daemon.start()
daemon.join()
"""


def test_a_daemonic_process_may_have_a_child(photo):
    assert run_script(IN_A_DAEMON, photo) == "96\n"


WITHOUT_CLOSING = """
import os
from pathlib import Path
from pictures.sandbox import DecodingProcess

decoding = DecodingProcess()
decoding.measure(Path(sys.argv[1]))
print(decoding.pid, flush=True)
os._exit(0)
"""


def test_a_child_ends_when_its_parent_is_gone(photo):
    orphan = int(run_script(WITHOUT_CLOSING, photo))
    deadline = time.monotonic() + 10
    while is_running(orphan) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(orphan)
