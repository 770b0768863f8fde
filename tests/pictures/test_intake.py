import hashlib
import io

import pytest
from PIL import Image

from pictures.errors import TooLarge
from pictures.intake import dhash_of, measure


def test_measure_tells_everything_of_one_file(tmp_path, scene, encode):
    exif = Image.Exif()
    exif[274] = 6
    exif[33432] = "(c) The archive"
    path = tmp_path / "scan.tif"
    pages = [scene.resize((3000, 2000)), scene]
    path.write_bytes(encode(pages[0], "TIFF", save_all=True, append_images=pages[1:], exif=exif))
    measured = measure(path)
    assert measured.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert measured.bytes == path.stat().st_size
    assert (measured.width, measured.height, measured.format) == (2000, 3000, "TIFF")
    assert (measured.pages, measured.notes) == (2, ("page 1 of 2",))
    assert measured.rights == "(c) The archive"
    assert measured.metadata["copyright"] == "(c) The archive"
    with Image.open(io.BytesIO(measured.rendition)) as rendition:
        assert rendition.size == (683, 1024)
    assert measured.dhash == dhash_of(measured.rendition)


def test_measure_respects_the_limit_of_pixels(photo):
    with pytest.raises(TooLarge, match=r'"photo.jpg" has 96 x 64 pixels'):
        measure(photo, max_pixels=6143)
