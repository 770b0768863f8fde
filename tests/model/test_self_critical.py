import torch
from torch import Tensor

from model.decoders.interface import Decoder, Memory, State, Step
from model.self_critical import SelfCritic, sample_captions
from model.vocabulary import END, PAD, SPECIALS, START, UNK, Vocabulary

VOCABULARY = Vocabulary((*SPECIALS, "a", "dog", "cat", "runs"))
A, DOG, CAT, RUNS = range(4, 8)
REFERENCES = [[[START, A, DOG, RUNS, END]], [[START, A, CAT, RUNS, END]]]


class Bigrams(Decoder):
    """The smallest decoder: the next word depends on the last one alone."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.zeros(len(VOCABULARY), len(VOCABULARY)))

    def begin(self, features: Tensor) -> tuple[Memory, State]:
        return (), (torch.zeros(features.shape[0], 1, 1),)

    def step(self, tokens: Tensor, state: State, memory: Memory) -> Step:
        return self.table[tokens], state, None

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        return self.table[tokens]


def critic(samples: int = 5, bleu: float = 0.0) -> SelfCritic:
    return SelfCritic(references=REFERENCES, vocabulary=VOCABULARY, samples=samples, max_length=6, bleu=bleu)


def test_samples_hold_words_then_one_end_then_padding() -> None:
    torch.manual_seed(0)
    sampled = sample_captions(Bigrams(), torch.zeros(3, 1, 1), samples=40, max_length=6)
    assert sampled.shape[:2] == (3, 40)
    for ids in sampled.flatten(0, 1).tolist():
        assert ids[0] == START
        words = ids[1 : ids.index(END)] if END in ids else ids[1:]
        assert not {PAD, START, UNK} & set(words)
        assert set(ids[len(words) + 2 :]) <= {PAD}


def test_words_are_drawn_as_often_as_they_are_likely() -> None:
    torch.manual_seed(0)
    decoder = Bigrams()
    odds = torch.tensor([0.5, 0.3, 0.15, 0.05])
    with torch.no_grad():
        decoder.table[START, [A, DOG, CAT, END]] = odds.log()
        decoder.table[START, RUNS] = -1e4
    first = sample_captions(decoder, torch.zeros(1, 1, 1), samples=20_000, max_length=1)[0, :, 1]
    drawn = first.bincount(minlength=len(VOCABULARY)) / len(first)
    assert torch.allclose(drawn[[A, DOG, CAT, END]], odds, atol=0.015)
    assert not drawn[[PAD, START, UNK, RUNS]].any()


def test_sampling_ends_with_the_last_caption() -> None:
    decoder = Bigrams()
    with torch.no_grad():
        for here, there in ((START, A), (A, DOG), (DOG, END)):
            decoder.table[here, there] = 1e4
    sampled = sample_captions(decoder, torch.zeros(2, 1, 1), samples=3, max_length=20)
    assert sampled.tolist() == [[[START, A, DOG, END]] * 3] * 2


def test_captions_alike_teach_nothing() -> None:
    decoder = Bigrams()
    with torch.no_grad():
        for here, there in ((START, A), (A, DOG), (DOG, RUNS), (RUNS, END)):
            decoder.table[here, there] = 1e4
    loss, tokens = critic().loss(decoder, torch.zeros(1, 1, 1), torch.tensor(REFERENCES[:1]))
    assert loss.item() == 0.0
    assert tokens == 5 * 4


def test_what_scores_above_the_others_becomes_likelier() -> None:
    torch.manual_seed(0)
    decoder = Bigrams()
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.1)
    references = torch.tensor(REFERENCES[:1])
    for _ in range(80):
        optimizer.zero_grad()
        loss, tokens = critic(samples=8).loss(decoder, torch.zeros(1, 1, 1), references)
        (loss / tokens).backward()
        optimizer.step()
    best = decoder.table[:, A:].argmax(dim=1) + A
    assert [best[START].item(), best[A].item(), best[DOG].item()] == [A, DOG, RUNS]
    assert decoder.table[RUNS].argmax() == END


def test_bleu_tells_apart_what_is_all_the_same_to_cider() -> None:
    decoder = Bigrams()
    # Neither "cat" nor "cat <end>" stands in a reference of this image, so CIDEr-D sees "a" or nothing: 0.
    reference = torch.tensor([[[START, A, DOG, RUNS, END]]])
    with torch.no_grad():
        decoder.table[START, A] = decoder.table[START, CAT] = 1e4
        decoder.table[A, CAT] = decoder.table[CAT, END] = 1e5
    losses = []
    for bleu in (0.0, 1.0):
        torch.manual_seed(0)
        losses.append(critic(bleu=bleu).loss(decoder, torch.zeros(1, 1, 1), reference)[0].item())
    assert losses[0] == 0.0
    assert losses[1] != 0.0
