"""Does it pay to choose which pictures people are asked about? Top-1 by number of labels, chosen and drawn at random.

    python benchmarks/active.py --quick                       3,000 pictures, 2 seeds, 3 rounds
    python benchmarks/active.py                               20,000 pictures of CIFAR-10, 3 seeds, 8 rounds of 100
    python benchmarks/active.py --rare 0.1                    half of the classes keep a tenth of their pictures
    python benchmarks/active.py --project P --network RUN     features of a run in a project that was kept (pretrain.py)

A network learns from all pictures without labels (`train pretrain`), and its features stay as they are. Each seed draws
the same --start labelled pictures for every way; a round fits a linear probe on what is labelled, tells its top-1 on
test pictures, and has --budget more labelled, CIFAR-10's own labels standing for people. The ways are those of
`train active`, by its own functions:

    random        drawn
    uncertainty   the greatest entropy of the probe's answer
    core-set      unlike all that is labelled, and each other
    mixed         unlike each other among the five times as many most uncertain: the command's default

The probe's penalty is chosen on validation pictures (4 % of all, labelled, the same for every way). Gains are told
beside `random` of the same seed, with Student's interval over seeds. What a network that is trained anew each round
would gain is not measured here.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cifar10 import PLAIN, labelled
from pictus import stats, train
from pictus.models import Floats
from pictus.project import Project
from pictus.releases import find_release
from pictus.train.choosing import rounds
from pictus.train.transfer import features, probing
from pictus.train.transfer.features import Features

WAYS = ("random", "uncertainty", "core-set", "mixed")

Ints = npt.NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3,000 pictures, 2 seeds, 3 rounds, 1 epoch")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--start", type=int, default=100, help="labelled pictures before the first round")
    parser.add_argument("--budget", type=int, default=100, help="of a round")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--rare", type=float, default=1.0, help="share of its pictures that every other class keeps")
    parser.add_argument("--pictures", type=int, default=20_000, help="training pictures; a fifth as many test pictures")
    parser.add_argument("--epochs", type=int, default=6, help="without labels")
    parser.add_argument("--recipe", default="resnet-w32")
    parser.add_argument("--network", default="", help="a run whose features are asked, in place of one made now")
    parser.add_argument("--project", type=Path, default=None, help="a folder to keep the project in, or one that was")
    asked = parser.parse_args()
    if asked.quick:
        asked.pictures, asked.seeds, asked.rounds, asked.epochs = 3_000, 2, 3, 1
    started = time.perf_counter()
    with labelled(asked.pictures, asked.project) as project:
        splits, n_classes = featured(project, asked)
    torch.set_num_threads(1)  # a probe's matrices are small: several threads would wait for each other
    print(f"{'seed':>4}  {'way':12}" + "".join(f"{labels:>8}" for labels in counts(asked)) + "   labels", flush=True)
    curves: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    whole: list[float] = []
    for seed in range(asked.seeds):
        pool = thinned(splits["train"], asked.rare, seed)
        whole.append(right(best(pool, splits["val"], n_classes), splits["test"]))
        for way in WAYS:
            curves[way].append(curve(way, pool, splits, n_classes, seed=seed, asked=asked))
            print(f"{seed:4}  {way:12}" + "".join(f"{one:8.4f}" for one in curves[way][-1]), flush=True)
    table = summed(curves)
    shown(table, asked)
    print(f"\nall {len(pool.labels_N):,} labels: {statistics.mean(whole):.4f}")
    last = {way: table[way]["mean"][-1] for way in WAYS}
    print(json.dumps({
        "name": "active", "ours": last["mixed"], "peer": {"random": last["random"]}, "n": asked.seeds,
        "unit": f"top-1 with {counts(asked)[-1]:,} labels",
        "ratio": {"random": round(last["mixed"] / last["random"], 3)},
        "checks": {"pool": len(pool.labels_N), "rare": asked.rare, "recipe": asked.recipe, "epochs": asked.epochs,
                   "labels": counts(asked), "ways": table, "all": round(statistics.mean(whole), 4),
                   "seconds": round(time.perf_counter() - started)},
    }))  # fmt: skip


def featured(project: Project, asked: argparse.Namespace) -> tuple[dict[str, Features], int]:
    """Features of each split by a network that saw no label, and how many classes there are."""
    name = asked.network
    if not name:
        name = f"simclr-{asked.recipe}-{asked.epochs}"
        train.pretrain(project, recipe=asked.recipe, name=name, set_=(*PLAIN, f"epochs={asked.epochs}"))
    opened, source = find_release(project), features.source_of(project, name)
    folder = features.kept_at(project, source, opened)
    found = {
        split: features.of_split(folder, source, opened, split, project.progress) for split in ("train", "val", "test")
    }
    return found, len(opened.classes)


def thinned(pool: Features, share: float, seed: int) -> Features:
    """The pool without most pictures of every other class."""
    if share == 1:
        return pool
    kept_N = (pool.labels_N % 2 == 0) | (np.random.default_rng((seed, 1)).random(len(pool.labels_N)) < share)
    return Features(pool.values_ND[kept_N], pool.labels_N[kept_N], 0)


def curve(
    way: str, pool: Features, splits: dict[str, Features], n_classes: int, *, seed: int, asked: argparse.Namespace
) -> list[float]:  # fmt: skip
    """Top-1 on test before the first round and after each."""
    generator = np.random.default_rng(seed)
    known: Ints = generator.permutation(len(pool.labels_N))[: asked.start].astype(np.int64)
    found = []
    for number in range(asked.rounds + 1):
        ask = best(Features(pool.values_ND[known], pool.labels_N[known], 0), splits["val"], n_classes)
        found.append(round(right(ask, splits["test"]), 4))
        if number < asked.rounds:
            rest = np.setdiff1d(np.arange(len(pool.labels_N)), known)
            picked = chosen(way, ask, pool.values_ND[rest], pool.values_ND[known], asked.budget, generator=generator)
            known = np.concatenate([known, rest[picked]])
    return found


def chosen(
    way: str, ask: Any, rest_ND: Floats, known_MD: Floats, budget: int, *, generator: np.random.Generator  # noqa: ANN401
) -> Ints:  # fmt: skip
    """Rows of what is not labelled yet."""
    if way == "random":
        return generator.permutation(len(rest_ND))[:budget].astype(np.int64)
    if way == "core-set":
        return rounds.centres(rest_ND, known_MD, budget)
    logits_NK = ask(rest_ND)
    shares_NK = np.exp(logits_NK - np.logaddexp.reduce(logits_NK, axis=1, keepdims=True))
    score_N = rounds.uncertainty(shares_NK)
    return rounds.most(score_N, budget) if way == "uncertainty" else rounds.mixed(score_N, rest_ND, known_MD, budget)


def best(known: Features, val: Features, n_classes: int) -> Any:  # noqa: ANN401  features -> logits
    """The linear probe with the penalty that is best on val; the first of several that are equally good."""
    several = [probing.linear(known, n_classes, hidden=0, l2=l2) for l2 in probing.STRENGTHS]
    return max(several, key=lambda ask: right(ask, val))


def right(ask: Any, asked: Features) -> float:  # noqa: ANN401
    return float((ask(asked.values_ND).argmax(axis=1) == asked.labels_N).mean())


def counts(asked: argparse.Namespace) -> list[int]:
    """Labels before the first round and after each."""
    return [asked.start + number * asked.budget for number in range(asked.rounds + 1)]


def summed(curves: dict[str, list[list[float]]]) -> dict[str, dict[str, Any]]:
    """Mean over seeds by number of labels; gain over `random` of the same seed, mean of all rounds, its interval."""
    base = np.array(curves["random"])
    found = {}
    for way, each in curves.items():
        gain = stats.mean_interval((np.array(each) - base)[:, 1:].mean(axis=1))
        found[way] = {
            "mean": [round(float(one), 4) for one in np.mean(each, axis=0)],
            "gain": [round(float(one), 4) for one in gain] if len(each) > 1 else [round(gain[0], 4)],
        }
    return found


def shown(table: dict[str, dict[str, Any]], asked: argparse.Namespace) -> None:
    head = "".join(f"{labels:>8}" for labels in counts(asked))
    print(f"\n{'labels':18}{head}   gain over random, mean of rounds, 95 % interval of {asked.seeds} seeds")
    for way, row in table.items():
        middle, *around = row["gain"]
        said = f"{middle:+.4f}" + (f" ({around[0]:+.4f} to {around[1]:+.4f})" if around else "")
        print(f"{way:18}" + "".join(f"{one:8.4f}" for one in row["mean"]) + ("" if way == "random" else f"   {said}"))


if __name__ == "__main__":
    main()
