"""The training log, read back from its files."""

import io
import json
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import (
    EventAccumulator as PageAccumulator,
)

from model.errors import TrainingError
from model.training_log import Sample, TrainingLog, draw_sample

TILE = 200
WORDS = ("a", "black", "dog")


def _row(epoch: int) -> dict:
    return {
        "epoch": epoch,
        "loss": 3.0 - epoch,
        "learning_rates": {"decoder": 0.5, "encoder": 0.25},
        "scores": {"split": "dev", "cider": epoch / 8},
        "seconds": 2.5,
    }


def _train(log: TrainingLog, *, epochs: range, loss: float = 1.0) -> None:
    """Three steps an epoch."""
    for epoch in epochs:
        for step in range(3 * epoch - 2, 3 * epoch + 1):
            log.step(step, loss, 0.5 / step)
        log.epoch(_row(epoch))


def _events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0}).Reload()


def _curve(events: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events.Scalars(tag)]


def _epochs(folder: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in (folder / "log.jsonl").read_text().splitlines()]


def _next_second() -> None:
    """TensorBoard reads its files in the order of the second in their names."""
    now = int(time.time())
    while int(time.time()) == now:
        time.sleep(0.02)


@pytest.fixture
def sample(drawn: Callable[..., np.ndarray]) -> Sample:
    """A photo of 64 pixels; the decoder looked at its upper left, everywhere, and at its lower right."""
    attention = np.zeros((3, 2, 2), np.float32)
    attention[0, 0, 0] = attention[2, 1, 1] = 1
    attention[1] = 0.25
    return Sample(
        pixels=drawn(1, 64, 64), words=WORDS, references=["A *black* dog <b>."], attention=attention
    )


def test_epochs_are_lines_of_json(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, tensorboard=False) as log:
        _train(log, epochs=range(1, 3))
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [_row(1), _row(2)]


def test_numbers_are_curves_over_steps(tmp_path: Path) -> None:
    with TrainingLog(tmp_path) as log:
        _train(log, epochs=range(1, 3))
    events = _events(tmp_path)
    assert _curve(events, "step/loss") == [(step, 1.0) for step in range(1, 7)]
    assert _curve(events, "step/learning_rate")[3] == (4, 0.125)
    assert _curve(events, "epoch/loss") == [(3, 2.0), (6, 1.0)]
    assert _curve(events, "scores/cider") == [(3, 0.125), (6, 0.25)]
    assert set(events.Tags()["scalars"]) == {
        "step/loss",
        "step/learning_rate",
        "epoch/loss",
        "epoch/seconds",
        "learning_rates/decoder",
        "learning_rates/encoder",
        "scores/cider",
    }


def test_samples_are_shown_as_text_and_picture(tmp_path: Path, sample: Sample) -> None:
    with TrainingLog(tmp_path) as log:
        log.samples(7, [sample, sample])
    events = _events(tmp_path)
    assert events.Tags()["images"] == ["samples/1", "samples/2"]
    (image,) = events.Images("samples/2")
    assert image.step == 7
    with Image.open(io.BytesIO(image.encoded_image_string)) as picture:
        np.testing.assert_array_equal(np.asarray(picture), draw_sample(sample))
    (text,) = events.Tensors("samples/1/text_summary")
    expected = "    caption: a black dog\n    people:  A *black* dog <b>."
    assert text.tensor_proto.string_val[0].decode() == expected


def test_a_killed_and_resumed_run_shows_one_curve(tmp_path: Path, sample: Sample) -> None:
    killed = TrainingLog(tmp_path)
    _train(killed, epochs=range(1, 4), loss=1.0)
    killed.samples(6, [sample])
    killed.samples(9, [sample])
    killed.__exit__()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"epoch": 4, "lo')
    _next_second()
    with TrainingLog(tmp_path, after_epoch=2, after_step=6) as log:
        assert _epochs(tmp_path) == [1, 2]
        _train(log, epochs=range(3, 5), loss=2.0)
        log.samples(9, [sample])
    assert _epochs(tmp_path) == [1, 2, 3, 4]
    events = _events(tmp_path)
    expected = [(step, 1.0 if step <= 6 else 2.0) for step in range(1, 13)]
    assert _curve(events, "step/loss") == expected
    assert [step for step, _ in _curve(events, "epoch/loss")] == [3, 6, 9, 12]
    assert [image.step for image in events.Images("samples/1")] == [6, 9]
    # What TensorBoard itself reads the files with keeps texts too.
    page = PageAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [text.step for text in page.Tensors("samples/1/text_summary")] == [6, 9]


