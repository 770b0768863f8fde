"""Name bytes by their content."""

import hashlib
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20


def sha256_of(source: bytes | Path | BinaryIO) -> str:
    """Hex SHA-256 of bytes, a file, or what is left of an open stream; read in pieces of 1 MiB."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    if isinstance(source, Path):
        with source.open("rb") as file:
            return sha256_of(file)
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
