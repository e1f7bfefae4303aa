"""Trained on the crowd's majority, on its doubt, and in spite of its mistakes: accuracy on clean labels.

    python benchmarks/soft_labels.py --quick         4,000 pictures, 1 seed, 10 epochs
    python benchmarks/soft_labels.py                 16,000 pictures, 3 seeds, 10 epochs: about an hour on 2 idle cores
    python benchmarks/soft_labels.py --pictures 50000 --epochs 20

CIFAR-10's training pictures with the three labels that people gave each (CIFAR-10N, Wei et al. 2022: about 18 % of them
wrong), taken through a project: votes imported, settled by Dawid and Skene's model, split, cut. The test pictures carry
CIFAR-10's own labels. Validation, which chooses the epoch, has the crowd's labels only. Beside top-1 stands the
cross-entropy to what about 51 people said of each test picture (CIFAR-10H, Peterson et al. 2019), nats: how far the
network doubts where people do.

Who gave which label is not known: the three labels of a picture are taken as of three annotators.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

import pictus
from cifar10 import CLASSES, PLAIN, REAL, concepts, first_pictures
from pictus import annotate, collect, evaluate, release, taxonomy, train
from pictus.project import Project
from pictus.records import Source
from pictus.releases import class_names, find_release

WAYS: dict[str, tuple[str, ...]] = {
    "majority": (),
    "posterior": ("targets=posterior",),
    "votes": ("targets=votes",),
    "downweight": ("robust=downweight",),
    "gce": ("robust=gce",),
    "votes, forward": ("targets=votes", "robust=forward"),
}
LEAST = 0.51
"""Posterior a label needs; pictures of which nothing is as sure are left out."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="4,000 pictures, 1 seed, 10 epochs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--pictures", type=int, default=16_000, help="to learn from and to validate on, of 50,000")
    parser.add_argument("--recipe", default="airbench")
    parser.add_argument("--only", default="", help="some of: " + "; ".join(WAYS))
    asked = parser.parse_args()
    full = (asked.seeds, asked.epochs, (asked.pictures, 10_000))
    seeds, epochs, sizes = (1, 10, (3200, 800)) if asked.quick else full
    ways = {name: WAYS[name] for name in WAYS if not asked.only or name in asked.only.split("; ")}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        project = pictus.new(Path(scratch) / "cifar10n")
        facts = prepared(project, Path(scratch) / "photos", sizes)
        print(f"{facts}\n{'way':16}{'seed':>5}{'top-1':>8}{'to people':>11}{'seconds':>9}", flush=True)
        found = {
            name: [trained(project, name, settings, seed, (asked.recipe, epochs)) for seed in range(seeds)]
            for name, settings in ways.items()
        }
    table = {name: summed(rows) for name, rows in found.items()}
    print(f"\n{'way':16}{'top-1, mean of ' + str(seeds):>20}{'':3}{'spread':8}{'by majority':>13}{'to people':>11}")
    for name, row in table.items():
        gain = [one["top1"] - first["top1"] for one, first in zip(found[name], found.get("majority", []), strict=False)]
        by = f"{statistics.mean(gain):+.4f}" if gain else ""  # of the same seeds
        print(f"{name:16}{row['top1']:20.4f} ± {row['spread']:<8.4f}{by:>13}{row['to_people']:11.3f}")
    print(json.dumps({
        "name": "soft_labels", "ours": max(row["top1"] for row in table.values()), "peer": {}, "unit": "top-1",
        "ratio": {}, "n": seeds, "checks": {**facts, "epochs": epochs, "recipe": asked.recipe, "ways": table,
        "seconds": round(time.perf_counter() - started)},
    }))  # fmt: skip


