"""JSONL, the lossless format: one object an item with all its captions."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TextIO

from catalog.exports.rows import ExportedItem


def write(items: Iterator[ExportedItem], stream: TextIO) -> None:
    for item in items:
        stream.write(json.dumps(asdict(item), ensure_ascii=False) + "\n")
