"""Does learning without labels pay where labels are few? CIFAR-10 with the labels of 1 % of its training pictures.

    python benchmarks/pretrain.py --quick            10,000 pictures, 1 seed, 12 epochs
    python benchmarks/pretrain.py --seeds 3          50,000 pictures

For each seed top-1 on test pictures, with the same share of labels, stratified and drawn by the seed:

    pre-trained, probe    a linear probe on the features of a network that `pictus train pretrain` taught without labels
    drawn, probe          a linear probe on the same network as it was drawn from the seed: from scratch, no training
    from labels           the same network trained from scratch on the labelled pictures alone (`share=0.01`)
    from labels, probe    a linear probe on that network's features
    fixmatch              with --fixmatch: labels and all other pictures without (`objective=fixmatch`)

"From scratch" is the best of the second to fourth. Validation pictures keep their labels: the probe's penalty and the
best epoch of training from labels are chosen on them, in each way alike.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pictus
from pictus import annotate, collect, evaluate, release, taxonomy, train
from pictus.project import Project
from pictus.releases import find_release
from pictus.train.transfer import features, probing

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PRE, DRAWN, LABELS, LABELS_PROBE, FIXMATCH = (
    "pre-trained, probe", "drawn, probe", "from labels", "from labels, probe", "fixmatch"
)  # fmt: skip
PLAIN = ("size=32", "probe=false")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10,000 pictures, 1 seed, 12 epochs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--pictures", type=int, default=50_000, help="training pictures; a fifth as many test pictures")
    parser.add_argument("--share", type=float, default=0.01, help="of labels")
    parser.add_argument("--recipe", default="resnet-w32")
    parser.add_argument("--objective", default="simclr")
    parser.add_argument("--set", action="append", default=[], help="a setting of pre-training")
    parser.add_argument("--fixmatch", action="store_true")
    parser.add_argument("--project", type=Path, default=None, help="a folder to keep the project in, or one that was")
    asked = parser.parse_args()
    if asked.quick:
        asked.seeds, asked.pictures = 1, 10_000
    archive = REAL / "cifar10" / "cifar10_jpeg_60000.tar.xz"
    if not archive.exists():
        sys.exit(f"{archive} not found: set PICTUS_REAL_DATA")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.project or Path(scratch) / "cifar10"
        project = pictus.open(folder) if (folder / "releases").exists() else prepared(folder, archive, asked.pictures)
        splits = find_release(project).pictures.column("split").to_pylist()
        counts = {name: splits.count(name) for name in ("train", "test")}
        print(f"{counts}\n{'way':22}{'seed':>5}{'top-1':>8}{'CPU s':>8}", flush=True)
        found: dict[str, list[float]] = {}
        for seed in range(asked.seeds):
            for way, top1 in ways(project, asked, seed):
                found.setdefault(way, []).append(top1)
    table = {
        way: (statistics.mean(each), statistics.stdev(each) if len(each) > 1 else 0.0) for way, each in found.items()
    }
    print(f"\n{'way':22}{f'mean of {asked.seeds}':>12}{'spread':>8}")
    for way, (mean, spread) in table.items():
        print(f"{way:22}{mean:12.4f}{spread:8.4f}")
    scratch_top1 = max(mean for way, (mean, _) in table.items() if way in (DRAWN, LABELS, LABELS_PROBE))
    print(json.dumps({
        "name": "pretrain", "ours": round(table[PRE][0], 4), "peer": {"from scratch": round(scratch_top1, 4)},
        "unit": "top-1", "ratio": {"from scratch": round(table[PRE][0] / scratch_top1, 3)}, "n": asked.seeds,
        "checks": {**counts, "share": asked.share, "objective": asked.objective, "recipe": asked.recipe,
                   "epochs": asked.epochs, "settings": asked.set, "ways": found,
                   "seconds": round(time.perf_counter() - started)},
    }))  # fmt: skip


def ways(project: Project, asked: argparse.Namespace, seed: int) -> list[tuple[str, float]]:
    """Each way with its top-1 on test, told as soon as it is there."""
    given, few = (*PLAIN, f"seed={seed}"), (f"share={asked.share}", "batch_size=64", "epochs=40")
    taught, drawn, labelled, sure = (f"{name}-{seed}" for name in (asked.objective, "drawn", "labels", "fixmatch"))

    def pretrained() -> float:
        settings = (*given, f"epochs={asked.epochs}", *asked.set)
        train.pretrain(project, objective=asked.objective, recipe=asked.recipe, name=taught, set_=settings)
        return probed(project, taught, asked.share, seed)

    def untaught() -> float:
        settings = (*given, "epochs=1", "lr=1e-9", "ema=0")  # one pass at no rate: running statistics, no learning
        train.pretrain(project, objective="simclr", recipe=asked.recipe, name=drawn, set_=settings)
        return probed(project, drawn, asked.share, seed)

    def from_labels() -> float:
        train.run(project, recipe=asked.recipe, name=labelled, set_=(*given, *few))
        return tested(project, labelled)

    def fixmatched() -> float:
        settings = (*given, f"share={asked.share}", "objective=fixmatch", f"epochs={asked.epochs}", "batch_size=128")
        train.run(project, recipe=asked.recipe, name=sure, set_=settings)
        return tested(project, sure)

    several: dict[str, Callable[[], float]] = {
        DRAWN: untaught, LABELS: from_labels,
        LABELS_PROBE: lambda: probed(project, labelled, asked.share, seed), PRE: pretrained,
    }  # fmt: skip
    if asked.fixmatch:
        several[FIXMATCH] = fixmatched
    found = []
    for way, work in several.items():
        before = time.process_time()
        found.append((way, work()))
        print(f"{way:22}{seed:5}{found[-1][1]:8.4f}{time.process_time() - before:8.0f}", flush=True)
    return found


def tested(project: Project, run: str) -> float:
    """Of the network's own answers."""
    return float(evaluate.run(project, run=run, split="test").summary["top1"]["estimate"])


