"""Cards: what a dataset says of itself."""

from typing import Any

from catalog.dataset_cards import MOST_NAMED, OTHERS, Tally, card
from catalog.manifests import FrozenCaption, FrozenItem
from catalog.schema import Split


def item(number: int, *texts: str, split: Split = Split.TRAIN, path: str = "", **told: Any) -> FrozenItem:
    captions = tuple(
        FrozenCaption(text=text, kind="caption", **{"language": "en", "origin": "edited", **told})
        for text in texts
    )
    return FrozenItem(
        item_id=number,
        path=path or f"quay/{number}.jpg",
        sha256=f"{number:064x}",
        rendition=f"{number:064x}",
        width=9,
        height=9,
        split=split,
        captions=captions,
    )


def tally(*items: FrozenItem) -> Tally:
    found = Tally()
    for one in items:
        found.add(one)
    return found


def told(*items: FrozenItem, before: tuple[int, Tally] | None = None) -> dict[str, Any]:
    return card(tally(*items), left_out={"golden": 2}, reviewers={"ada": 3, "grace": 1}, before=before)


def test_a_card_counts_by_split_and_origin() -> None:
    found = told(
        item(1, "A red boat.", "Ein Boot", origin="written", model="blip 1"),
        item(2, "A mill.", split=Split.TEST, path="mill.jpg", language="de"),
        item(3, "A boat's oar"),
    )
    assert found["images"] == {"test": 1, "train": 2}
    assert found["captions"] == {"test": 1, "train": 3}
    assert found["origins"] == {"test": {"edited": 1}, "train": {"written": 2, "edited": 1}}
    assert found["languages"] == {"en": 3, "de": 1}
    assert found["words"] == {"total": 10, "shortest": 2, "median": 2, "mean": 2.5, "longest": 3}
    assert found["vocabulary"] == len({"a", "red", "boat", "ein", "boot", "mill", "boat's", "oar"})
    assert found["sources"] == {"models": {"blip 1": 2}, "folders": {"quay": 2, ".": 1}, "rights": {}}
    assert (found["left_out"], found["reviewers"]) == ({"golden": 2}, {"ada": 3, "grace": 1})
    assert found["growth"] is None


def test_growth_tells_what_came_and_went_since_the_version_before() -> None:
    before = tally(item(1, "A boat."), item(2, "A mill."))
    found = told(item(1, "A blue boat.", "A blue ship at sea."), item(3, "ميناء"), before=(4, before))
    assert found["growth"] == {
        "since": 4,
        "images": 0,
        "captions": 1,
        "words_new": 5,
        "words_gone": 1,
        "new_words": ["blue", "at", "sea", "ship", "ميناء"],
    }


def test_a_photo_of_two_items_counts_once_and_long_lists_end_in_others() -> None:
    twin = item(1, "A boat.")
    assert told(twin, twin)["images"] == {"train": 1}
    folders = told(*[item(one, "A boat.", path=f"{one}/a.jpg") for one in range(MOST_NAMED + 5)])["sources"]
    assert len(folders["folders"]) == MOST_NAMED + 1
    assert folders["folders"][OTHERS] == 5


def test_emoji_alone_are_no_words() -> None:
    found = told(item(1, "\U0001f6a4\U0001f6a4"))
    assert (found["vocabulary"], found["words"]["longest"]) == (0, 0)
