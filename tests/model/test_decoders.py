"""What every decoder keeps to, whatever is inside, and the shapes that each one's paper or text states."""

import inspect

import pytest
import torch
import torch.nn.functional as F

from model.attention import AdditiveAttention, ExponentialAttention
from model.decoders import DECODERS
from model.decoders.attention_lstm import SoftAttentionLSTM
from model.decoders.interface import Decoder
from model.decoders.lstm import InitInjectLSTM, PackedLSTM, PreInjectLSTM
from model.decoders.quick import quickened
from model.decoders.transformer import TransformerDecoder
from model.errors import RecipeError
from model.search import beam_search
from model.vocabulary import PAD, START

SIZES = {
    "vocabulary_size": 11,
    "feature_size": 10,
    "embedding_size": 6,
    "hidden_size": 8,
    "attention_size": 5,
    "layers": 2,
    "heads": 3,
    "dropout": 0.5,
}
WITHOUT_ATTENTION = ("init_inject_lstm", "pre_inject_lstm", "packed_lstm")


def build(name: str) -> Decoder:
    torch.manual_seed(0)
    wanted = inspect.signature(DECODERS[name]).parameters
    return DECODERS[name](**{key: value for key, value in SIZES.items() if key in wanted}).eval()


@pytest.fixture(params=list(DECODERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def decoder(name: str) -> Decoder:
    return build(name)


@pytest.fixture
def features() -> torch.Tensor:
    return torch.rand(2, 9, 10, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(1, 11, (2, 3, 5), generator=torch.Generator().manual_seed(2))


def test_steps_give_the_logits_of_teacher_forcing(
    decoder: Decoder, features: torch.Tensor, tokens: torch.Tensor
) -> None:
    expected = decoder(features, tokens)
    assert expected.shape == (2, 3, 5, 11)
    memory, state = decoder.begin(features)
    state = tuple(part.expand(-1, 3, *part.shape[2:]) for part in state)
    for position in range(5):
        logits, state, _ = decoder.step(tokens[:, :, position], state, memory)
        torch.testing.assert_close(logits, expected[:, :, position])


def test_captions_of_an_image_do_not_see_each_other_nor_later_words(
    decoder: Decoder, features: torch.Tensor, tokens: torch.Tensor
) -> None:
    changed = tokens.clone()
    changed[0, 1] = 11 - changed[0, 1]
    changed[0, 0, 3:] = 11 - changed[0, 0, 3:]
    before, after = decoder(features, tokens), decoder(features, changed)
    torch.testing.assert_close(before[0, 0, :3], after[0, 0, :3])
    assert not torch.allclose(before[0, 0, 3:], after[0, 0, 3:])
    assert not torch.allclose(before[0, 1], after[0, 1])
    torch.testing.assert_close(before[1], after[1])


def test_what_is_taught_gives_a_logit_for_each_target(
    decoder: Decoder, features: torch.Tensor, tokens: torch.Tensor
) -> None:
    logits, targets = decoder.teach(features, tokens)
    assert logits.shape == (*targets.shape, 11)
    assert torch.equal(targets[:, :, -4:], tokens[:, :, 1:])
    torch.testing.assert_close(logits[:, :, -4:], decoder(features, tokens[:, :, :-1]))


def test_gradients_reach_every_weight(decoder: Decoder, features: torch.Tensor, tokens: torch.Tensor) -> None:
    logits, _ = decoder.train().teach(features, tokens)
    logits.logsumexp(-1).sum().backward()
    assert [name for name, weight in decoder.named_parameters() if weight.grad is None] == []


def test_attention_says_which_cells_the_next_word_comes_from(
    name: str, decoder: Decoder, features: torch.Tensor
) -> None:
    memory, state = decoder.begin(features)
    state = tuple(part.expand(-1, 3, *part.shape[2:]) for part in state)
    weights = decoder.step(torch.full((2, 3), 5), state, memory)[2]
    if name in WITHOUT_ATTENTION:
        assert weights is None
    else:
        assert weights is not None
        assert weights.shape == (2, 3, 9)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))


def test_a_quick_decoder_says_the_same(
    decoder: Decoder, features: torch.Tensor, tokens: torch.Tensor
) -> None:
    with torch.inference_mode():
        quick = quickened(decoder, torch.float32)
        torch.testing.assert_close(quick(features, tokens), decoder(features, tokens))
        rough = quickened(decoder, torch.bfloat16)(features.bfloat16(), tokens)
        assert rough.dtype == torch.bfloat16
        torch.testing.assert_close(rough.float(), decoder(features, tokens), rtol=0.05, atol=0.05)


def test_exponentials_say_what_tanh_says_and_bear_what_no_network_learns() -> None:
    torch.manual_seed(5)
    trained = AdditiveAttention(value_size=4, query_size=4, attention_size=16)
    with torch.inference_mode():
        quick = ExponentialAttention(trained)
        for scale in (1.0, 10.0):
            values, query = scale * torch.randn(2, 9, 4), scale * torch.randn(2, 3, 4)
            expected = trained(query, trained.project(values), values)
            torch.testing.assert_close(quick(query, quick.project(values), values), expected)
        _, weights = quick(1e6 * query, quick.project(-1e6 * values), values)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))


