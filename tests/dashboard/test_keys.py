"""Keys of the review page: none is taken from others, none does two things, and people may change them."""

import pytest

from catalog.errors import InvalidInput
from dashboard.actions import ACTIONS, BY_NAME, Action, checked, chord, keys_of, reserved_by
from dashboard.reserved_keys import RESERVED
from tests.dashboard.visitor import Visitor

PLATFORMS = ("mac", "other")


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_no_key_is_taken_from_systems_browsers_or_the_text(action: Action) -> None:
    assert reserved_by(action) == []


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_reserved_key_would_be_refused(platform: str) -> None:
    for owner, chords in RESERVED[platform].items():
        for reserved in chords:
            # Mod and Side hide nothing: the list is of what they stand for.
            assert chord(reserved, platform) == reserved
            assert owner in reserved_by(Action("accept", "Accept", reserved, in_box=True)), reserved


@pytest.mark.parametrize(
    ("key", "owner"),
    [
        ("Ctrl+ArrowUp", "macOS"),
        ("Alt+ArrowUp", "the text"),
        ("Mod+T", "the browser"),
        ("Side+ArrowLeft", "the browser"),
        ("A", "the text"),
        ("Shift+A", "the text"),
        ("Space", "the text"),
        ("ArrowLeft", "the text"),
        ("Alt+O", "the text"),
    ],
)
def test_keys_in_the_box_leave_the_text_its_own(key: str, owner: str) -> None:
    assert owner in reserved_by(Action("back", "Back", key, in_box=True))
    with pytest.raises(InvalidInput, match="choose another key for “Back to the photo just seen”"):
        checked({"back": key})


def test_keys_outside_the_box_may_be_letters_and_arrows() -> None:
    assert reserved_by(Action("flag", "Flag", "F")) == reserved_by(Action("next", "Next", "ArrowRight")) == []


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_two_actions_share_a_key(platform: str) -> None:
    chords = [chord(action.key, platform) for action in ACTIONS]
    assert len(set(chords)) == len(chords)


def test_one_key_for_two_actions_is_refused_also_where_only_one_platform_mixes_them_up() -> None:
    with pytest.raises(InvalidInput, match="F is both “Flag” and “Zoom to 100 %”"):
        checked({"zoom": "F"})
    with pytest.raises(InvalidInput, match="is both"):
        checked({"flag": "Ctrl+Enter"})  # what Mod+Enter is elsewhere than on a Mac


@pytest.mark.parametrize("key", ["Hyper+X", "Ctrl+", "x" * 50, "Mod", "Ctrl+\x00"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput, match="is no key"):
        checked({"flag": key})


def test_a_key_that_is_emptied_is_off_and_only_changes_are_kept() -> None:
    assert checked({"flag": "", "zoom": "Z"}) == {"flag": ""}
    assert checked({action.name: action.key for action in ACTIONS}) == {}


def test_a_key_can_be_passed_on_once_it_is_free() -> None:
    assert checked({"zoom": "F", "flag": "Z"}) == {"zoom": "F", "flag": "Z"}


def test_people_change_keys_for_themselves_alone(admin: Visitor, reviewer: Visitor, item: int) -> None:
    page = admin.get("/keys").text
    assert f'value="{BY_NAME["flag"].key}"' in page
    wanted = {action.name: action.key for action in ACTIONS} | {"flag": "M"}
    assert admin.submit("/keys", wanted).status_code == 303
    assert "&#34;key&#34;: &#34;M&#34;" in admin.get(f"/items/{item}").text
    refused = admin.submit("/keys", wanted | {"zoom": "M"})
    assert refused.status_code == 422
    assert "M is both" in refused.text
    assert 'value="M"' not in reviewer.get("/keys").text
    assert admin.submit("/keys", {"reset": "yes"}).status_code == 303
    assert 'value="M"' not in admin.get("/keys").text


def test_what_is_kept_is_given_back_in_the_order_of_the_list() -> None:
    class Person:
        keys = {"flag": "M"}

    keys = keys_of(Person())  # type: ignore[arg-type]
    assert [action.name for action in keys] == [action.name for action in ACTIONS]
    assert next(action.key for action in keys if action.name == "flag") == "M"
