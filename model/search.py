"""Batched beam search over images and beams."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.decoders.interface import Begun, Decoder, Memory, State
from model.vocabulary import END, PAD, START, UNK

_NEVER = float("-inf")


@dataclass(frozen=True)
class Hypothesis:
    """A caption as token ids without `<start>` and `<end>`, and the probability of each.

    The score is the sum of all log-probabilities, `<end>` included, over their number ** length_penalty.
    """

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]
    score: float


@torch.inference_mode()
def beam_search(
    decoder: Decoder,
    begun: Begun,
    *,
    beam_size: int,
    max_length: int,
    length_penalty: float,
    prefix: Sequence[int] = (),
) -> list[list[Hypothesis]]:
    """The K best captions of each of the B images that were begun, best first, `max_length` words at most.

    A caption ends when `<end>` is among the K best continuations, an image when K captions have, so that
    K = 1 is greedy search (Sutskever et al., "Sequence to Sequence Learning", 2014, sec. 3.2). All have a
    word at least, and begin with the token ids of the prefix, which count as words, and in the score with
    the network's own probability; `<unk>` may come from there, and is never emitted.
    """
    memory, state = begun
    images, columns, device = len(state[0]), max(max_length, len(prefix)) + 1, state[0].device
    live = _Beams.empty(images, 1, columns, device)
    live.scores.zero_()
    finished = _Beams.empty(images, beam_size, columns, device)
    running = torch.arange(images, device=device)
    tokens, state = _follow(decoder, prefix, state, memory, live)
    for position in range(len(prefix), columns):
        logits, state = decoder.step(tokens, state, memory)
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
    return finished.hypotheses()


@torch.inference_mode()
def caption_log_probs(decoder: Decoder, features: Tensor, captions: Tensor) -> Tensor:
    """The log-probability of each token behind `<start>`, by teacher forcing.

    Grid features (B, N, D), whole captions (B, K, T) from `<start>` to `<end>`, all of one length,
    -> (B, K, T - 1).
    """
    return _taken_log_probs(decoder(features, captions[:, :, :-1]), captions[:, :, 1:])


@dataclass
class _Beams:
    """Captions under way: tokens and their log-probabilities (B, K, T), totals or final scores (B, K)."""

    tokens: Tensor
    log_probs: Tensor
    scores: Tensor

    @classmethod
    def empty(cls, images: int, beams: int, length: int, device: torch.device) -> "_Beams":
        tokens = torch.full((images, beams, length), PAD, device=device)
        return cls(
            tokens,
            torch.zeros(tokens.shape, device=device),
            torch.full((images, beams), _NEVER, device=device),
        )

    def of_images(self, images: Tensor) -> "_Beams":
        return _Beams(self.tokens[images], self.log_probs[images], self.scores[images])

    def put(self, images: Tensor, beams: "_Beams") -> None:
        self.tokens[images], self.log_probs[images], self.scores[images] = (
            beams.tokens,
            beams.log_probs,
            beams.scores,
        )

    def take(self, order: Tensor) -> "_Beams":
        """The beams at `order` (B, K'), image by image."""
        return _Beams(
            _gather(self.tokens, order), _gather(self.log_probs, order), self.scores.gather(1, order)
        )

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
        return longer, parents

    def ended(self, position: int, beam_size: int, length_penalty: float) -> "_Beams":
        """Those of the first K that end here, with their final score; the others count for nothing."""
        tokens, log_probs = self.tokens[:, :beam_size], self.log_probs[:, :beam_size]
        scores = self.scores[:, :beam_size] / (position + 1) ** length_penalty
        return _Beams(tokens, log_probs, scores.masked_fill(tokens[:, :, position] != END, _NEVER))

    def best_open(self, position: int, beam_size: int) -> Tensor:
        """Where the best K that go on stand, (B, K)."""
        scores = self.scores.masked_fill(self.tokens[:, :, position] == END, _NEVER)
        return scores.topk(min(beam_size, scores.shape[1])).indices

    def merge(self, ended: "_Beams") -> "_Beams":
        """These finished captions with newly ended ones, the best K of both; a full image takes no more."""
        new_scores = ended.scores.masked_fill(self.full().unsqueeze(1), _NEVER)
        both = _Beams(
            torch.cat([self.tokens, ended.tokens], dim=1),
            torch.cat([self.log_probs, ended.log_probs], dim=1),
            torch.cat([self.scores, new_scores], dim=1),
        )
        return both.take(both.scores.topk(self.scores.shape[1]).indices)

    def hypotheses(self) -> list[list[Hypothesis]]:
        rows = zip(self.tokens.tolist(), self.log_probs.exp().tolist(), self.scores.tolist(), strict=True)
        return [
            [
                Hypothesis(tuple(t[: t.index(END)]), tuple(p[: t.index(END)]), score)
                for t, p, score in zip(tokens, probabilities, scores, strict=True)
                if score > _NEVER
            ]
            for tokens, probabilities, scores in rows
        ]


def emitted_log_probs(logits: Tensor) -> Tensor:
    """Logits (..., V) -> log-probabilities among what may be emitted: no `<pad>`, `<start>` or `<unk>`."""
    logits = logits.float()
    forbidden = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
    # One by one: indexing by a list would copy it to the GPU at every step.
    for token in (PAD, START, UNK):
        forbidden[token] = True
    return logits.masked_fill(forbidden, _NEVER).log_softmax(dim=-1)


def _follow(
    decoder: Decoder, prefix: Sequence[int], state: State, memory: Memory, live: _Beams
) -> tuple[Tensor, State]:
    """Take every caption through the prefix; returns the last token (B, 1), which is still to be stepped."""
    tokens = torch.full_like(live.tokens[:, :, 0], START)
    for position, forced in enumerate(prefix):
        logits, state = decoder.step(tokens, state, memory)
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
