"""The feature cache: what it holds, how it grows, and what it survives."""

import dataclasses
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from model import features as features_module
from model.data import Example, content_hashes
from model.description import Preprocessing
from model.errors import DataError
from model.feature_rows import INDEX_FILE, ROWS_FILE, CachedFeatures
from model.features import cached_features
from model.images import read_framed
from model.transforms import normalise

PREPROCESSING = Preprocessing(size=32)
ROOT = Path(__file__).parents[2]
Cached = Callable[..., CachedFeatures]


class Counting(nn.Conv2d):
    """A convolution that counts the photos it has seen, copies of it included."""

    seen = 0

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        Counting.seen += 0 if photos.is_meta else len(photos)
        return super().forward(photos)


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(3)
    Counting.seen = 0
    return nn.Sequential(Counting(3, 5, kernel_size=16, stride=16))


@pytest.fixture
def photos(tmp_path: Path, drawn: Callable[..., np.ndarray]) -> list[Example]:
    """Nine photos, the last with the same bytes as the first."""
    paths = [tmp_path / f"{number}.png" for number in range(9)]
    for number, path in enumerate(paths):
        Image.fromarray(drawn(number % 8)).save(path)
    return [Example(path, ("a caption",)) for path in paths]


@pytest.fixture
def cached(network: nn.Sequential, tmp_path: Path) -> Cached:
    """Features of some photos out of the cache under tmp_path."""

    def call(photos: list[Example], network: nn.Sequential = network, **options: object) -> CachedFeatures:
        settings: dict = {
            "preprocessing": PREPROCESSING,
            "folder": tmp_path / "cache",
            "device": torch.device("cpu"),
        }
        return cached_features(network, photos, content_hashes(photos), **settings | options)

    return call


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_module, "BATCH_SIZE", 2)


def _computed(network: nn.Sequential, photos: list[Example], *, flipped: bool = False) -> np.ndarray:
    framed = torch.stack([read_framed(photo.path, PREPROCESSING) for photo in photos])
    batch = normalise(framed, PREPROCESSING)
    with torch.inference_mode():
        maps = network(batch.flip(3) if flipped else batch)
    return maps.permute(0, 2, 3, 1).numpy()


def _files(tmp_path: Path) -> tuple[Path, Path]:
    (folder,) = (tmp_path / "cache").iterdir()
    return folder / INDEX_FILE, folder / ROWS_FILE


def test_rows_are_what_the_network_says(
    cached: Cached, network: nn.Sequential, photos: list[Example]
) -> None:
    for flipped in (False, True):
        rows = cached(photos, flipped=flipped)
        np.testing.assert_allclose(rows[:], _computed(network, photos, flipped=flipped), atol=2e-3)


def test_an_empty_network_gives_the_normalised_photos(cached: Cached, photos: list[Example]) -> None:
    rows = cached(photos, nn.Sequential())
    assert rows.shape == (9, 32, 32, 3)
    np.testing.assert_allclose(rows[:], _computed(nn.Sequential(), photos), atol=2e-3)


def test_rows_are_indexed_as_those_of_an_array(cached: Cached, photos: list[Example]) -> None:
    rows = cached(photos)
    whole = np.stack([rows[number] for number in range(len(rows))])
    assert rows.shape == whole.shape == (9, 2, 2, 5)
    assert whole.dtype == rows[2:4].dtype == rows[3].dtype == np.float16
    for index in (3, -1, np.int64(4), slice(2, 5), slice(None, None, -2), np.array([7, 0, 7]), slice(9, 20)):
        np.testing.assert_array_equal(rows[index], whole[index])
    with pytest.raises(IndexError):
        rows[9]
    with pytest.raises(ValueError, match="read-only"):
        rows[0][:] = 0


def test_only_photos_that_are_missing_are_encoded(cached: Cached, photos: list[Example]) -> None:
    first = cached(photos[2:5])[:]
    assert Counting.seen == 3
    every = cached(photos)
    assert Counting.seen == 8, "five new ones; two of the nine have equal bytes"
    np.testing.assert_array_equal(every[2:5], first)
    np.testing.assert_array_equal(every[0], every[8])
    np.testing.assert_array_equal(cached(photos[::-1])[:], every[::-1])
    assert Counting.seen == 8


def test_other_weights_preprocessing_and_mirroring_have_their_own_rows(
    cached: Cached, photos: list[Example], tmp_path: Path
) -> None:
    cached(photos)
    cached(photos, flipped=True)
    cached(photos, preprocessing=dataclasses.replace(PREPROCESSING, size=48))
    cached(photos, nn.Sequential(Counting(3, 5, kernel_size=16, stride=16)))
    assert len(list((tmp_path / "cache").iterdir())) == 4
    assert Counting.seen == 4 * 8


def test_a_network_of_the_same_weights_and_another_shape_has_rows_of_its_own(
    cached: Cached, network: nn.Sequential, photos: list[Example]
) -> None:
    assert cached(photos).shape == (9, 2, 2, 5)
    network[0].stride = (8, 8)
    assert cached(photos).shape == (9, 3, 3, 5)


