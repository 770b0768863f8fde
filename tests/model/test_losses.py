"""The losses of teacher forcing."""

import numpy as np
import pytest
import torch

from model.decoders.lstm import PackedLSTM
from model.losses import cut, last_only, random_prefixes, token_loss
from model.vocabulary import END, PAD, START

CAPTIONS = torch.tensor(
    [
        [[START, 5, 6, 7, END], [START, 8, END, PAD, PAD]],
        [[START, 9, 5, END, PAD], [PAD, PAD, PAD, PAD, PAD]],
    ]
)


def test_the_loss_of_even_odds_is_the_log_of_their_number() -> None:
    total, count = token_loss(torch.zeros(1, 2, 3, 10), torch.tensor([[[4, 5, 0], [6, 0, 0]]]))
    assert count == 3
    assert (total / count).item() == pytest.approx(np.log(10))


def test_the_losses_of_parts_add_up_to_that_of_the_whole() -> None:
    logits, targets = torch.randn(2, 2, 5, 10), CAPTIONS
    whole = token_loss(logits, targets, label_smoothing=0.1)
    parts = [token_loss(logits[i : i + 1], targets[i : i + 1], label_smoothing=0.1) for i in range(2)]
    torch.testing.assert_close(whole[0], parts[0][0] + parts[1][0])
    assert whole[1] == parts[0][1] + parts[1][1] == 12


def test_only_the_last_token_of_each_row_counts() -> None:
    assert last_only(CAPTIONS[:, :, 1:]).tolist() == [
        [[PAD, PAD, PAD, END], [PAD, END, PAD, PAD]],
        [[PAD, PAD, END, PAD], [PAD] * 4],
    ]


def test_prefixes_are_cut_anywhere_behind_a_first_word() -> None:
    torch.manual_seed(0)
    drawn = torch.stack([random_prefixes(CAPTIONS) for _ in range(200)])
    lengths = (drawn != PAD).sum(-1)
    assert set(lengths[:, 0, 0].tolist()) == {2, 3, 4, 5}
    assert set(lengths[:, 0, 1].tolist()) == {2, 3}
    assert set(lengths[:, 1, 1].tolist()) == {0}
    kept = drawn != PAD
    assert torch.equal(drawn[kept], CAPTIONS.expand_as(drawn)[kept])


def test_the_last_token_objective_averaged_over_all_prefixes_is_the_every_token_loss() -> None:
    torch.manual_seed(0)
    decoder = PackedLSTM(
        vocabulary_size=10, feature_size=6, embedding_size=8, hidden_size=8, layers=2, dropout=0.0
    ).eval()
    features = torch.randn(2, 1, 6)
    every, tokens = token_loss(*decoder.teach(features, CAPTIONS))
    total, prefixes = torch.zeros(()), 0
    lengths = (CAPTIONS != PAD).sum(-1)
    for image, row in [(0, 0), (0, 1), (1, 0)]:
        for length in range(2, int(lengths[image, row]) + 1):
            caption = CAPTIONS[image : image + 1, row : row + 1]
            prefix = cut(caption, torch.tensor([[length]]))
            logits, targets = decoder.teach(features[image : image + 1], prefix)
            loss, count = token_loss(logits, last_only(targets))
            assert count == 1
            total, prefixes = total + loss, prefixes + 1
    assert prefixes == tokens
    torch.testing.assert_close(total / prefixes, every / tokens)
