"""Which part of a release a picture belongs to: stratified, groups whole, stable, whatever the order of the rows.

The unit is a duplicate group (most have one picture). Units are drawn per class in the order of
sha256(seed, group_id), so that neither the order of the rows nor the machine matters, and each
goes where the class lacks most. What was drawn before stays where it was.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import pyarrow as pa

from pictus.errors import UserError
from pictus.releases import OTHER_SPLIT_NAMES, SPLITS

_HELD_OUT_FIRST = ("test", "val", "train", "")
"""A group found to lie in several parts goes to the first of these: what was held out stays held out."""


@dataclass(frozen=True)
class Shares:
    """Parts of the whole for train, val, test: each in [0, 1], together 1, train above 0."""

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        shares = (self.train, self.val, self.test)
        if not all(0 <= share <= 1 for share in shares) or round(sum(shares), 6) != 1 or self.train == 0:
            raise UserError(
                f"Shares train {self.train:g}, val {self.val:g}, test {self.test:g} sum to {sum(shares):g}:"
                " they must be in 0..1, sum to 1, and train must be above 0.",
                fix="pictus release split --train 0.8 --val 0.1 --test 0.1",
            )

    def asked(self) -> tuple[str, ...]:
        """The parts with a share above 0."""
        return tuple(name for name in SPLITS if getattr(self, name) > 0)


def chosen_shares(
    train: float | None, val: float | None, test: float | None, last: Mapping[str, float] | None = None
) -> Shares:
    """The shares asked for; those left out (None) as in the last draw, else the defaults."""
    asked = {"train": train, "val": val, "test": test}
    usual = {**asdict(Shares()), **(last or {})}
    return Shares(**{name: usual[name] if share is None else share for name, share in asked.items()})


class Drawn(NamedTuple):
    """Every picture's split, in the order of the rows, and what a person should know about it."""

    splits: list[str]
    kept: int  # pictures that have the split they had before
    moved: tuple[str, ...]  # group_ids whose pictures were in several splits before and are now in one
    torn: tuple[str, ...]  # group_ids that lie in several splits because those were given
    lacking: dict[str, tuple[str, ...]]  # class -> asked-for splits in which it has no picture


def draw(
    rows: pa.Table, shares: Shares, *, seed: int, given: Mapping[str, str] | None = None,
    before: Mapping[str, str] | None = None,
) -> Drawn:  # fmt: skip
    """Split the pictures of `rows` (columns image_id, concept_id, group_id; each image_id once).

    `given`: image_id -> split that must hold. `before`: image_id -> split of an earlier draw, kept
    unless the picture's group turns out to lie in several.
    """
    image_ids, concepts, groups = (rows.column(name).to_pylist() for name in ("image_id", "concept_id", "group_id"))
    given, before = given or {}, before or {}
    units: defaultdict[str, list[int]] = defaultdict(list)
    for position, group_id in enumerate(groups):
        units[group_id].append(position)
    splits = [""] * len(image_ids)
    counted: defaultdict[str, Counter[str]] = defaultdict(Counter)  # class -> split -> pictures whose split was drawn
    free: defaultdict[str, dict[str, int]] = defaultdict(dict)  # class -> group_id -> pictures
    moved, torn = [], []
    for group_id in sorted(units):
        members = [image_ids[position] for position in units[group_id]]
        claims = {given[image_id] for image_id in members if image_id in given}
        earlier = {before[image_id] for image_id in members if image_id in before}
        stratum = _stratum(concepts[position] for position in units[group_id])
        if claims or earlier:
            there = most_held_out(claims or earlier)
            for position, image_id in zip(units[group_id], members, strict=True):
                splits[position] = given.get(image_id, there)
            counted[stratum][there] += 0 if claims else len(members)
        else:
            free[stratum][group_id] = len(members)
        torn += [group_id] if len(claims) > 1 else []
        moved += [group_id] if len(earlier) > 1 and not claims else []
    for stratum, sizes in sorted(free.items()):
        for group_id, there in _spread(sizes, counted[stratum], shares, seed=seed, stratum=stratum).items():
            for position in units[group_id]:
                splits[position] = there
    kept = sum(before.get(image_id) == there for image_id, there in zip(image_ids, splits, strict=True))
    return Drawn(splits, kept, tuple(moved), tuple(torn), _lacking(concepts, splits, shares, given))


