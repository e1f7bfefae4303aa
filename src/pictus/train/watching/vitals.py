"""What a run takes of the machine: memory of the process and of the GPU, in bytes."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from pictus.extras import need

GB = 1e9


def memory_bytes() -> int:
    """Resident now; the peak where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:  # not Linux
        return peak_bytes()
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """The most the process ever had resident."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most) if sys.platform == "darwin" else int(most) * 1024  # getrusage(2): kilobytes but on macOS


def gpu_bytes(device: str) -> int:
    """What torch holds of the GPU now; 0 on a CPU."""
    return 0 if device == "cpu" else int(need("torch", "train").cuda.memory_reserved())


def gpu_peak_bytes(device: str) -> int:
    """The most torch ever held of the GPU; 0 on a CPU."""
    return 0 if device == "cpu" else int(need("torch", "train").cuda.max_memory_reserved())
