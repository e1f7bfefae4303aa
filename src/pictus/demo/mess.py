"""A messy web on paper: which addresses exist, what is wrong with each, and the bytes behind it.

`plan` decides, `body_of` draws; both follow from the seed alone.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np
from PIL import Image

from pictus.demo.camera import Shot, jpeg
from pictus.demo.tree import NAMES
from pictus.demo.world import Drawn, draw


class Kind(StrEnum):
    """What an address really is."""

    GOOD = "good"
    WRONG = "wrong"  # a good picture of something else
    DUPLICATE = "duplicate"
    POOR = "poor"
    BROKEN = "broken"  # bytes arrive and cannot be decoded
    FAILED = "failed"  # no picture arrives


HOSTS = ("photos", "gallery", "archive", "mirror", "slowpoke", "members", "attic")
"""One server each, on a port of its own. `slowpoke` takes its time; `members` has a robots.txt with teeth."""

DUPLICATES = ("same-bytes", "resized", "re-encoded", "cropped")
POOR = ("dark", "bright", "blurred", "blank", "tiny", "low-contrast", "strip")
FAILURES = {
    "missing": "http-404", "gone": "http-410", "broken-server": "http-500", "error-page": "not-an-image",
    "empty": "empty", "bomb": "too-many-pixels", "forbidden": "robots", "opt-out": "opt-out",
    "to-private": "private-address", "circle": "redirect", "cut-off": "truncated",
}  # fmt: skip
"""How an address fails -> the cause a fetcher should record."""

DETOURS = ("", "", "", "", "", "", "", "", "moved", "flaky")
"""Ways a good picture makes itself hard to get: behind a redirect, or only at the second try."""

LICENCES = ("CC-BY-4.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "CC0-1.0", "CC-BY-2.0")
_AUTHORS = ("Comenius", "Merian", "Linnaeus", "Haeckel", "Audubon", "Seba", "Gessner", "Bewick")


@dataclass(frozen=True)
class Candidate:
    """One address and the truth about it."""

    path: str  # "/banana/0193.jpg", unique over all hosts
    host: str
    concept_id: str  # what the list says
    true_concept: str  # what is on it; "" when nothing can be seen
    kind: str
    variant: str  # how it is wrong: one of DUPLICATES, POOR, FAILURES, DETOURS …
    cause: str  # what a fetcher should record: "" when a picture arrives
    original: str  # path of the picture it repeats, "" if none
    seed: tuple[int, ...]
    licence: str
    author: str
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    scene: str = ""
    size: int = 0


@dataclass(frozen=True)
class Mixture:
    """How many addresses of each kind per concept."""

    good: int = 138
    wrong: int = 6
    duplicate: int = 22
    poor: int = 14
    broken: int = 1
    failed: int = 5

    @property
    def total(self) -> int:
        return self.good + self.wrong + self.duplicate + self.poor + self.broken + self.failed


def plan(concepts: Sequence[str], mixture: Mixture, seed: int) -> list[Candidate]:
    """Every address of the web, a duplicate somewhere after its original, else in random order."""
    rng = np.random.default_rng((seed, 1))
    found: list[Candidate] = []
    for number, concept_id in enumerate(concepts):
        found += _of_concept(number, concept_id, concepts, mixture, seed=seed, rng=rng)
    return found


def _of_concept(
    number: int, concept_id: str, concepts: Sequence[str], mixture: Mixture, *, seed: int, rng: np.random.Generator
) -> list[Candidate]:
    kinds = [Kind.GOOD] * mixture.good + [Kind.WRONG] * mixture.wrong + [Kind.POOR] * mixture.poor
    kinds += [Kind.BROKEN] * mixture.broken + [Kind.FAILED] * mixture.failed
    folder = NAMES[concept_id].lower().replace(" ", "-")
    causes = list(FAILURES)
    found: list[Candidate] = []
    for place in rng.permutation(len(kinds)):
        kind, k = kinds[place], len(found)
        variant, cause, true_concept = "", "", concept_id
        if kind is Kind.GOOD:
            variant = str(rng.choice(DETOURS))
        elif kind is Kind.WRONG:
            true_concept = concepts[(number + 1 + int(rng.integers(len(concepts) - 1))) % len(concepts)]
            variant = NAMES[true_concept]
        elif kind is Kind.POOR:
            variant = POOR[int(place + number) % len(POOR)]
            true_concept = "" if variant == "blank" else concept_id
        elif kind is Kind.BROKEN:
            variant = "truncated"
        else:
            variant = causes[int(place + 5 * number) % len(causes)]
            cause, true_concept = FAILURES[variant], ""
        host = _host(variant, rng)
        name = f"/members-only/{folder}-{k:04}.jpg" if variant == "forbidden" else f"/{folder}/{k:04}.jpg"
        found.append(
            Candidate(
                name,
                host,
                concept_id,
                true_concept,
                kind.value,
                variant,
                cause,
                "",
                (seed, number, k),
                str(rng.choice(LICENCES)),
                str(rng.choice(_AUTHORS)),
            )
        )
    originals = [one for one in found if one.kind == Kind.GOOD]
    for k in range(mixture.duplicate):
        one = originals[int(rng.integers(len(originals)))]
        variant = DUPLICATES[k % len(DUPLICATES)]
        is_mirrored = rng.random() < 0.6  # noqa: PLR2004  most copies lie at one host
        copy = replace(
            one, path=f"/{folder}/copy-{k:04}.jpg", host="mirror" if is_mirrored else _host("", rng),
            kind=Kind.DUPLICATE.value, variant=variant, original=one.path,
        )  # fmt: skip
        found.append(copy)
    return found


def _host(variant: str, rng: np.random.Generator) -> str:
    if variant == "forbidden":
        return "members"
    if variant in FAILURES:
        return "attic"
    return str(rng.choice(HOSTS, p=(0.26, 0.2, 0.18, 0.12, 0.06, 0.1, 0.08)))


def body_of(one: Candidate) -> tuple[bytes, Candidate]:
    """The bytes at an address, and the candidate with its box, scene and size filled in."""
    if one.kind == Kind.FAILED and one.variant not in {"bomb", "error-page", "cut-off", "opt-out", "forbidden"}:
        return b"", one
    if one.variant == "bomb":
        data = png_bomb(30_000, 30_000)
    elif one.variant == "error-page":
        data = b"<!doctype html><title>Not found</title><p>This picture has moved. <a href='/'>Home</a>"
    elif one.variant == "blank":
        data = _blank(one)
    else:
        drawn = _drawn(one.true_concept or one.concept_id, one.seed, _poor_shot(one))
        one = replace(one, box=drawn.box, scene=drawn.scene)
        data = _changed(one, drawn)
    return data, replace(one, size=len(data))


@lru_cache(maxsize=4)
def _drawn(concept_id: str, seed: tuple[int, ...], shot: Shot | None) -> Drawn:
    """An original's copies come right after it: draw it once."""
    return draw(concept_id, seed, shot)


