"""Languages of datasets: a run learns from one, told by the first part of the tag: pt of pt-BR."""

from typing import Any

from catalog.dataset_cards import OTHERS
from catalog.errors import InvalidInput
from catalog.languages import language as checked
from catalog.schema import Dataset


def primary(tag: str) -> str:
    """The language of a tag (BCP 47) without its script and region, in lower case."""
    return tag.partition("-")[0].lower()


def counts(card: dict[str, Any]) -> dict[str, int]:
    """The captions of each language of a dataset, by what its card says."""
    found: dict[str, int] = {}
    for tag, count in card.get("languages", {}).items():
        if tag != OTHERS:
            found[primary(tag)] = found.get(primary(tag), 0) + count
    return found


def chosen(dataset: Dataset, wanted: str | None) -> str | None:
    """The language to learn from: the wanted one, or the commonest; None where the card tells of none.

    Raises InvalidInput for what is no language, and for one that no caption is in.
    """
    found = counts(dataset.card)
    if wanted is None:
        return min(found, key=lambda one: (-found[one], one), default=None)
    told = primary(checked(wanted))
    if found and told not in found:
        raise InvalidInput(
            f"{dataset.name}@{dataset.version} has no captions in {wanted}; give one of "
            f"{', '.join(sorted(found))}"
        )
    return told


def are_all(dataset: Dataset, language: str | None) -> bool:
    """Whether all captions are in a language; also where that, or what the captions are in, is not known."""
    found = counts(dataset.card)
    return language is None or not found or found.keys() == {language}


def left_out(dataset: Dataset, language: str | None) -> int:
    """How many captions of the dataset are in other languages."""
    found = counts(dataset.card)
    return sum(found.values()) - found.get(language, 0) if language else 0