def test_the_best_beam_of_a_batch_is_the_best_beam_alone(decoder: Decoder, features: torch.Tensor) -> None:
    sizes = {"beam_size": 3, "max_length": 6, "length_penalty": 0.7}
    together = beam_search(decoder, decoder.begin(features), **sizes)
    alone = [beam_search(decoder, decoder.begin(features[row : row + 1]), **sizes)[0] for row in range(2)]
    assert [[found.tokens for found in image] for image in together] == [
        [found.tokens for found in image] for image in alone
    ]


def test_a_padded_caption_changes_nothing_for_the_others(
    decoder: Decoder, features: torch.Tensor, tokens: torch.Tensor
) -> None:
    padded = torch.cat([tokens, torch.full((2, 1, 5), PAD)], dim=1)
    torch.testing.assert_close(decoder(features, padded)[:, :3], decoder(features, tokens))


def test_init_inject_begins_with_the_image_as_the_state_of_all_layers(features: torch.Tensor) -> None:
    decoder = build("init_inject_lstm")
    assert isinstance(decoder, InitInjectLSTM)
    memory, (hidden, cell) = decoder.begin(features)
    assert memory == ()
    assert hidden.shape == cell.shape == (2, 1, 2, 8)  # (B, 1, layers, H)
    assert not torch.allclose(hidden[0], hidden[1])
    assert not torch.allclose(hidden, cell)


def test_pre_inject_has_the_sequence_first_shapes_of_its_text(features: torch.Tensor) -> None:
    decoder = build("pre_inject_lstm")
    assert isinstance(decoder, PreInjectLSTM)
    captions = torch.tensor([[[START, 5, 6, 7, 2]], [[START, 8, 2, PAD, PAD]]])  # (batch_size, 1, seq_len)
    sequence = captions.squeeze(1).T
    assert sequence.shape == (5, 2)  # (seq_len, batch_size)
    assert decoder.image(features.mean(dim=1)).shape == (2, 6)  # (batch_size, embed_dim)
    inputs = decoder.inputs(features, captions[:, :, :-1])
    assert inputs.shape == (5, 2, 6)  # (seq_len, batch_size, embed_dim)
    torch.testing.assert_close(inputs[0], decoder.image(features.mean(dim=1)))
    torch.testing.assert_close(inputs[1:], decoder.embedding(sequence[:-1]))
    outputs = decoder.outputs(features, captions[:, :, :-1])
    assert outputs.shape == (5, 2, 11)  # (seq_len, batch_size, vocab_size)
    logits, targets = decoder.teach(features, captions)
    assert targets[0, 0].tolist() == [START, 5, 6, 7, 2]
    flat = F.cross_entropy(outputs.reshape(-1, 11), sequence.reshape(-1), ignore_index=PAD)
    torch.testing.assert_close(
        F.cross_entropy(logits.flatten(0, 2), targets.flatten(), ignore_index=PAD), flat
    )


def test_pre_inject_decodes_greedily_as_its_text_does(features: torch.Tensor) -> None:
    decoder = build("pre_inject_lstm")
    assert isinstance(decoder, PreInjectLSTM)
    with torch.no_grad():
        decoder.output.bias[:4] = -1e4  # nothing but words, so that both run to the length limit
        x, states, said = decoder.image(features[:1].mean(dim=1)).unsqueeze(0), None, []
        x, states = decoder.lstm(x, states)
        token = torch.tensor([START])
        for _ in range(5):
            hiddens, states = decoder.lstm(decoder.embedding(token).unsqueeze(0), states)
            token = decoder.output(hiddens.squeeze(0)).argmax(1)
            said.append(int(token))
        # The last step may only end: it is not a word.
        found = beam_search(
            decoder, decoder.begin(features[:1]), beam_size=1, max_length=5, length_penalty=0.0
        )
    assert list(found[0][0].tokens) == said


