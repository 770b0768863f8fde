"""Beam search, against greedy search and against all captions there are."""

from itertools import product

import pytest
import torch
from torch import Tensor

from model.decoders.attention_lstm import AttentionLSTM
from model.decoders.interface import Decoder
from model.search import Hypothesis, beam_search, caption_log_probs
from model.vocabulary import END, PAD, START, UNK
from tests.model.plain_decoder import PlainDecoder
from tests.model.stepping import attention_behind

VOCABULARY = 7
WORDS = range(4, VOCABULARY)
MAX_LENGTH = 4


def attentive() -> Decoder:
    decoder = AttentionLSTM(
        vocabulary_size=VOCABULARY,
        feature_size=6,
        embedding_size=8,
        hidden_size=12,
        attention_size=5,
        dropout=0.0,
    )
    # Peaked distributions, as after training: captions of different lengths that differ between images.
    decoder.embedding.weight.data *= 6
    return decoder


def plain() -> Decoder:
    decoder = PlainDecoder(vocabulary_size=VOCABULARY, feature_size=6)
    decoder.output.weight.data *= 6
    return decoder


@pytest.fixture(scope="module", params=[attentive, plain])
def decoder(request: pytest.FixtureRequest) -> Decoder:
    torch.manual_seed(3)
    return request.param().eval()


@pytest.fixture(scope="module")
def features() -> Tensor:
    return torch.randn(16, 4, 6, generator=torch.Generator().manual_seed(1)) * 3


def search(
    decoder: Decoder,
    features: Tensor,
    beam_size: int,
    penalty: float = 0.7,
    prefix: tuple[int, ...] = (),
    *,
    count: int | None = None,
    attention: bool = False,
) -> list[list[Hypothesis]]:
    return beam_search(
        decoder,
        decoder.begin(features),
        beam_size=beam_size,
        max_length=MAX_LENGTH,
        length_penalty=penalty,
        count=count,
        prefix=prefix,
        attention=attention,
    )


def bias_of(decoder: Decoder) -> Tensor:
    """What the network adds to the logit of each word, whatever it sees."""
    return decoder.get_parameter("bias" if isinstance(decoder, AttentionLSTM) else "output.bias")


@torch.inference_mode()
def log_probs_of(decoder: Decoder, grid: Tensor, words: tuple[int, ...]) -> Tensor:
    """Log-probabilities of the words and their `<end>`, by teacher forcing."""
    logits = decoder(grid[None], torch.tensor([[[START, *words]]]))[0, 0]
    logits[:, [PAD, START, UNK]] = -torch.inf
    return logits.log_softmax(-1).gather(1, torch.tensor([*words, END])[:, None])[:, 0]


@torch.inference_mode()
def greedy(decoder: Decoder, grid: Tensor) -> tuple[int, ...]:
    words: list[int] = []
    while len(words) < MAX_LENGTH:
        logits = decoder(grid[None], torch.tensor([[[START, *words]]]))[0, 0, -1]
        logits[[PAD, START, UNK] if words else [PAD, START, UNK, END]] = -torch.inf
        if (word := int(logits.argmax())) == END:
            break
        words.append(word)
    return tuple(words)


def test_beam_of_one_equals_greedy(decoder: Decoder, features: Tensor) -> None:
    expected = [greedy(decoder, grid) for grid in features]
    assert [found[0].tokens for found in search(decoder, features, 1)] == expected
    assert len({len(words) for words in expected}) > 1, "the images must end at different lengths"


@pytest.mark.parametrize("beam_size", [1, 3, 5])
def test_batched_search_matches_one_at_a_time(decoder: Decoder, features: Tensor, beam_size: int) -> None:
    together = search(decoder, features, beam_size)
    for grid, hypotheses in zip(features, together, strict=True):
        (alone,) = search(decoder, grid[None], beam_size)
        assert [h.tokens for h in alone] == [h.tokens for h in hypotheses]
        assert [h.score for h in alone] == pytest.approx([h.score for h in hypotheses], abs=1e-5)


def test_a_wide_beam_finds_the_best_of_all_captions(decoder: Decoder, features: Tensor) -> None:
    captions = [words for n in range(1, MAX_LENGTH + 1) for words in product(WORDS, repeat=n)]
    for grid, found in zip(features[:4], search(decoder, features[:4], len(captions), 0.0), strict=True):
        totals = {words: float(log_probs_of(decoder, grid, words).sum()) for words in captions}
        assert found[0].tokens == max(captions, key=totals.__getitem__)


def test_scores_and_probabilities_are_those_of_teacher_forcing(decoder: Decoder, features: Tensor) -> None:
    for grid, found in zip(features, search(decoder, features, 3), strict=True):
        for hypothesis in found:
            log_probs = log_probs_of(decoder, grid, hypothesis.tokens)
            length = len(hypothesis.tokens) + 1
            assert hypothesis.score == pytest.approx(float(log_probs.sum()) / length**0.7, abs=1e-4)
            assert hypothesis.probabilities == pytest.approx(log_probs[:-1].exp().tolist(), abs=1e-4)


def test_alternatives_are_distinct_and_come_best_first(decoder: Decoder, features: Tensor) -> None:
    for found in search(decoder, features, 5):
        assert len({hypothesis.tokens for hypothesis in found}) == len(found) == 5
        scores = [hypothesis.score for hypothesis in found]
        assert scores == sorted(scores, reverse=True)


