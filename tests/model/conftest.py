"""Small real parts: photos drawn by rule, and a captioner small enough to build in a moment."""

import csv
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.captioner import build_captioner, preprocessing_of
from model.checkpoint import save_checkpoint
from model.config import Recipe, override
from model.description import Description
from model.vocabulary import SPECIALS, Vocabulary

WORDS = (
    "a",
    "black",
    "dog",
    "red",
    "square",
    "runs",
    "in",
    "the",
    "snow",
    "water",
    "two",
    "men",
    "'s",
    "t-shirt",
)
SMALL = (
    "data.image_size=64",
    "data.min_count=1",
    "encoder.weights=none",
    "decoder.embedding_size=16",
    "decoder.hidden_size=24",
    "decoder.attention_size=16",
    "search.max_length=8",
    "training.batch_size=4",
    "training.precision=float32",
)


@pytest.fixture(scope="session")
def small_recipe() -> Recipe:
    return override(Recipe(), SMALL)


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary((*SPECIALS, *WORDS))


@pytest.fixture(scope="session")
def tiny_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, small_recipe: Recipe, vocabulary: Vocabulary
) -> Path:
    """The folder of a random captioner for photos of 64 pixels; it loads and captions in milliseconds."""
    torch.manual_seed(7)
    captioner = build_captioner(small_recipe, vocabulary)
    # Without this every word is about as likely as the next, and rounding would decide between beams.
    captioner.decoder.get_parameter("embedding.weight").data *= 8
    description = Description(
        name="tiny",
        recipe=small_recipe,
        vocabulary=vocabulary,
        preprocessing=preprocessing_of(small_recipe),
        licence="For tests.",
    )
    folder = tmp_path_factory.mktemp("tiny")
    save_checkpoint(folder, captioner.state_dict(), description)
    return folder


def draw(number: int, width: int = 96, height: int = 80) -> np.ndarray:
    """A picture (H, W, 3) uint8: a gradient and a square whose place and colours follow the number."""
    random = np.random.default_rng(number)
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    first, second, third = random.integers(0, 256, (3, 3))
    pixels = first + across[..., None] * (second - first) * 0.5 + down[..., None] * (third - first) * 0.5
    left, top = random.integers(0, (width // 2, height // 2))
    pixels[top : top + height // 3, left : left + width // 3] = random.integers(0, 256, 3)
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def drawn() -> Callable[..., np.ndarray]:
    return draw


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """Three good photos in a folder and its subfolder, a text file named .jpg and a truncated JPEG."""
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    for number, name in enumerate(["one.jpg", "two.png", "trip/three.jpg"]):
        Image.fromarray(draw(number)).save(folder / name)
    (folder / "words.jpg").write_text("these are words, not a photo\n" * 10)
    (folder / "cut.jpg").write_bytes((folder / "one.jpg").read_bytes()[:700])
    (folder / "notes.txt").write_text("not named like a photo, so not looked at")
    return folder


@pytest.fixture(scope="session")
def caption_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn photos in the Flickr8k layout, with two captions each: eight to train on, four for dev."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "Images").mkdir()
    names = [f"{number}.png" for number in range(12)]
    with (folder / "captions.txt").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption"])
        for number, name in enumerate(names):
            Image.fromarray(draw(number)).save(folder / "Images" / name)
            rows.writerow([name, f"A {WORDS[number]} thing , alone ."])
            rows.writerow([name, f"Some {WORDS[number]} thing on a {WORDS[-number - 1]}"])
    (folder / "train.txt").write_text("\n".join(names[:8]) + "\n")
    (folder / "dev.txt").write_text("\n".join(names[8:]) + "\n")
    return folder


@pytest.fixture
def no_larger_files() -> Callable[[int], AbstractContextManager[None]]:
    """While it lasts, no file may grow beyond so many bytes: the system refuses, as it does on a full disk.

    It must end before the test does: the limit holds for the file that pytest writes its dots to as well.
    """

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
