from pathlib import Path

import pytest

from worker.devices import cuda_devices


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the driver's tool, the only thing on the path."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "nvidia-smi"


def test_a_machine_without_a_driver_has_no_gpu(driver: Path) -> None:
    assert cuda_devices() == []


def test_the_driver_lists_the_gpus(driver: Path) -> None:
    driver.write_text("#!/bin/sh\necho 0\necho 1\n")
    driver.chmod(0o755)
    assert cuda_devices() == ["0", "1"]


def test_a_driver_that_fails_counts_as_none(driver: Path) -> None:
    driver.write_text("#!/bin/sh\necho broken\nexit 9\n")
    driver.chmod(0o755)
    assert cuda_devices() == []
