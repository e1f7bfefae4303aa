"""What a run takes from the wall, in joules: measured by the processor's own counter where it may be read, else told
from seconds and cores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

WATTS_PER_CORE = 12.0
"""Of a core of unknown kind under load: Green Algorithms (Lannelongue, Grealey & Inouye 2021), data/latest/TDP_cpu.csv,
row "Any". Server cores in that table have 4 to 10, laptops' and desktops' 8 to 24.
"""

COUNTERS = Path("/sys/class/powercap")


class Counter:
    """Joules since it was made, or since it was last asked."""

    def __init__(self, cores: int, root: Path = COUNTERS) -> None:
        self._cores = cores
        self._packages = [folder for folder in sorted(root.glob("intel-rapl:*")) if folder.name.count(":") == 1]
        self._before = self._read()

    @property
    def source(self) -> str:
        """Where the figure comes from, for the run card."""
        if self._before:
            return "processor's counter (RAPL): all that ran on it; no memory, no disk, no GPU"
        return f"estimate: {self._cores} cores x {WATTS_PER_CORE:g} W x seconds; no memory, no disk, no GPU"

    def since(self, seconds: float) -> float:
        """`seconds` since the last time it was asked are what an estimate is made of."""
        earlier, self._before = self._before, self._read()
        if not earlier or len(self._before) != len(earlier):
            return seconds * self._cores * WATTS_PER_CORE
        # A counter starts again at 0 after `most`.
        used = ((after - before) % most for (before, most), (after, _) in zip(earlier, self._before, strict=True))
        return sum(used) / 1e6

    def _read(self) -> list[tuple[int, int]]:
        """(microjoules, where it begins again) of each processor; empty where they may not be read."""
        try:
            return [
                (_number(folder / "energy_uj"), _number(folder / "max_energy_range_uj")) for folder in self._packages
            ]
        except (OSError, ValueError):  # root alone may read them on most systems
            return []


def told(joules: float, cores: int) -> dict[str, Any]:
    """For the run card."""
    return {"kwh": round(joules / 3.6e6, 6), "source": Counter(cores).source}


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
