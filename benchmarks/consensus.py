"""Truth from votes beside crowd-kit: seconds and accuracy on the same votes of real people, one process each.

    python benchmarks/consensus.py             crowd_votes, 924,810 votes over ImageNet, 100 classes simulated
    python benchmarks/consensus.py --peerless  only ours

crowd-kit is installed into an environment of its own under the temporary folder. Both sides get the
votes in memory, in the form they take them (arrays; a data frame), and run interleaved; reading,
imports and installing are not timed. Seconds are of CPU: both compute on one core. A peer that needs
more than LIMIT_S for one set is stopped and counted with that time. `rounds` is where crowd-kit
stopped: it ends when its loss grows, with many votes often after two rounds.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pictus.annotate import majority, one_coin  # noqa: F401  the methods register themselves
from pictus.annotate.consensus import METHODS, probability_of, votes_of
from pictus.annotate.dawid_skene import dawid_skene  # noqa: F401

ROUNDS = 3
LIMIT_S = 240
REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))

PEER = r"""
import json, os, sys, time, warnings
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
warnings.simplefilter("ignore")
import pandas as pd
from crowdkit.aggregation import DawidSkene, MajorityVote, OneCoinDawidSkene
votes = pd.read_parquet(sys.argv[1])
method = {"majority": lambda: MajorityVote(), "one-coin": lambda: OneCoinDawidSkene(n_iter=100),
          "dawid-skene": lambda: DawidSkene(n_iter=100)}[sys.argv[2]]()
