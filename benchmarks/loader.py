"""Training batches of 224 × 224 from original photographs, beside torchvision's ImageFolder in a DataLoader.

    python benchmarks/loader.py

The same 240 photographs, the same augmentation (random area 0.08 to 1 and shape, flip), batches of
64 as bytes, every core. Both sides run interleaved; CPU seconds count the workers of both. `kept`
is ours once the pictures are in memory at 256 px of short side, as from the second epoch of a set that fits.
The pixels of ours are hashed at 1, 2 and 4 threads and after a resume.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

import pictus
from pictus.engine import cpu_count
from pictus.errors import UserError
from pictus.release import import_
from pictus.releases import find_release
from pictus.tasks import TASKS
from pictus.train.feed import augment, loader
from pictus.train.loop import environment
from pictus.train.recipes import Recipe

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
SIZE, BATCH, EPOCHS, ROUNDS = 224, 64, 2, 5
RECIPE = Recipe("resnet18", size=SIZE, min_area=0.08, erase=0)
VIEW = partial(augment.augmented, recipe=RECIPE, fill=(0, 0, 0))

Measured = tuple[float, float]


def main() -> None:
    source = REAL / "imagenet_photos_240" / "imagenet_photos_240.tar"
    if not source.exists():
        raise SystemExit(f"{source} not found: set PICTUS_REAL_DATA")
    with tempfile.TemporaryDirectory() as folder:
        photos = unpacked(source, Path(folder) / "photos")
        project = pictus.new(Path(folder) / "project")
        import_(project, photos, "1.0.0")
        release = find_release(project)
        labels = TASKS.get("classification").targets(release, "train")
        cores = cpu_count()
        environment.keep_memory()  # as training does; the other side runs in the same process and gains as well

        def pictures(pack: int, memory: int) -> loader.Pictures:
            packed = partial(loader.packed, short_side=pack, may_grow=False)
            return loader.Pictures(release, "train", packed, memory, labels)

        original, kept = pictures(-1, 0), pictures(256, 2**30)
        sides: dict[str, Callable[[], int]] = {
            "ours, from JPEG": lambda: sum(len(batch) for batch in ours(original, cores)),
            "ours, kept at 256 px": lambda: sum(len(batch) for batch in ours(kept, cores)),
            "ImageFolder, no workers": partial(imagefolder, photos / "train", 0),
            f"ImageFolder, {cores} workers": partial(imagefolder, photos / "train", cores),
        }
        for side in sides.values():
            side()
        found: dict[str, list[Measured]] = {name: [] for name in sides}
        for _ in range(ROUNDS):
            for name, side in sides.items():
                found[name].append(measured(side))
        report(found, checked(pictures(-1, 0)), len(original), cores)


def ours(pictures: loader.Pictures, threads: int, first: int = 0, seed: int = 0) -> Iterator[np.ndarray]:
    steps = EPOCHS * loader.steps_per_epoch(len(pictures), BATCH)
    portions = loader.portions_of_epochs(seed, len(pictures), BATCH, first, steps)
    with loader.batches(pictures, portions, VIEW, seed=seed, threads=threads) as stream:
        for batch in stream:
            yield batch.views[0]


def imagefolder(folder: Path, workers: int) -> int:
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    steps = (v2.RandomResizedCrop(SIZE), v2.RandomHorizontalFlip(), v2.PILToTensor())
    dataset = ImageFolder(str(folder), v2.Compose(steps))
    batches = DataLoader(dataset, BATCH, shuffle=True, num_workers=workers, drop_last=True)
    return sum(len(pixels) for _ in range(EPOCHS) for pixels, _ in batches)


def measured(side: Callable[[], int]) -> Measured:
    """CPU and wall ms per picture, with ended child processes."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    count = side()
    return (cpu_seconds() - cpu) / count * 1e3, (time.perf_counter() - wall) / count * 1e3


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def checked(pictures: loader.Pictures) -> dict[str, bool]:
    def hashes(threads: int, first: int = 0) -> list[str]:
        return [hashlib.sha256(batch.tobytes()).hexdigest() for batch in ours(pictures, threads, first)]

    expected = hashes(1)
    same = {f"same pixels at {threads} threads": hashes(threads) == expected for threads in (2, 4)}
    return same | {"same pixels after a resume": hashes(2, first=3) == expected[3:]}


def unpacked(source: Path, folder: Path) -> Path:
    """SPLIT/CLASS/picture: two classes by turns; the split is all that matters here."""
    with tarfile.open(source) as archive:
        archive.extractall(folder / "raw", filter="data")
    files = sorted(path for path in (folder / "raw").rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for number, path in enumerate(files):
        place = folder / "train" / ("even", "odd")[number % 2] / f"{number:03d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    shutil.rmtree(folder / "raw")
    return folder


def report(found: dict[str, list[Measured]], checks: dict[str, bool], count: int, cores: int) -> None:
    cpu = {name: statistics.median(one[0] for one in rounds) for name, rounds in found.items()}
    wall = {name: statistics.median(one[1] for one in rounds) for name, rounds in found.items()}
    peer = "ImageFolder, no workers"
    print(f"{count} photographs, {SIZE} px, batches of {BATCH}, {cores} cores, median of {ROUNDS} interleaved rounds")
    print(f"{'':28}{'CPU ms':>8}{'ratio':>8}{'wall ms':>9}")
    for name in found:
        print(f"{name:28}{cpu[name]:8.2f}{cpu[peer] / cpu[name]:8.2f}{wall[name]:9.2f}")
    for name, holds in checks.items():
        print(f"{name}: {'yes' if holds else 'NO'}")
    ratio = {name: round(cpu[peer] / cpu[name], 2) for name in found if name.startswith("ours")}
    line = {
        "name": "loader", "ours": round(cpu["ours, from JPEG"], 3), "unit": "CPU ms per picture", "n": count,
        "peer": {name: round(cpu[name], 3) for name in found if not name.startswith("ours, from")},
        "ratio": ratio, "checks": checks,
    }  # fmt: skip
    print(json.dumps(line))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from None
