"""From pixels to finished captions."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.captioner import Captioner
from model.checkpoint import load_checkpoint
from model.config import TextConfig
from model.description import Calibration, Preprocessing, read_description
from model.errors import CheckpointError, ModelError
from model.predictor import MAX_REPLACEMENTS, Predictor
from model.search import caption_log_probs
from model.text import finish
from model.transforms import MID_GREY, frame, normalise
from model.vocabulary import SPECIALS, Vocabulary
from tests.model.plain_decoder import PlainDecoder
from tests.model.stepping import attention_behind

Drawn = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def predictor(tiny_checkpoint: Path) -> Predictor:
    return Predictor.load(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def plain_predictor(tiny_checkpoint: Path) -> Predictor:
    """The same photos through a language network that pays no attention."""
    captioner, description = load_checkpoint(tiny_checkpoint)
    torch.manual_seed(5)
    decoder = PlainDecoder(
        vocabulary_size=len(description.vocabulary), feature_size=captioner.encoder.feature_size
    )
    decoder.output.weight.data *= 4
    return Predictor(
        Captioner(encoder=captioner.encoder, decoder=decoder), description, device=torch.device("cpu")
    )


@pytest.fixture(scope="module", params=["predictor", "plain_predictor"])
def either(request: pytest.FixtureRequest) -> Predictor:
    found: Predictor = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def photos(drawn: Drawn) -> list[np.ndarray]:
    return [drawn(number, width=60 + 31 * number, height=200 - 23 * number) for number in range(6)]


def test_a_prediction_is_a_finished_sentence_with_its_words(
    predictor: Predictor, photos: list[np.ndarray]
) -> None:
    for prediction in predictor.predict(photos):
        assert prediction.text == finish(prediction.tokens, TextConfig())
        assert len(prediction.tokens) == len(prediction.token_probabilities)
        assert all(0 < probability <= 1 for probability in prediction.token_probabilities)
        assert prediction.score <= 0


def test_alternatives_are_other_captions_with_lower_scores(
    predictor: Predictor, photos: list[np.ndarray]
) -> None:
    for prediction in predictor.predict(photos):
        scores = [prediction.score, *(other.score for other in prediction.alternatives)]
        assert scores == sorted(scores, reverse=True)
        assert (
            len({prediction.text, *(other.text for other in prediction.alternatives)}) == predictor.beam_size
        )


def test_a_batch_of_photos_gets_the_captions_of_each_by_itself(
    predictor: Predictor, photos: list[np.ndarray]
) -> None:
    together = predictor.predict(photos)
    alone = [predictor.predict([pixels])[0] for pixels in photos]
    assert [p.text for p in together] == [p.text for p in alone]
    assert [p.score for p in together] == pytest.approx([p.score for p in alone], abs=1e-3)


def test_a_batch_too_large_for_the_device_goes_in_halves_and_so_do_later_ones(
    tiny_checkpoint: Path, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor.load(tiny_checkpoint, device="cpu")
    expected = [one.text for one in predictor.predict(photos)]
    encode, tried = predictor.encode, []

    def small_device(images: Sequence[Tensor], **options: object) -> Tensor:
        tried.append(len(images))
        if len(images) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(images)

    monkeypatch.setattr(predictor, "encode", small_device)
    assert [one.text for one in predictor.predict(photos)] == expected
    assert tried == [6, 3, 3]
    predictor.predict(photos)
    assert tried == [6, 3, 3, 3, 3]


def test_a_device_without_room_for_one_photo_says_so(
    tiny_checkpoint: Path, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor.load(tiny_checkpoint, device="cpu")

    def full_device(images: Sequence[Tensor], **options: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(predictor, "encode", full_device)
    with pytest.raises(torch.OutOfMemoryError):
        predictor.predict(photos)


def test_alternatives_that_read_the_same_are_one(tiny_checkpoint: Path, photos: list[np.ndarray]) -> None:
    captioner, description = load_checkpoint(tiny_checkpoint)
    recipe = dataclasses.replace(
        description.recipe, search=dataclasses.replace(description.recipe.search, max_length=1)
    )
    words = tuple("Dog" if word == "square" else word for word in description.vocabulary.words)
    twins = dataclasses.replace(description, recipe=recipe, vocabulary=Vocabulary(words))
    predictor = Predictor(captioner, twins, device=torch.device("cpu"), beam_size=32)
    (prediction,) = predictor.predict(photos[:1])
    texts = [prediction.text, *(other.text for other in prediction.alternatives)]
    # One a word; "dog" and "Dog" are the same sentence.
    assert len(texts) == len(set(texts)) == len(words) - len(SPECIALS) - 1
    assert texts.count("Dog.") == 1


def test_the_beam_size_is_the_checkpoints_unless_given(tiny_checkpoint: Path, predictor: Predictor) -> None:
    assert predictor.beam_size == read_description(tiny_checkpoint).recipe.search.beam_size
    assert Predictor.load(tiny_checkpoint, device="cpu", beam_size=1).beam_size == 1
    with pytest.raises(ModelError, match="beam size 1000"):
        Predictor.load(tiny_checkpoint, device="cpu", beam_size=1000)


def test_confidence_is_calibrated_where_the_checkpoint_says_how(
    tiny_checkpoint: Path, photos: list[np.ndarray]
) -> None:
    captioner, description = load_checkpoint(tiny_checkpoint)
    calibration = Calibration(slope=2.0, bias=1.5)
    calibrated = Predictor(
        captioner, dataclasses.replace(description, calibration=calibration), device=torch.device("cpu")
    )
    without = Predictor(captioner, description, device=torch.device("cpu"))
    assert all(prediction.confidence is None for prediction in without.predict(photos))
    for prediction in calibrated.predict(photos):
        assert prediction.confidence == calibration.confidence(prediction.score)
    assert calibrated.continue_from(photos[0], "").confidence is not None
    assert calibrated.continue_from(photos[0], "A zebra").confidence is None


def test_attention_is_a_map_a_word_and_only_when_asked_for(
    predictor: Predictor, photos: list[np.ndarray]
) -> None:
    without, predictions = predictor.predict(photos), predictor.predict(photos, attention=True)
    assert predictions == without
    assert all(prediction.attention is None for prediction in without)
    for prediction in predictions:
        assert prediction.attention is not None
        assert prediction.attention.dtype == np.uint8
        assert prediction.attention.shape == (len(prediction.tokens), 2, 2)
        assert np.all(prediction.attention.max(axis=(1, 2)) == 255)


def test_attention_of_a_batch_is_that_of_each_captions_own_words(
    predictor: Predictor, photos: list[np.ndarray]
) -> None:
    for pixels, prediction in zip(photos, predictor.predict(photos, attention=True), strict=True):
        features = predictor.encode([frame(pixels, predictor.description.preprocessing)])
        ids = predictor.description.vocabulary.encode(prediction.tokens, max_length=8)
        weights = attention_behind(predictor._decoder, features, ids[1:-1])
        scaled = 255 * weights / weights.amax(dim=-1, keepdim=True)
        assert prediction.attention is not None
        assert np.abs(prediction.attention.reshape(scaled.shape) - scaled.numpy()).max() <= 0.6


def test_a_network_without_attention_has_no_maps(
    plain_predictor: Predictor, photos: list[np.ndarray]
) -> None:
    predictions = plain_predictor.predict(photos, attention=True)
    assert [prediction.attention for prediction in predictions] == [None] * len(photos)


@pytest.mark.parametrize("prefix", ["", "  "])
def test_going_on_from_nothing_is_a_prediction(
    either: Predictor, photos: list[np.ndarray], prefix: str
) -> None:
    assert either.continue_from(photos[0], prefix) == either.predict(photos[:1])[0]


@pytest.mark.parametrize(
    "prefix", ["A black dog", "TWO zebras,", "the (red ", '"Men', "a dog's", " In\nthe snow -", "I"]
)
def test_what_a_person_typed_stays_and_the_rest_goes_on(
    either: Predictor, photos: list[np.ndarray], prefix: str
) -> None:
    prediction = either.continue_from(photos[1], prefix)
    typed = prefix.rstrip()
    for text in (prediction.text, *(other.text for other in prediction.alternatives)):
        assert text.startswith(typed)
        assert text.endswith(".") or text == typed
        assert "  " not in text[len(typed) :]
        assert not text.endswith(" .")
    assert len(prediction.tokens) == len(prediction.token_probabilities) <= 8
    assert all(0 < probability <= 1 for probability in prediction.token_probabilities)


def test_typed_signs_are_no_words(predictor: Predictor, photos: list[np.ndarray]) -> None:
    prediction = predictor.continue_from(photos[0], 'The (black & red) "dog" -')
    assert prediction.tokens[:4] == ("the", "black", "red", "dog")
    assert prediction.text.startswith('The (black & red) "dog" -')


def test_going_on_from_words_of_the_best_caption_scores_as_that(
    either: Predictor, photos: list[np.ndarray]
) -> None:
    for pixels in photos:
        (best,) = either.predict([pixels])
        on = either.continue_from(pixels, best.text.rstrip("."))
        assert on.tokens[: len(best.tokens)] == best.tokens
        assert on.token_probabilities[: len(best.tokens)] == pytest.approx(best.token_probabilities, abs=1e-4)
        if on.tokens == best.tokens:
            assert (on.text, on.score) == (best.text, pytest.approx(best.score, abs=1e-4))


def test_typed_words_count_towards_the_length(either: Predictor, photos: list[np.ndarray]) -> None:
    full = "a black dog runs in the red snow"
    prediction = either.continue_from(photos[0], full)
    assert (prediction.text, prediction.tokens) == (f"{full}.", tuple(full.split()))
    for end in ("!", ".", ",", " -"):
        assert either.continue_from(photos[0], full + end).text == full + end
    with pytest.raises(ModelError, match="9 words and this checkpoint writes 8 at most"):
        either.continue_from(photos[0], f"{full} water")


def test_replacements_are_other_words_and_the_likeliest_captions(
    either: Predictor, photos: list[np.ndarray]
) -> None:
    words = ["two", "black", "dog", "runs"]
    vocabulary = either.description.vocabulary
    features = either.encode([frame(photos[2], either.description.preprocessing)])
    expected = {}
    for word in set(vocabulary.words[4:]) - {"black"}:
        ids = vocabulary.encode(["two", word, "dog", "runs"], max_length=8)
        expected[word] = float(caption_log_probs(either._decoder, features, torch.tensor([[ids]])).sum())
    found = either.replacements(photos[2], words, 1, 4)
    best = sorted(expected, key=expected.__getitem__, reverse=True)[:4]
    assert [one.word for one in found] == best
    assert [one.score for one in found] == pytest.approx([expected[w] / 5**0.7 for w in best], abs=1e-4)
    assert [one.text for one in found] == [finish(["two", w, "dog", "runs"], TextConfig()) for w in best]


def test_words_that_nobody_knows_stay_as_typed(either: Predictor, photos: list[np.ndarray]) -> None:
    for one in either.replacements(photos[0], ["Zebras", "run", "<end>", "NASA"], 1, 3):
        assert one.text == f"Zebras {one.word} <end> NASA."
    for one in either.replacements(photos[0], ["a", "zebra"], 1, 30):
        assert one.word in either.description.vocabulary.words[4:]
    assert len(either.replacements(photos[0], ["A", "dog"], 0, 30)) == len(either.description.vocabulary) - 5


def test_replacements_outside_the_caption_are_refused(predictor: Predictor, photos: list[np.ndarray]) -> None:
    for position in (-1, 2):
        with pytest.raises(ModelError, match=f"position {position} lies outside"):
            predictor.replacements(photos[0], ["a", "dog"], position, 3)
    for count in (0, MAX_REPLACEMENTS + 1):
        with pytest.raises(ModelError, match="ask for 1 to 32"):
            predictor.replacements(photos[0], ["a", "dog"], 0, count)
    with pytest.raises(ModelError, match="shorten it"):
        predictor.replacements(photos[0], ["dog"] * 9, 0, 3)


def test_no_photos_get_no_captions(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


def test_a_missing_checkpoint_and_a_missing_device_are_named(tmp_path: Path, tiny_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no checkpoint\.json"):
        Predictor.load(tmp_path, device="cpu")
    with pytest.raises(ModelError, match="unknown device"):
        Predictor.load(tiny_checkpoint, device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="sees no GPU"):
            Predictor.load(tiny_checkpoint, device="cuda")


def test_framing_squashes_any_photo_to_a_square_and_leaves_that_size_alone(drawn: Drawn) -> None:
    preprocessing = Preprocessing(size=64)
    assert frame(drawn(1, width=300, height=100), preprocessing).shape == (3, 64, 64)
    square = drawn(1, width=64, height=64)
    assert np.array_equal(frame(square, preprocessing).permute(1, 2, 0).numpy(), square)


@pytest.mark.parametrize("wide", [True, False])
def test_framing_pads_or_crops_in_the_proportions_of_the_photo(wide: bool) -> None:
    """A black photo, twice as long as wide, whose outer quarters are white."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, :20] = pixels[:, 60:] = 255
    pixels = pixels if wide else pixels.transpose(1, 0, 2)
    padded, cropped = (frame(pixels, Preprocessing(size=64, framing=name)) for name in ("pad", "crop"))
    if not wide:
        padded, cropped = padded.transpose(1, 2), cropped.transpose(1, 2)
    assert padded[0, :, 8].tolist() == [MID_GREY] * 16 + [255] * 32 + [MID_GREY] * 16
    assert padded[0, 32, 24:40].tolist() == [0] * 16
    assert cropped[:, :, 4:-4].unique().tolist() == [0]
    squashed = frame(pixels, Preprocessing(size=64))
    assert squashed.float().mean().item() == pytest.approx(127.5, abs=2)


def test_framing_averages_what_it_shrinks() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    shrunk = frame(stripes, Preprocessing(size=64)).float()
    assert shrunk.mean().item() == pytest.approx(127.5, abs=2)
    assert shrunk.std().item() < 4


def test_pixels_are_normalised_by_channel() -> None:
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    preprocessing = Preprocessing(size=64, mean=(0.5, 0.5, 0.2), std=(0.5, 0.25, 1.0))
    assert normalise(pixels, preprocessing)[0, :, 0, 0].tolist() == pytest.approx([-1, 2, 0], abs=1e-6)


def test_work_ends_between_a_few_photos_when_it_has_to(
    predictor: Predictor, photos: list[np.ndarray]
) -> None:
    framed = [predictor.frame(pixels) for pixels in 3 * photos]
    asked = []

    def go_on() -> None:
        asked.append(None)
        if len(asked) == 2:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        predictor.predict_framed(framed, go_on=go_on)
    assert len(asked) == 2
