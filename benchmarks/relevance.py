"""Planted mistakes in CIFAR-10: are they found as wrong concepts and as outliers? Beside cleanlab on the same vectors.

    python benchmarks/relevance.py                        20,000 pictures, classical descriptor
    python benchmarks/relevance.py --set tiny_imagenet_subset
    python benchmarks/relevance.py --vectors run.npy      vectors of your own: f32[60000, D], rows as in the set's list
    python benchmarks/relevance.py --scale 100000         time and memory of drawn vectors of 384 features, no peer

5 % of the pictures get the claim of another class, drawn with seed 0. `precision@planted`: of as many pictures as
were planted, those of highest margin, the share that was planted. `suspects`: all with a margin above 0, `sure`: from
0.5. `named`: of the planted suspects, for how many the suspect is the class they came from. AUC: the chance that a
planted picture scores above another. Peers: cleanlab's label quality from cross-validated probabilities (logistic
regression, 5 folds), which is how cleanlab is meant to be used, its kNN outlier score, which does not look at labels,
and the plain mean distance to the 20 nearest of the same claim, uncalibrated. CIFAR-10 has mistakes of its own, which
count as false here. Needs PICTUS_REAL_DATA or ../shared/data.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pictus.clean import relevance_scores as relevance
from pictus.search import descriptor

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
PLANTED = 0.05
SETS = {
    "cifar10": ("index.csv", "cifar10_jpeg_60000.tar.xz", "label"),
    "tiny_imagenet_subset": ("manifest.csv", "tiny_imagenet_subset.tar.xz", "wnid"),
}
"""Name -> its list, its archive and the column of the class. What is chosen by looking was chosen on the first."""

Floats = npt.NDArray[np.float32]
Truth = npt.NDArray[np.bool_]
Made = TypeVar("Made")

PEER = """
import json, sys, time
import numpy as np
from cleanlab.outlier import OutOfDistribution
from cleanlab.rank import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
folder = sys.argv[1]
vectors, claims = np.load(folder + "/vectors.npy"), np.load(folder + "/claims.npy")
start = time.perf_counter()
chances = cross_val_predict(LogisticRegression(max_iter=200), vectors, claims, cv=5, method="predict_proba")
np.save(folder + "/quality.npy", get_label_quality_scores(claims, chances))
middle = time.perf_counter()
np.save(folder + "/ood.npy", OutOfDistribution({"k": 20}).fit_score(features=vectors, verbose=False))
print(json.dumps({"label_s": middle - start, "ood_s": time.perf_counter() - middle}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--set", choices=SETS, default="cifar10")
    parser.add_argument("--alone", action="store_true", help="without cleanlab, which takes minutes")
    parser.add_argument("--vectors", type=Path, default=None)
    parser.add_argument("--scale", type=int, default=0)
    asked = parser.parse_args()
    if asked.scale:
        scale(asked.scale)
        return
    if not (REAL / asked.set / SETS[asked.set][0]).exists():
        sys.exit(f"{asked.set} not found: set PICTUS_REAL_DATA")
    vectors, truth, _ = pictures(asked.set, asked.pictures, asked.vectors)
    planted, claims = plant(truth)
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Made]) -> Made:
        start = time.perf_counter()
        found = work()
        seconds[name] = round(time.perf_counter() - start, 1)
        return found

    there = timed("space", lambda: relevance.space(vectors, claims))
    even = relevance.whitened(vectors, there)
    outlier = timed("outliers", lambda: relevance.outliers(even, claims))
    near = timed("neighbours", lambda: relevance.nearest(even, relevance.NEIGHBOURS))
    said = timed("suspects", lambda: relevance.suspects(near, vectors, claims, there))
    twins = timed("twins", lambda: relevance.twins(vectors))
    ours = {**found_as(said.margins, planted), "auc_outlier": auc(outlier, planted)}
    is_suspect = said.margins > 0
    hits, has_twin, is_sure = is_suspect & planted, twins.rows >= 0, said.margins >= 0.5
    ours |= {
        "suspects": int(is_suspect.sum()), "suspects_precision": share(hits.sum(), is_suspect.sum()),
        "sure": int(is_sure.sum()), "sure_precision": share((is_sure & planted).sum(), is_sure.sum()),
        "suspects_recall": share(hits.sum(), planted.sum()),
        "named": share((said.concepts[hits] == truth[hits]).sum(), hits.sum()),
        "outlier_from_.99_of_the_rest": share((outlier[~planted] >= 0.99).sum(), (~planted).sum()),
        "twins": int((twins.rows >= 0).sum()),
        "twins_of_one_class": share((truth[twins.rows[has_twin]] == truth[has_twin]).sum(), has_twin.sum()),
    }  # fmt: skip
    peers = {} if asked.alone else cleanlab(vectors, claims, planted)
    peers["plain kNN distance"] = {"auc_outlier": auc(plain(vectors, claims), planted)}
    table({"ours": ours, **peers}, seconds)
    ratio = {name: round(ours["precision@planted"] / peer["precision@planted"], 2)
             for name, peer in peers.items() if peer.get("precision@planted")}  # fmt: skip
    checks = {"ours": ours, "peers": peers, "seconds": seconds, "planted": int(planted.sum()),
              "vectors": str(asked.vectors or "classical"), "features": vectors.shape[1]}  # fmt: skip
    print(json.dumps({
        "name": "relevance", "ours": ours["precision@planted"], "peer": {
            name: peer["precision@planted"] for name, peer in peers.items() if "precision@planted" in peer
        }, "unit": "precision@planted", "ratio": ratio, "n": len(vectors), "checks": {"set": asked.set, **checks},
    }))  # fmt: skip


