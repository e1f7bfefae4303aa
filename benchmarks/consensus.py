"""Truth from votes beside crowd-kit: accuracy and seconds on the same votes of real people, one process each.

    python benchmarks/consensus.py             crowd_votes, cifar10_human, 924,810 votes over ImageNet, simulated votes
    python benchmarks/consensus.py --quick     only the small sets of crowd_votes
    python benchmarks/consensus.py --peerless  only ours
    python benchmarks/consensus.py --again     only: what settling costs after 1,000 more of a million votes

crowd-kit is installed into an environment of its own under the temporary folder. Both sides get the
votes in memory, in the form they take them (arrays; a data frame), and run one after the other; reading,
imports and installing are not timed. Seconds are of CPU, the best of ROUNDS: both compute on one core. A peer that
needs more than LIMIT_S for one set is stopped and counted with that time ("late"); one that fails says why.
`equal` is the share of all items, known or not, on which both give the same label. `gold` knows the answers of one item
in five, on both sides, and is judged on the others.

crowd_votes: duck = bluebirds, face sentiment, product match, waterbirds5; imagenet_real: truth is most of five experts;
cifar10_human: the three labels of each of CIFAR-10N's 50,000 training pictures, truth as CIFAR-10 has it. Who gave them
is not known, so its three columns stand for three annotators. (CIFAR-10H tells no annotators at all.)
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import pictus
from pictus import annotate
from pictus.annotate.truth.consensus import METHODS, probability_of, votes_of
from pictus.records import Concept
from pictus.tables import table_of

ROUNDS = 3
LIMIT_S = int(os.environ.get("PICTUS_PEER_LIMIT_S", "240"))
SLOW_S = 10.0
"""Runs that take longer are not repeated."""

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))

PEERS = {
    "majority": "MajorityVote", "one-coin": "OneCoinDawidSkene", "dawid-skene": "DawidSkene", "glad": "GLAD",
    "mace": "MACE", "gold": "GoldMajorityVote",
}  # fmt: skip
PEERS_ALONE = ("Wawa", "ZeroBasedSkill", "MMSR", "KOS")
SMALL = ("duck", "face_sentiment", "product_match", "waterbirds5")

PEER = r"""
import json, os, sys, time, warnings
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
warnings.simplefilter("ignore")
import pandas as pd
import crowdkit.aggregation as aggregation
votes, name = pd.read_parquet(sys.argv[1]), sys.argv[2]
kind = getattr(aggregation, name)
known = (pd.read_parquet(sys.argv[4]).set_index("task")["label"],) if name == "GoldMajorityVote" else ()
seconds = []
while not seconds or (len(seconds) < 3 and sum(seconds) < 3):
    method = kind(n_iter=100) if name in ("DawidSkene", "OneCoinDawidSkene") else kind()
    started = time.process_time()
    if known:
        found = method.fit_predict(votes, *known)
    else:
        method.fit(votes)
        found = getattr(method, "labels_", None)
        if found is None and getattr(method, "probas_", None) is None:
            found = method.fit_predict(votes)
    seconds.append(time.process_time() - started)
shares = getattr(method, "probas_", None)
if shares is None:
    shares = pd.get_dummies(found).astype(float)
    shares.columns = list(shares.columns)
table = shares.reset_index().rename(columns={shares.index.name or "index": "task"})
table.columns = [str(column) for column in table.columns]
table.to_parquet(sys.argv[3])
print(json.dumps([min(seconds), len(getattr(method, "loss_history_", None) or ())]))
"""


class Task(NamedTuple):
    """Votes with the truth where it is known (-1 elsewhere). `forced`: only these classes can be the answer."""

    items: NDArray[np.int64]
    annotators: NDArray[np.int64]
    answers: NDArray[np.int64]
    classes: int
    truth: NDArray[np.int64]
    forced: int

    @property
    def told(self) -> NDArray[np.int64]:
        """The truth of one item in five of those that have it, -1 elsewhere."""
        number = np.cumsum(self.truth >= 0)
        return np.where((self.truth >= 0) & (number % 5 == 0), self.truth, -1)


class Ran(NamedTuple):
    """One method on one set. A peer's `note`: why it has no result."""

    seconds: float
    accuracy: float | None
    labels: NDArray[np.int64] | None
    rounds: int = 0
    note: str = ""


