"""Training batches of 224 × 224 beside ImageFolder with a DataLoader, WebDataset, MosaicML Streaming, HF datasets.

    python benchmarks/loader.py             from original photographs and from packs of 256 px, 1 and 2 threads
    python benchmarks/loader.py --quick     one round, 1 thread
    python benchmarks/loader.py --peerless  only ours

The same 240 photographs, the same output: random area 0.08 to 1 and shape, flip, batches of 64 as bytes. The peers use
torchvision v2 on Pillow pictures, as their own examples do, in a DataLoader: no workers for 1 thread, 2 workers for 2.
From packs all sides read the same JPEGs of 256 px short side: ImageFolder as files, WebDataset in tar files, Streaming
in MDS, datasets in Arrow with the bytes inside. `kept` is ours once decoded pictures of 256 px are in memory.

Every side is a process of its own, one after the other, ROUNDS times by turns. A first epoch is not timed; then EPOCHS
are: wall, and CPU of the process and its workers. The ratio is the peer's CPU by ours from the same pictures. Peers are
installed into an environment of their own under the temporary folder, which sees the torch of this one; one that
does not install or run is told and left out. The pixels of ours are hashed at 1, 2 and 4 threads and after a resume.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import site
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pictus
from pictus.errors import UserError
from pictus.release import import_
from pictus.releases import Release, find_release
from pictus.tasks import TASKS
from pictus.train.feed import augment, loader, packs
from pictus.train.loop import environment
from pictus.train.recipes import Recipe

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
SIZE, BATCH, EPOCHS, ROUNDS, SHORT = 224, 64, 4, 3, 256
LIMIT_S = 240
RECIPE = Recipe("resnet18", size=SIZE, min_area=0.08, erase=0)
VIEW = partial(augment.augmented, recipe=RECIPE, fill=(0, 0, 0))
PEERS = {
    "ImageFolder": "torchvision", "WebDataset": "webdataset", "Streaming": "mosaicml-streaming", "datasets": "datasets",
}  # fmt: skip
SOURCES = ("originals", f"packs of {SHORT} px")

PEER = r"""
import io, json, multiprocessing, os, sys, time, warnings
warnings.simplefilter("ignore")
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2
name, folder, workers, size, batch, epochs = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:7])
torch.set_num_threads(1)
change = v2.Compose([v2.RandomResizedCrop(size), v2.RandomHorizontalFlip(), v2.PILToTensor()])
shown = lambda data: change(Image.open(io.BytesIO(data)).convert("RGB"))
more = {"drop_last": True, "num_workers": workers, "persistent_workers": workers > 0}
if name == "ImageFolder":
    from torchvision.datasets import ImageFolder
    batches = DataLoader(ImageFolder(folder + "/files", change), batch, shuffle=True, **more)
    pixels_of = lambda found: found[0]
elif name == "WebDataset":
    import glob, webdataset
    shards = sorted(glob.glob(folder + "/wds/*.tar"))
    found = webdataset.WebDataset(shards, shardshuffle=len(shards)).shuffle(120).to_tuple("jpg").map_tuple(shown)
    batches = DataLoader(found, batch, **more)
    pixels_of = lambda found: found[0]
elif name == "Streaming":
    from streaming import StreamingDataset
    class Shown(StreamingDataset):
        def __getitem__(self, index):
            return shown(super().__getitem__(index)["image"])
    batches = DataLoader(Shown(local=folder + "/mds", shuffle=True, batch_size=batch), batch, **more)
    pixels_of = lambda found: found
else:
    from datasets import load_from_disk
    found = load_from_disk(folder + "/arrow")
    found = found.with_transform(lambda rows: {"image": [change(one.convert("RGB")) for one in rows["image"]]})
    batches = DataLoader(found, batch, shuffle=True, **more)
    pixels_of = lambda found: found["image"]
def cpu():
    ticks = 0
    for child in multiprocessing.active_children():
        ticks += sum(map(int, open(f"/proc/{child.pid}/stat").read().rpartition(")")[2].split()[11:13]))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")
def epoch():
    count = 0
    for found in batches:
        pixels = pixels_of(found)
        assert pixels.shape[1:] == (3, size, size) and pixels.dtype == torch.uint8
        count += len(pixels)
    return count
epoch()
used, started = cpu(), time.perf_counter()
count = sum(epoch() for _ in range(epochs))
print(json.dumps([(cpu() - used) / count * 1e3, (time.perf_counter() - started) / count * 1e3]), flush=True)
os._exit(0)
"""

WRITER = r"""
import glob, json, os, sys
name, folder = sys.argv[1:]
files = sorted(glob.glob(folder + "/files/*/*.jpg"))
if name == "Streaming":
    from streaming import MDSWriter
    with MDSWriter(out=folder + "/mds", columns={"image": "bytes"}, size_limit=2**22) as out:
        for path in files:
            out.write({"image": open(path, "rb").read()})
