"""A recipe: everything that describes a captioner and its training, read from TOML."""

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from model.errors import RecipeError


def _bounded(default: int | float, low: int | float, high: int | float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """How photos and captions become tensors; lengths count words, sizes count pixels.

    The vocabulary is what occurs `min_count` times, and the words of the file `word_list`, one a line,
    however rare. Training sees photos mirrored too (`flip`), and through random windows that show at least
    the share `crop` of their area (1: whole photos). `licence` says what captioners trained on these data may
    be used for; checkpoints carry it.
    """

    tokenizer: str = "spacy"
    min_count: int = _bounded(5, 1, 10_000)
    word_list: str = ""
    max_length: int = _bounded(20, 1, 200)
    image_size: int = _bounded(224, 32, 1024)
    framing: str = "squash"
    flip: bool = True
    crop: float = _bounded(1.0, 0.05, 1.0)
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The image network; `weights` is "imagenet", "none" or a .safetensors file.

    Feature maps are pooled to `grid_size` cells a side (0: as they come). The last `trained_blocks` of the
    network learn too; what the others say is computed once and cached, unless every epoch sees other crops.
    """

    name: str = "mobilenet_v2"
    weights: str = "imagenet"
    grid_size: int = _bounded(0, 0, 64)
    trained_blocks: int = _bounded(0, 0, 1000)


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The language network and its sizes; each network takes those it has a use for."""

    name: str = "attention_lstm"
    embedding_size: int = _bounded(256, 1, 4096)
    hidden_size: int = _bounded(384, 1, 4096)
    attention_size: int = _bounded(256, 1, 4096)
    layers: int = _bounded(1, 1, 24)
    heads: int = _bounded(8, 1, 64)
    dropout: float = _bounded(0.4, 0.0, 0.95)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the network learns; `batch_size` counts the images, or the captions, of one update.

    A batch is computed in `accumulation` parts and, where several processes train, divided among them:
    what is learned is the same, but for what is drawn at random and for the BatchNorm of packed_lstm. The
    rate rises over the first `warmup` of all updates, then follows the schedule; longer gradients than
    `clip_norm` are cut (0: none). Blocks of the encoder that learn begin after `frozen_epochs`, when the
    decoder has a direction to give. The self-critical epochs follow the `epochs` of teacher forcing, on
    images with all their captions; in them the encoder learns only if its self-critical rate is above 0,
    and what they reward is CIDEr-D plus `self_critical_bleu` times BLEU-4. A stage ends early after
    `patience` epochs that validate no better (0: never); the next one goes on from its last weights. In the
    end the weights of the `averaged_epochs` best epochs are averaged, and kept if they validate better.
    """

    epochs: int = _bounded(20, 0, 10_000)
    patience: int = _bounded(0, 0, 10_000)
    batch_of: str = "images"
    batch_size: int = _bounded(32, 1, 4096)
    accumulation: int = _bounded(1, 1, 4096)
    objective: str = "every_token"
    schedule: str = "cosine"
    warmup: float = _bounded(0.02, 0.0, 1.0)
    learning_rate: float = _bounded(8e-4, 0.0, 1.0)
    encoder_learning_rate: float = _bounded(1e-4, 0.0, 1.0)
    frozen_epochs: int = _bounded(2, 0, 10_000)
    self_critical_epochs: int = _bounded(0, 0, 10_000)
    self_critical_learning_rate: float = _bounded(1e-4, 0.0, 1.0)
    self_critical_encoder_learning_rate: float = _bounded(0.0, 0.0, 1.0)
    self_critical_samples: int = _bounded(5, 2, 100)
    self_critical_bleu: float = _bounded(0.0, 0.0, 100.0)
    weight_decay: float = _bounded(1e-4, 0.0, 1.0)
    label_smoothing: float = _bounded(0.1, 0.0, 0.9)
    clip_norm: float = _bounded(5.0, 0.0, 1e6)
    ema_decay: float = _bounded(0.998, 0.0, 0.999999)
    averaged_epochs: int = _bounded(0, 0, 100)
    precision: str = "bfloat16"
    stored_precision: str = "float16"
    save_minutes: float = _bounded(5.0, 0.0, 10_000.0)
    tensorboard: bool = True
    seed: int = _bounded(1, 0, 2**31 - 1)


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How captions are searched for; `length_penalty` is the exponent of the length a score is divided by.

    `expected_words` is what the words that people would use for the photo count beside that (0: they are
    not learned).
    """

    beam_size: int = _bounded(3, 1, 32)
    max_length: int = _bounded(20, 1, 200)
    length_penalty: float = _bounded(0.7, 0.0, 5.0)
    expected_words: float = _bounded(0.0, 0.0, 1000.0)


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """How words become a finished sentence."""

    capital: bool = True
    final_stop: bool = True


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The whole description, a table each."""

    data: DataConfig = DataConfig()
    encoder: EncoderConfig = EncoderConfig()
    decoder: DecoderConfig = DecoderConfig()
    training: TrainingConfig = TrainingConfig()
    search: SearchConfig = SearchConfig()
    text: TextConfig = TextConfig()


TABLES: dict[str, Any] = {f.name: type(f.default) for f in dataclasses.fields(Recipe)}
CHOICES = {
    "encoder.name": (
        "resnet18",
        "resnet50",
        "resnet101",
        "vgg16",
        "efficientnet_b0",
        "inception_v3",
        "mobilenet_v2",
        "mobilenet_v3_large",
    ),
    "decoder.name": (
        "init_inject_lstm",
        "pre_inject_lstm",
        "packed_lstm",
        "soft_attention_lstm",
        "attention_lstm",
        "transformer",
    ),
    "data.tokenizer": ("spacy", "nltk"),
    "data.framing": ("squash", "pad", "crop"),
    "training.batch_of": ("images", "captions"),
    "training.objective": ("every_token", "last_token"),
    "training.schedule": ("cosine", "constant"),
    "training.precision": ("float32", "bfloat16"),
    "training.stored_precision": ("float32", "float16"),
}


def load_recipe(name_or_file: str, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe by its name or from a TOML file, then apply overrides such as "training.epochs=3".

    Raises RecipeError naming the key, the file and the nearest key there is.
    """
    path = Path(name_or_file)
    known = resources.files("model") / "recipes"
    if path.suffix == ".toml":
        if not path.is_file():
            raise RecipeError(f'there is no recipe file "{path}"')
        text, source = path.read_text(encoding="utf-8"), str(path)
    else:
        names = sorted(p.name.removesuffix(".toml") for p in known.iterdir() if p.name.endswith(".toml"))
        if name_or_file not in names:
            raise RecipeError(
                f'unknown recipe "{name_or_file}"; choose one of {", ".join(names)} or pass a .toml file'
            )
        text, source = (known / f"{name_or_file}.toml").read_text(encoding="utf-8"), f"recipe {name_or_file}"
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source} is not TOML: {error}") from error
    return override(recipe_from_dict(tables, source=source), overrides)


