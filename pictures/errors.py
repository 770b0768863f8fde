"""What can be wrong with a picture file; `reason` holds the short words that import reports show."""

from typing import ClassVar


class PictureError(Exception):
    """A file that could not be taken as a picture."""

    reason: ClassVar[str] = "unreadable"


class NotAnImage(PictureError):
    """The bytes are something else than a picture of an accepted format."""

    reason: ClassVar[str] = "not an image"


class CorruptPicture(PictureError):
    """The bytes begin like a picture but cannot be decoded to the end."""

    reason: ClassVar[str] = "corrupt"


class TooLarge(PictureError):
    """The picture has more pixels than the limit."""

    reason: ClassVar[str] = "too large"


class RefusedPicture(PictureError):
    """Decoding the picture would cost, or has cost, more than a picture may: bombs, memory, time, crashes."""

    reason: ClassVar[str] = "refused"
