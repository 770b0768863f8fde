"""The photos of the closed loop: those that speak of water are held back, the others learned from first."""

import csv
import random
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.word_edits import word_edits

# Fixed before any run: a photo is of the domain if one of its five captions has one of these words.
WATER = frozenset(
    """
    water pool swimming swim swims swimmer swimmers ocean sea lake river wave waves surf surfer
    surfers surfing surfs surfboard surfboards boat boats canoe kayak kayaker kayaking wakeboard
    wakeboarder wakeboarding splash splashes splashing beach shore underwater dive dives diving pond
    stream creek raft rafting waterfall fountain
    """.split()  # noqa: SIM905 (a list of them would be 45 lines)
)
DRAWN_WITH = 8  # seed of the parts below
EVALUATED = 200  # photos of the domain that come from the training split to those of the dev split
HELD_BACK = 600  # photos of everything else that the base does not see, for the control

Captions = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """File names by what they are for; no photo is in two parts."""

    base: Sequence[str]
    domain: Sequence[str]
    others: Sequence[str]
    golden_domain: Sequence[str]
    golden_general: Sequence[str]


def read_captions(folder: Path) -> dict[str, list[str]]:
    """The captions of each photo of a folder in the Flickr8k layout."""
    captions: dict[str, list[str]] = defaultdict(list)
    with (folder / "captions.txt").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            captions[row["image"]].append(row["caption"])
    return dict(captions)


def parted(folder: Path, captions: Captions) -> Parts:
    """The parts of Flickr8k: water and everything else, from the training split and from dev."""
    draw = random.Random(DRAWN_WITH)
    train, dev = ((folder / f"{split}.txt").read_text().split() for split in ("train", "dev"))
    domain = sorted(name for name in train if speaks_of_water(captions[name]))
    general = sorted(set(train) - set(domain))
    draw.shuffle(domain)
    draw.shuffle(general)
    return Parts(
        base=general[HELD_BACK:],
        domain=domain[EVALUATED:],
        others=general[:HELD_BACK],
        golden_domain=[*domain[:EVALUATED], *(name for name in dev if speaks_of_water(captions[name]))],
        golden_general=[name for name in dev if not speaks_of_water(captions[name])],
    )


def speaks_of_water(captions: Iterable[str]) -> bool:
    return any(WATER & set(re.findall("[a-z]+", caption.lower())) for caption in captions)


def lay_out(source: Path, folder: Path, names: Sequence[str], captions: Captions | None = None) -> Path:
    """Copy photos into a folder that `recaption import` reads, with their captions or without any."""
    folder.mkdir(parents=True)
    for name in names:
        shutil.copyfile(source / "Images" / name, folder / name)
    if captions:
        with (folder / "captions.txt").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["image", "caption"])
            table.writerows([name, caption] for name in names for caption in captions[name])
    return folder


def nearest(text: str, references: Sequence[str]) -> str:
    """The reference with the fewest word edits from a text: what somebody who corrects it ends up with."""
    return min(references, key=lambda reference: word_edits(text, reference))
