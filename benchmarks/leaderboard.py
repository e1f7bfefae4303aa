"""Scoring and ranking 16 models on ImageNet's 50,000 validation pictures, beside resampling the pictures.

    python benchmarks/leaderboard.py

Prints the leaderboard with the published accuracies beside ours, then what intervals and tests
cost: 20,000 bootstrap rounds of top-1 and top-5 and a paired comparison, ours (one binomial draw
is one round) beside a loop that resamples pictures with NumPy and beside scipy.stats.bootstrap.
The peers run fewer rounds; their time is scaled to 20,000.
"""

from __future__ import annotations

import csv
import json
import lzma
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pictus import challenge, metrics, stats
from pictus.project import bare

REAL_DATA = Path(
    os.environ.get("PICTUS_REAL_DATA", Path(__file__).resolve().parent.parent.parent / "shared" / "data")
)
ROUNDS, PEER_ROUNDS, REPEATS = 20_000, 100, 7


def seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def naive(right_N: np.ndarray, rounds: int) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    means = [right_N[generator.integers(0, len(right_N), len(right_N))].mean() for _ in range(rounds)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    folder = REAL_DATA / "model_predictions"
    if not folder.exists():
        raise SystemExit(f"{folder} not found: set PICTUS_REAL_DATA")
    published = {
        row["model"]: row
        for row in csv.DictReader((folder / "accuracy.csv").open())
        if row["dataset"] == "imagenet-validation-original"
    }
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "models.npz"
        file.write_bytes(lzma.decompress((folder / "top5_imagenet-validation-original.npz.xz").read_bytes()))
        started = time.perf_counter()
        outcome = challenge.rank(bare(temporary), (file,), truth=file)
        whole_s = time.perf_counter() - started
        arrays = dict(np.load(file))
    worst = 0.0
    print("rank  model             top-1  95 % interval  published   top-5  published")
    for score in outcome:
        top1, top5 = float(published[score.name]["top1"]), float(published[score.name]["top5"])
        worst = max(worst, abs(score.top1 - top1), abs(score.top5 - top5))
        interval = f"{score.top1_low * 100:.2f}-{score.top1_high * 100:.2f}"
        print(f"{score.rank:4}  {score.name:16} {score.top1 * 100:6.2f}  {interval:13}  {top1 * 100:9.2f}"
              f"  {score.top5 * 100:6.2f}  {top5 * 100:9.2f}")  # fmt: skip
    truth = metrics.truth_of(arrays["labels"])
    n = len(truth)
    a1, a5 = (metrics.is_right(arrays["pnasnet5large"], truth, k) for k in (1, 5))
    b1 = metrics.is_right(arrays["nasnetalarge"], truth, 1)

    def ours() -> None:
        stats.bootstrap_mean01(int(a1.sum()), n, ROUNDS)
        stats.bootstrap_mean01(int(a5.sum()), n, ROUNDS)
        stats.paired_difference01(a1, b1, ROUNDS)
        stats.paired_test(a1, b1)

    def loop() -> None:
        naive(a1, PEER_ROUNDS)
        naive(a5, PEER_ROUNDS)
        naive(a1.astype(float) - b1, PEER_ROUNDS)

    def scipy_bootstrap() -> None:
        from scipy.stats import bootstrap

        for values in (a1, a5, a1.astype(float) - b1):
            bootstrap((values,), np.mean, n_resamples=PEER_ROUNDS, method="percentile", batch=20, rng=0)

    ours_ms = seconds(ours) * 1000
    scale = 1000 * ROUNDS / PEER_ROUNDS
    peer_ms = {"numpy loop": seconds(loop, 3) * scale, "scipy.stats.bootstrap": seconds(scipy_bootstrap, 3) * scale}
    exact = stats.bootstrap_mean01(int(a1.sum()), n, ROUNDS)
    low, high = naive(a1, 2_000)
    print(f"\nparse, score and rank 16 models: {whole_s:.2f} s")
    print(f"intervals and paired test, {ROUNDS:,} rounds on {n:,} pictures: {ours_ms:.1f} ms; "
          + "; ".join(f"{name} {value / 1000:.1f} s" for name, value in peer_ms.items()))  # fmt: skip
    print(f"same interval: ours {exact.low:.4f}-{exact.high:.4f}, resampling {low:.4f}-{high:.4f}")
    print(json.dumps({
        "name": "leaderboard", "ours": round(ours_ms, 2), "unit": "ms", "n": n,
        "peer": {name: round(value) for name, value in peer_ms.items()},
        "ratio": {name: round(value / ours_ms) for name, value in peer_ms.items()},
        "checks": {
            "within 0.1 point of the published accuracies": worst < 0.001,
            "below 50 ms": ours_ms < 50,
            "same interval as resampling": abs(exact.low - low) < 5e-4 and abs(exact.high - high) < 5e-4,
        },
    }))  # fmt: skip


if __name__ == "__main__":
    main()