def test_a_damaged_index_is_refused(cached: Cached, photos: list[Example], tmp_path: Path) -> None:
    cached(photos)
    index, _ = _files(tmp_path)
    index.write_bytes(b"\xff not what we wrote\n" + index.read_bytes())
    with pytest.raises(DataError, match=r"index\.txt\" is damaged"):
        cached(photos)


@pytest.mark.parametrize(
    ("index_cut", "rows_cut", "encoded_again"),
    [(1, 0, 1), (0, 1, 1), (0, 3 * 2 * 2 * 5 * 2 - 1, 3), (65 * 3, 0, 3), (65 * 8 + 5, 0, 8), (0, 320, 8)],
    ids=["half a line", "half a row", "rows short of lines", "lines short of rows", "no head", "no rows"],
)
def test_what_is_incomplete_is_cut_and_encoded_again(
    cached: Cached,
    photos: list[Example],
    tmp_path: Path,
    index_cut: int,
    rows_cut: int,
    encoded_again: int,
) -> None:
    expected = cached(photos)[:]
    for path, cut in zip(_files(tmp_path), (index_cut, rows_cut), strict=True):
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - cut)
    Counting.seen = 0
    np.testing.assert_array_equal(cached(photos)[:], expected)
    assert Counting.seen == encoded_again
    index, rows = _files(tmp_path)
    assert len(index.read_text().splitlines()) == 1 + 8
    assert rows.stat().st_size == 8 * 2 * 2 * 5 * 2


@pytest.mark.usefixtures("small_batches")
def test_an_unreadable_photo_is_named_and_those_before_it_are_kept(
    cached: Cached, photos: list[Example]
) -> None:
    words = photos[5].path.read_bytes()
    photos[5].path.write_text("no photo at all, only words")
    with pytest.raises(DataError, match=r"cannot be read: .*5\.png"):
        cached(photos)
    photos[5].path.write_bytes(words)
    cached(photos)
    assert Counting.seen == 8, "the two batches before the unreadable one are encoded once"


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("room", [100, 140, 350, 700])
def test_a_write_that_the_system_refuses_is_named_and_breaks_nothing(
    cached: Cached,
    photos: list[Example],
    no_larger_files: Callable[[int], AbstractContextManager[None]],
    room: int,
) -> None:
    refused = r"rows\.float16\": File too large; the features of \d .* take 0\.0 MB"
    with no_larger_files(room), pytest.raises(DataError, match=refused):
        cached(photos, preprocessing=dataclasses.replace(PREPROCESSING, size=64))
    rows = cached(photos, preprocessing=dataclasses.replace(PREPROCESSING, size=64))
    assert len(np.unique(rows[:], axis=0)) == 8


def test_a_disk_without_room_is_told_before_anything_is_encoded(
    cached: Cached, photos: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=3 * 2**19)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"only 1\.5 MB are free; the features of 8 more photos take 2\.3 MB"):
        cached(photos, nn.Sequential(Counting(3, 3, 1)), preprocessing=Preprocessing(size=224))
    assert Counting.seen == 0


# Fills a cache photo by photo; says when three are in, and then goes on once it is told to.
FILL = """
import sys
from pathlib import Path
import torch
from model import features
from model.data import Example, content_hashes
from model.description import Preprocessing

class Slow(torch.nn.Conv2d):
    seen = 0
    def forward(self, photos):
        if not photos.is_meta:
            if Slow.seen == 3:
                print("three photos are in", flush=True)
                sys.stdin.readline()
            Slow.seen += len(photos)
        return super().forward(photos)

features.BATCH_SIZE = 1
torch.manual_seed(3)
photos = [Example(Path(path), ("a caption",)) for path in sys.argv[2:]]
features.cached_features(
    torch.nn.Sequential(Slow(3, 5, kernel_size=16, stride=16)), photos, content_hashes(photos),
    preprocessing=Preprocessing(size=32), folder=Path(sys.argv[1]), device=torch.device("cpu"),
)
print("encoded", Slow.seen, flush=True)
"""


@pytest.fixture
def other_process(photos: list[Example], tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Another process that fills the same cache, and holds still when three photos are in."""
    command = [sys.executable, "-c", FILL, str(tmp_path / "cache"), *(str(photo.path) for photo in photos)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "three photos are in\n"
        yield process
        process.kill()


def test_a_killed_process_leaves_what_it_has_encoded(
    cached: Cached, photos: list[Example], network: nn.Sequential, other_process: subprocess.Popen
) -> None:
    other_process.send_signal(signal.SIGKILL)
    other_process.wait()
    rows = cached(photos)
    assert Counting.seen == 5
    np.testing.assert_allclose(rows[:], _computed(network, photos), atol=2e-3)


def test_a_second_process_waits_for_the_first_and_takes_its_rows(
    cached: Cached, photos: list[Example], network: nn.Sequential, other_process: subprocess.Popen
) -> None:
    from threading import Thread

    found: list[CachedFeatures] = []
    waiting = Thread(target=lambda: found.append(cached(photos)))
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    np.testing.assert_allclose(cached(photos[:3])[:], _computed(network, photos[:3]), atol=2e-3)
    Counting.seen = 0
    output, _ = other_process.communicate("go on\n")
    waiting.join()
    assert output == "encoded 8\n"
    assert Counting.seen == 0
    np.testing.assert_allclose(found[0][:], _computed(network, photos), atol=2e-3)
