"""How close captioning comes to the encoder alone, and how far it is from one photo at a time."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from benchmarks import interleaved
from benchmarks.rows import Row
from model.captioner import build_captioner
from model.captioning import caption_to_file
from model.checkpoint import load_checkpoint, save_checkpoint
from model.config import override
from model.description import Description, starter_folder
from model.devices import has_fast_bfloat16
from model.encoder import for_inference
from model.images import read_framed
from model.lanes import in_lanes, lane_count
from model.predictor import Predictor
from model.transforms import normalise, stack

BATCH_SIZE = 64  # as `recaption caption` has it
ENCODED_AT_ONCE = 32  # by PyTorch's encoder on a processor: as fast as from 8 on, and slower at 64
ONE_BY_ONE = 24  # photos for those that take them one at a time, which are slow

Contestants = dict[str, Callable[[], object]]


def measure(photos: Sequence[Path], *, device: str, repeats: int) -> list[Row]:
    """Rows for the shipped checkpoint and for one with a ResNet-50 and the same decoder."""
    with TemporaryDirectory(prefix="recaption-benchmark-") as folder:
        return [
            *_against_the_encoder(starter_folder(), "MobileNetV2", photos, device, repeats, target=0.65),
            *_against_the_encoder(
                _with_resnet50(Path(folder)), "ResNet-50", photos, device, repeats, target=0.85
            ),
            *_against_one_at_a_time(starter_folder(), photos, device, repeats),
        ]


def _against_the_encoder(
    checkpoint: Path, name: str, photos: Sequence[Path], device: str, repeats: int, *, target: float
) -> list[Row]:
    captioner, description = load_checkpoint(checkpoint)
    predictor = Predictor.load(checkpoint, device=device, precision="auto")
    pixels = _pixels(photos, description)
    with TemporaryDirectory(prefix="recaption-benchmark-") as folder:
        contestants: Contestants = {
            "end to end": lambda: caption_files(predictor, photos, Path(folder)),
            "encoder": _plain_encoder(captioner.encoder, pixels, description, predictor.device),
            "own encoder": lambda: _encode(predictor, pixels),
        }
        taken = interleaved.seconds(contestants, repeats=repeats)
    return [
        Row.of(
            f"{name}: end to end / encoder alone, best precision and layout",
            taken,
            "encoder",
            "end to end",
            photos=len(photos),
            at_least=target,
        ),
        Row.of(
            f"{name}: end to end / our encoder alone", taken, "own encoder", "end to end", photos=len(photos)
        ),
    ]


def _against_one_at_a_time(checkpoint: Path, photos: Sequence[Path], device: str, repeats: int) -> list[Row]:
    predictor = Predictor.load(checkpoint, device=device, precision="auto")
    plain = Predictor.load(checkpoint, device=device)
    greedy = Predictor.load(checkpoint, device=device, beam_size=1)
    with TemporaryDirectory(prefix="recaption-benchmark-") as folder:
        contestants: Contestants = {
            "end to end": lambda: caption_files(predictor, photos, Path(folder)),
            "one by one": lambda: _caption_each(plain, photos[:ONE_BY_ONE]),
            "greedy": lambda: _caption_each(greedy, photos[:ONE_BY_ONE]),
        }
        taken = interleaved.seconds(contestants, repeats=repeats)
    share = len(photos) / min(ONE_BY_ONE, len(photos))
    scaled = {name: [one * (1 if name == "end to end" else share) for one in taken[name]] for name in taken}
    targets = (
        {"greedy": 50.0, "one by one": 100.0} if device == "cuda" else {"greedy": 4.0, "one by one": 5.0}
    )
    what = {
        "greedy": "greedy, plain float32, one photo at a time",
        "one by one": "beam search, one photo at a time",
    }
    return [
        Row.of(
            f"{what[name]} / end to end",
            scaled,
            name,
            "end to end",
            photos=len(photos),
            at_least=target,
        )
        for name, target in targets.items()
    ]


def caption_files(predictor: Predictor, photos: Sequence[Path], folder: Path) -> None:
    """Caption photos into a file of the folder; raises RuntimeError where one cannot be."""
    report = caption_to_file(
        [str(photo) for photo in photos],
        folder / "captions.jsonl",
        load_predictor=lambda: predictor,
        format_name="jsonl",
        batch_size=BATCH_SIZE,
    )
    if report.errors:
        raise RuntimeError(f"a photo could not be captioned: {report.errors[0]}")


def _pixels(photos: Sequence[Path], description: Description) -> list[Tensor]:
    return [read_framed(photo, description.preprocessing) for photo in photos]


def _batches(pixels: Sequence[Tensor], size: int) -> list[Sequence[Tensor]]:
    return [pixels[start : start + size] for start in range(0, len(pixels), size)]


def _plain_encoder(
    encoder: nn.Module, pixels: Sequence[Tensor], description: Description, device: torch.device
) -> Callable[[], None]:
    """The encoder as PyTorch computes it, on normalised photos in memory, channels last, all cores at it."""
    dtype = torch.float16 if device.type == "cuda" else torch.bfloat16
    if not has_fast_bfloat16(device):
        dtype = torch.float32
    network = for_inference(encoder).to(device, dtype)
    batches = [
        normalise(stack(part).to(device), description.preprocessing).to(dtype)
        for part in _batches(pixels, BATCH_SIZE if device.type == "cuda" else ENCODED_AT_ONCE)
    ]

    @torch.inference_mode()
    def run() -> None:
        for batch in batches:
            network(batch)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run


def _encode(predictor: Predictor, pixels: Sequence[Tensor]) -> None:
    """The encoder as captioning computes it, from framed photos in memory."""
    batches = _batches(pixels, BATCH_SIZE)
    for features in in_lanes(predictor.encode, batches, lanes=lane_count(predictor.device.type)):
        features.cpu()


def _caption_each(predictor: Predictor, photos: Sequence[Path]) -> None:
    """What most programs do: read a photo, encode it, search its caption, take the next."""
    for photo in photos:
        predictor.predict_framed([read_framed(photo, predictor.description.preprocessing)])


def _with_resnet50(folder: Path) -> Path:
    """The shipped decoder behind a ResNet-50 with a 7x7 grid that nobody trained: as fast as one trained."""
    captioner, description = load_checkpoint(starter_folder())
    recipe = override(description.recipe, ["encoder.name=resnet50", "encoder.grid_size=7"])
    torch.manual_seed(1)
    other = build_captioner(recipe, description.vocabulary)
    weights = dict(other.state_dict())
    for name, value in captioner.decoder.state_dict().items():
        if weights[f"decoder.{name}"].shape == value.shape:
            weights[f"decoder.{name}"] = value
    save_checkpoint(folder, weights, dataclasses.replace(description, recipe=recipe))
    return folder
