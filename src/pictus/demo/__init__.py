"""A drawn world with exact truth: pictures, a messy local web, a crowd of known skill, and the journey."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pictus.progress import Progress, Silent

if TYPE_CHECKING:
    from pictus.demo.journey import DemoResult

__all__ = ["run_demo"]


def run_demo(
    folder: str | Path, *, small: bool = False, seed: int = 7, progress: Progress | None = None
) -> "DemoResult":
    """The whole journey through a drawn world, in `folder`; run again, it continues where it stopped."""
    from pictus.demo.journey import run  # noqa: PLC0415  brings every stage

    return run(Path(folder), is_small=small, seed=seed, progress=progress or Silent())