def prepared(project: Project, photos: Path, sizes: tuple[int, int]) -> dict[str, Any]:
    """A release of the first pictures of each split: crowd labels in train and val, clean ones in test."""
    rows = first_pictures(photos, *sizes)
    human = np.load(REAL / "cifar10_human" / "cifar10n_labels.npz")
    labels_N3 = np.stack([human[f"random_label{number}"] for number in (1, 2, 3)], axis=1)
    votes, clean = (photos.parent / name for name in ("votes.csv", "clean.csv"))
    with votes.open("w") as opened, clean.open("w") as opened_clean:
        opened.write("worker,image,answer\n")
        opened_clean.write("image,label\n")
        for row in rows:
            if row["split"] == "test":
                opened_clean.write(f"{row['path']},{row['label_name']}\n")
            else:
                for worker, label in enumerate(labels_N3[int(row["official_index"])].tolist()):
                    opened.write(f"worker {worker + 1},{row['path']},{CLASSES[label]}\n")
    taxonomy.import_(project, file=concepts(photos.parent))
    collect.add(project, (photos,))
    annotate.import_(project, (votes,))
    annotate.import_(project, (clean,))
    settled = annotate.settle(project, threshold=LEAST)
    release.split(project, seed=7, given=("test=test",), train=0.9, val=0.1, test=0)
    cut = release.cut(project, "1.0.0")
    return {
        "settled": settled.headline, **{name: cut.summary[name] for name in ("train", "val", "test")},
        "wrong_votes": round(float((labels_N3 != human["clean_label"][:, None])[: sizes[0]].mean()), 4),
    }  # fmt: skip


def trained(
    project: Project, name: str, settings: tuple[str, ...], seed: int, how: tuple[str, int]
) -> dict[str, float]:
    """One run -> its accuracy on the clean test labels, and its cross-entropy to what people said of them."""
    run = f"{name.replace(', ', '-')}-{seed}"
    started = time.perf_counter()
    train.run(project, recipe=how[0], name=run, epochs=how[1], set_=(*PLAIN, "smoothing=0", f"seed={seed}", *settings))
    seconds = time.perf_counter() - started
    top1 = evaluate.run(project, run=run, split="test", logits=True).summary["top1"]["estimate"]
    table = pq.read_table(project.models_dir / run / "evaluations" / "1.0.0-test" / "predictions.parquet")
    logits_NK = np.array(table.column("logits").to_pylist(), np.float64)
    log_NK = logits_NK - np.logaddexp.reduce(logits_NK, axis=1, keepdims=True)
    counts_NK = people(project, table.column("image_id").to_pylist())
    shares_NK = counts_NK / counts_NK.sum(axis=1, keepdims=True)
    to_people = float(-(shares_NK * log_NK).sum(axis=1).mean())
    print(f"{name:16}{seed:5}{top1:8.4f}{to_people:11.3f}{seconds:9.0f}", flush=True)
    return {"top1": top1, "to_people": to_people, "seconds": seconds}


def people(project: Project, image_ids: list[str]) -> Any:  # noqa: ANN401  f64[N, K]
    """How many people said which class of each test picture; K in the order of the release's classes."""
    with (REAL / "cifar10" / "index.csv").open() as opened:
        index_of = {row["path"]: int(row["official_index"]) for row in csv.DictReader(opened) if row["split"] == "test"}
    path_of = {one.image_id: "/".join(one.address.split("/")[-3:]) for one in project.tables.records("sources", Source)}
    counts = np.load(REAL / "cifar10_human" / "cifar10h_counts.npz")["counts"].astype(np.float64)
    names = class_names(find_release(project))
    columns = [CLASSES.index(name) for name in names]
    return counts[[index_of[path_of[image_id]] for image_id in image_ids]][:, columns]


def summed(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean and standard deviation over seeds."""
    top1 = [row["top1"] for row in rows]
    return {
        "top1": round(statistics.mean(top1), 4), "spread": round(statistics.stdev(top1), 4) if len(top1) > 1 else 0.0,
        "to_people": round(statistics.mean(row["to_people"] for row in rows), 4),
        "seconds": round(statistics.mean(row["seconds"] for row in rows), 1),
    }  # fmt: skip


if __name__ == "__main__":
    main()
