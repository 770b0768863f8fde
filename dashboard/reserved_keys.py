"""Keys that systems, browsers and text fields have a use for, as their makers list them, by platform.

Ctrl+S is none of them: it saves there, too. Apple's list: <https://support.apple.com/en-us/102650>.
"""


def _chords(prefix: str, keys: str) -> set[str]:
    return {f"{prefix}+{key}" for key in keys.split()}


ARROWS = "ArrowLeft ArrowRight ArrowUp ArrowDown"
RESERVED: dict[str, dict[str, set[str]]] = {
    "mac": {
        "macOS": (
            _chords("Ctrl", f"{ARROWS} Space F1 F2 F3 F4 F5 F6 F7 F8")
            | _chords("Meta", "Space Tab ` Q W H M , F5 Escape")
            | _chords("Ctrl+Alt", "Space")
            | _chords("Shift+Meta", "3 4 5 6 Q")
            | _chords("Alt+Meta", "Escape Space D H M W F5")
            | _chords("Ctrl+Meta", "Q F Space")
        ),
        "the browser": (
            _chords("Meta", "T N L R D P O F G J Y E [ ] + - 0 1 2 3 4 5 6 7 8 9")
            | _chords("Shift+Meta", "T N W R B D I J C O P A [ ] G Delete Backspace")
            | _chords("Alt+Meta", "I J C U B L F ArrowLeft ArrowRight")
            | _chords("Ctrl", "Tab PageUp PageDown")
            | _chords("Ctrl+Shift", "Tab")
        ),
        "the text": (
            _chords("Ctrl", "A B D E F H K L N O P T V Y")
            | _chords("Alt", f"{ARROWS} Backspace Delete Enter PageUp PageDown")
            | _chords("Meta", f"{ARROWS} A B C I K U V X Z Backspace Delete")
            | _chords("Shift+Meta", f"{ARROWS} V Z")
            | _chords("Alt+Shift", ARROWS)
            | _chords("Ctrl+Shift", f"{ARROWS} A B E F N P")
        ),
    },
    "other": {
        "Windows": (
            _chords("Alt", "Tab F4 Space Escape Enter")
            | _chords("Ctrl", "Escape Space")
            | _chords("Ctrl+Shift", "Escape Space")
            | _chords("Ctrl+Alt", "Delete Tab")
            | _chords("Alt+Shift", "Escape Tab")
        ),
        "the browser": (
            {"F1", "F3", "F5", "F6", "F7", "F10", "F11", "F12"}
            | _chords(
                "Ctrl",
                "T N W L K E D F G H J O P Q R U + - 0 1 2 3 4 5 6 7 8 9 [ ] Tab F4 F5 PageUp PageDown",
            )
            | _chords(
                "Ctrl+Shift", "T N W I J C B D K M O P Q R A E G S Y Tab Delete PageUp PageDown , . Backspace"
            )
            | _chords("Alt", "ArrowLeft ArrowRight Home D E F V S B T H F10 F12")
            | _chords("Alt+Shift", "B I T A")
            | _chords("Shift", "Escape F10 F5 F9")
        ),
        "the text": (
            _chords("Ctrl", f"{ARROWS} A B C I U V X Y Z Backspace Delete Home End Insert")
            | _chords("Ctrl+Shift", f"{ARROWS} V Z Home End L U X")
            | _chords("Alt", "ArrowUp ArrowDown Backspace")
            | _chords("Shift", f"{ARROWS} Home End Insert Delete Backspace Enter PageUp PageDown")
        ),
    },
}
TYPING = {
    "Enter",
    "Space",
    "Tab",
    "Backspace",
    "Delete",
    "Home",
    "End",
    "PageUp",
    "PageDown",
    *ARROWS.split(),
}
