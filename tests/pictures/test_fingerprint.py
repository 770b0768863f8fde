import io

import pytest

from pictures.fingerprint import sha256_of

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


def test_bytes_files_and_streams_have_the_same_fingerprint(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(b"abc") == sha256_of(tmp_path / "abc") == sha256_of(io.BytesIO(b"abc")) == ABC


def test_large_streams_are_read_in_pieces():
    class Stream(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 < size <= 1 << 20
            return super().read(size)

    data = bytes(range(256)) * 10_000
    assert sha256_of(Stream(data)) == sha256_of(data)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "gone")
