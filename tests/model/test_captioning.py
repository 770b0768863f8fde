"""`recaption caption`, end to end through its command."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from model.captioning import caption_to_file, find_photos
from model.commands import caption
from model.errors import CaptioningError, CheckpointError
from model.predictor import Predictor

GOOD = ["one.jpg", "trip/three.jpg", "two.png"]
BAD = ["cut.jpg", "words.jpg"]


@pytest.fixture
def run(tiny_checkpoint: Path, tmp_path: Path) -> Callable[..., Result]:
    def command(*arguments: str | Path, output: str = "captions.jsonl") -> Result:
        options = [
            "--output",
            str(tmp_path / output),
            "--checkpoint",
            str(tiny_checkpoint),
            "--device",
            "cpu",
        ]
        return CliRunner().invoke(caption, [*map(str, arguments), *options])

    return command


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_good_photos_get_captions_and_bad_ones_a_reason(
    run: Callable[..., Result], photo_folder: Path, tmp_path: Path
) -> None:
    result = run(photo_folder, "--batch-size", "2")
    assert result.exit_code == 1
    lines = {row["image"]: row for row in rows(tmp_path / "captions.jsonl")}
    assert sorted(lines) == [str(photo_folder / name) for name in sorted(GOOD + BAD)]
    for name in GOOD:
        row = lines[str(photo_folder / name)]
        assert list(row) == ["image", "caption", "score", "confidence", "alternatives", "error"]
        assert row["caption"].endswith(".")
        assert row["error"] is None
        assert len(row["alternatives"]) == 2
    for name in BAD:
        row = lines[str(photo_folder / name)]
        assert (row["caption"], row["score"], row["alternatives"]) == (None, None, [])
        assert name in row["error"]
        assert f"{photo_folder / name}: {row['error']}" in result.stderr
    assert "3 photos captioned" in result.stderr
    assert "2 photos could not be captioned" in result.stderr


def test_nothing_failed_is_exit_code_zero_and_no_progress_is_piped(
    run: Callable[..., Result], photo_folder: Path
) -> None:
    result = run(*(photo_folder / name for name in GOOD))
    assert result.exit_code == 0
    assert result.stderr == "3 photos captioned\n"
    assert result.stdout == ""


def test_a_batch_with_a_bad_photo_gets_the_captions_it_gets_without(
    run: Callable[..., Result], photo_folder: Path, tmp_path: Path
) -> None:
    run(photo_folder)
    run(*(photo_folder / name for name in GOOD), "--batch-size", "1", output="good.jsonl")
    good = {row["image"]: row["caption"] for row in rows(tmp_path / "good.jsonl")}
    mixed = {row["image"]: row["caption"] for row in rows(tmp_path / "captions.jsonl") if row["caption"]}
    assert mixed == good


def test_resume_goes_on_after_a_half_written_line(
    run: Callable[..., Result], photo_folder: Path, tmp_path: Path
) -> None:
    run(photo_folder)
    output = tmp_path / "captions.jsonl"
    complete = output.read_text()
    lines = complete.splitlines(keepends=True)
    output.write_text("".join(lines[:2]) + lines[2][:25])
    result = run(photo_folder, "--resume")
    assert output.read_text() == complete
    assert "2 were there already" in result.stderr
    again = run(photo_folder, "--resume")
    assert output.read_text() == complete
    assert again.exit_code == 1, "the photos that failed in the first run are still without a caption"
    assert "words.jpg" in again.stderr


def test_without_resume_the_file_is_begun_anew(
    run: Callable[..., Result], photo_folder: Path, tmp_path: Path
) -> None:
    run(photo_folder)
    run(photo_folder / "one.jpg")
    assert [row["image"] for row in rows(tmp_path / "captions.jsonl")] == [str(photo_folder / "one.jpg")]


@pytest.mark.parametrize("format_name", ["csv", "txt"])
def test_the_other_formats_can_be_resumed_too(
    run: Callable[..., Result], photo_folder: Path, tmp_path: Path, format_name: str
) -> None:
    shutil.copy(photo_folder / "one.jpg", photo_folder / "=odd,\n name.jpg")
    run(photo_folder, "--format", format_name)
    output = tmp_path / "captions.jsonl"
    complete = output.read_text()
    output.write_text(complete[: complete.rindex("\n", 0, len(complete) - 1) - 5])
    run(photo_folder, "--format", format_name, "--resume")
    assert output.read_text() == complete


def test_no_cell_of_a_csv_is_a_formula(
    run: Callable[..., Result], photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photo_folder)
    shutil.copy("one.jpg", "=1+2.jpg")
    run("=1+2.jpg", "one.jpg", "--format", "csv", output="captions.csv")
    with (tmp_path / "captions.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["image"] for row in table] == ["'=1+2.jpg", "one.jpg"]
    assert table[0]["caption"] == table[1]["caption"]
    assert float(table[0]["score"]) <= 0


def test_text_holds_a_path_and_a_caption_a_line(
    run: Callable[..., Result], photo_folder: Path, tmp_path: Path
) -> None:
    run(photo_folder / "one.jpg", photo_folder / "words.jpg", "--format", "txt", output="captions.txt")
    good, bad = (line.split("\t") for line in (tmp_path / "captions.txt").read_text().splitlines())
    assert good[0] == str(photo_folder / "one.jpg")
    assert good[1].endswith(".")
    assert bad == [str(photo_folder / "words.jpg"), ""]


def test_folders_files_and_globs_name_photos_once(
    photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photo_folder.parent)
    expected = [f"photos/{name}" for name in sorted(GOOD + BAD)]
    assert find_photos(["photos"]) == expected
    assert find_photos(["photos/two.png", "photos"]) == [
        "photos/two.png",
        *(e for e in expected if "two" not in e),
    ]
    assert find_photos(["photos/*.png", "photos/**/*three*"]) == ["photos/two.png", "photos/trip/three.jpg"]
    assert find_photos(["photos/notes.txt"]) == ["photos/notes.txt"], "a file by its name is always tried"


def test_sources_without_photos_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaptioningError, match="no photos in"):
        find_photos([str(tmp_path)])
    with pytest.raises(CaptioningError, match="no file, folder or match"):
        find_photos([str(tmp_path / "nowhere")])


def test_the_output_is_never_one_of_the_photos(run: Callable[..., Result], photo_folder: Path) -> None:
    before = (photo_folder / "one.jpg").read_bytes()
    result = run(photo_folder, output="photos/trip/../one.jpg")
    assert isinstance(result.exception, CaptioningError)
    assert (photo_folder / "one.jpg").read_bytes() == before


def test_a_file_of_something_else_is_not_resumed(
    run: Callable[..., Result], photo_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "captions.jsonl").write_text("dear diary\n")
    result = run(photo_folder, "--resume")
    assert isinstance(result.exception, CaptioningError)
    assert (tmp_path / "captions.jsonl").read_text() == "dear diary\n"


def test_a_missing_checkpoint_leaves_an_earlier_output_alone(photo_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "captions.jsonl"
    output.write_text("precious\n")
    arguments = [str(photo_folder), "--output", str(output), "--checkpoint", str(tmp_path / "none")]
    result = CliRunner().invoke(caption, arguments)
    assert isinstance(result.exception, CheckpointError)
    assert output.read_text() == "precious\n"


@pytest.mark.parametrize(
    "arguments", [["--output", "x"], ["photos"], ["photos", "--output", "x", "--beam-size", "0"]]
)
def test_wrong_usage_is_exit_code_two(arguments: list[str]) -> None:
    assert CliRunner().invoke(caption, arguments).exit_code == 2


def test_a_photo_with_too_many_pixels_is_refused_alone(
    run: Callable[..., Result], photo_folder: Path, tmp_path: Path
) -> None:
    result = run(photo_folder / "one.jpg", "--max-pixels", "100")
    assert result.exit_code == 1
    assert "limit of 100" in rows(tmp_path / "captions.jsonl")[0]["error"]


def test_an_interrupted_run_has_written_its_finished_batches(
    tiny_checkpoint: Path, photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor.load(tiny_checkpoint, device="cpu")
    predict = predictor.predict_framed
    calls: Iterator[int] = iter(range(10))

    def interrupted(images: Any) -> Any:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return predict(images)

    monkeypatch.setattr(predictor, "predict_framed", interrupted)
    output = tmp_path / "captions.jsonl"
    with pytest.raises(KeyboardInterrupt):
        caption_to_file(
            [str(photo_folder / name) for name in GOOD],
            output,
            load_predictor=lambda: predictor,
            format_name="jsonl",
            batch_size=1,
        )
    assert len(rows(output)) == 2
