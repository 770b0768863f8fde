"""Whole training runs on drawn photos."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model.captioner import build_captioner
from model.checkpoint import load_checkpoint
from model.config import Recipe, override
from model.description import Description, read_description
from model.encoder import backbone
from model.errors import DataError, RecipeError, TrainingError
from model.predictor import Predictor
from model.search import beam_search
from model.starting_point import extend_rows
from model.text import finish
from model.training import train
from model.vocabulary import SPECIALS, Vocabulary


def test_new_words_get_new_rows_and_old_rows_keep_their_values(small_recipe: Recipe) -> None:
    old_words = Vocabulary((*SPECIALS, "a", "dog"))
    new_words = Vocabulary((*old_words.words, "zebra"))
    old = build_captioner(small_recipe, old_words).state_dict()
    new = build_captioner(small_recipe, new_words).state_dict()
    merged = extend_rows(new, old)
    assert torch.equal(merged["decoder.embedding.weight"][:6], old["decoder.embedding.weight"])
    assert torch.equal(merged["decoder.embedding.weight"][6], new["decoder.embedding.weight"][6])
    assert torch.equal(merged["decoder.cell.weight_ih"], old["decoder.cell.weight_ih"])


Run = Callable[..., Description]


@pytest.fixture
def run(caption_data: Path, small_recipe: Recipe, tmp_path: Path) -> Run:
    def train_on_drawn_photos(*overrides: str, output: str = "out", **options: object) -> Description:
        return train(
            override(small_recipe, ["training.epochs=2", *overrides]),
            output=tmp_path / output,
            name=output,
            cache=tmp_path / "cache",
            device="cpu",
            **{"source": caption_data, "report": lambda line: None, **options},  # type: ignore[arg-type]
        )

    return train_on_drawn_photos


def test_a_run_leaves_a_checkpoint_that_captions(
    run: Run, tmp_path: Path, drawn: Callable[..., np.ndarray]
) -> None:
    description = run()
    assert read_description(tmp_path / "out") == description
    assert description.lineage["training_photos"] == 8
    assert len(description.lineage["training_data_sha256"]) == 64
    assert description.lineage["best_epoch"] in (1, 2)
    assert (description.scores["split"], description.scores["n"]) == ("dev", 4)
    assert Predictor.load(tmp_path / "out", device="cpu").predict([drawn(1)])[0].text.endswith(".")


def test_what_is_trained_ends_up_in_the_checkpoint(run: Run, tmp_path: Path, tiny_checkpoint: Path) -> None:
    run("encoder.trained_blocks=2", "training.frozen_epochs=0", "training.epochs=1", base=tiny_checkpoint)
    before, after = (load_checkpoint(folder)[0].encoder for folder in (tiny_checkpoint, tmp_path / "out"))
    for block, (old, new) in enumerate(zip(before.network, after.network, strict=True)):
        same = all(torch.equal(value, new.state_dict()[name]) for name, value in old.state_dict().items())
        assert same == (block < 17), f"block {block}"


def test_a_finished_run_that_is_resumed_trains_no_more(run: Run, tmp_path: Path) -> None:
    first = run(output="whole")
    lines: list[str] = []
    assert run(output="whole", resume=True, report=lines.append) == first
    assert lines == ["8 photos, 22 words"]


def test_a_run_resumed_on_other_data_is_refused(run: Run, caption_data: Path, tmp_path: Path) -> None:
    run(output="whole")
    other = Path(shutil.copytree(caption_data, tmp_path / "other"))
    captions = (other / "captions.txt").read_text()
    (other / "captions.txt").write_text(captions.replace("thing on a", "thing in a", 1))
    with pytest.raises(TrainingError, match="belongs to another training data sha256"):
        run(output="whole", resume=True, source=other)


def test_a_photo_of_the_test_split_is_not_trained_on(run: Run, caption_data: Path, tmp_path: Path) -> None:
    leaking = Path(shutil.copytree(caption_data, tmp_path / "leaking"))
    shutil.copy(leaking / "Images" / "3.png", leaking / "Images" / "copy.png")
    with (leaking / "captions.txt").open("a") as file:
        file.write("copy.png,The same picture again\n")
    (leaking / "test.txt").write_text("copy.png\n")
    with pytest.raises(DataError, match=r"stands in the splits (test and train|train and test)"):
        run(source=leaking)


def test_features_are_computed_once_for_the_same_photos(run: Run, tmp_path: Path) -> None:
    run(output="first")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    run(output="second")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == before
    assert len(list((tmp_path / "cache").iterdir())) == 2, "photos as they are, and mirrored"


def test_a_run_keeps_the_features_that_it_needs_and_others_as_far_as_there_is_room(
    run: Run, caption_data: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(caption_data, tmp_path / "other"))
    for photo in (other / "Images").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(photo))).save(photo)
    run(output="first", source=other, cache_bytes=10**9)
    unbounded = run(output="unbounded")
    rows = {path: path.stat().st_size for path in (tmp_path / "cache").glob("*/rows.float16")}
    bounded = run(output="bounded", cache_bytes=1)
    assert {path.stat().st_size * 2 for path in rows} == {*rows.values()}
    assert bounded.scores == unbounded.scores
    before = {path: path.stat().st_mtime_ns for path in rows}
    run(output="again", cache_bytes=1)
    assert {path: path.stat().st_mtime_ns for path in rows} == before


def test_a_run_from_a_checkpoint_keeps_its_encoder_and_extends_its_words(
    run: Run, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    described = run("data.licence=Ask me.", base=tiny_checkpoint)
    old, old_description = load_checkpoint(tiny_checkpoint)
    new, _ = load_checkpoint(tmp_path / "out")
    known = old_description.vocabulary.words
    assert described.vocabulary.words[: len(known)] == known
    assert "thing" in described.vocabulary
    assert described.licence == "For tests. Ask me."
    again = run("data.licence=Ask me.", base=tmp_path / "out", output="again")
    assert again.licence == described.licence
    assert described.lineage["parent_weights_sha256"] == old_description.weights_sha256
    for name, value in old.encoder.state_dict().items():
        assert torch.equal(new.encoder.state_dict()[name], value), name


def test_another_network_than_that_of_the_base_is_refused(run: Run, tiny_checkpoint: Path) -> None:
    with pytest.raises(TrainingError, match=r"another network than the recipe: decoder\.hidden_size=24;"):
        run("decoder.hidden_size=32", base=tiny_checkpoint)


def test_a_recipe_in_a_checkpoint_names_no_folder_of_this_machine(run: Run, tmp_path: Path) -> None:
    state = {
        f"features.{name}": value for name, value in backbone("mobilenet_v2").blocks().state_dict().items()
    }
    save_file(state, tmp_path / "base.safetensors")
    run(f"encoder.weights={tmp_path / 'base.safetensors'}", "training.epochs=1")
    assert str(tmp_path) not in (tmp_path / "out" / "checkpoint.json").read_text()


def test_an_unreadable_training_photo_is_named(
    small_recipe: Recipe, caption_data: Path, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(caption_data, tmp_path / "broken"))
    (broken / "Images" / "3.png").write_text("no photo at all, only words")
    with pytest.raises(DataError, match=r"cannot be read: .*3\.png"):
        train(small_recipe, source=broken, output=tmp_path / "out", name="out", device="cpu")


def test_a_run_logs_each_epoch_and_draws_curves_and_samples(run: Run, tmp_path: Path) -> None:
    run(
        "decoder.name=transformer",
        "decoder.attention_size=256",
        "decoder.dropout=0",
        "training.learning_rate=0.003",
    )
    folder = tmp_path / "out" / "training"
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["stage"]) for line in lines] == [
        (1, "teacher forcing"),
        (2, "teacher forcing"),
    ]
    assert lines[1]["loss"] < lines[0]["loss"]
    assert set(lines[0]) == {"epoch", "stage", "loss", "learning_rate", "scores", "seconds"}
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    tags = events.Tags()
    assert {"step/loss", "step/learning_rate", "epoch/loss", "scores/cider"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("step/loss")] == [1, 2, 3, 4]
    assert len(tags["images"]) == 4


def test_the_best_epochs_are_averaged_and_kept_if_that_is_better(run: Run, tmp_path: Path) -> None:
    lines: list[str] = []
    described = run("training.epochs=4", "training.averaged_epochs=3", report=lines.append)
    kept = sorted((tmp_path / "out" / "training").glob("epoch-*.safetensors"))
    assert len(kept) == 3
    said = next(line for line in lines if line.startswith("the mean of epochs"))
    assert ("averaged_epochs" in described.lineage) == ("not better" not in said)


def test_a_checkpoint_knows_how_far_to_trust_its_scores_and_its_words(run: Run) -> None:
    described = run()
    for calibration in (described.calibration, described.word_calibration):
        assert calibration is not None
        assert 0 < calibration.confidence(-2.0) < calibration.confidence(-0.1) < 1


def telling_weights(folder: Path) -> Path:
    """A file of random weights whose BatchNorms know their inputs: without, all features are next to 0."""
    torch.manual_seed(0)
    network = torchvision.models.mobilenet_v2(weights=None).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randn(32, 3, 64, 64))
    save_file(network.state_dict(), folder / "telling.safetensors")
    return folder / "telling.safetensors"


def test_a_run_learns_which_words_to_expect_and_ranks_by_them(
    run: Run, tmp_path: Path, drawn: Callable[..., np.ndarray]
) -> None:
    wanted = ("search.expected_words=4", f"encoder.weights={telling_weights(tmp_path)}")
    run(*wanted)
    captioner, _ = load_checkpoint(tmp_path / "out")
    words = captioner.expected_words
    assert words is not None
    assert words.rarity.any()
    assert words.layer.any()
    ranked = Predictor.load(tmp_path / "out", device="cpu").predict([drawn(1)])[0]
    captioner.expected_words = None
    described = read_description(tmp_path / "out")
    predictor = Predictor(captioner, described, device=torch.device("cpu"))
    plain = predictor.predict([drawn(1)])[0]
    wished = described.recipe.search
    with torch.inference_mode():
        (found,) = beam_search(
            captioner.decoder,
            captioner.decoder.begin(predictor.encode([predictor.frame(drawn(1))])),
            beam_size=wished.beam_size,
            count=2 * wished.beam_size,
            max_length=wished.max_length,
            length_penalty=wished.length_penalty,
        )
    texts = {finish(described.vocabulary.decode(one.tokens), described.recipe.text) for one in found}
    assert {ranked.text, *(one.text for one in ranked.alternatives)} <= texts
    assert len(ranked.alternatives) == len(plain.alternatives)
    assert ranked.score >= max(one.score for one in ranked.alternatives)
    assert -4 + plain.score <= ranked.score < plain.score
    before = (tmp_path / "out" / "weights.safetensors").read_bytes()
    run(*wanted, resume=True)
    assert (tmp_path / "out" / "weights.safetensors").read_bytes() == before
    run(*wanted, output="on", base=tmp_path / "out")
    on = load_checkpoint(tmp_path / "on")[0].expected_words
    assert on is not None
    assert torch.equal(on.centre, words.centre)
    run(output="without", base=tmp_path / "out")
    assert load_checkpoint(tmp_path / "without")[0].expected_words is None


def test_listed_words_are_known_however_rare(run: Run, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("daguerreotype\nT-shirt\n")
    described = run("data.min_count=100", f"data.word_list={tmp_path / 'words.txt'}", "training.epochs=1")
    assert set(described.vocabulary.words) == {*SPECIALS, "daguerreotype", "t-shirt"}
    assert described.recipe.data.word_list == "words.txt"
    with pytest.raises(RecipeError, match=r"data\.word_list names .*missing\.txt.*cannot be read"):
        run("data.word_list=missing.txt")


def test_training_that_cannot_go_on_leaves_the_last_good_checkpoint(run: Run, tmp_path: Path) -> None:
    run("training.epochs=1")
    before = (tmp_path / "out" / "weights.safetensors").read_bytes()
    for rows in (tmp_path / "cache").glob("*/rows.float16"):
        rows.write_bytes(np.full(rows.stat().st_size // 2, np.nan, np.float16).tobytes())
    with pytest.raises(TrainingError, match=r"loss became (nan|inf), .* in epoch 1, batch"):
        run("training.epochs=1")
    assert (tmp_path / "out" / "weights.safetensors").read_bytes() == before
