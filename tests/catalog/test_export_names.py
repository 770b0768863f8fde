"""Names of exported files, safe on every file system and nobody else's."""

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.exports.names import LONGEST_PART, Names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("pier/boat.jpg", "pier/boat.jpg"),
        ("pier/boat.TIF", "pier/boat.jpg"),
        ("../../etc/passwd", "etc/passwd.jpg"),
        ("/var/photos/a.jpg", "var/photos/a.jpg"),
        ("C:\\photos\\a.jpg", "C_/photos/a.jpg"),
        ("a/./b//c.jpg", "a/b/c.jpg"),
        ("..", "photo.jpg"),
        ("", "photo.jpg"),
        ("con.jpg", "_con.jpg"),
        ("aux/LPT1.tar.jpg", "_aux/_LPT1.tar.jpg"),
        ("a?b*c.jpg", "a_b_c.jpg"),
        ("a\x00\nb\u202ec.jpg", "a__b_c.jpg"),
        (".hidden/.boat.jpg", "hidden/boat.jpg"),
        ("__pier__/boat.jpg", "_pier__/boat.jpg"),
        ("pier. /boat .jpg", "pier/boat.jpg"),
        ("pier.jpg/boat.jpg", "pier.jpg_/boat.jpg"),
        ("St. Mary/boat 1.2.jpg", "St. Mary/boat 1.2.jpg"),
        ("港/ボート🚤.jpg", "港/ボート🚤.jpg"),
        ("-rf.jpg", "-rf.jpg"),
    ],
)
def test_a_name_stays_in_its_folder_and_reads_as_before(path: str, name: str) -> None:
    assert Names().of(path, ".jpg") == name


def test_photos_that_would_meet_get_numbers() -> None:
    names = Names()
    paths = [
        "pier.jpg",
        "Pier.tif",
        "pier.jpg",
        "pier-2.jpg",
        "pier",
        "ﬁn.jpg",
        "fin.jpg",
        "ü.jpg",
        "u\u0308.jpg",
    ]
    assert [names.of(path, ".jpg") for path in paths] == [
        "pier.jpg",
        "Pier-2.jpg",
        "pier-3.jpg",
        "pier-2-2.jpg",
        "pier-4.jpg",
        "ﬁn.jpg",
        "fin-2.jpg",
        "ü.jpg",
        "ü-2.jpg",
    ]


def test_photos_that_differ_in_their_endings_alone_may_keep_their_names() -> None:
    names = Names(by_stem=False)
    assert [names.of("pier.x", ending) for ending in (".jpg", ".tif", ".JPG")] == [
        "pier.jpg",
        "pier.tif",
        "pier-2.JPG",
    ]


def test_a_hundred_thousand_photos_of_one_path_take_no_time() -> None:
    names = Names()
    assert [names.of("pier.jpg", ".jpg") for _ in range(100_000)][-1] == "pier-100000.jpg"


@given(st.lists(st.text(max_size=400), max_size=20))
def test_names_are_short_safe_and_different(paths: list[str]) -> None:
    names = Names()
    given_out = [names.of(path, ".jpg") for path in [*paths, *paths]]
    keys = {unicodedata.normalize("NFC", name.casefold()) for name in given_out}
    assert len(keys) == len(given_out)
    for name in given_out:
        place = PurePosixPath(name)
        assert not place.is_absolute()
        assert len(name.encode()) < 1200
        for part in place.parts:
            assert part not in (".", "..")
            assert part == part.strip()
            assert not part.startswith((".", "__"))
            assert not part.endswith(".")
            assert (
                part.isprintable()
                or "\u200d" in part
                or all(ord(letter) > 127 or letter.isprintable() for letter in part)
            )
            assert len(part.encode()) < LONGEST_PART + 20
