"""Does learning without labels pay where labels are few? CIFAR-10 with the labels of 1 % of its training pictures.

    python benchmarks/pretrain.py --quick            10,000 pictures, 1 seed, 12 epochs
    python benchmarks/pretrain.py --seeds 3          50,000 pictures
    python benchmarks/pretrain.py --project P --only "pre-trained, probe" --objective dcl --set sharpness=0.1

With --project the folder is kept, and what was trained in it with the same settings is not trained again: settings of
pre-training are tried one after the other beside the same runs from scratch.

For each seed top-1 on test pictures, with the same share of labels, stratified and drawn by the seed:

    pre-trained, probe    a linear probe on the features of a network that `pictus train pretrain` taught without labels
    drawn, probe          a linear probe on the same network as it was drawn from the seed: from scratch, no training
    from labels           the same network trained from scratch on the labelled pictures alone (`share=0.01`)
    from labels, probe    a linear probe on that network's features
    pre-trained, labels   with --tune: the pre-trained network trained on from the labelled pictures (`from_run`)
    fixmatch              with --fixmatch: labels and all other pictures without (`objective=fixmatch`)

"From scratch" is the best of the second to fourth. A probe is told as the mean over --draws of the labelled pictures;
training has one draw a seed. Validation pictures keep their labels: the probe's penalty and the best epoch of training
from labels are chosen on them, in each way alike.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cifar10 import PLAIN, labelled
from pictus import evaluate, models, train
from pictus.project import Project
from pictus.releases import find_release
from pictus.train.transfer import features, probing

PRE, DRAWN, LABELS, LABELS_PROBE, TUNED, FIXMATCH = (
    "pre-trained, probe", "drawn, probe", "from labels", "from labels, probe", "pre-trained, labels", "fixmatch"
)  # fmt: skip


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
    parser.add_argument("--draws", type=int, default=3, help="of the labelled pictures, for a probe")
    parser.add_argument("--label-epochs", type=int, default=40, help="of training from labels")
    parser.add_argument("--only", default="", help="some of the ways, with semicolons between them")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--fixmatch", action="store_true")
    parser.add_argument("--project", type=Path, default=None, help="a folder to keep the project in, or one that was")
    asked = parser.parse_args()
    if asked.quick:
        asked.seeds, asked.pictures = 1, 10_000
    started = time.perf_counter()
    with labelled(asked.pictures, asked.project) as project:
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
    ours = round(table[PRE][0], 4) if PRE in table else None
    scratch_top1 = max((mean for way, (mean, _) in table.items() if way in (DRAWN, LABELS, LABELS_PROBE)), default=0.0)
    print(json.dumps({
        "name": "pretrain", "ours": ours, "peer": {"from scratch": round(scratch_top1, 4)} if scratch_top1 else {},
        "unit": "top-1", "n": asked.seeds,
        "ratio": {"from scratch": round(ours / scratch_top1, 3)} if ours and scratch_top1 else {},
        "checks": {**counts, "share": asked.share, "objective": asked.objective, "recipe": asked.recipe,
                   "epochs": asked.epochs, "settings": asked.set, "ways": found,
                   "seconds": round(time.perf_counter() - started)},
    }))  # fmt: skip


def ways(project: Project, asked: argparse.Namespace, seed: int) -> list[tuple[str, float]]:
    """Each way with its top-1 on test, told as soon as it is there."""
    several = possible(project, asked, seed)
    wanted = [one.strip() for one in asked.only.split(";")] if asked.only else list(several)
    if unknown := [one for one in wanted if one not in several]:
        sys.exit(f"--only: {'; '.join(unknown)}: known are {'; '.join(several)}")
    found = []
    for way in wanted:
        before = time.process_time()
        found.append((way, several[way]()))
        print(f"{way:22}{seed:5}{found[-1][1]:8.4f}{time.process_time() - before:8.0f}", flush=True)
    return found


def possible(project: Project, asked: argparse.Namespace, seed: int) -> dict[str, Callable[[], float]]:
    """By the name of a way, what trains and tells its top-1 on test."""
    given = (*PLAIN, f"seed={seed}")
    few = (*given, f"share={asked.share}", "batch_size=64", f"epochs={asked.label_epochs}")

    def taught(*settings: str, objective: str = asked.objective) -> str:
        own = (*given, *settings)
        name = named(f"{objective}-{asked.recipe}-{seed}", own)
        return made(project, name, lambda: train.pretrain(
            project, objective=objective, recipe=asked.recipe, name=name, set_=own
        ))  # fmt: skip

    def labelled(way: str, *settings: str) -> str:
        name = named(f"{way}-{asked.recipe}-{seed}", settings)
        return made(project, name, lambda: train.run(project, recipe=asked.recipe, name=name, set_=settings))

    def pretrained() -> str:
        return taught(f"epochs={asked.epochs}", *asked.set)

    def drawn() -> str:  # one pass at no rate: running statistics, no learning
        return taught("epochs=1", "lr=1e-9", "ema=0", objective="simclr")

    def tuned() -> str:
        gently = ("optimizer=adamw", "lr=0.001", "weight_decay=0.05", "lr_head=10", "lr_bias=1")
        return labelled("tuned", *few, f"from_run={pretrained()}", *gently)

    def matched() -> str:  # smaller steps than from all labels: an eighth of a batch has one (published: 0.03)
        own = (*given, f"share={asked.share}", f"epochs={asked.epochs}", "batch_size=128", "lr=0.05")
        return labelled("fixmatch", *own, "objective=fixmatch")

    several: dict[str, Callable[[], float]] = {
        DRAWN: lambda: probed(project, drawn(), asked, seed),
        LABELS: lambda: tested(project, labelled("labels", *few)),
        LABELS_PROBE: lambda: probed(project, labelled("labels", *few), asked, seed),
        PRE: lambda: probed(project, pretrained(), asked, seed),
    }
    if asked.tune:
        several[TUNED] = lambda: tested(project, tuned())
    if asked.fixmatch:
        several[FIXMATCH] = lambda: tested(project, matched())
    return several


def named(way: str, settings: tuple[str, ...]) -> str:
    """A run's name: other settings, another name."""
    return f"{way}-{hashlib.sha256(' '.join(settings).encode()).hexdigest()[:8]}"


def made(project: Project, name: str, begin: Callable[[], object]) -> str:
    """The name of a run that has ended; trained now, or gone on with, where there is none in the project."""
    if not any(run.name == name and run.is_finished for run in models.runs(project, skip_broken=True)):
        begin()
    return name


def tested(project: Project, run: str) -> float:
    """Of the network's own answers."""
    return float(evaluate.run(project, run=run, split="test").summary["top1"]["estimate"])


def probed(project: Project, run: str, asked: argparse.Namespace, seed: int) -> float:
    """A linear probe on features, from a share of labels; mean over draws, which are the same for every way."""
    opened, source = find_release(project), features.source_of(project, run)
    folder = features.kept_at(project, source, opened)
    known, val, test = (
        features.of_split(folder, source, opened, split, project.progress) for split in ("train", "val", "test")
    )
    found = []
    for draw in range(asked.draws):
        few = probing.share_of(known, asked.share, seed * 1000 + draw)
        found.append(probing.rows("linear", few, val, test, len(opened.classes))[-1].top1)
    return statistics.mean(found)


if __name__ == "__main__":
    main()
