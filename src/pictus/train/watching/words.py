"""A run card as a person reads it: one sentence to a fact. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pictus.errors import counted
from pictus.train.watching.vitals import GB
from pictus.train.watching.watch import in_words

Card = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a card for people."""

    about: str
    words: str


def facts(card: Card) -> Iterator[Fact]:
    """What the card knows; cards of before know less, and what one says in another way is left out."""
    for about, tell in (
        ("pictures", _pictures), ("network", _network), ("transfer", _transfer), ("training", _training),
        ("result", _result), ("machine", _machine), ("speed", _speed), ("memory", _memory), ("energy", _energy),
        ("left out", _unreadable),
    ):  # fmt: skip
        try:
            told = tell(card)
        except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError):
            continue  # a card written by hand or by another Pictus: the other facts are told
        if told:
            yield Fact(about, told)
    reasons = card.get("why")
    for number, reason in enumerate(reasons if isinstance(reasons, list) else (), 1):
        yield Fact(f"why {number}", str(reason))


def cut_short(done: int, steps: int, took: tuple[float, float]) -> str:
    """Of a last epoch of which so many steps were done. took: seconds trained, and those that were to be had."""
    return (
        f"the last epoch was cut short, to fit into the minutes: {done:,} of its {steps:,} steps;"
        f" {took[0]:,.0f} s of {took[1]:,.0f} trained"
    )


def _pictures(card: Card) -> str:
    release, counts = card.get("release") or {}, card.get("pictures") or {}
    digest = str(release.get("digest", ""))[:12]
    where = f"release {release.get('version', '?')}" + (f" ({digest})" if digest else "")
    classes = counted(len(card.get("classes") or ()), "class", "classes")
    if not counts:
        return f"{classes} of {where}"
    return (
        f"trained on {counted(counts.get('train', 0), 'picture')} of {classes} of {where}, validated on"
        f" {counts.get('val', 0):,}"
    )


def _network(card: Card) -> str:
    recipe = card.get("recipe") or card.get("asked") or {}
    told = str(card.get("model", ""))
    if card.get("parameters"):
        told += f" with {card['parameters'] / 1e6:,.2f} million weights"
        told += ", its adapters among them" if (card.get("transfer") or {}).get("adapters") else ""
    if recipe.get("size"):
        told += f", sees {recipe['size']} px"
    origin = Path(recipe.get("from_run") or recipe.get("weights") or "").name
    if recipe.get("pretrained"):
        origin = "its publisher's weights"
    told += f", began from {origin}" if origin else ""
    return told + (f", learned from {Path(recipe['teacher']).name}" if recipe.get("teacher") else "")


def _transfer(card: Card) -> str:
    """Of a run that trained a part of its weights, or adapters: which, and what became of the others."""
    found = card.get("transfer") or {}
    if "trained_parameters" not in found:
        return ""
    adapters, many = found.get("adapters"), f"{found['trained_parameters']:,}"
    many += f" of {card['parameters']:,}" if card.get("parameters") else ""
    if adapters:
        layers = counted(len(adapters["layers"]), "layer")
        told = f"adapters of rank {adapters['rank']} on {layers}: {many} weights trained, head included"
    else:
        stages = counted(found["stages"], "stage")
        told = f"at first {many} weights trained, {found['trained_stages']} of {stages}"
    told += f"; batch norm: {found['batch_norm']}" if found.get("batch_norm") else ""
    return f"{told}; kept with the adapters added in, which lie beside them" if adapters else told


def _training(card: Card) -> str:
    recipe, found = card.get("recipe") or card.get("asked") or {}, card.get("results") or {}
    if not recipe:
        return ""
    epochs, planned = found.get("epochs"), found.get("epochs_planned")
    told = f"recipe {card.get('recipe_name', '?')}, seed {recipe.get('seed', 0)}"
    if isinstance(epochs, int):
        told += f", {counted(epochs, 'epoch')}" + (f" of {planned}" if planned and planned > epochs else "")
        told += _cut_short(found)
    told += f", batches of {recipe.get('batch_size', '?')}, {recipe.get('optimizer', '?')} at {recipe.get('lr', 0):g}"
    pieces = (card.get("environment") or {}).get("accumulate")
    return told + (f"; memory ran out, so batches were computed in {pieces} pieces" if pieces else "")


def _cut_short(found: Card) -> str:
    """Of a run whose minutes were over inside an epoch."""
    done, steps = found.get("epochs"), found.get("steps", 0)
    last = steps % found.get("steps_per_epoch", 1)
    is_cut = last and done * found["steps_per_epoch"] > steps
    return f" (the last: {last:,} of {found['steps_per_epoch']:,} steps)" if is_cut else ""


def _result(card: Card) -> str:
    found = card.get("results") or {}
    if not found.get("best_epoch") or found.get("val_top1") is None:
        return ""
    if card.get("is_classifier") is False:
        return f"kNN {found['val_top1']:.1%}: so often the nearest neighbours vote right on validation"
    told = f"top-1 {found['val_top1']:.1%} on validation at epoch {found['best_epoch']}, which is the one kept"
    return f"mAP {found['val_map']:.1%}, " + told if found.get("val_map") is not None else told


def _machine(card: Card) -> str:
    found = card.get("environment") or {}
    if not found:
        return ""
    device = found.get("device", "cpu")
    where = f"{counted(found.get('cores', 1), 'core')} ({found.get('cpu_capability', '?')})"
    where = where if device == "cpu" else f"{device}, {where}"
    told = f"{where}, {found.get('precision', '?')}, torch {found.get('torch', '?')}, Pictus {found.get('pictus', '?')}"
    probe = found.get("probe") or {}
    return told + (f"; timed at the start, chosen: {probe['chose']}" if probe else "")


def _speed(card: Card) -> str:
    found = card.get("results") or {}
    if not found.get("wall_s"):
        return ""
    told = f"{in_words(found['wall_s'])}, {paced(found.get('pictures_per_s', 0))} a second"
    if found.get("wait_share") is not None:
        told += f", {found['wait_share']:.1%} of the time waiting for pictures"
    return told


def paced(pictures_per_s: float) -> str:
    """`1,200 pictures`, `1 picture`, `0.4 pictures`."""
    if pictures_per_s >= 1.5:  # noqa: PLR2004  from here on a whole number says enough
        return f"{pictures_per_s:,.0f} pictures"
    return f"{pictures_per_s:.1g} picture" + ("" if f"{pictures_per_s:.1g}" == "1" else "s")


def _memory(card: Card) -> str:
    found = card.get("results") or {}
    peaks = [(found.get("peak_bytes"), "at most"), (found.get("gpu_peak_bytes"), "of the GPU at most")]
    return ", ".join(f"{words} {most / GB:.2f} GB" for most, words in peaks if most)


def _energy(card: Card) -> str:
    found = card.get("energy") or {}
    return f"{found['kwh'] * 1000:,.2f} Wh ({found.get('source', '')})" if found.get("kwh") is not None else ""


def _unreadable(card: Card) -> str:
    count = card.get("n_unreadable") or len(card.get("unreadable") or {})  # cards of before name up to 20
    return f"{counted(count, 'picture')} that cannot be decoded" if count else ""
