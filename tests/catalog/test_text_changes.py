"""Find and replace, prepend and append, on single texts."""

import time
from contextlib import suppress
from typing import Any

import pytest
import regex

from catalog import text_changes
from catalog.errors import InvalidInput
from catalog.schema import OperationKind
from catalog.text_changes import OutOfTime, differences, text_change


def replaced(text: str, **options: Any) -> str | None:
    return text_change(OperationKind.REPLACE, options)(text)


@pytest.mark.parametrize(
    ("options", "before", "after"),
    [
        ({"find": "dog", "put": "cat"}, "A dog and a Dog.", "A cat and a cat."),
        ({"find": "dog", "put": "cat", "case": True}, "A dog and a Dog.", "A cat and a Dog."),
        ({"find": "dog", "put": "cat", "whole": True}, "Dogs and a dog.", "Dogs and a cat."),
        ({"find": "a.b", "put": r"\1"}, "a.b, not axb", r"\1, not axb"),
        ({"find": " in the image", "put": ""}, "A boat in the image.", "A boat."),
        ({"find": "ÉTÉ", "put": "winter"}, "Un été.", "Un winter."),
        (
            {"find": r"(\w+) and (\w+)", "put": r"\2 and \1", "pattern": True},
            "cats and dogs",
            "dogs and cats",
        ),
        ({"find": r"(?P<n>\d+)px", "put": r"\g<n> pixels\\", "pattern": True}, "20px", "20 pixels\\"),
        ({"find": r"^an? ", "put": "The ", "pattern": True}, "A boat.", "The boat."),
        ({"find": "(x)?boat", "put": r"\1ship", "pattern": True}, "A boat.", "A ship."),
        ({"find": r"\p{Lu}", "put": "U", "pattern": True, "case": True}, "Ärger", "Urger"),
    ],
)
def test_what_is_found_is_replaced(options: dict[str, Any], before: str, after: str) -> None:
    assert replaced(before, **options) == after


def test_texts_that_stay_or_would_say_nothing_or_too_much_are_left_out() -> None:
    assert replaced("A boat.", find="dog", put="cat") is None
    assert replaced("A boat.", find="A boat.", put="") is None
    assert replaced("a" * 9_000, find="a", put="bb") is None


def test_words_are_put_before_and_behind() -> None:
    assert text_change(OperationKind.PREPEND, {"text": "Photo: "})("A boat.") == "Photo: A boat."
    assert text_change(OperationKind.APPEND, {"text": " At sea."})("A boat.") == "A boat. At sea."


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"find": ""}, "nothing to look for"),
        ({"find": "x" * 501}, "find has 501 characters"),
        ({"find": "a(b", "pattern": True}, "missing \\) at character 4"),
        ({"find": "*", "pattern": True}, "nothing to repeat at character 1"),
        ({"find": "(a)", "put": r"b\2", "pattern": True}, r"wrong at character 2: '\\\\2' names no group"),
        ({"find": "(a)", "put": "b\\", "pattern": True}, "wrong at character 2"),
        ({"find": "(a)", "put": r"\g<b>", "pattern": True}, "names no group"),
    ],
)
def test_a_bad_replacement_is_told_with_its_place(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        text_change(OperationKind.REPLACE, options)


def test_nothing_cannot_be_added() -> None:
    with pytest.raises(InvalidInput, match="nothing to add"):
        text_change(OperationKind.APPEND, {"text": "  "})


@pytest.mark.parametrize(
    ("pattern", "put"), [("(a+)+$", ""), ("(?=((a+)+)$)x", ""), ("(?=(.*))", r"\1" * 100), ("(?R)", "")]
)
def test_no_pattern_takes_long(pattern: str, put: str) -> None:
    change = text_change(OperationKind.REPLACE, {"find": pattern, "put": put, "pattern": True})
    began = time.process_time()
    with suppress(OutOfTime):
        assert change("a" * 5_000 + "b") is None
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "pattern",
    [
        "((a{1000}){1000}){5}",
        "(?:(?:a|b){,1000}c){1000,}",
        r"(([)]\)(?#\))[^]([:alpha:]a{1000}){1000}){1000}",
        "(?:" * 14 + "ab" + ")+?" * 14,
        "(" * 12 + "ab" + "){2}" * 12,
        "((a{9}){" + "9" * 400 + "})",
    ],
)
def test_a_pattern_that_repeats_repeats_is_refused_before_it_is_compiled(
    pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regex, "compile", lambda *_: pytest.fail("it is compiled"))
    with pytest.raises(InvalidInput, match=r"repeats too much.*use smaller numbers"):
        replaced("A boat.", find=pattern, pattern=True)


@pytest.mark.parametrize("pattern", ["(?x)((a{1000}){10 #)\n00}){1000}", "b(?iV1:[a[b](])"])
def test_flags_that_hide_what_a_pattern_repeats_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput, match=r"sets a flag at character .* write it without x and V"):
        replaced("A boat.", find=pattern, pattern=True)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"\{1000\}{2}", "{1000}}"),
        ("(?:[{1000}]{2}){2}", "{01}"),
        ("(?:[](){1000}]{4}){1}", "()]{"),
        ("[[:alpha:](){1000}]{4}", "a(b)"),
        ("a{3}", "aaa"),
        ("(?:ab){2,4}c{10}", "abab" + "c" * 10),
        (r"(?:\w{1,40} ){1,1000}", "a boat "),
        ("(?i)max+", "MAXX"),
    ],
)
def test_harmless_repeats_are_understood(pattern: str, text: str) -> None:
    assert replaced(f"{text}.", find=pattern, put="x", pattern=True) == "x."


def test_a_pattern_that_ran_out_of_time_says_what_to_do() -> None:
    change = text_change(OperationKind.REPLACE, {"find": "(a+)+$", "pattern": True})
    with pytest.raises(OutOfTime, match=r"takes longer than 0.25 s on 'aaa.*simplify it"):
        change("a" * 5_000 + "b")


def test_a_busy_machine_blames_no_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the module regex goes on while this thread has to wait for others."""
    late, replace = iter([TimeoutError, TimeoutError]), text_changes._replaced

    def starved(*options: Any) -> str:
        for error in late:
            raise error
        return replace(*options)

    monkeypatch.setattr(text_changes, "_replaced", starved)
    assert replaced("A dog.", find="dog", put="cat") == "A cat."


def test_differences_name_the_words_that_changed() -> None:
    found = differences("A brown dog runs.", "A brown cat runs fast.")
    assert [(one.mark, one.words) for one in found] == [
        ("same", "A brown "),
        ("gone", "dog"),
        ("new", "cat"),
        ("same", " runs"),
        ("new", " fast"),
        ("same", "."),
    ]
