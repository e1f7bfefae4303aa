"""Channels taken out of a trained network: what it still knows, and what that saves.

    python benchmarks/prune.py --quick        3,000 pictures, 1 seed, 2 epochs, one sparsity
    python benchmarks/prune.py                20,000 pictures of CIFAR-10, 3 seeds, sparsities 0.3, 0.5 and 0.7

For each seed a network is trained, then for each sparsity top-1 on test pictures is told of

    before                 the network as it was trained
    masks on channels      torch.nn.utils.prune.ln_structured, L1, on the layers that `train prune` narrows: the same
                           share of filters is zero
    masks on weights       torch.nn.utils.prune.l1_unstructured there: the same share of single weights is zero
    narrow                 `train prune` before it trains again: those channels are gone
    after                  and after it trained again
    from scratch           with --scratch: the same narrow network trained from nothing for as many epochs in all (what
                           Liu et al. 2019 hold pruning against)

Masks are made permanent before anything is measured (`prune.remove`): they multiply zeros, and save neither bytes nor
time. Time is processor time of a picture on one thread, of all networks in one sitting and by turns: median, least and
greatest of --turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import torch
from torch.nn.utils import prune as masks

from cifar10 import PLAIN, labelled
from pictus import models, narrow_networks, stats, train
from pictus.models import Run
from pictus.project import Project
from pictus.releases import find_release
from pictus.train.fitting import measured

BEFORE, CHANNELS, WEIGHTS, NARROW, AFTER, SCRATCH = (
    "before", "masks on channels", "masks on weights", "narrow", "after", "from scratch"
)  # fmt: skip
BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3,000 pictures, 1 seed, 2 epochs, sparsity 0.5")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--again", type=int, default=4, help="epochs that the narrow network is trained")
    parser.add_argument("--pictures", type=int, default=20_000, help="training pictures; a fifth as many test pictures")
    parser.add_argument("--sparsity", type=float, action="append", default=[], help="0.3, 0.5 and 0.7 when left out")
    parser.add_argument("--recipe", default="resnet-w32")
    parser.add_argument("--scratch", action="store_true")
    parser.add_argument("--turns", type=int, default=30, help="how often each network is timed")
    asked = parser.parse_args()
    asked.sparsity = asked.sparsity or [0.3, 0.5, 0.7]
    if asked.quick:
        asked.pictures, asked.seeds, asked.epochs, asked.again, asked.sparsity = 3_000, 1, 2, 1, [0.5]
    started = time.perf_counter()
    with labelled(asked.pictures) as project:
        found: dict[tuple[float, str], list[tuple[float, float, float]]] = {}
        sizes: dict[tuple[float, str], tuple[int, int]] = {}
        print(f"{'seed':>4}{'sparsity':>9}  {'network':20}{'top-1':>8}  95 % interval", flush=True)
        for seed in range(asked.seeds):
            for sparsity, way, top1, size in of_seed(project, asked, seed):
                found.setdefault((sparsity, way), []).append(top1)
                sizes[sparsity, way] = size
                print(f"{seed:4}{sparsity:9g}  {way:20}{top1[0]:8.4f}  {top1[1]:.4f} to {top1[2]:.4f}", flush=True)
        times = timed(project, asked)
    rows = summed(found, sizes, times)
    shown(rows, asked.seeds, asked.turns)
    middle = 0.5 if 0.5 in asked.sparsity else asked.sparsity[0]
    chosen = {row["network"]: row for row in rows if row["sparsity"] == middle}
    first, ours, peer = chosen[BEFORE], chosen[AFTER], chosen[CHANNELS]
    print(json.dumps({
        "name": "prune", "ours": ours["top1"], "peer": {"before": first["top1"], "torch masks": peer["top1"]},
        "unit": f"top-1 at sparsity {ours['sparsity']:g}", "n": asked.seeds,
        "ratio": {"weights": round(ours["parameters"] / first["parameters"], 3),
                  "cpu time": round(ours["cpu_ms"][0] / first["cpu_ms"][0], 3),
                  "cpu time of masks": round(peer["cpu_ms"][0] / first["cpu_ms"][0], 3)},
        "checks": {"pictures": asked.pictures, "recipe": asked.recipe, "epochs": [asked.epochs, asked.again],
                   "rows": rows, "seconds": round(time.perf_counter() - started)},
    }))  # fmt: skip


Told = tuple[float, str, tuple[float, float, float], tuple[int, int]]


def of_seed(project: Project, asked: argparse.Namespace, seed: int) -> list[Told]:
    """(sparsity, network, top-1 with its interval, weights and bytes) of one trained network."""
    settings, told = (*PLAIN, f"seed={seed}"), []
    train.run(project, recipe=asked.recipe, name=f"wide-{seed}", epochs=asked.epochs, set_=settings)
    wide, release = models.find_run(project, f"wide-{seed}"), find_release(project)
    for sparsity in asked.sparsity:
        outcome = train.prune(project, wide.name, sparsity=sparsity, epochs=asked.again)
        told += [
            (sparsity, row.which, (row.top1, row.low, row.high), (row.parameters, row.bytes))
            for row in outcome
        ]  # fmt: skip
        for way in (CHANNELS, WEIGHTS):
            network = masked(wide, way, sparsity)
            top1 = stats.wilson(*measured.right(network, wide, release, "test"))
            told.append((sparsity, way, top1, size_of(network)))
        if asked.scratch:
            name, model = f"scratch-{seed}-{sparsity:g}", f"{wide.model_name}{narrow_networks.MARK}{sparsity:g}"
            own = (*settings, f"epochs={asked.epochs + asked.again}", f"model={model}")
            train.run(project, recipe=asked.recipe, name=name, set_=own)
            network = models.load_run(models.find_run(project, name), device="cpu")
            top1 = stats.wilson(*measured.right(network, wide, release, "test"))
            told.append((sparsity, SCRATCH, top1, size_of(network)))
    order = (BEFORE, CHANNELS, WEIGHTS, NARROW, AFTER, SCRATCH)
    return sorted(told, key=lambda one: (one[0], order.index(one[1])))


def masked(run: Run, way: str, sparsity: float) -> torch.nn.Module:
    """The run's network with a share of filters or weights at zero, in the layers that lose channels when pruned."""
    # l1_unstructured flattens by `view`, which weights laid out channels last do not allow
    network = models.load_run(run, device="cpu").to(memory_format=torch.contiguous_format)
    for link in narrow_networks.links(network):
        layer = network.get_submodule(link.before)
        if way == CHANNELS:
            masks.ln_structured(layer, "weight", amount=sparsity, n=1, dim=0)
        else:
            masks.l1_unstructured(layer, "weight", amount=sparsity)
        masks.remove(layer, "weight")
    return network.to(memory_format=torch.channels_last)