def pictures(name: str, count: int, path: Path | None) -> tuple[Floats, npt.NDArray[np.int64], list[dict[str, str]]]:
    """Vectors f32[N, D] of length 1, classes i64[N] and rows of `count` pictures drawn with seed 0."""
    index, archive, label = SETS[name]
    rows = list(csv.DictReader((REAL / name / index).open(encoding="utf-8")))
    names = sorted({row[label] for row in rows})
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:count])
    kept = [rows[row] for row in chosen]
    truth = np.array([names.index(row[label]) for row in kept], np.int64)
    if path:
        vectors = np.load(path)[chosen].astype(np.float32)
    else:
        wanted = {row["path"]: at for at, row in enumerate(kept)}
        data: list[bytes] = [b""] * len(kept)
        with tarfile.open(REAL / name / archive) as tar:
            for member in tar:
                at = wanted.get(member.name.removeprefix("./"), wanted.get(member.name.partition("/")[2], -1))
                if at >= 0:
                    data[at] = (tar.extractfile(member) or io.BytesIO()).read()
        with ProcessPoolExecutor() as pool:
            vectors = np.stack(list(pool.map(descriptor.describe, data, chunksize=256)))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), truth, kept


def plant(truth: npt.NDArray[np.int64]) -> tuple[Truth, npt.NDArray[np.int64]]:
    """Which pictures claim another class, and what all claim."""
    generator = np.random.default_rng(0)
    chosen = generator.permutation(len(truth))[: int(PLANTED * len(truth))]
    claims, planted = truth.copy(), np.zeros(len(truth), np.bool_)
    planted[chosen] = True
    claims[chosen] = (truth[chosen] + generator.integers(1, truth.max() + 1, len(chosen))) % (truth.max() + 1)
    return planted, claims


def auc(scores: npt.NDArray[Any], is_true: Truth) -> float:
    """Mann-Whitney, ties counted half."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    positives, negatives = int(is_true.sum()), int((~is_true).sum())
    return round(float((ranks[is_true].sum() - positives * (positives + 1) / 2) / (positives * negatives)), 4)


def found_as(scores: npt.NDArray[Any], planted: Truth) -> dict[str, float]:
    best = np.argsort(-scores, kind="stable")[: int(planted.sum())]
    return {"precision@planted": share(planted[best].sum(), planted.sum()), "auc": auc(scores, planted)}


def share(part: float, whole: float) -> float:
    return round(float(part) / max(float(whole), 1), 4)


def plain(vectors: Floats, claims: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    distances = np.zeros(len(vectors))
    for claim in np.unique(claims):
        rows = np.flatnonzero(claims == claim)
        found = relevance.nearest(np.ascontiguousarray(vectors[rows]), relevance.NEIGHBOURS)
        distances[rows] = 1 - found.cosines.mean(axis=1)
    return distances


def cleanlab(vectors: Floats, claims: npt.NDArray[np.int64], planted: Truth) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        python = folder / "venv" / "bin" / "python"
        venv.create(folder / "venv", with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "cleanlab", "scikit-learn"], check=True)
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "claims.npy", claims)
        out = subprocess.run([str(python), "-c", PEER, scratch], check=True, capture_output=True, text=True)
        took = json.loads(out.stdout.splitlines()[-1])
        quality, ood = np.load(folder / "quality.npy"), np.load(folder / "ood.npy")
    return {
        "cleanlab label quality": {**found_as(-quality, planted), "seconds": round(took["label_s"], 1)},
        "cleanlab outlier": {"auc_outlier": auc(-ood, planted), "seconds": round(took["ood_s"], 1)},
    }


def scale(count: int) -> None:
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((1000, 384), dtype=np.float32)
    concepts = generator.integers(0, 1000, count)
    vectors = centres[concepts]
    for start in range(0, count, 10_000):
        vectors[start : start + 10_000] += generator.standard_normal(vectors[start : start + 10_000].shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    before, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, {}
    for name, work in (
        ("outliers", lambda: relevance.outliers(
            relevance.whitened(vectors, relevance.space(vectors, concepts)), concepts
        )),
        ("neighbours", lambda: relevance.nearest(vectors, relevance.NEIGHBOURS)),
        ("suspects", lambda: relevance.suspects(
            relevance.Neighbours(np.zeros((count, 50), np.int64), np.zeros((count, 50), np.float32)), vectors, concepts,
            relevance.space(vectors, concepts),
        )),
        ("twins", lambda: relevance.twins(vectors)),
    ):  # fmt: skip
        start = time.perf_counter()
        work()  # type: ignore[no-untyped-call]
        seconds[name] = round(time.perf_counter() - start, 1)
        print(f"{name:26}{seconds[name]:8.1f} s", flush=True)
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    checks = {"seconds": seconds, "added_mb": round(added), "vectors_mb": round(vectors.nbytes / 2**20)}
    print(json.dumps({"name": "relevance-scale", "ours": round(sum(seconds.values()), 1), "peer": {}, "unit": "s",
                      "ratio": {}, "n": count, "checks": checks}))  # fmt: skip


def table(found: dict[str, dict[str, Any]], seconds: dict[str, float]) -> None:
    columns = ("precision@planted", "auc", "auc_outlier", "seconds")
    print(f"{'':26}" + "".join(f"{name:>20}" for name in columns))
    for name, numbers in found.items():
        print(f"{name:26}" + "".join(f"{numbers.get(column, ''):>20}" for column in columns))
    print(", ".join(f"{name} {took} s" for name, took in seconds.items()))


if __name__ == "__main__":
    main()
