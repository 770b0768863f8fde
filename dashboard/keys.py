"""The keys of the review page: what they do, which they are at first, and which no page should take."""

from dataclasses import dataclass

MODIFIERS = ("Ctrl", "Alt", "Shift", "Meta")
LONGEST_KEY = 40  # characters
# Mod is Ctrl, and Cmd on a Mac; Side is Alt, and Ctrl on a Mac, where Alt writes letters.
PLATFORMS = {"mac": {"Mod": "Meta", "Side": "Ctrl"}, "other": {"Mod": "Ctrl", "Side": "Alt"}}


@dataclass(frozen=True)
class Action:
    """Something that a key does. `in_box` keys work inside the text box; all others belong to the text."""

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
    Action("edit", "Edit", "e"),
    Action("edit-too", "Edit", "Enter"),
    Action("accept-outside", "Accept and next", "a"),
    Action("reject", "Reject this caption", "x"),
    Action("reject-picture", "Reject the picture", "Shift+X"),
    Action("skip", "Skip", "Space"),
    Action("flag", "Flag", "f"),
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
    Action("repeat", "Repeat the previous caption", "r"),
    Action("attention", "Attention", "h"),
    Action("zoom", "Zoom to 100 %", "z"),
    Action("unreviewed", "Next unreviewed photo", "u"),
    Action("search", "Search", "/"),
    Action("help", "Keys", "?"),
)
BY_NAME = {action.name: action for action in ACTIONS}