def targets(pictures: int, shares: Shares, *, tie: str = "") -> dict[str, int]:
    """How many of a class's pictures each split should get: largest remainders, and with enough
    pictures one in every split asked for, train first. `tie` decides who gets a contested picture.
    """
    exact = {name: pictures * getattr(shares, name) for name in SPLITS}
    counts = {name: int(exact[name] + 1e-9) for name in SPLITS}
    by_remainder = sorted(
        shares.asked(), key=lambda name: (-round(exact[name] - counts[name], 9), _digest(tie, name))
    )
    for name in by_remainder[: pictures - sum(counts.values())]:
        counts[name] += 1
    for name in shares.asked():  # train, val, test
        if counts[name] == 0 and (pictures >= len(shares.asked()) or name == "train") and pictures:
            counts[max(SPLITS, key=counts.__getitem__)] -= 1
            counts[name] = 1
    return counts


def given_split(addresses: Iterable[str], parts: Mapping[str, str]) -> str:
    """The split that a picture's addresses claim by a folder named like a part, "" when none does.

    `parts`: folder name -> split. In one address the folder nearest to the file counts; between
    addresses the most held-out split does.
    """
    found = set()
    for address in addresses:
        folders = re.split(r"[/\\!#?&=:]+", address)[:-1]
        nearest = next((parts[folder.lower()] for folder in reversed(folders) if folder.lower() in parts), "")
        found.add(nearest)
    found.discard("")
    return most_held_out(found) if found else ""


def parse_given(texts: Sequence[str]) -> dict[str, str]:
    """("val=test",) -> {"val": "test"}: pictures under a folder `val` go to split test.

    A folder's usual other names come with it ("val" also means valid, validation, dev). All
    malformed texts are reported at once.
    """
    parts: dict[str, str] = {}
    bad = []
    for text in texts:
        folder, _, split = (part.strip() for part in text.partition("="))
        if not folder or split not in SPLITS:
            bad.append(text)
            continue
        parts[folder.lower()] = split
        for other, name in OTHER_SPLIT_NAMES.items():
            if name == folder.lower():
                parts.setdefault(other, split)
    if bad:
        listed = ", ".join(repr(text) for text in bad)
        raise UserError(
            f"--given {listed}: FOLDER=SPLIT is wanted, where SPLIT is train, val or test.",
            fix="pictus release split --given val=test",
        )
    return parts


def _spread(
    sizes: Mapping[str, int], counted: Counter[str], shares: Shares, *, seed: int, stratum: str
) -> dict[str, str]:
    # Large groups first, so that the many small ones can level what they unbalance.
    order = sorted(sizes, key=lambda group_id: (-sizes[group_id], _digest(str(seed), group_id)))
    wanted = targets(sum(sizes.values()) + counted.total(), shares, tie=f"{seed} {stratum}")
    lacks = {name: wanted[name] - counted[name] for name in shares.asked()}
    spread = {}
    for group_id in order:
        there = max(lacks, key=lacks.__getitem__)  # the first of equals: train, val, test
        lacks[there] -= sizes[group_id]
        spread[group_id] = there
    if "train" not in spread.values() and not counted["train"]:
        # Groups too few or too large to reach every part: a class must be learnable before it is tested.
        spread[order[0]] = "train"
    return spread


def _lacking(
    concepts: Sequence[str], splits: Sequence[str], shares: Shares, given: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    asked = [name for name in SPLITS if name in shares.asked() or name in given.values()]
    present: defaultdict[str, set[str]] = defaultdict(set)
    for concept_id, split in zip(concepts, splits, strict=True):
        present[concept_id].add(split)
    gaps = {
        concept_id: tuple(name for name in asked if name not in present[concept_id]) for concept_id in sorted(present)
    }
    return {concept_id: names for concept_id, names in gaps.items() if names}


def _stratum(concepts: Iterable[str]) -> str:
    counts = Counter(concepts)
    return min(counts, key=lambda concept_id: (-counts[concept_id], concept_id))


def most_held_out(splits: Iterable[str]) -> str:
    """Of several splits the one to keep a picture in: what was held out stays held out; "" comes last."""
    return min(splits, key=_HELD_OUT_FIRST.index)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\t".join(parts).encode()).digest()