def _poor_shot(one: Candidate) -> Shot | None:
    rng = np.random.default_rng((*one.seed, 2))
    match one.variant if one.kind == Kind.POOR else "":
        case "dark":
            return Shot(exposure=rng.uniform(0.05, 0.13), noise=rng.uniform(0.5, 2))
        case "bright":
            return Shot(exposure=rng.uniform(4, 9), gamma=rng.uniform(0.3, 0.6), noise=1)
        case "blurred":
            return Shot(blur_px=rng.uniform(2.6, 9), quality=85)
        case "low-contrast":
            return Shot(contrast=rng.uniform(0.025, 0.085), noise=0.4)
    return None


def _changed(one: Candidate, drawn: Drawn) -> bytes:  # noqa: PLR0911  one for each way to change it
    """The drawn picture as this address gives it."""
    image = Image.fromarray(drawn.pixels)
    rng = np.random.default_rng((*one.seed, 3, sum(one.path.encode())))
    match one.variant:
        case "tiny":
            scale = rng.uniform(16, 50) / min(image.size)
            return jpeg(image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale)))), 85)
        case "strip":
            height = round(image.width / rng.uniform(3, 12))
            top = (image.height - height) // 2
            return jpeg(image.crop((0, top, image.width, top + height)), 88)
        case "resized":
            scale = rng.uniform(0.4, 0.85)
            size = (round(image.width * scale), round(image.height * scale))
            return jpeg(image.resize(size, Image.Resampling.LANCZOS), int(rng.integers(80, 95)))
        case "re-encoded":
            return jpeg(image, int(rng.integers(22, 60)))
        case "cropped":
            x, y = (max(1, round(side * rng.uniform(0.01, 0.05))) for side in image.size)
            return jpeg(image.crop((x, y, image.width - x // 2, image.height - y // 2)), drawn.jpeg_quality)
        case "truncated":
            data = drawn.jpeg()
            return data[: int(len(data) * rng.uniform(0.3, 0.7))]
    return drawn.jpeg()


def _blank(one: Candidate) -> bytes:
    """A lens cap, an empty wall: one colour and a little noise."""
    rng = np.random.default_rng((*one.seed, 4))
    pixels = rng.integers(90, 190, 3) + rng.normal(0, 0.6, (256, 320, 1))
    return jpeg(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), 85)


def png_bomb(width: int, height: int) -> bytes:
    """A few hundred bytes that announce width × height pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    buffer = io.BytesIO()
    buffer.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header))
    buffer.write(chunk(b"IDAT", zlib.compress(b"\0" * 4096, 9)) + chunk(b"IEND", b""))
    return buffer.getvalue()