def test_packed_has_the_shapes_of_its_text() -> None:
    torch.manual_seed(0)
    decoder = PackedLSTM(
        vocabulary_size=40, feature_size=2048, embedding_size=300, hidden_size=64, layers=3, dropout=0.0
    )
    features = torch.rand(32, 1, 2048)  # one cell: (batch_size, 2048, 1, 1) flattened
    tokens = torch.randint(4, 40, (32, 1, 9))
    image = decoder.image(features.mean(dim=1))
    assert image.shape == (32, 300)
    assert (image >= 0).all()
    before_relu = decoder.image[:2](features.mean(dim=1))  # type: ignore[index]
    torch.testing.assert_close(before_relu.mean(0), torch.zeros(300), atol=1e-4, rtol=0)
    assert decoder.inputs(features, tokens).shape == (32, 10, 300)  # max_seq_length + 1
    assert decoder.outputs(features, tokens).shape == (32, 10, 40)
    assert decoder(features, tokens).shape == (32, 1, 9, 40)
    _, (hidden, cell) = decoder.begin(features)
    assert hidden.shape == cell.shape == (32, 1, 3, 64)


def test_packed_never_runs_padding(monkeypatch: pytest.MonkeyPatch, features: torch.Tensor) -> None:
    decoder = build("packed_lstm")
    assert isinstance(decoder, PackedLSTM)
    tokens = torch.tensor([[[START, 5, 6, 7]], [[START, 8, PAD, PAD]]])
    ran: list[int] = []
    forward = decoder.lstm.forward
    monkeypatch.setattr(
        decoder.lstm, "forward", lambda packed: ran.append(len(packed.data)) or forward(packed)
    )
    decoder(features, tokens)
    assert ran == [(1 + 4) + (1 + 2)]  # sum(seq_lengths), each with its image


def test_packed_takes_a_batch_of_one_photo_by_what_it_knows_of_others(features: torch.Tensor) -> None:
    decoder = build("packed_lstm").eval()
    image = features[:1].mean(dim=1)
    known = decoder.image(image)
    torch.testing.assert_close(decoder.train().image(image), known)
    assert not torch.allclose(decoder.image(features.mean(dim=1))[:1], known)


def test_soft_attention_has_the_shapes_of_its_text() -> None:
    torch.manual_seed(0)
    decoder = SoftAttentionLSTM(
        vocabulary_size=40,
        feature_size=2048,
        embedding_size=32,
        hidden_size=48,
        attention_size=16,
        dropout=0.0,
    )
    maps = torch.rand(2, 2048, 14, 14)
    features = maps.flatten(2).transpose(1, 2)
    memory, state = decoder.begin(features)
    values, keys = memory
    assert values.shape == (2, 196, 32)  # (batch, 196, embed_size)
    assert keys.shape == (2, 196, 16)
    convolved = F.conv2d(maps, decoder.reduce.weight[:, :, None, None], decoder.reduce.bias)
    torch.testing.assert_close(values, convolved.flatten(2).transpose(1, 2), atol=1e-4, rtol=1e-4)
    assert decoder.cell.input_size == 32 + 32  # context and word embedding
    weights = decoder.step(torch.ones(2, 1, dtype=torch.long), state, memory)[2]
    assert weights is not None
    assert weights.shape == (2, 1, 196)


def test_a_transformer_keeps_what_the_words_before_said(features: torch.Tensor) -> None:
    decoder = build("transformer")
    assert isinstance(decoder, TransformerDecoder)
    memory, state = decoder.begin(features)
    assert [part.shape for part in memory] == [(2, 9, 12)] * 2  # keys and values of the grid, a layer each
    assert [part.shape for part in state] == [(2, 1, 0, 12)] * 2
    for words in (1, 2, 3):
        _, state, _ = decoder.step(torch.full((2, 1), 5), state, memory)
        assert [part.shape for part in state] == [(2, 1, words, 12)] * 2


def test_a_transformer_knows_the_order_of_words(features: torch.Tensor) -> None:
    decoder = build("transformer")
    first = decoder(features, torch.tensor([[[4, 5, 6]]] * 2))[:, :, -1]
    other = decoder(features, torch.tensor([[[5, 4, 6]]] * 2))[:, :, -1]
    assert not torch.allclose(first, other)


def test_heads_that_do_not_divide_the_embedding_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"decoder\.embedding_size is 6.*decoder\.heads=4"):
        TransformerDecoder(
            vocabulary_size=11,
            feature_size=10,
            embedding_size=6,
            hidden_size=8,
            layers=1,
            heads=4,
            dropout=0.0,
        )
