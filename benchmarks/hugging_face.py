"""How many times as long `transformers` takes, with networks of the size of ViT-GPT2 and BLIP-base."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks import interleaved
from benchmarks.captioning import caption_files
from benchmarks.rows import Row
from model.description import starter_folder
from model.devices import has_fast_bfloat16
from model.images import read_framed
from model.predictor import Predictor

BATCH_SIZE = 16
BEAM_SIZE = 3
PHOTOS = 32  # for them; they are slow
INSTALL = 'pip install "recaption[benchmark]"'


@dataclass(frozen=True)
class Network:
    """A captioner of `transformers` with random weights, and what prepares its photos."""

    name: str
    model: Any
    processor: Any

    def at(self, precision: torch.dtype, device: torch.device) -> "Network":
        """A copy that computes in this precision on this device."""
        return Network(self.name, copy.deepcopy(self.model).eval().to(device, precision), self.processor)

    @torch.inference_mode()
    def generate(self, photos: Sequence[Path], *, tokens: int) -> Tensor:
        """Photos on disk -> captions of so many token ids (B, 1 + tokens), from `<start>`.

        Random weights hardly ever say `<end>`, so the length is asked for.
        """
        images = [Image.open(photo).convert("RGB") for photo in photos]
        pixels = self.processor(images=images, return_tensors="pt")["pixel_values"]
        return self.model.generate(
            pixel_values=pixels.to(self.model.device, self.model.dtype),
            num_beams=BEAM_SIZE,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
        ).cpu()


def is_installed() -> bool:
    """Whether `transformers` is there, which Recaption itself has no use for."""
    return find_spec("transformers") is not None


def vit_gpt2() -> Network:
    """ViT-base on patches of 16 of photos of 224, and GPT-2 (small) with cross attention.

    239 million parameters, as nlpconnect/vit-gpt2-image-captioning has them.
    """
    from transformers import (
        GPT2Config,
        VisionEncoderDecoderConfig,
        VisionEncoderDecoderModel,
        ViTConfig,
        ViTImageProcessor,
    )

    # Captions of one length need no padding; another id than that of `<end>` saves a warning about it.
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        ViTConfig(), GPT2Config(), decoder_start_token_id=50256, pad_token_id=0
    )
    return Network("ViT-GPT2", VisionEncoderDecoderModel(config), ViTImageProcessor())


def blip_base() -> Network:
    """ViT-base on patches of 16 of photos of 384, and a BERT-base that reads and attends.

    224 million parameters, as Salesforce/blip-image-captioning-base has them; 247 million where the matrix of
    words, which it reads and writes with, is counted twice.
    """
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessor

    config = BlipConfig(vision_config={}, text_config={"num_attention_heads": 12})
    return Network("BLIP-base", BlipForConditionalGeneration(config), BlipImageProcessor())


def measure(photos: Sequence[Path], *, device: str, repeats: int) -> list[Row]:
    """A row for each of the two, from files to token ids, against our own from files to captions."""
    predictor = Predictor.load(starter_folder(), device=device, precision="auto")
    tokens = words_a_caption(predictor, photos[:PHOTOS])
    return [_against(build, predictor, photos, tokens, repeats) for build in (vit_gpt2, blip_base)]


def words_a_caption(predictor: Predictor, photos: Sequence[Path]) -> int:
    """How many words our captions of these photos have on average, rounded up."""
    framed = [read_framed(photo, predictor.description.preprocessing) for photo in photos]
    captions = predictor.predict_framed(framed)
    return ceil(sum(len(caption.tokens) for caption in captions) / len(captions))


def _against(
    build: Callable[[], Network], predictor: Predictor, photos: Sequence[Path], tokens: int, repeats: int
) -> Row:
    """The row of the precision in which they are faster."""
    torch.manual_seed(1)
    network, theirs = build(), photos[:PHOTOS]
    others = {
        name: network.at(dtype, predictor.device) for name, dtype in _precisions(predictor.device).items()
    }
    with TemporaryDirectory(prefix="recaption-benchmark-") as folder:
        contestants: dict[str, interleaved.Contestant] = {
            "end to end": lambda: caption_files(predictor, photos, Path(folder)),
            **{name: _generating(other, theirs, tokens) for name, other in others.items()},
        }
        taken = interleaved.seconds(contestants, repeats=repeats)
    share = len(photos) / len(theirs)
    scaled = {name: [one * share for one in taken[name]] for name in others} | {
        "end to end": taken["end to end"]
    }
    rows = [
        Row.of(
            f"{network.name} of transformers, batches of {BATCH_SIZE}, beam {BEAM_SIZE} / end to end",
            scaled,
            name,
            "end to end",
            photos=len(photos),
            at_least=10.0 if predictor.device.type == "cpu" else None,
            notes=[f"captions of {tokens} tokens, as many as ours have words; {name}"],
        )
        for name in others
    ]
    return min(rows, key=lambda row: row.ratio)


def _generating(network: Network, photos: Sequence[Path], tokens: int) -> Callable[[], None]:
    def generate() -> None:
        for start in range(0, len(photos), BATCH_SIZE):
            network.generate(photos[start : start + BATCH_SIZE], tokens=tokens)

    return generate


def _precisions(device: torch.device) -> dict[str, torch.dtype]:
    found = {"float32": torch.float32}
    if has_fast_bfloat16(device):
        found["bfloat16"] = torch.bfloat16
    if device.type == "cuda":
        found["float16"] = torch.float16
    return found