def test_a_run_resumed_within_its_first_epoch_keeps_the_steps_before(tmp_path: Path) -> None:
    with TrainingLog(tmp_path) as log:
        for step in (1, 2, 3):
            log.step(step, 1.0, 0.5)
    _next_second()
    with TrainingLog(tmp_path, after_step=2) as log:
        log.step(3, 2.0, 0.5)
    assert _curve(_events(tmp_path), "step/loss") == [(1, 1.0), (2, 1.0), (3, 2.0)]


def test_a_run_from_the_start_leaves_nothing_of_one_before(tmp_path: Path, sample: Sample) -> None:
    with TrainingLog(tmp_path) as log:
        log.samples(0, [sample])
        _train(log, epochs=range(1, 4))
    _next_second()
    with TrainingLog(tmp_path) as log:
        assert _epochs(tmp_path) == []
        _train(log, epochs=range(1, 2), loss=2.0)
    events = _events(tmp_path)
    assert _curve(events, "step/loss") == [(1, 2.0), (2, 2.0), (3, 2.0)]
    assert events.Images("samples/1") == []


def test_tensorboard_can_be_switched_off(tmp_path: Path, sample: Sample) -> None:
    with TrainingLog(tmp_path, tensorboard=False) as log:
        _train(log, epochs=range(1, 2))
        log.samples(3, [sample])
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_missing_tensorboard_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrainingError, match=r"cannot be imported .*training\.tensorboard=false"):
        TrainingLog(tmp_path)
    TrainingLog(tmp_path, tensorboard=False)


def test_a_write_that_the_system_refuses_is_named(
    tmp_path: Path, no_larger_files: Callable[[int], AbstractContextManager[None]]
) -> None:
    with TrainingLog(tmp_path, tensorboard=False) as log:
        log.epoch(_row(1))
        refused = pytest.raises(TrainingError, match=f'the training log in "{tmp_path}": File too large')
        with no_larger_files(200), refused:
            log.epoch(_row(2))


def test_each_word_has_the_photo_where_it_was_looked_at(sample: Sample) -> None:
    picture = draw_sample(sample).astype(int)
    tiles = picture[-TILE - 10 : -10].reshape(TILE, -1, 3)
    photo, first, second, third = (tiles[:, 10 + 210 * n : 210 * (n + 1)] for n in range(4))
    assert tiles.shape[1] == 4 * 210 + 10
    np.testing.assert_array_equal(second, photo)
    corners = (slice(0, 30), slice(0, 30)), (slice(-30, None), slice(-30, None))
    for tile, (bright, dim) in ((first, corners), (third, corners[::-1])):
        np.testing.assert_array_equal(tile[bright], photo[bright])
        assert tile[dim].mean() < photo[dim].mean() / 2
        assert np.ptp(tile[dim], axis=2).max() < np.ptp(photo[dim], axis=2).min() / 10, "it is grey"


def test_without_attention_the_photo_and_the_caption_are_drawn(drawn: Callable[..., np.ndarray]) -> None:
    words = ["a", "black", "dog", "runs", "through", "the", "snow", "of", "a", "long", "winter"]
    wide = draw_sample(Sample(pixels=drawn(2, 80, 40), words=words, references=[]))
    empty = draw_sample(Sample(pixels=drawn(2, 80, 40), words=[], references=[]))
    assert wide.shape[1] == empty.shape[1] == TILE + 20
    np.testing.assert_array_equal(wide[-110:], empty[-110:])
    assert wide.shape[0] > empty.shape[0], "the caption takes several lines"
    assert (wide[:-110] < 100).any()
    assert (empty[:-110] == 255).all()
