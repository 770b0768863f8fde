"""What keys do on the review page, at which keys that is at first, and which keys no page should take."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from catalog.errors import InvalidInput
from catalog.schema import User
from dashboard.reserved_keys import RESERVED, TYPING

MODIFIERS = ("Ctrl", "Alt", "Shift", "Meta")
LONGEST_KEY = 40  # characters
# Mod is Ctrl, and Cmd on a Mac; Side is Alt, and Ctrl on a Mac, where Alt writes letters.
MEANING = {"mac": {"Mod": "Meta", "Side": "Ctrl"}, "other": {"Mod": "Ctrl", "Side": "Alt"}}


@dataclass(frozen=True)
class Action:
    """Something that a key does. `in_box` keys work in the text box, where all others belong to the text."""

    name: str
    words: str
    key: str
    in_box: bool = False


ACTIONS = (
    Action("accept", "Accept and next", "Mod+Enter", in_box=True),
    Action("save", "Save as a draft", "Mod+S", in_box=True),
    Action("leave", "Leave the box", "Escape", in_box=True),
    Action("back", "Back to the photo just seen", "Side+,", in_box=True),
    Action("onward", "On to the next photo, undecided", "Side+.", in_box=True),
    Action("edit", "Edit", "E"),
    Action("edit-too", "Edit", "Enter"),
    Action("accept-outside", "Accept and next", "A"),
    Action("reject", "Reject this caption", "X"),
    Action("reject-picture", "Reject the picture", "Shift+X"),
    Action("skip", "Skip", "Space"),
    Action("flag", "Flag", "F"),
    Action("undo", "Undo the last decision", "Backspace"),
    Action("previous", "Previous photo", "ArrowLeft"),
    Action("next", "Next photo", "ArrowRight"),
    *(Action(f"alternative-{number}", f"Take alternative {number}", str(number)) for number in range(1, 6)),
    Action("reason-subject", "It was the subject", "6"),
    Action("reason-attribute", "It was an attribute", "7"),
    Action("reason-number", "It was a number", "8"),
    Action("reason-place", "It was the place", "9"),
    Action("reason-wording", "It was the wording", "0"),
    Action("doubt-before", "Doubtful word before", "["),
    Action("doubt-behind", "Doubtful word behind", "]"),
    Action("repeat", "Repeat the previous caption", "R"),
    Action("attention", "Attention", "H"),
    Action("zoom", "Zoom to 100 %", "Z"),
    Action("unreviewed", "Next unreviewed photo", "U"),
    Action("search", "Search", "/"),
    Action("help", "Keys", "?"),
)
BY_NAME = {action.name: action for action in ACTIONS}


def keys_of(user: User) -> list[Action]:
    """All actions with the keys that they are at for this user."""
    return [_with_key(action, user.keys.get(action.name, action.key)) for action in ACTIONS]


def checked(wanted: Mapping[str, str]) -> dict[str, str]:
    """The keys that differ from those at first. An empty one turns the action's key off.

    Raises InvalidInput, with all that is wrong, for keys that cannot be, that something else has a use for,
    and for one key that would do two things.
    """
    actions = [_with_key(action, wanted.get(action.name, action.key).strip()) for action in ACTIONS]
    faults = [fault for action in actions if action.key for fault in _faults(action)] + _twice(actions)
    if faults:
        raise InvalidInput(" ".join(faults))
    return {action.name: action.key for action in actions if action.key != BY_NAME[action.name].key}


def chord(key: str, platform: str) -> str:
    """A key with what Mod and Side stand for on a platform, its modifiers in one order."""
    *held, last = _parts(key)
    meant = {MEANING[platform].get(name, name) for name in held}
    return "+".join(
        [*(name for name in MODIFIERS if name in meant), last.upper() if len(last) == 1 else last]
    )


def reserved_by(action: Action) -> list[str]:
    """Who has a use for the action's key: systems, browsers and, for keys in the box, the text."""
    found = []
    for platform, owners in RESERVED.items():
        meant = chord(action.key, platform)
        for owner, chords in owners.items():
            if meant in chords and (owner != "the text" or action.in_box):
                found.append(owner)
        *held, last = _parts(meant)
        bare = not set(held) - {"Shift"}
        writes = len(last) == 1 and (bare or (platform == "mac" and held == ["Alt"]))
        if action.in_box and (writes or (bare and last in TYPING)):
            found.append("the text")
    return list(dict.fromkeys(found))


def _with_key(action: Action, key: str) -> Action:
    return Action(action.name, action.words, key, action.in_box)


def _parts(key: str) -> list[str]:
    return [key] if key == "+" else re.split(r"\+(?=.)", key)


def _faults(action: Action) -> list[str]:
    *held, last = _parts(action.key)
    known = {*MODIFIERS, "Mod", "Side"}
    sound = set(held) <= known and last not in known and re.fullmatch(r"[A-Za-z0-9]{2,}|[^\W_]|[^\s\w]", last)
    if len(action.key) > LONGEST_KEY or not sound or not last.isprintable():
        return [f"“{action.key[:LONGEST_KEY]}” is no key; press the keys in the field of “{action.words}”."]
    owners = reserved_by(action)
    return [
        f"{action.key} belongs to {' and '.join(owners)}; choose another key for “{action.words}”."
    ] * bool(owners)


def _twice(actions: list[Action]) -> list[str]:
    """Keys that two actions have, on any platform."""
    faults = []
    for platform in MEANING:
        taken: dict[str, Action] = {}
        for action in actions:
            if not action.key:
                continue
            other = taken.setdefault(chord(action.key, platform), action)
            if other is not action:
                faults.append(f"{action.key} is both “{other.words}” and “{action.words}”.")
    return list(dict.fromkeys(faults))