def size_of(network: torch.nn.Module) -> tuple[int, int]:
    """Weights, and bytes of all tensors."""
    state = network.state_dict().values()
    return sum(one.numel() for one in network.parameters()), sum(one.numel() * one.element_size() for one in state)


def timed(project: Project, asked: argparse.Namespace) -> dict[tuple[float, str], list[float]]:
    """Milliseconds of processor time a picture of each of --turns passes; weights do not matter, so seed 0 serves."""
    wide = models.find_run(project, "wide-0")
    several: dict[tuple[float, str], torch.nn.Module] = {(0.0, BEFORE): models.load_run(wide, device="cpu")}
    for sparsity in asked.sparsity:
        several[sparsity, CHANNELS] = masked(wide, CHANNELS, sparsity)
        several[sparsity, WEIGHTS] = masked(wide, WEIGHTS, sparsity)
        several[sparsity, NARROW] = narrow_networks.narrowed(models.load_run(wide, device="cpu"), sparsity)
    side = wide.preprocessing.size
    inputs = torch.rand(BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)
    taken: dict[tuple[float, str], list[float]] = {key: [] for key in several}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        for turn in range(asked.turns + 1):
            for key, network in several.items():
                began = time.process_time()
                network(inputs)
                spent = 1000 * (time.process_time() - began) / BATCH
                if turn:  # the first pass lays out memory
                    taken[key].append(spent)
    torch.set_num_threads(threads)
    return taken


def summed(
    found: dict[tuple[float, str], list[tuple[float, float, float]]], sizes: dict[tuple[float, str], tuple[int, int]],
    times: dict[tuple[float, str], list[float]],
) -> list[dict[str, Any]]:  # fmt: skip
    """A row to each network: top-1 as mean over seeds with its 95 % interval, or of one seed with Wilson's."""
    rows = []
    for (sparsity, way), each in found.items():
        tops = [one[0] for one in each]
        low, high = stats.mean_interval(tops)[1:] if len(tops) > 1 else each[0][1:]
        as_timed = {BEFORE: (0.0, BEFORE), AFTER: (sparsity, NARROW), SCRATCH: (sparsity, NARROW)}
        spent = times[as_timed.get(way, (sparsity, way))]
        rows.append({
            "sparsity": sparsity, "network": way, "parameters": sizes[sparsity, way][0],
            "bytes": sizes[sparsity, way][1], "top1": round(statistics.mean(tops), 4),
            "interval": [round(max(0, low), 4), round(min(1, high), 4)], "each": [round(one, 4) for one in tops],
            "cpu_ms": [round(one, 3) for one in (statistics.median(spent), min(spent), max(spent))],
        })  # fmt: skip
    return rows


def shown(rows: list[dict[str, Any]], seeds: int, turns: int) -> None:
    print(f"\n{'sparsity':>8}  {'network':20}{'weights':>11}{'MB':>7}  {f'top-1, mean of {seeds}':17}{'':19}"
          f"cpu ms a picture, median of {turns}, least to greatest")  # fmt: skip
    for row in rows:
        middle, least, greatest = row["cpu_ms"]
        low, high = row["interval"]
        top1 = f"{row['top1']:.4f} ({low:.4f} to {high:.4f})"
        print(f"{row['sparsity']:8g}  {row['network']:20}{row['parameters']:11,}{row['bytes'] / 1e6:7.2f}  {top1:36}"
              f"{middle:.3f} ({least:.3f} to {greatest:.3f})")  # fmt: skip


if __name__ == "__main__":
    main()