def main() -> None:
    if "--again" in sys.argv:
        print(json.dumps({"name": "consensus", "again": again(1_000_000, 1_000)}))
        return
    if not (REAL / "crowd_votes").exists():
        sys.exit(f"{REAL} has no crowd_votes: set PICTUS_REAL_DATA")
    python = None if "--peerless" in sys.argv else peer_python()
    tasks = {name: crowd(name) for name in SMALL}
    if "--quick" not in sys.argv:
        tasks["imagenet_real"] = reassessed()
        tasks["cifar10_human"] = cifar()
        tasks["simulated-100"] = simulated(100, 20_000, 85, 5, seed=0)
        tasks["simulated-1000"] = simulated(1000, 20_000, 85, 5, seed=0)
    print(f"{'set':15}{'votes':>9}{'classes':>8}  {'method':15}{'ours s':>9}{'crowd-kit s':>13}{'ratio':>8}", end="")
    print(f"{'accuracy':>10}{'crowd-kit':>11}{'equal':>8}")
    found: dict[str, dict[str, tuple[Ran | None, Ran | None]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, task in tasks.items():
            found[name] = {}
            pairs: list[tuple[str, str]] = [*PEERS.items(), *(("", peer) for peer in PEERS_ALONE)]
            for method, peer in pairs:
                is_dense = name == "simulated-1000" and peer != "MajorityVote"  # 0.7 GB times its copies
                if not method and (is_dense or not python):
                    continue
                pair = compare(python if not is_dense else None, task, method, peer, Path(scratch))
                found[name][method or peer] = pair
                show(name, task, method or peer, *pair)
    report(found, tasks)


def report(found: dict[str, dict[str, tuple[Ran | None, Ran | None]]], tasks: dict[str, Task]) -> None:
    """The last line: one JSON object."""
    name = "imagenet_real" if "imagenet_real" in found else "product_match"
    votes = tasks[name].items.size
    ours, theirs = found[name]["dawid-skene"]
    checks: dict[str, Any] = {
        "cpu_s": {method: round(pair[0].seconds, 3) for method, pair in found[name].items() if pair[0]},
        "accuracy": {
            set_: {m: pair[0].accuracy for m, pair in rows.items() if pair[0]} for set_, rows in found.items()
        },
        "crowd_kit": {
            set_: {m: pair[1].note or pair[1].accuracy for m, pair in rows.items() if pair[1]}
            for set_, rows in found.items()
        },
    }  # fmt: skip
    if name == "imagenet_real":
        published = np.load(REAL / "imagenet_real" / "scores.npz", allow_pickle=False)["tensor"]
        known = tasks[name].truth >= 0
        authors = float(np.mean((published > 0.5)[known] == (tasks[name].truth[known] == 1)))
        print(f"\nimagenet_real, 1,135 golden questions: the authors' published scores are right on {authors:.4f}")
        checks["authors_golden"] = round(authors, 4)
    line: dict[str, Any] = {"name": "consensus", "unit": "votes/s", "n": votes}
    if ours:
        line["ours"] = round(votes / ours.seconds)
    if ours and theirs and not theirs.note:
        line["peer"] = {"crowd-kit": round(votes / theirs.seconds)}
        line["ratio"] = {"crowd-kit": round(theirs.seconds / ours.seconds, 1)}
    print(json.dumps({**line, "checks": checks}))


def compare(
    python: Path | None, task: Task, method: str, peer: str, scratch: Path
) -> tuple[Ran | None, Ran | None]:  # fmt: skip
    """The fastest of some rounds of both sides. `method` "": only the peer has it."""
    table = pa.table({"task": task.items, "worker": task.annotators, "label": task.answers})
    pq.write_table(table, scratch / "votes.parquet")
    told = np.flatnonzero(task.told >= 0)
    pq.write_table(pa.table({"task": told, "label": task.told[told]}), scratch / "known.parquet")
    judged = (task.truth >= 0) & ((task.told < 0) if method == "gold" else True)
    ours: Ran | None = None
    theirs: Ran | None = None
    for _ in range(ROUNDS):
        if method and (ours is None or ours.seconds < SLOW_S):
            ours = faster(ours, run_ours(task, method, judged))
    if python:
        theirs = run_peer(python, task, peer, judged, scratch)
    return ours, theirs


def faster(before: Ran | None, after: Ran) -> Ran:
    return after if before is None or after.seconds < before.seconds else before


def run_ours(task: Task, method: str, judged: NDArray[np.bool_]) -> Ran:
    known = task.told if method == "gold" else None
    votes = votes_of(task.items, task.annotators, task.answers, n_classes=task.classes, known_I=known)
    started = time.process_time()
    found = METHODS.get(method)(votes)
    seconds = time.process_time() - started
    labels = np.stack([probability_of(found, label) for label in range(task.forced)], axis=1).argmax(axis=1)
    return Ran(seconds, accuracy(task, labels, judged), labels)


def run_peer(python: Path, task: Task, peer: str, judged: NDArray[np.bool_], scratch: Path) -> Ran:
    command = [str(python), "-c", PEER, str(scratch / "votes.parquet"), peer, str(scratch / "found.parquet"),
               str(scratch / "known.parquet")]  # fmt: skip
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return Ran(LIMIT_S, None, None, note="late")
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        return Ran(0.0, None, None, note=f"fails: {lines[-1][:90] if lines else error.returncode}")
    seconds, rounds = json.loads(done.stdout.splitlines()[-1])
    told = pq.read_table(scratch / "found.parquet")
    shares = np.zeros((task.truth.size, task.forced))
    for label in range(task.forced):
        if str(label) in told.column_names:
            shares[told.column("task").to_numpy(), label] = np.nan_to_num(told.column(str(label)).to_numpy())
    labels = shares.argmax(axis=1)
    return Ran(float(seconds), accuracy(task, labels, judged), labels, int(rounds))


def accuracy(task: Task, labels: NDArray[np.int64], judged: NDArray[np.bool_]) -> float:
    return round(float(np.mean(labels[judged] == task.truth[judged])), 4)


def show(name: str, task: Task, method: str, ours: Ran | None, theirs: Ran | None) -> None:
    late = ">" if theirs and theirs.note == "late" else ""
    has_peer = theirs is not None and (not theirs.note or late)
    peer = f"{late}{theirs.seconds:.3f}" if theirs and has_peer else "-"
    ratio = f"{late}{theirs.seconds / ours.seconds:.1f}" if theirs and ours and has_peer and ours.seconds else "-"
    right = f"{ours.accuracy:.4f}" if ours and ours.accuracy is not None else "-"
    theirs_right = f"{theirs.accuracy:.4f}" if theirs and theirs.accuracy is not None else "-"
    equal = "-"
    if ours and theirs and ours.labels is not None and theirs.labels is not None:
        equal = f"{np.mean(ours.labels == theirs.labels):.4f}"
    print(f"{name:15}{task.items.size:9,}{task.classes:8}  {method:15}", end="")
    print(f"{ours.seconds if ours else 0:9.3f}{peer:>13}{ratio:>8}{right:>10}{theirs_right:>11}{equal:>8}", end="")
    print(f"  {theirs.note}" if theirs and theirs.note else "", flush=True)


def again(votes: int, more: int) -> dict[str, float]:
    """Seconds (CPU) of settling a project anew, and of settling it after `more` votes; and how far the two differ."""
    rng = np.random.default_rng(0)
    pictures, people = votes // 8, 300
    ids = np.array([hashlib.sha256(str(number).encode()).hexdigest() for number in range(pictures)])
    asked = np.array([f"c{number:03}" for number in range(200)])[rng.integers(0, 200, pictures)]
    names = np.array([f"p{number}" for number in range(people)])
    is_it, accuracy_W = rng.random(pictures) < 0.6, rng.uniform(0.6, 0.97, people)

    def cast(item: NDArray[np.int64], who: NDArray[np.int64], source: str) -> pa.Table:
        is_right = rng.random(item.size) < accuracy_W[who]
        said = np.where(is_it[item] == is_right, "yes", "no")
        return pa.table({"image_id": ids[item], "annotator": names[who], "question": asked[item], "answer": said,
                         "source": [source] * item.size, "voted_at": [""] * item.size})  # fmt: skip

    root = Path(tempfile.mkdtemp())
    try:
        project = pictus.new(root / "million")
        concepts = [Concept(name, (name,), is_class=True) for name in np.unique(asked).tolist()]
        project.tables.replace("concepts", table_of("concepts", concepts))
        who = (rng.integers(0, people // 8, (pictures, 1)) + np.arange(8) * (people // 8)).ravel()
        project.journal.add_vote_table(cast(np.repeat(np.arange(pictures), 8), who, "first"))
        found = {"anew_s": timed(lambda: annotate.settle(project))}
        project.journal.add_vote_table(cast(rng.integers(0, pictures, more), rng.integers(0, people, more), "second"))
        found["after_more_s"] = timed(lambda: annotate.settle(project))
        warm = project.tables.read("labels")
        found["anew_again_s"] = timed(lambda: annotate.settle(project, fresh=True))
        cold = project.tables.read("labels")
        unlike = np.abs(np.subtract(*(table.column("posterior").to_numpy() for table in (warm, cold))))
        statuses = [table.column("status").to_pylist() for table in (warm, cold)]
        found["largest_difference"] = float(unlike.max())
        found["statuses_that_differ"] = sum(one != other for one, other in zip(*statuses, strict=True))
    finally:
        shutil.rmtree(root)
    return {name: round(value, 8) for name, value in found.items()}


def timed(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def peer_python() -> Path:
    """An environment with crowd-kit; kept for the next run."""
    folder = Path(tempfile.gettempdir()) / "pictus-benchmark-consensus"
    python = folder / "bin" / "python"
    if not (folder / "ready-2").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # With scikit-learn 1.6 and later its Wawa, ZeroBasedSkill and GoldMajorityVote fail: no __sklearn_tags__.
        subprocess.run([*pip, "crowd-kit==1.4.1", "scikit-learn<1.6", "pyarrow"], check=True)
        (folder / "ready-2").touch()
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


def cifar() -> Task:
    """Three labels on each of 50,000 pictures, by three columns that stand for annotators; truth: CIFAR-10's own."""
    kept = np.load(REAL / "cifar10_human" / "cifar10n_labels.npz", allow_pickle=False)
    said = np.stack([kept[f"random_label{number}"] for number in (1, 2, 3)], axis=1).astype(np.int64)
    items, annotators = np.repeat(np.arange(said.shape[0]), 3), np.tile(np.arange(3), said.shape[0])
    return Task(items, annotators, said.ravel(), 10, kept["clean_label"].astype(np.int64), 10)


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