def recipe_from_dict(tables: Mapping[str, Any], *, source: str) -> Recipe:
    """Check every table, key, type, bound and choice, and build the recipe; raises RecipeError."""
    built: dict[str, Any] = {}
    for table, values in tables.items():
        if table not in TABLES:
            raise RecipeError(f"unknown table [{table}] in {source}{_nearest(table, TABLES)}")
        if not isinstance(values, Mapping):
            raise RecipeError(f"[{table}] in {source} must be a table of keys and values")
        fields = {f.name: f for f in dataclasses.fields(TABLES[table])}
        for key in values:
            if key not in fields:
                raise RecipeError(f'unknown key "{key}" in [{table}] of {source}{_nearest(key, fields)}')
        built[table] = TABLES[table](
            **{key: _checked(value, fields[key], f"{table}.{key}", source) for key, value in values.items()}
        )
    return Recipe(**built)


def recipe_to_dict(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """The recipe as plain tables, ready for JSON."""
    return dataclasses.asdict(recipe)


def override(recipe: Recipe, overrides: Iterable[str]) -> Recipe:
    """Apply overrides of the form "table.key=value"; values are TOML, bare words count as text."""
    tables = recipe_to_dict(recipe)
    for text in overrides:
        name, equals, value = text.partition("=")
        table, dot, key = name.strip().partition(".")
        if not (equals and dot):
            raise RecipeError(f'cannot read the override "{text}"; write it as table.key=value')
        tables.setdefault(table, {})[key] = _toml_value(value.strip())
    return recipe_from_dict(tables, source="the command line")


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _checked(value: Any, field: dataclasses.Field[Any], name: str, source: str) -> Any:
    wanted = type(field.default)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not wanted:
        raise RecipeError(f"{name} in {source} must be of type {wanted.__name__}, not {value!r}")
    low, high = field.metadata.get("low"), field.metadata.get("high")
    if low is not None and high is not None and not low <= value <= high:
        raise RecipeError(f"{name} in {source} is {value}; it must lie between {low} and {high}")
    if name in CHOICES and value not in CHOICES[name]:
        close = _closest(str(value), CHOICES[name])
        hint = f' (did you mean "{close}"?)' if close else ""
        raise RecipeError(f'{name} in {source} is "{value}"{hint}; choose one of {", ".join(CHOICES[name])}')
    return value


def _nearest(name: str, known: Iterable[str]) -> str:
    close = _closest(name, known)
    return f'; did you mean "{close}"?' if close else f"; there are {', '.join(sorted(known))}"


def _closest(name: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)), None)
