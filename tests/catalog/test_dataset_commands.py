"""The commands on datasets and golden sets, from import to deletion."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from catalog.blobs.local import LocalBlobs
from catalog.commands import import_command
from catalog.dataset_commands import dataset_group, filter_of, freeze_command
from catalog.errors import Conflict, InvalidInput, MissingBlob, NotFound
from catalog.filters import ItemFilter
from catalog.golden_commands import golden_group
from catalog.schema import Origin

Photo = Callable[..., Path]
TEXTS = ("A boat at the quay.", "مركب في الميناء", "Two boats \U0001f6a4.", "A mill.")


@pytest.fixture(autouse=True)
def harbour(photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection of four photos with captions of people."""
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "home"))
    for number, text in enumerate(TEXTS):
        photo(tmp_path / "photos" / f"{number}.jpg", number)
        (tmp_path / "photos" / f"{number}.txt").write_text(text, encoding="utf-8")
    said(import_command, "Harbour", tmp_path / "photos")


def said(command: Any, *arguments: object) -> str:
    """What a command prints; what it raises, it raises here."""
    result = CliRunner().invoke(command, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def told(command: Any, *arguments: object) -> Any:
    return json.loads(said(command, *arguments, "--json"))


def test_datasets_are_frozen_listed_shown_compared_and_deleted() -> None:
    assert "boats@1: 1 photos" in said(freeze_command, "Harbour", "boats", "--filter", "path=2.jpg")
    assert "holds the same already" in said(freeze_command, "Harbour", "boats", "--filter", "?path=2.jpg")
    whole = told(freeze_command, "Harbour", "boats")
    assert (whole["version"], whole["images"], whole["is_new"]) == (2, 4, True)
    assert [one["version"] for one in told(dataset_group, "list")] == [2, 1]
    assert told(dataset_group, "list", "--kind", "golden") == []
    assert "boats@2: 4 photos" in said(dataset_group, "list")
    shown = said(dataset_group, "show", "boats")
    assert "imported" in shown
    assert f"manifest: {whole['manifest_sha256']}" in shown
    assert "filter: path 2.jpg" in said(dataset_group, "show", "boats@1")
    found = told(dataset_group, "diff", "boats@1", "boats")
    assert (found["added"]["count"], found["removed"]["count"], found["changed"]["count"]) == (3, 0, 0)
    assert "1.jpg: مركب في الميناء" in said(dataset_group, "diff", "boats@1", "boats@2")
    assert "boats@2 is deleted; 1 stored file was removed with it" in said(
        dataset_group, "delete", "boats", "--yes"
    )
    assert [one["version"] for one in told(dataset_group, "list")] == [1]


def test_imported_captions_are_frozen_as_a_golden_set_and_sets_are_drawn() -> None:
    frozen = told(golden_group, "freeze", "Harbour", "judge", "--from-imported", "--filter", "path=3.jpg")
    assert (frozen["kind"], frozen["images"], frozen["card"]["images"]) == ("golden", 1, {"golden": 1})
    drawn = told(golden_group, "draw", "Harbour", "blind", "--size", 2, "--references-each", 2)
    assert (drawn["photos"], drawn["wanted"], drawn["written"]) == (2, 4, 0)
    assert "blind: 2 photos, 0 of 4 references written" in said(golden_group, "list", "Harbour")
    with pytest.raises(Conflict, match="2 photos of the golden set 'blind' lack references"):
        said(golden_group, "freeze", "Harbour", "blind")
    with pytest.raises(InvalidInput, match="give --filter with --from-imported"):
        said(golden_group, "freeze", "Harbour", "blind", "--filter", "path=1.jpg")
    learned = told(freeze_command, "Harbour", "boats")
    assert (learned["images"], learned["card"]["left_out"]["golden"]) == (1, 3)
    said(golden_group, "delete", "Harbour", "blind", "--yes")
    assert told(golden_group, "list", "Harbour") == []
    assert told(freeze_command, "Harbour", "boats")["images"] == 3


@pytest.mark.parametrize("words", ["orgin=edited", "edited", "order=name", "state=done", "?"])
def test_a_filter_that_says_nothing_is_refused(words: str) -> None:
    with pytest.raises(InvalidInput):
        said(freeze_command, "Harbour", "boats", "--filter", words)
    assert told(dataset_group, "list") == []


def test_a_filter_is_read_from_an_address() -> None:
    assert filter_of("origin=edited&reviewer=ada") == ItemFilter(origin=Origin.EDITED, reviewer="ada")
    assert filter_of("http://127.0.0.1:8765/collections/1?q=two%20boats") == ItemFilter(q="two boats")
    assert filter_of("") == ItemFilter()


def test_what_is_not_there_and_what_was_tampered_with_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        said(freeze_command, "Mills", "boats")
    with pytest.raises(NotFound, match="no dataset called 'boats'"):
        said(dataset_group, "show", "boats")
    frozen = told(freeze_command, "Harbour", "boats")
    path = LocalBlobs(tmp_path / "home" / "blobs").path(frozen["manifest_sha256"])
    path.write_bytes(path.read_bytes().replace(b"mill", b"kiln"))
    with pytest.raises(MissingBlob):
        said(dataset_group, "diff", "boats", "boats")
