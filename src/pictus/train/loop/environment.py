"""The machine a run trains on: what is used, what is recorded, what a resumed run must be told."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pictus
from pictus.engine import cpu_count
from pictus.errors import counted
from pictus.extras import need
from pictus.train.recipes import Recipe

MOST_PACK_BYTES = 4 * 2**30
"""Decoded pictures kept between epochs take at most this, and at most a quarter of the free memory."""

COMPARED = ("pictus", "torch", "device", "cpu_capability")
"""What can change the last bits of a result. The number of cores cannot: threads stay as the run recorded them."""


def describe(recipe: Recipe) -> dict[str, Any]:
    """What the run card records of the machine."""
    torch = need("torch", "train")
    return {
        "pictus": pictus.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "cpu_capability": str(torch.backends.cpu.get_cpu_capability()),
        "cores": cpu_count(),
        "threads": recipe.parts * recipe.threads,
        "precision": recipe.precision,
        "layout": recipe.layout,
        "compiled": recipe.compile,
    }


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between the machine a run was started on and this one, in words."""
    return [
        f"{name.replace('_', ' ')} was {before.get(name)} when the run was started and is {now[name]} now:"
        " the run goes on, but not bit for bit as it would have there"
        for name in COMPARED
        if before.get(name) != now[name]
    ]


TAKEN = 1.25
"""Processes that want to compute, for each core, from which on others take what training needs."""


def taken(threads: int, load: float | None = None) -> str:
    """A sentence for the start of a long run on a machine whose cores are at work already; "" on any other. load: of
    the last minute, as the system tells it.
    """
    load = os.getloadavg()[0] if load is None else load
    if load < TAKEN * cpu_count():
        return ""
    advice = " Threads that wait for each other lose most: --set parts=1 --set threads=1 may be faster."
    return (
        f"{counted(cpu_count(), 'core')} of this machine had work for {load:.1f} in the last minute: training shares"
        f" them, and takes longer than on an idle one.{advice if threads > 1 else ''}"
    )


def device() -> str:
    """What to train on: cuda where there is one, else cpu."""
    return "cuda" if need("torch", "train").cuda.is_available() else "cpu"


def memory_format(recipe: Recipe) -> Any:  # noqa: ANN401  a torch.memory_format
    """How the numbers of pictures and kernels lie in memory; runs of before had no choice: channels last."""
    torch = need("torch", "train")
    return torch.contiguous_format if recipe.layout == "contiguous" else torch.channels_last


@contextmanager
def torch_threads(wanted: int) -> Iterator[None]:
    """Torch computes with `wanted` threads inside, and with as many as before afterwards."""
    torch = need("torch", "train")
    before = torch.get_num_threads()
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def has_fast_bf16() -> bool:
    """Whether this device multiplies bf16 in hardware; elsewhere it is slower than fp32."""
    torch = need("torch", "train")
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def keep_memory() -> bool:
    """Tell glibc to keep freed blocks for the next step instead of returning them to the system.

    Without it each step's activations are mapped and zeroed by the kernel again. The same as
    MALLOC_MMAP_THRESHOLD_ and its kin, but without a new process.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # malloc.h
    settings = ((mmap_threshold, 2**30), (trim_threshold, 2**31 - 1), (top_pad, 2**26))
    obeyed = [int(mallopt(name, value)) for name, value in settings]
    return all(obeyed)


def pack_bytes() -> int:
    """Memory that decoded pictures may take on this machine."""
    return min(MOST_PACK_BYTES, _free_bytes() // 4)


def _free_bytes() -> int:
    """Available memory: the smaller of the system's and the cgroup's; 4 GiB where neither tells."""
    return min((*_system_bytes(), *_cgroup_bytes()), default=4 * 2**30)


def _system_bytes() -> tuple[int, ...]:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux
        return ()
    return tuple(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _cgroup_bytes() -> tuple[int, ...]:
    try:
        most, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text(encoding="ascii") for name in ("max", "current"))
    except OSError:  # no cgroup of version 2
        return ()
    return () if most.strip() == "max" else (max(0, int(most) - int(used)),)
