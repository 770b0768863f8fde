"""`recaption caption`: photos in, a line of caption each out, without any database."""

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from model.errors import CaptioningError
from model.images import decode_ahead
from model.lanes import in_lanes, lane_count
from model.outputs import Captioned, OutputFile
from model.prediction import Prediction
from model.predictor import Predictor
from pictures.decode import MAX_PIXELS
from pictures.errors import PictureError

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff", ".avif", ".jp2", ".j2k")
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run did: photos captioned now, photos done before, and all errors by image."""

    captioned: int
    skipped: int
    errors: Sequence[tuple[str, str]]


def find_photos(sources: Iterable[str]) -> list[str]:
    """The photos that folders, files and globs name, as they were named; folders are searched to their depth.

    Raises CaptioningError for a source that is not there, and when there is no photo at all.
    """
    photos: dict[str, None] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir():
            photos |= dict.fromkeys(_photos_of_folder(path))
        elif path.exists():
            photos[source] = None
        elif matches := sorted(glob.glob(source, recursive=True)):
            photos |= dict.fromkeys(match for match in matches if Path(match).is_file())
        else:
            raise CaptioningError(f'there is no file, folder or match for "{source}"')
    if not photos:
        raise CaptioningError(f"no photos in {', '.join(sources)}; looked for {' '.join(sorted(SUFFIXES))}")
    return list(photos)


def caption_photos(
    predictor: Predictor, images: Sequence[str], *, batch_size: int, max_pixels: int = MAX_PIXELS
) -> Iterator[list[Captioned]]:
    """Caption photos in order, batch by batch; threads decode ahead, a bad photo costs only itself."""
    decoded = decode_ahead(map(Path, images), predictor.description.preprocessing, max_pixels=max_pixels)
    photos = zip(images, decoded, strict=True)
    batches = iter(lambda: list(islice(photos, batch_size)), [])
    yield from in_lanes(partial(_caption, predictor), batches, lanes=lane_count(predictor.device.type))


def caption_to_file(
    sources: Sequence[str],
    output: Path,
    *,
    load_predictor: Callable[[], Predictor],
    format_name: str,
    batch_size: int,
    resume: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: bool = False,
) -> Report:
    """Caption what the sources name into a file; with `resume`, only what the file does not hold yet.

    The predictor is loaded once the sources are known to be good. Raises CaptioningError.
    """
    images = find_photos(sources)
    _refuse_source(output, images)
    predictor = load_predictor()
    with OutputFile.open(output, format_name, resume=resume) as file:
        waiting = [image for image in images if not file.holds(image)]
        errors = list(file.earlier_errors(images))
        captioned = 0
        with tqdm(
            total=len(images), initial=len(images) - len(waiting), unit="photo", disable=not progress
        ) as bar:
            for batch in caption_photos(predictor, waiting, batch_size=batch_size, max_pixels=max_pixels):
                file.write(batch)
                errors += [(photo.image, photo.error) for photo in batch if photo.error is not None]
                captioned += sum(photo.error is None for photo in batch)
                bar.update(len(batch))
    return Report(captioned=captioned, skipped=len(images) - len(waiting), errors=errors)


def _photos_of_folder(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
            yield str(path)


def _refuse_source(output: Path, images: Sequence[str]) -> None:
    target = output.resolve()
    if target.is_dir():
        raise CaptioningError(f'"{output}" is a folder; name a file to write the captions to')
    if any(Path(image).resolve() == target for image in images):
        raise CaptioningError(f'"{output}" is one of the photos; choose another --output')


def _caption(predictor: Predictor, batch: Sequence[tuple[str, Tensor | PictureError]]) -> list[Captioned]:
    framed = [photo for _, photo in batch if isinstance(photo, Tensor)]
    predictions = iter(predictor.predict_framed(framed) if framed else [])
    return [
        _captioned(image, next(predictions))
        if isinstance(photo, Tensor)
        else Captioned(image=image, error=str(photo))
        for image, photo in batch
    ]


def _captioned(image: str, prediction: Prediction) -> Captioned:
    return Captioned(
        image=image,
        caption=prediction.text,
        score=prediction.score,
        confidence=prediction.confidence,
        alternatives=prediction.alternatives,
    )