def probed(project: Project, run: str, share: float, seed: int) -> float:
    """A linear probe on features, from a share of labels drawn by the seed."""
    opened, source = find_release(project), features.source_of(project, run)
    folder = features.kept_at(project, source, opened)
    known, val, test = (
        features.of_split(folder, source, opened, split, project.progress) for split in ("train", "val", "test")
    )
    few = probing.share_of(known, share, seed)
    return probing.rows("linear", few, val, test, len(opened.classes))[-1].top1


def prepared(folder: Path, archive: Path, n_train: int) -> Project:
    """A project with a release of the first pictures of each split, labelled as their folders say."""
    project = pictus.new(folder)
    photos = folder.parent / f"{folder.name}-photos"
    with (REAL / "cifar10" / "index.csv").open() as opened:
        rows = [
            row for row in csv.DictReader(opened)
            if int(row["official_index"]) < (n_train if row["split"] == "train" else n_train // 5)
        ]  # fmt: skip
    wanted = {row["path"] for row in rows}
    with tarfile.open(archive) as opened_tar:
        members = [entry for entry in opened_tar if entry.name.removeprefix("./") in wanted]
        opened_tar.extractall(photos, members, filter="data")
    labels, names_file = folder.parent / "labels.csv", folder.parent / "classes.csv"
    names_file.write_text("\n".join(["name", *CLASSES]) + "\n")
    lines = (f"{row['path']},{row['label_name']}" for row in rows)
    labels.write_text("\n".join(["image,label", *lines]) + "\n")
    taxonomy.import_(project, file=names_file)
    collect.add(project, (photos,))
    annotate.import_(project, (labels,))
    annotate.settle(project)
    release.split(project, seed=7, given=("test=test",), train=0.96, val=0.04, test=0)
    release.cut(project, "1.0.0")
    return project


if __name__ == "__main__":
    main()
