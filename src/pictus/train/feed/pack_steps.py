"""The verb: pack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pictus import stores
from pictus.errors import UserError, counted
from pictus.project import Project
from pictus.registry import Outcome, step
from pictus.releases import Release
from pictus.train.feed import packs
from pictus.train.feed.packs import Pack

LEAST_PX, MOST_PX = 16, 4096


@dataclass(frozen=True)
class PackFacts:
    """One training pack."""

    path: str
    key: str
    digest: str
    release: str
    split: str
    short_side: int
    quality: int
    pictures: int
    own_bytes: int  # pictures that keep the release's own bytes: small enough, or not decodable
    bytes: int


@step("train pack", changes=True, needs_project=False)
def pack(project: Project, *, release: str = "", short_side: int = 256) -> Outcome[PackFacts]:
    """Shrink the training pictures once, so that every epoch decodes small ones. One that is there is checked whole.

    The same command after a kill goes on where it was. `pictus train run --set keep=pack` makes the pack by itself
    where it is missing; nothing is lost when its folder is deleted.

    release: version, release folder, or address of one in a store (s3://…); the newest when left out
    short_side: px; 256 for an input of up to 192 px, 320 for 224

    Examples:
        pictus train pack --short-side 256
        pictus train run --recipe resnet18 --set keep=pack --set pack=256
    """
    if not LEAST_PX <= short_side <= MOST_PX:
        raise UserError(
            f"A short side of {short_side:,} px is no use: {LEAST_PX} to {MOST_PX:,} px are.",
            fix="pictus train pack --short-side 256",
        )
    opened = stores.found(project, release)
    folder = project.models_dir / packs.PACKS
    found, problems = _whole(project, opened, short_side)
    facts = _facts(found)
    if project.exists:
        project.journal.log("train", "pack_made", found.root.name, release=opened.version, digest=facts.digest)
    shrunk = facts.pictures - facts.own_bytes
    headline = (
        f"{found.root.name}: {counted(facts.pictures, 'picture')}, {shrunk:,} shrunk to {short_side} px of short side,"
        f" {facts.bytes / 2**20:,.1f} MB in {folder.name}/"
    )
    following = (f"pictus train run --release {release or opened.version} --set keep=pack --set pack={short_side}",)
    return Outcome("train pack", _summary(facts), headline, problems, following, source=lambda: iter((facts,)))


def _whole(project: Project, release: Release, short_side: int) -> tuple[Pack, tuple[str, ...]]:
    """The pack with every byte as it was written; made again where it is damaged, and what was wrong with it."""
    packs_dir = project.models_dir / packs.PACKS
    root = packs.folder_of(packs_dir, release, "train", short_side)
    if not (root / packs.CARD).is_file():
        return packs.made(project, packs_dir, release, short_side), ()
    try:
        found = packs.opened(root)
        wrong = list(packs.damages(found))
        if not wrong:
            return found, ()
        why = f"{counted(len(wrong), 'picture')} of the pack had other bytes than were written: it was made again"
    except UserError as error:
        why = f"{error.what} It was made again."
    packs.removed(root)
    return packs.made(project, packs_dir, release, short_side), (why,)


def _facts(found: Pack) -> PackFacts:
    card = found.card
    return PackFacts(
        str(found.root), card["key"], card["digest"], card["release"]["version"], card["split"], card["short_side"],
        card["quality"], card["pictures"], card["own_bytes"], card["bytes"],
    )  # fmt: skip


def _summary(facts: PackFacts) -> dict[str, Any]:
    return {name: value for name, value in vars(facts).items() if name != "own_bytes"} | {
        "shrunk": facts.pictures - facts.own_bytes
    }
