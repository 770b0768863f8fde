"""The devices of this machine, counted without importing torch."""

import shutil
import subprocess


def cuda_devices() -> list[str]:
    """The indices of the GPUs that the NVIDIA driver lists; none without a driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=index", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    return answer.stdout.split() if answer.returncode == 0 else []
