"""Batched beam search over images and beams."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from model.decoders.interface import Begun, Decoder, Memory, State
from model.vocabulary import END, PAD, START, UNK

_NEVER = float("-inf")


@dataclass(frozen=True)
class Hypothesis:
    """A caption as token ids without `<start>` and `<end>`, and the probability of each.

    The score is the sum of all log-probabilities, `<end>` included, over their number ** length_penalty, and
    less than that once `ExpectedWords` has ranked it.
    The attention (T, N) with which each token was chosen is there where it was asked for and paid.
    """

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]
    score: float
    attention: Tensor | None = field(default=None, compare=False)


@torch.inference_mode()
def beam_search(
    decoder: Decoder,
    begun: Begun,
    *,
    beam_size: int,
    max_length: int,
    length_penalty: float,
    count: int | None = None,
    prefix: Sequence[int] = (),
    attention: bool = False,
) -> list[list[Hypothesis]]:
    """The best captions of each of the B images that were begun, best first, `max_length` words at most.

    A caption ends when `<end>` is among the K best continuations of K beams, an image when `count` captions
    have, which is K unless given, so that K = 1 is greedy search (Sutskever et al., "Sequence to Sequence
    Learning", 2014, sec. 3.2). All have a word at least, and begin with the token ids of the prefix, which
    count as words, and in the score with the network's own probability; `<unk>` may come from there, and is
    never emitted.
    """
    count = count or beam_size
    memory, state = begun
    images, columns, device = len(state[0]), max(max_length, len(prefix)) + 1, state[0].device
    live = _Beams.empty(images, 1, columns, device)
    live.scores.zero_()
    finished = _Beams.empty(images, count, columns, device)
    running = torch.arange(images, device=device)
    looks = _Looks(images, beam_size, wanted=attention)
    tokens, state = _follow(decoder, prefix, state, memory, live, looks)
    for position in range(len(prefix), columns):
        logits, state, weights = decoder.step(tokens, state, memory)
        looks.keep(weights, running)
        log_probs = _log_probs(logits, may_end=position > 0, must_end=position >= max_length)
        candidates, parents = live.extend(log_probs, position, count=2 * beam_size)
        before = finished.of_images(running)
        finished.put(running, before.merge(candidates.ended(position, beam_size, length_penalty)))
        order = candidates.best_open(position, beam_size)
        live, parents = candidates.take(order), parents.gather(1, order)
        state = tuple(_gather(part, parents) for part in state)
        tokens = live.tokens[:, :, position]
        # Asking a GPU whether an image is done would make it wait; there all images stay to the end.
        if device.type == "cpu":
            open_ = ~finished.of_images(running).full()
            if not open_.all():
                live, running, tokens = live.of_images(open_), running[open_], tokens[open_]
                state = tuple(part[open_] for part in state)
                memory = tuple(part[open_] for part in memory)
            if not len(running):
                break
    return finished.hypotheses(looks.along(finished.sources))


@torch.inference_mode()
def caption_log_probs(decoder: Decoder, features: Tensor, captions: Tensor) -> Tensor:
    """The log-probability of each token behind `<start>`, by teacher forcing.

    Grid features (B, N, D), whole captions (B, K, T) from `<start>` to `<end>`, all of one length,
    -> (B, K, T - 1).
    """
    return _taken_log_probs(decoder(features, captions[:, :, :-1]), captions[:, :, 1:])


@dataclass
class _Beams:
    """Captions under way: tokens, their log-probabilities, and which beam each was behind (B, K, T).

    With totals or final scores (B, K).
    """

    tokens: Tensor
    log_probs: Tensor
    sources: Tensor
    scores: Tensor

    @classmethod
    def empty(cls, images: int, beams: int, length: int, device: torch.device) -> "_Beams":
        tokens = torch.full((images, beams, length), PAD, device=device)
        return cls(
            tokens,
            torch.zeros(tokens.shape, device=device),
            torch.zeros_like(tokens),
            torch.full((images, beams), _NEVER, device=device),
        )

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """All tensors, in the order of the fields."""
        return self.tokens, self.log_probs, self.sources, self.scores

    def of_images(self, images: Tensor) -> "_Beams":
        return _Beams(*(part[images] for part in self.parts))

    def put(self, images: Tensor, beams: "_Beams") -> None:
        for part, new in zip(self.parts, beams.parts, strict=True):
            part[images] = new

    def take(self, order: Tensor) -> "_Beams":
        """The beams at `order` (B, K'), image by image."""
        return _Beams(*(_gather(part, order) for part in self.parts))

    def force(self, tokens: Tensor, log_probs: Tensor, position: int) -> None:
        """Give every caption one more token, given (B, K) of each."""
        self.tokens[:, :, position] = tokens
        self.log_probs[:, :, position] = log_probs
        self.scores += log_probs

    def full(self) -> Tensor:
        """Whether an image (B) has all its finished captions."""
        return self.scores.isfinite().all(dim=1)

    def extend(self, log_probs: Tensor, position: int, count: int) -> tuple["_Beams", Tensor]:
        """The best continuations by one token, given (B, K, V), best first; and their parents (B, count)."""
        vocabulary = log_probs.shape[-1]
        totals = (self.scores.unsqueeze(-1) + log_probs).flatten(1)
        scores, chosen = totals.topk(min(count, totals.shape[1]))
        parents, tokens = chosen // vocabulary, chosen % vocabulary
        longer = self.take(parents)
        longer.scores = scores
        longer.tokens[:, :, position] = tokens
        longer.log_probs[:, :, position] = log_probs.flatten(1).gather(1, chosen)
        longer.sources[:, :, position] = parents
        return longer, parents

    def ended(self, position: int, beam_size: int, length_penalty: float) -> "_Beams":
        """Those of the first K that end here, with their final score; the others count for nothing."""
        tokens, log_probs, sources, totals = (part[:, :beam_size] for part in self.parts)
        scores = totals / (position + 1) ** length_penalty
        open_ = tokens[:, :, position] != END
        return _Beams(tokens, log_probs, sources, scores.masked_fill(open_, _NEVER))

    def best_open(self, position: int, beam_size: int) -> Tensor:
        """Where the best K that go on stand, (B, K)."""
        scores = self.scores.masked_fill(self.tokens[:, :, position] == END, _NEVER)
        return scores.topk(min(beam_size, scores.shape[1])).indices

    def merge(self, ended: "_Beams") -> "_Beams":
        """These finished captions with newly ended ones, the best K of both; a full image takes no more."""
        new_scores = ended.scores.masked_fill(self.full().unsqueeze(1), _NEVER)
        late = replace(ended, scores=new_scores)
        both = _Beams(*(torch.cat(pair, dim=1) for pair in zip(self.parts, late.parts, strict=True)))
        return both.take(both.scores.topk(self.scores.shape[1]).indices)

    def hypotheses(self, attention: Tensor | None) -> list[list[Hypothesis]]:
        """The finished captions of each image, with the attention (B, K, T, N) behind their tokens."""
        rows = zip(self.tokens.tolist(), self.log_probs.exp().tolist(), self.scores.tolist(), strict=True)
        return [
            [
                Hypothesis(
                    tuple(t[: t.index(END)]),
                    tuple(p[: t.index(END)]),
                    score,
                    None if attention is None else attention[image, beam, : t.index(END)],
                )
                for beam, (t, p, score) in enumerate(zip(tokens, probabilities, scores, strict=True))
                if score > _NEVER
            ]
            for image, (tokens, probabilities, scores) in enumerate(rows)
        ]


class _Looks:
    """The attention of every step where it is wanted, to be read back along each caption."""

    def __init__(self, images: int, beams: int, *, wanted: bool) -> None:
        self._size = (images, beams)
        self._wanted = wanted
        self._steps: list[Tensor] = []

    def keep(self, weights: Tensor | None, running: Tensor) -> None:
        """Note the attention (b, K', N) of a step at those of the images that are running (b)."""
        if self._wanted and weights is not None:
            step = weights.new_zeros(*self._size, weights.shape[-1])
            step[running, : weights.shape[1]] = weights
            self._steps.append(step)

    def along(self, sources: Tensor) -> Tensor | None:
        """Beams that tokens (B, K, T) were behind -> attention (B, K, t, N) of the t steps taken."""
        if not self._steps:
            return None
        steps = torch.stack(self._steps, dim=2)
        rows = sources[:, :, : steps.shape[2], None].expand(-1, -1, -1, steps.shape[-1])
        # In one piece: a GPU would wait for each caption's own copy.
        return steps.gather(1, rows).cpu()


def emitted_log_probs(logits: Tensor) -> Tensor:
    """Logits (..., V) -> log-probabilities among what may be emitted: no `<pad>`, `<start>` or `<unk>`."""
    logits = logits.float()
    forbidden = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
    # One by one: indexing by a list would copy it to the GPU at every step.
    for token in (PAD, START, UNK):
        forbidden[token] = True
    return logits.masked_fill(forbidden, _NEVER).log_softmax(dim=-1)


def _follow(
    decoder: Decoder, prefix: Sequence[int], state: State, memory: Memory, live: _Beams, looks: "_Looks"
) -> tuple[Tensor, State]:
    """Take every caption through the prefix; returns the last token (B, 1), which is still to be stepped."""
    tokens = torch.full_like(live.tokens[:, :, 0], START)
    images = torch.arange(len(tokens), device=tokens.device)
    for position, forced in enumerate(prefix):
        logits, state, weights = decoder.step(tokens, state, memory)
        looks.keep(weights, images)
        tokens = torch.full_like(tokens, forced)
        live.force(tokens, _taken_log_probs(logits, tokens), position)
    return tokens, state


def _taken_log_probs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Logits (..., V), tokens (...) -> the log-probability of each token, as `emitted_log_probs` has it.

    `<unk>`, which stands for a word that a person typed, has its share of the whole vocabulary.
    """
    emitted, whole = (
        log_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        for log_probs in (emitted_log_probs(logits), logits.float().log_softmax(dim=-1))
    )
    return torch.where(tokens == UNK, whole, emitted)


def _log_probs(logits: Tensor, *, may_end: bool, must_end: bool) -> Tensor:
    log_probs = emitted_log_probs(logits)
    end = log_probs[..., END].clone()
    if must_end:
        log_probs = torch.full_like(log_probs, _NEVER)
    log_probs[..., END] = end if may_end else _NEVER
    return log_probs


def _gather(values: Tensor, order: Tensor) -> Tensor:
    """Values (B, K, ...) at `order` (B, K') -> (B, K', ...)."""
    images = torch.arange(order.shape[0], device=order.device).unsqueeze(1)
    return values[images, order]
