"""`recaption train` and `recaption evaluate`, through their commands."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from model.commands import evaluate, train
from model.data import content_hashes, data_hash, read_data
from model.description import read_description
from model.errors import DataError, RecipeError
from model.predictor import Predictor

SCORES = ["bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider"]


@pytest.fixture
def run(caption_data: Path) -> Callable[..., Result]:
    def command(*arguments: str | Path) -> Result:
        return CliRunner().invoke(
            evaluate, ["--data", str(caption_data), "--split", "dev", *map(str, arguments)]
        )

    return command


def test_the_json_is_the_one_that_scripts_rely_on(run: Callable[..., Result], tiny_checkpoint: Path) -> None:
    result = run("--checkpoint", tiny_checkpoint, "--beam-size", "2", "--json", "--device", "cpu")
    assert result.exit_code == 0, result.output
    printed: dict[str, Any] = json.loads(result.stdout)
    assert list(printed)[:7] == ["split", "n", "references", "tokenizer", "beam_size", "scores", "human"]
    assert [printed[key] for key in list(printed)[:5]] == ["dev", 4, 2, "ptb", 2]
    assert list(printed["scores"]) == list(printed["human"]) == list(printed["intervals"]) == SCORES
    assert all(low <= high for low, high in printed["intervals"].values())
    assert printed["scorer"].startswith("recaption-1, sacrebleu 2.")
    assert result.stderr == ""


def test_the_json_names_the_checkpoint_and_the_data_by_their_hashes(
    run: Callable[..., Result], tiny_checkpoint: Path, caption_data: Path
) -> None:
    printed = json.loads(run("--checkpoint", tiny_checkpoint, "--json", "--device", "cpu").stdout)
    description = read_description(tiny_checkpoint)
    examples = read_data(caption_data).split("dev")
    assert (printed["checkpoint"], printed["weights_sha256"]) == ("tiny", description.weights_sha256)
    assert printed["data_sha256"] == data_hash(examples, content_hashes(examples))
    assert printed["failed"] == 0


def test_another_framing_can_be_tried_and_is_named(run: Callable[..., Result], tiny_checkpoint: Path) -> None:
    arguments = ("--checkpoint", tiny_checkpoint, "--json", "--device", "cpu")
    framings = [json.loads(run(*arguments, *more).stdout)["framing"] for more in ((), ("--framing", "pad"))]
    assert framings == ["squash", "pad"]
    assert Predictor.load(tiny_checkpoint, framing="crop").description.preprocessing.framing == "crop"


def test_a_photo_that_cannot_be_read_counts_as_wrong_and_is_named(
    tiny_checkpoint: Path, caption_data: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(caption_data, tmp_path / "data")
    (copy / "Images" / "9.png").write_bytes(b"no photo")
    arguments = ["--data", str(copy), "--split", "dev", "--checkpoint", str(tiny_checkpoint), "--json"]
    result = CliRunner().invoke(
        evaluate, [*arguments, "--device", "cpu", "--predictions", str(tmp_path / "p")]
    )
    assert json.loads(result.stdout)["failed"] == 1
    assert "1 photos have no caption of tiny" in result.stderr
    assert "  9.png: " in result.stderr
    assert result.exit_code == 1
    captions = {row["image_id"]: row["caption"] for row in json.loads((tmp_path / "p").read_text())}
    assert captions["9.png"] == ""
    assert captions["8.png"]


def test_details_tell_what_each_photo_scored(
    run: Callable[..., Result], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    file = tmp_path / "details"
    printed = json.loads(
        run("--checkpoint", tiny_checkpoint, "--details", file, "--json", "--device", "cpu").stdout
    )
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["image"] for row in rows] == ["8.png", "9.png", "10.png", "11.png"]
    assert all(row["captions"]["tiny"] for row in rows)
    mean = sum(row["cider"]["tiny"] for row in rows) / 4
    assert printed["scores"]["cider"] == pytest.approx(mean, abs=1e-6)


def test_a_photo_that_cannot_be_read_changes_no_other_score(
    tiny_checkpoint: Path, caption_data: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(caption_data, tmp_path / "data")
    example = read_data(copy).split("dev")[0]
    texts = tmp_path / "texts.jsonl"

    def scored(broken: bool) -> list[dict[str, Any]]:
        caption = None if broken else example.captions[0]
        lines = [{"image": example.path.name, "caption": caption}]
        lines += [{"image": f"{number}.png", "caption": "A red thing in the snow."} for number in (9, 10, 11)]
        texts.write_text("\n".join(map(json.dumps, lines)))
        arguments = ["--data", str(copy), "--split", "dev", "--captions", str(texts), "--against"]
        arguments += [str(tiny_checkpoint), "--device", "cpu", "--details", str(tmp_path / "details")]
        CliRunner().invoke(evaluate, arguments)
        return [json.loads(line) for line in (tmp_path / "details").read_text().splitlines()]

    whole = scored(broken=False)
    example.path.write_bytes(b"no photo")
    damaged = scored(broken=True)
    assert damaged[0]["captions"] == {"texts.jsonl": "", "tiny": ""}
    assert damaged[0]["cider"] == {"texts.jsonl": 0, "tiny": 0}
    assert whole[0]["cider"]["texts.jsonl"] > 0
    # The references of the photo count on: document frequencies are those of the whole set.
    assert damaged[1:] == whole[1:]
    assert any(score for row in whole[1:] for score in row["cider"].values())


def test_the_table_names_split_references_tokens_and_beam(
    run: Callable[..., Result], tiny_checkpoint: Path
) -> None:
    lines = run("--checkpoint", tiny_checkpoint, "--device", "cpu").stdout.splitlines()
    assert lines[0] == "4 photos of dev, 2 references, ptb tokens, beam 3, framing squash"
    assert "checkpoint tiny, weights " in lines[1]
    assert [line[:9].rstrip() for line in lines[3:]] == ["captions", "95 % low", "95 % high", "people"]


def test_predictions_can_be_scored_again_from_their_file(
    run: Callable[..., Result], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    first = run(
        "--checkpoint", tiny_checkpoint, "--predictions", tmp_path / "p.json", "--json", "--device", "cpu"
    )
    again = run("--captions", tmp_path / "p.json", "--json")
    assert json.loads(again.stdout)["scores"] == json.loads(first.stdout)["scores"]
    assert json.loads(again.stdout)["beam_size"] is None
    assert json.loads(again.stdout)["checkpoint"] is None


def test_anybodys_captions_are_scored_and_missing_ones_count_as_wrong(
    run: Callable[..., Result], caption_data: Path, tmp_path: Path
) -> None:
    lines = [
        {"image": f"elsewhere/{example.path.name}", "caption": example.captions[0]}
        for example in read_data(caption_data).split("dev")
    ]
    file = tmp_path / "captions.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    assert json.loads(run("--captions", file, "--json").stdout)["scores"]["bleu4"] == pytest.approx(1)
    lines[0]["caption"] = None  # type: ignore[assignment]
    file.write_text("\n".join(map(json.dumps, lines[:3])))
    result = run("--captions", file, "--json")
    assert json.loads(result.stdout)["scores"]["rouge_l"] == pytest.approx(0.5)
    assert json.loads(result.stdout)["failed"] == 2
    assert result.stderr.count("no caption in") == 2


def test_captions_of_other_photos_or_no_captions_are_refused(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_text('{"image": "other.jpg", "caption": "A dog."}\n')
    assert "captions none of the 4 photos" in str(run("--captions", file).exception)
    file.write_text("")
    assert "captions none of the 4 photos" in str(run("--captions", file).exception)
    file.write_text("A dog.\n")
    assert "cannot read captions from" in str(run("--captions", file).exception)
    assert isinstance(run("--captions", tmp_path / "nowhere").exception, DataError)


def test_an_unknown_split_is_refused_with_those_there_are(caption_data: Path) -> None:
    result = CliRunner().invoke(evaluate, ["--data", str(caption_data), "--split", "deff"])
    assert isinstance(result.exception, DataError)
    assert 'has no split "deff"; it has dev, train' in str(result.exception)


def test_captions_and_a_checkpoint_together_are_wrong_usage(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    result = run("--captions", tmp_path / "c.jsonl", "--checkpoint", tmp_path)
    assert result.exit_code == 2
    assert "leave out --checkpoint" in result.stderr


def test_a_captioner_can_be_trained_and_scored_from_the_command_line(
    run: Callable[..., Result], caption_data: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text('[data]\nimage_size = 64\nmin_count = 1\n[encoder]\nweights = "none"\n')
    arguments = ["--data", str(caption_data), "--recipe", str(recipe), "--output", str(tmp_path / "mine")]
    small = ["decoder.hidden_size=16", "training.epochs=1", "training.batch_size=4"]
    trained = CliRunner().invoke(train, [*arguments, "--device", "cpu", *small])
    assert trained.exit_code == 0, trained.output
    assert "epoch 1" in trained.stderr
    scored = json.loads(run("--checkpoint", tmp_path / "mine", "--json", "--device", "cpu").stdout)
    assert scored["n"] == 4
    assert set(scored["certainty"]) == {"most_certain_cider", "least_certain_cider", "calibration_error"}
    table = run("--checkpoint", tmp_path / "mine", "--device", "cpu").stdout
    assert "CIDEr of the most certain tenth" in table


def test_predictions_carry_the_ids_of_their_data(
    caption_data: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    shutil.copytree(caption_data / "Images", tmp_path / "Images")
    content = {
        "images": [{"id": 70 + number, "file_name": f"{number}.png"} for number in range(2)],
        "annotations": [{"image_id": 70 + number, "caption": "A dog."} for number in range(2)],
    }
    (tmp_path / "captions_val.json").write_text(json.dumps(content))
    arguments = ["--data", str(tmp_path / "captions_val.json"), "--split", "val", "--json"]
    predicted = CliRunner().invoke(
        evaluate,
        [*arguments, "--checkpoint", str(tiny_checkpoint), "--predictions", str(tmp_path / "p.json")],
    )
    assert predicted.exit_code == 0, predicted.output
    assert [row["image_id"] for row in json.loads((tmp_path / "p.json").read_text())] == [70, 71]
    again = CliRunner().invoke(evaluate, [*arguments, "--captions", str(tmp_path / "p.json")])
    assert json.loads(again.stdout)["scores"] == json.loads(predicted.stdout)["scores"]


def test_a_typo_on_the_command_line_is_named(caption_data: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(caption_data), "--recipe", "starter", "--output", str(tmp_path / "x")]
    result = CliRunner().invoke(train, [*arguments, "decoder.hiden_size=16"])
    assert isinstance(result.exception, RecipeError)
    assert 'did you mean "hidden_size"' in str(result.exception)