elif name == "datasets":
    from datasets import Dataset, Features, Image
    rows = {"image": [{"path": None, "bytes": open(path, "rb").read()} for path in files]}
    Dataset.from_dict(rows, features=Features({"image": Image()})).save_to_disk(folder + "/arrow")
"""


class Measured(NamedTuple):
    """ms per picture."""

    cpu: float
    wall: float


class Side(NamedTuple):
    """Who reads what with how many threads."""

    name: str
    source: str
    threads: int


def main() -> None:
    source = REAL / "imagenet_photos_240" / "imagenet_photos_240.tar"
    if not source.exists():
        raise SystemExit(f"{source} not found: set PICTUS_REAL_DATA")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = unpacked(source, folder / "photos")
        project = pictus.new(folder / "project")
        import_(project, photos, "1.0.0")
        release = find_release(project)
        started = time.process_time()
        pack = packs.made(project, project.models_dir / packs.PACKS, release, SHORT)
        packing = (time.process_time() - started) / len(pack.rows) * 1e3  # with what is imported on the way
        folders = {SOURCES[0]: written(folder / "a", release, None), SOURCES[1]: written(folder / "b", release, pack)}
        peers = {} if "--peerless" in sys.argv else usable(folders)
        found = measured(project.root, folders, peers)
        checks = checked(release, None, "originals") | checked(release, pack, "packs")
        report(found, checks, len(pack.rows), packing)


def measured(project: Path, folders: dict[str, Path], peers: dict[str, Path]) -> dict[Side, Measured]:
    """The median of the rounds of each side."""
    is_quick = "--quick" in sys.argv
    found: dict[Side, list[Measured]] = {}
    for _ in range(1 if is_quick else ROUNDS):
        for threads in (1,) if is_quick else (1, 2):
            for source, folder in folders.items():
                found.setdefault(Side("ours", source, threads), []).append(own_process(project, source, threads))
                for name, python in peers.items():
                    workers = 0 if threads == 1 else threads
                    words = [name, str(folder), str(workers), str(SIZE), str(BATCH), str(EPOCHS)]
                    one = ran(python, PEER, words)
                    if one:
                        found.setdefault(Side(name, source, threads), []).append(Measured(*json.loads(one)))
            found.setdefault(Side("ours", "kept", threads), []).append(own_process(project, "kept", threads))
    return {side: Measured(*map(statistics.median, zip(*rounds, strict=True))) for side, rounds in found.items()}


def own_process(project: Path, source: str, threads: int) -> Measured:
    command = [sys.executable, __file__, "--side", str(project), source, str(threads)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S).stdout
    return Measured(*json.loads(out.splitlines()[-1]))


def side(root: str, source: str, threads: int) -> None:
    """What `own_process` runs: ours, an epoch untimed, then EPOCHS."""
    environment.keep_memory()  # as training does
    project = pictus.open(root)
    release = find_release(project)
    is_original, memory = source == SOURCES[0], 2**30 if source == "kept" else 0
    pack = None if is_original else packs.made(project, project.models_dir / packs.PACKS, release, SHORT)
    pictures = pictures_of(release, pack, memory)
    per_epoch = loader.steps_per_epoch(len(pictures), BATCH)
    sum(len(batch) for batch in ours(pictures, threads, 0, per_epoch))
    used, started = time.process_time(), time.perf_counter()
    count = sum(len(batch) for batch in ours(pictures, threads, per_epoch, (1 + EPOCHS) * per_epoch))
    cpu, wall = time.process_time() - used, time.perf_counter() - started
    print(json.dumps([cpu / count * 1e3, wall / count * 1e3]))


def pictures_of(release: Release, pack: packs.Pack | None, memory: int) -> loader.Pictures:
    labels = TASKS.get("classification").targets(release, "train")
    supply = loader.Supply(packs.reader(pack), {}) if pack else None
    decode = partial(loader.packed, short_side=-1, may_grow=False)
    return loader.Pictures(release, "train", decode, memory, labels, supply=supply)


def ours(pictures: loader.Pictures, threads: int, first: int, last: int) -> Iterator[np.ndarray]:
    portions = loader.portions_of_epochs(0, len(pictures), BATCH, first, last)
    with loader.batches(pictures, portions, VIEW, seed=0, threads=threads) as stream:
        for batch in stream:
            yield batch.views[0]


def checked(release: Release, pack: packs.Pack | None, source: str) -> dict[str, bool]:
    steps = 2 * loader.steps_per_epoch(len(pictures_of(release, pack, 0)), BATCH)

    def hashes(threads: int, first: int = 0) -> list[str]:
        batches = ours(pictures_of(release, pack, 0), threads, first, steps)
        return [hashlib.sha256(batch.tobytes()).hexdigest() for batch in batches]

    expected = hashes(1)
    same = {f"{source}: same pixels at {threads} threads": hashes(threads) == expected for threads in (2, 4)}
    return same | {f"{source}: same pixels after a resume": hashes(2, first=4) == expected[4:]}


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


def written(folder: Path, release: Release, pack: packs.Pack | None) -> Path:
    """The pictures as the peers take them: files in folders of classes, tar files for WebDataset."""
    pictures = pictures_of(release, pack, 0)
    every = [pictures._bytes(position) for position in range(len(pictures))]  # noqa: SLF001  what ours reads
    (folder / "wds").mkdir(parents=True)
    for number, data in enumerate(every):
        path = folder / "files" / ("even", "odd")[number % 2] / f"{number:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for shard in range(4):
        with tarfile.open(folder / "wds" / f"{shard}.tar", "w") as archive:
            for number in range(shard, len(every), 4):
                entry = tarfile.TarInfo(f"{number:03d}.jpg")
                entry.size = len(every[number])
                archive.addfile(entry, io.BytesIO(every[number]))
    return folder


def usable(folders: dict[str, Path]) -> dict[str, Path]:
    """The peers that install, each with its interpreter, and their own files written."""
    home = Path(tempfile.gettempdir()) / "pictus-benchmark-loader"
    found = {}
    for name, package in PEERS.items():
        python = Path(sys.executable) if name == "ImageFolder" else installed(home / name, package)
        if python and all(ran(python, WRITER, [name, str(folder)]) is not None for folder in folders.values()):
            found[name] = python
    return found


def installed(folder: Path, package: str) -> Path | None:
    """An environment with the package, kept for the next run; torch and torchvision come from this one's."""
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        where = subprocess.run(
            [str(python), "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        Path(where.stdout.strip(), "shared.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
        if subprocess.run(pip, check=False, stderr=subprocess.DEVNULL).returncode:
            print(f"{package} does not install here: left out", file=sys.stderr)
            return None
        (folder / "ready").touch()
    return python


def ran(python: Path, program: str, words: list[str]) -> str | None:
    """The last line a peer printed; None where it failed, which is told."""
    command = [str(python), "-c", program, *words]
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S).stdout
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = str(error.stderr or "").strip().splitlines()[-1:]
        print(f"{words[0]} failed: {said or error}", file=sys.stderr)
        return None
    return (out.splitlines() or [""])[-1]


def report(found: dict[Side, Measured], checks: dict[str, bool], count: int, packing: float) -> None:
    print(f"{count} photographs, {SIZE} px, batches of {BATCH}; ms per picture, median of the rounds")
    print(f"{'from':18}{'threads':>8}  {'side':14}{'CPU':>8}{'ratio':>8}{'wall':>8}{'ratio':>8}")
    ratios: dict[str, Any] = {}
    for one, took in sorted(found.items(), key=lambda pair: (pair[0].source, pair[0].threads, pair[0].name != "ours")):
        own = found.get(Side("ours", one.source, one.threads), took)
        words = f"{took.cpu / own.cpu:8.2f}{took.wall:8.2f}{took.wall / own.wall:8.2f}"
        print(f"{one.source:18}{one.threads:8}  {one.name:14}{took.cpu:8.3f}{words}")
        if one.name != "ours":
            ratios.setdefault(one.source, {})[f"{one.name}, {one.threads}"] = round(took.cpu / own.cpu, 2)
    first = found.get(Side("ImageFolder", SOURCES[0], 1))
    for source in (SOURCES[1], "kept"):
        if first:
            ratio = round(first.cpu / found[Side("ours", source, 1)].cpu, 2)
            ratios[f"ours from {source} beside ImageFolder from originals"] = ratio
            print(f"ours from {source} beside ImageFolder from originals: {ratio:.1f} times less CPU")
    print(f"making the pack: {packing:.2f} ms of CPU per picture, once")
    for name, holds in checks.items():
        print(f"{name}: {'yes' if holds else 'NO'}")
    line = {
        "name": "loader", "ours": round(found[Side("ours", SOURCES[0], 1)].cpu, 3), "unit": "CPU ms per picture",
        "n": count, "ratio": ratios, "checks": checks,
    }  # fmt: skip
    print(json.dumps(line))


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["--side"]:
            side(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        else:
            main()
    except UserError as error:
        raise SystemExit(str(error)) from None