started = time.process_time()
method.fit(votes)
seconds = time.process_time() - started
shares = method.probas_
table = shares.reset_index().rename(columns={shares.index.name or "index": "task"})
table.columns = [str(column) for column in table.columns]
table.to_parquet(sys.argv[3])
print(json.dumps([seconds, len(getattr(method, "loss_history_", None) or ())]))
"""


class Task(NamedTuple):
    """Votes with the truth where it is known (-1 elsewhere). `forced`: only these classes can be the answer."""

    items: NDArray[np.int64]
    annotators: NDArray[np.int64]
    answers: NDArray[np.int64]
    classes: int
    truth: NDArray[np.int64]
    forced: int


def main() -> None:
    if not (REAL / "crowd_votes").exists():
        sys.exit(f"{REAL} has no crowd_votes: set PICTUS_REAL_DATA")
    python = None if "--peerless" in sys.argv else peer_python()
    tasks = {name: crowd(name) for name in ("duck", "face_sentiment", "product_match", "waterbirds5")}
    tasks["imagenet_real"] = reassessed()
    tasks["simulated-100"] = simulated(100, 20_000, 85, 5, seed=0)
    tasks["simulated-1000"] = simulated(1000, 20_000, 85, 5, seed=0)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    print(f"{'set':16}{'votes':>9} {'classes':>7}  {'method':12}{'ours s':>9}", end="")
    print(f"{'crowd-kit s':>13}{'rounds':>8}{'ratio':>8}{'accuracy':>10}{'crowd-kit':>10}")
    with tempfile.TemporaryDirectory() as scratch:
        for name, task in tasks.items():
            found[name] = {}
            for method in ("majority", "one-coin", "dawid-skene"):
                if python and name == "simulated-1000" and method != "majority":
                    row = compare(None, task, method, Path(scratch))  # crowd-kit: hours, and 0.7 GB times its copies
                else:
                    row = compare(python, task, method, Path(scratch))
                found[name][method] = row
                show(name, task, method, row)
    published = np.load(REAL / "imagenet_real" / "scores.npz", allow_pickle=False)["tensor"]
    known = tasks["imagenet_real"].truth >= 0
    authors = float(np.mean((published > 0.5)[known] == (tasks["imagenet_real"].truth[known] == 1)))
    print(f"\nimagenet_real, 1,135 golden questions: the authors' published scores are right on {authors:.4f}")
    best = found["imagenet_real"]["dawid-skene"]
    votes = tasks["imagenet_real"].items.size
    checks = {name: {method: row["accuracy"] for method, row in rows.items()} for name, rows in found.items()}
    report = {
        "name": "consensus", "ours": round(votes / best["ours"]), "unit": "votes/s", "n": votes,
        "peer": {"crowd-kit": round(votes / best["peer"])} if best["peer"] else {},
        "ratio": {"crowd-kit": round(best["peer"] / best["ours"], 1)} if best["peer"] else {},
        "checks": {"cpu_s": {m: round(row["ours"], 3) for m, row in found["imagenet_real"].items()},
                   "crowd_kit_rounds": best["peer_rounds"], "accuracy": checks,
                   "authors_golden": round(authors, 4)},
    }  # fmt: skip
    print(json.dumps(report))


def compare(python: Path | None, task: Task, method: str, scratch: Path) -> dict[str, Any]:
    """Best of some interleaved rounds: CPU seconds and accuracy of both sides."""
    rounds = ROUNDS if task.items.size != 100_000 else 1  # a peer takes half a minute there
    table = pa.table({"task": task.items, "worker": task.annotators, "label": task.answers})
    pq.write_table(table, scratch / "votes.parquet")
    ours, theirs = [], []
    is_late, peer_rounds = False, 0
    for _ in range(rounds):
        votes = votes_of(task.items, task.annotators, task.answers, n_classes=task.classes)
        started = time.process_time()
        found = METHODS.get(method)(votes)
        ours.append(time.process_time() - started)
        if python and not is_late:
            run = run_peer(python, method, scratch)
            is_late = run is None
            seconds, peer_rounds = run or (LIMIT_S, 0)
            theirs.append(seconds)
    shares_IF = np.stack([probability_of(found, label) for label in range(task.forced)], axis=1)
    row: dict[str, Any] = {"ours": min(ours), "peer": min(theirs) if theirs else 0.0}
    row |= {"accuracy": accuracy(task, shares_IF), "peer_accuracy": None, "is_late": is_late,
            "peer_rounds": peer_rounds}  # fmt: skip
    if theirs and not is_late:
        told = pq.read_table(scratch / "found.parquet")
        shares = np.zeros((task.truth.size, task.forced))
        for label in range(task.forced):
            if str(label) in told.column_names:
                shares[told.column("task").to_numpy(), label] = np.nan_to_num(told.column(str(label)).to_numpy())
        row["peer_accuracy"] = accuracy(task, shares)
    return row


def accuracy(task: Task, shares_IF: NDArray[np.float64]) -> float:
    known = task.truth >= 0
    return round(float(np.mean(shares_IF.argmax(axis=1)[known] == task.truth[known])), 4)


def show(name: str, task: Task, method: str, row: dict[str, Any]) -> None:
    late = ">" if row["is_late"] else ""
    peer = f"{late}{row['peer']:.3f}" if row["peer"] else "-"
    ratio = f"{late}{row['peer'] / row['ours']:.1f}" if row["peer"] else "-"
    theirs = f"{row['peer_accuracy']:.4f}" if row["peer_accuracy"] is not None else "-"
    rounds = str(row["peer_rounds"]) if row["peer_rounds"] else "-"
    print(f"{name:16}{task.items.size:9,} {task.classes:7}  {method:12}{row['ours']:9.3f}", end="")
    print(f"{peer:>13}{rounds:>8}{ratio:>8}{row['accuracy']:10.4f}{theirs:>10}", flush=True)


def run_peer(python: Path, method: str, scratch: Path) -> tuple[float, int] | None:
    """Seconds and rounds until it stopped by itself; None when it did not in time."""
    command = [str(python), "-c", PEER, str(scratch / "votes.parquet"), method, str(scratch / "found.parquet")]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return None
    seconds, rounds = json.loads(done.stdout.splitlines()[-1])
    return float(seconds), int(rounds)


def peer_python() -> Path:
    """An environment with crowd-kit; kept for the next run."""
    folder = Path(tempfile.gettempdir()) / "pictus-benchmark-consensus"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "crowd-kit==1.4.1", "pyarrow"], check=True)
        (folder / "ready").touch()
    return python


def crowd(name: str) -> Task:
    folder = REAL / "crowd_votes" / name
    with (folder / "answer.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    item, person = ({text: number for number, text in enumerate(sorted({row[column] for row in rows}))}
                    for column in ("question", "worker"))  # fmt: skip
    answers = np.array([int(row["answer"]) for row in rows])
    truth_I = np.full(len(item), -1)
    if (folder / "truth.csv").exists():
        with (folder / "truth.csv").open(newline="") as file:
            known = {row["question"]: int(row["truth"]) for row in csv.DictReader(file)}
    else:  # waterbirds5: "is it a duck?"; kinds 0 and 2 are
        import yaml

        kinds = yaml.safe_load((folder / "classes.yaml").read_text(encoding="utf-8"))["labels"]
        known = {str(question): int(kind in (0, 2)) for question, kind in kinds.items()}
    for question, truth in known.items():
        truth_I[item[question]] = truth
    classes = int(answers.max()) + 1
    items = np.array([item[row["question"]] for row in rows])
    return Task(items, np.array([person[row["worker"]] for row in rows]), answers, classes, truth_I, classes)


def reassessed() -> Task:
    """Votes no, yes, maybe (0, 1, 2) on 184,962 questions; truth: most of five experts, forced to yes or no."""
    folder = REAL / "imagenet_real"
    raters, golden = (np.load(folder / f"{name}.npz", allow_pickle=False) for name in ("raters", "golden"))
    item_V, annotator_V, said_V = np.nonzero(raters["tensor"].transpose(1, 0, 2))
    place = {tuple(question): number for number, question in enumerate(raters["info"].tolist())}
    said_GK = golden["tensor"].sum(axis=0)
    truth_I = np.full(len(place), -1)
    truth_I[[place[tuple(question)] for question in golden["info"].tolist()]] = said_GK[:, 2] > said_GK[:, 0]
    return Task(item_V, annotator_V, np.array([0, 2, 1])[said_V], 3, truth_I, 2)


def simulated(classes: int, items: int, annotators: int, each: int, seed: int) -> Task:
    """Annotators right 50 to 95 % of the time, one in ten a guesser; half of the errors go to the sibling class."""
    rng = np.random.default_rng(seed)
    truth_I = rng.integers(0, classes, items)
    accuracy_W = np.where(rng.random(annotators) < 0.1, 1 / classes, rng.uniform(0.5, 0.95, annotators))
    item_V = np.repeat(np.arange(items), each)
    annotator_V = np.argsort(rng.random((items, annotators)), axis=1)[:, :each].ravel()
    truth_V = truth_I[item_V]
    other_V = (truth_V + rng.integers(1, classes, item_V.size)) % classes
    wrong_V = np.where(rng.random(item_V.size) < 0.5, truth_V ^ 1, other_V)
    answer_V = np.where(rng.random(item_V.size) < accuracy_W[annotator_V], truth_V, wrong_V)
    return Task(item_V, annotator_V, answer_V, classes, truth_I, classes)


if __name__ == "__main__":
    main()
