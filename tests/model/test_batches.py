"""What an epoch sees, and in which order."""

from itertools import chain

import numpy as np
import pytest
import torch

from model.batches import Mirrored, TrainingSet, pad_captions
from model.transforms import random_windows
from model.vocabulary import PAD

NUMBERS = np.arange(1, 11, dtype=np.float16).reshape(10, 1, 1, 1)
PAIRS = [[[1, row + 4, 2], [1, row + 14, 2]] for row in range(10)]


def photos(training_set: TrainingSet, **options: int) -> list[list[float]]:
    return [maps.flatten().tolist() for maps, _ in training_set.batches(batch_size=4, **options)]


def test_each_epoch_sees_every_photo_once_in_its_own_order() -> None:
    training_set = TrainingSet(variants=[NUMBERS, -NUMBERS], tokens=PAIRS)
    first, same, other = (list(chain(*photos(training_set, seed=seed))) for seed in (1, 1, 2))
    assert sorted(map(abs, first)) == list(range(1, 11))
    assert first == same != other
    assert min(first) < 0 < max(first), "mirrored photos must take turns with plain ones"


def test_a_batch_of_captions_has_each_with_its_image() -> None:
    training_set = TrainingSet(variants=[NUMBERS], tokens=PAIRS, batch_of="captions")
    assert training_set.steps(4) == 5
    seen = []
    for maps, tokens in training_set.batches(batch_size=4, seed=1):
        assert tokens.shape == (4, 1, 3)
        seen += [(int(m), int(t)) for m, t in zip(maps.flatten(), tokens[:, 0, 1], strict=True)]
    assert sorted(seen) == sorted((row + 1, row + word) for row in range(10) for word in (4, 14))


def test_an_epoch_goes_on_behind_the_batches_that_were_done() -> None:
    training_set = TrainingSet(variants=[NUMBERS, -NUMBERS], tokens=PAIRS)
    assert photos(training_set, seed=3, skip=1) == photos(training_set, seed=3)[1:]


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_each_batch_among_them(world: int) -> None:
    training_set = TrainingSet(variants=[NUMBERS], tokens=PAIRS)
    whole = photos(training_set, seed=3)
    shares = [photos(training_set, seed=3, rank=rank, world=world) for rank in range(world)]
    for number, batch in enumerate(whole):
        assert sorted(chain(*(share[number] for share in shares))) == sorted(batch)


def test_crops_differ_from_photo_to_photo_and_come_again_with_the_seed() -> None:
    ramp = np.linspace(-1, 1, 16, dtype=np.float16)
    photos = np.broadcast_to(ramp[:, None, None] + ramp[:, None], (10, 16, 16, 1))
    training_set = TrainingSet(variants=[photos], tokens=PAIRS, crop=0.5)
    first, again = ([maps for maps, _ in training_set.batches(batch_size=4, seed=3)] for _ in range(2))
    (skipped, *_) = (maps for maps, _ in training_set.batches(batch_size=4, seed=3, skip=1))
    assert first[0].shape == (4, 1, 16, 16)
    assert all(map(torch.equal, first, again))
    assert torch.equal(skipped, first[1])
    seen = torch.cat(first)
    assert len({tuple(photo.flatten().tolist()) for photo in seen}) == 10
    assert seen.abs().max() <= 2, "a window shows nothing that is not in the photo"


@pytest.mark.parametrize("smallest", [0.3, 0.9])
def test_a_window_shows_as_much_as_was_asked_and_lies_in_the_photo(smallest: float) -> None:
    windows = random_windows(np.random.default_rng(1), 1000, smallest=smallest)
    centre, half = windows[:, :2], windows[:, 2:]
    area, ratio = half.prod(axis=1), half[:, 0] / half[:, 1]
    assert smallest - 1e-5 <= area.min() < smallest + 0.02
    assert area.max() <= 1 + 1e-5
    assert (np.abs(centre) + half).max() <= 1 + 1e-5
    assert np.abs(np.log(ratio)).max() <= np.log(4 / 3) + 1e-5


def test_captions_are_padded_to_the_longest_and_the_most() -> None:
    padded = pad_captions([[[1, 4, 2]], [[1, 2], [1, 5, 6, 2]]])
    assert padded.tolist() == [[[1, 4, 2, PAD], [PAD] * 4], [[1, 2, PAD, PAD], [1, 5, 6, 2]]]
    assert padded.dtype == torch.long


def test_mirrored_photos_are_turned_left_to_right() -> None:
    rows = np.arange(2 * 3 * 4 * 1).reshape(2, 3, 4, 1)
    mirrored = Mirrored(rows)
    assert len(mirrored) == 2
    assert np.array_equal(mirrored[1], rows[1][:, ::-1])
    assert np.array_equal(mirrored[0:2], rows[:, :, ::-1])
