"""What a process that only captions must not load."""

import subprocess
import sys

import pytest

from model.errors import RecipeError
from model.tokenizer import TOKENIZERS, _blank_english, _treebank_tokenizer


def _loaded_by(statement: str, modules: list[str]) -> str:
    script = f"import sys; {statement}; print([name for name in {modules} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_captioning_needs_no_spacy_and_no_other_room() -> None:
    unwanted = [
        "spacy",
        "nltk",
        "tensorboard",
        "sacrebleu",
        "flask",
        "celery",
        "sqlalchemy",
        "catalog",
        "worker",
        "dashboard",
    ]
    assert _loaded_by("import model.captioning", unwanted) == "[]"


@pytest.mark.parametrize("module", ["model.commands", "model.description"])
def test_commands_and_descriptions_need_no_pytorch(module: str) -> None:
    assert _loaded_by(f"import {module}", ["torch", "torchvision"]) == "[]"


@pytest.mark.parametrize("tokenizer", ["spacy", "nltk"])
def test_a_missing_tokenizer_says_what_to_do(tokenizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, tokenizer, None)
    monkeypatch.setitem(sys.modules, f"{tokenizer}.tokenize", None)
    for loader in (_blank_english, _treebank_tokenizer):
        loader.cache_clear()
    with pytest.raises(RecipeError, match=rf"data\.tokenizer={tokenizer} needs the package {tokenizer}"):
        TOKENIZERS[tokenizer]("A dog.")