def test_more_captions_may_be_wanted_than_there_are_beams(decoder: Decoder, features: Tensor) -> None:
    more = search(decoder, features, 3, count=6)
    for grid, found, fewer in zip(features, more, search(decoder, features, 3), strict=True):
        # All that are open end with the last word, so a few images have less.
        assert 3 < len({hypothesis.tokens for hypothesis in found}) == len(found) <= 6
        assert {hypothesis.tokens for hypothesis in fewer} & {hypothesis.tokens for hypothesis in found}
        assert found[0].score >= fewer[0].score - 1e-5
        last = found[-1]
        log_probs = log_probs_of(decoder, grid, last.tokens)
        assert last.score == pytest.approx(float(log_probs.sum()) / (len(last.tokens) + 1) ** 0.7, abs=1e-4)


def test_a_caption_has_a_word_however_unlikely(decoder: Decoder, features: Tensor) -> None:
    bias_of(decoder).data[END] = 50
    try:
        found = search(decoder, features, 3)
    finally:
        bias_of(decoder).data[END] = 0
    assert {len(hypotheses[0].tokens) for hypotheses in found} == {1}


def test_unknown_words_are_never_emitted(decoder: Decoder, features: Tensor) -> None:
    bias_of(decoder).data[UNK] = 50
    try:
        found = search(decoder, features, 3)
    finally:
        bias_of(decoder).data[UNK] = 0
    assert all(token in WORDS for hypotheses in found for h in hypotheses for token in h.tokens)


def test_no_caption_is_longer_than_allowed(decoder: Decoder, features: Tensor) -> None:
    bias_of(decoder).data[END] = -50
    try:
        found = search(decoder, features, 2)
    finally:
        bias_of(decoder).data[END] = 0
    assert {len(h.tokens) for hypotheses in found for h in hypotheses} == {MAX_LENGTH}


def test_a_beam_wider_than_the_vocabulary_is_no_error(decoder: Decoder, features: Tensor) -> None:
    assert all(len(found) > VOCABULARY for found in search(decoder, features[:2], 3 * VOCABULARY))


def test_the_likelihood_of_whole_captions_is_that_of_their_search(decoder: Decoder, features: Tensor) -> None:
    for grid, found in zip(features, search(decoder, features, 3), strict=True):
        for hypothesis in found:
            caption = torch.tensor([[[START, *hypothesis.tokens, END]]])
            log_probs = caption_log_probs(decoder, grid[None], caption)[0, 0]
            assert log_probs[:-1].exp().tolist() == pytest.approx(hypothesis.probabilities, abs=1e-4)
            length = len(hypothesis.tokens) + 1
            assert hypothesis.score == pytest.approx(float(log_probs.sum()) / length**0.7, abs=1e-4)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_going_on_from_the_best_captions_words_finds_it_again(
    decoder: Decoder, features: Tensor, beam_size: int
) -> None:
    for grid, (best, *_) in zip(features, search(decoder, features, 1), strict=True):
        for words in range(len(best.tokens) + 1):
            (found,) = search(decoder, grid[None], beam_size, prefix=best.tokens[:words])
            assert all(hypothesis.tokens[:words] == best.tokens[:words] for hypothesis in found)
            if beam_size == 1:
                assert found[0].tokens == best.tokens
                assert found[0].score == pytest.approx(best.score, abs=1e-5)
                assert found[0].probabilities == pytest.approx(best.probabilities, abs=1e-5)


def test_a_wide_beam_finds_the_best_of_all_captions_with_a_prefix(decoder: Decoder, features: Tensor) -> None:
    prefix = (5, 4)
    captions = [prefix + words for n in range(MAX_LENGTH - 1) for words in product(WORDS, repeat=n)]
    found = search(decoder, features[:4], len(captions), 0.0, prefix)
    for grid, hypotheses in zip(features[:4], found, strict=True):
        totals = {words: float(log_probs_of(decoder, grid, words).sum()) for words in captions}
        assert hypotheses[0].tokens == max(captions, key=totals.__getitem__)


def test_a_prefix_may_hold_unknown_words_and_fill_the_caption(decoder: Decoder, features: Tensor) -> None:
    prefix = (UNK, 4, UNK, 5)
    assert len(prefix) == MAX_LENGTH
    for found in search(decoder, features, 2, prefix=prefix):
        assert [hypothesis.tokens for hypothesis in found] == [prefix]
        assert all(0 < probability < 1 for probability in found[0].probabilities)
        assert found[0].score > -torch.inf


@pytest.mark.parametrize("prefix", [(), (4, 5)])
def test_the_attention_of_each_caption_is_that_of_its_own_words(
    decoder: Decoder, features: Tensor, prefix: tuple[int, ...]
) -> None:
    found = search(decoder, features, beam_size=3, prefix=prefix, attention=True)
    assert found == search(decoder, features, beam_size=3, prefix=prefix)
    lengths = set()
    for image, hypotheses in enumerate(found):
        for hypothesis in hypotheses:
            if not isinstance(decoder, AttentionLSTM):
                assert hypothesis.attention is None
                continue
            assert hypothesis.attention is not None
            taught = attention_behind(decoder, features[image : image + 1], hypothesis.tokens)
            torch.testing.assert_close(hypothesis.attention, taught, rtol=1e-4, atol=1e-5)
            lengths.add(len(hypothesis.tokens))
    assert not lengths or len(lengths) > 1, "captions of one length would not show that images end apart"
