"""Boxes, masks and points: ImageNet's loop simulated, truth from several people, and masks from clicks.

    python benchmarks/shapes.py             all three
    python benchmarks/shapes.py --small     fewer pictures
    python benchmarks/shapes.py --settle 1000000    only 4.

1. The loop (Su, Deng, Fei-Fei 2012) with the questions that `box_loop.follow` asks. The model of people: a drawn box
   has each side off by a normal error of SIDE of its size, or is a blunder (cuts, holds two, the wrong thing) with
   BLUNDER; a box is tight when its IoU with the thing is 0.8 or more. Pictures have a geometric number of things,
   2 in the mean. A verifier errs about a box, and about the coverage, with the rates of ERRORS. All rates are
   assumed: Su et al. do not say theirs, they measured the shares that came of them, 97.9 % of pictures covered and
   99.2 % of boxes tight, with trained workers. Seconds are the published medians per task: 25.5 drawing,
   9.0 quality, 7.8 coverage. Extreme clicking (Papadopoulos et al. 2017) takes 7.0 s for a drawing.
2. Boxes of bccd_detection drawn again by five simulated people, two careful: EM beside the mean box and the majority.
3. Masks from clicks on nuclei_instances and camvid_segmentation: the first click into the middle of the thing, each
   further one into the middle of the largest error (as Xu et al. 2016). IoU after 1, 3 and 5 clicks; ms per click.
4. `annotate shapes` on a project of so many marks, four on a picture: of ten six boxes, each verified, two masks of
   twelve corners and two sets of 17 points. Seconds of a processor: all of it, again with nothing new, and with 1,000
   marks more; and the most memory.

Intervals are 95 % Wilson or normal over pictures. The seed of everything is SEED.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import sys
import tarfile
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

import pictus
from pictus import annotate
from pictus.annotate.shapes.box_consensus import drawn_of, overlaps, weigh_boxes
from pictus.annotate.shapes.box_loop import BOX, QUALITY, follow, start
from pictus.annotate.shapes.regions import Clicks
from pictus.annotate.shapes.segmenters import SEGMENTERS, Segmenter
from pictus.annotate.tasks import ACCEPTED, KINDS, REJECTED, Closed
from pictus.concepts import Taxonomy
from pictus.records import Picture
from pictus.stats import wilson
from pictus.tables import table_of

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
SEED = 0
SIDE, BLUNDER = 0.02, 0.15
ERRORS = ((0.05, 0.01), (0.05, 0.02), (0.1, 0.05))
SECONDS = {"box": 25.5, "box-quality": 9.0, "box-coverage": 7.8}
EXTREME_S = 7.0
TIGHT = 0.8
SU_COVERED, SU_TIGHT = 0.979, 0.992


class Person(NamedTuple):
    side: float
    miss: float
    false: float


def main() -> None:
    if "--settle" in sys.argv:
        print(json.dumps({"name": "shapes", "settle": settle(int(sys.argv[sys.argv.index("--settle") + 1]))}))
        return
    is_small = "--small" in sys.argv
    found = {
        "loop": loop(200 if is_small else 5_000), "boxes": merged(60 if is_small else 364),
        "clicks": clicks(12 if is_small else 60),
    }  # fmt: skip
    print(json.dumps({"name": "shapes", "seed": SEED, **found}))


def loop(n_pictures: int) -> list[dict[str, Any]]:
    print(f"the loop, simulated: {n_pictures:,} pictures, sides off by {SIDE:.0%}, blunders {BLUNDER:.0%}, seed {SEED}")
    print(f"  {'wrong on quality':>16}{'coverage':>10}{'boxes':>8}{'covered':>26}{'tight':>26}", end="")
    print(f"{'s per box':>11}{'by four clicks':>16}")
    rows = []
    for errors in ERRORS:
        rng = np.random.default_rng(SEED)
        covered = 0
        boxes: list[bool] = []
        asked = dict.fromkeys(SECONDS, 0)
        for _ in range(n_pictures):
            done, good = picture(rng, int(min(rng.geometric(0.5), 12)), asked, errors)
            covered += done
            boxes += good
        seconds = sum(SECONDS[kind] * many for kind, many in asked.items()) / len(boxes)
        extreme = seconds - (SECONDS["box"] - EXTREME_S) * asked["box"] / len(boxes)
        shares = wilson(covered, n_pictures), wilson(sum(boxes), len(boxes))
        told = [f"{one.estimate:.1%} ({one.low:.1%} to {one.high:.1%})" for one in shares]
        print(f"  {errors[0]:>16.0%}{errors[1]:>10.0%}{len(boxes):>8,}{told[0]:>26}{told[1]:>26}", end="")
        print(f"{seconds:>11.1f}{extreme:>16.1f}")
        rows.append({"errors": errors, "boxes": len(boxes), "covered": [round(value, 4) for value in shares[0]],
                     "tight": [round(value, 4) for value in shares[1]], "seconds_per_box": round(seconds, 1),
                     "seconds_per_box_extreme": round(extreme, 1)})  # fmt: skip
    print(f"  {'Su et al. 2012, people':>34}{SU_COVERED:>26.1%}{SU_TIGHT:>26.1%}")
    return rows


def picture(
    rng: np.random.Generator, things: int, asked: dict[str, int], errors: tuple[float, float]
) -> tuple[bool, list[bool]]:
    """One picture through the loop -> whether every thing has a tight box, and of each accepted box whether it is."""
    nothing = Taxonomy({})
    queue = [start("c", "p")]
    which: dict[int, tuple[int, bool]] = {}  # mark -> the thing, and whether the box is tight
    accepted: list[int] = []
    while queue:
        one = queue.pop()
        asked[one.kind] += 1
        boxed = {which[mark][0] for mark in accepted}
        free = [thing for thing in range(things) if thing not in boxed]
        drawn, answer = 0, ""
        if one.kind == BOX:
            answer = "box" if free else "none"
            if free:
                drawn = len(which) + 1
                side = rng.normal(0, SIDE, 4)
                box = np.array([[side[0], side[1], 1 + side[2], 1 + side[3]]])
                is_tight = rng.random() > BLUNDER and overlaps(box, np.array([[0, 0, 1.0, 1]]))[0, 0] >= TIGHT
                which[drawn] = free[int(rng.integers(len(free)))], bool(is_tight)
        elif one.kind == QUALITY:
            is_right = rng.random() > errors[0]
            answer = "good" if which[one.mark_id][1] == is_right else "bad"
            accepted += [one.mark_id] if answer == "good" else []
        else:
            answer = "covered" if (not free) == (rng.random() > errors[1]) else "missing"
        state = ACCEPTED if answer == KINDS.get(one.kind).accepts else REJECTED
        closed = Closed(one.kind, "c", "p", one.mark_id, state, answer, drawn, len(queue), len(which))
        queue += follow(closed, nothing)
    return len({which[mark][0] for mark in accepted}) == things, [which[mark][1] for mark in accepted]


def merged(n_pictures: int) -> dict[str, Any]:
    if not (REAL / "bccd_detection").exists():
        print(f"{REAL} has no bccd_detection: set PICTUS_REAL_DATA")
        return {}
    people = [Person(0.01, 0.03, 0.02), Person(0.02, 0.05, 0.05), *[Person(0.08, 0.2, 0.3), Person(0.12, 0.3, 0.5)],
              Person(0.15, 0.3, 0.5)]  # fmt: skip
    rng = np.random.default_rng(SEED)
    items, who, boxes, truth = [], [], [], []
    for number, things in enumerate(list(bccd())[:n_pictures]):
        truth.append(things)
        for name, person in enumerate(people):
            seen = things[rng.random(len(things)) > person.miss]
            size = np.tile(seen[:, 2:] - seen[:, :2], 2)
            drawn = seen + rng.normal(0, person.side, seen.shape) * size
            false = rng.poisson(person.false)
            corner, size = rng.uniform(0, 500, (false, 2)), rng.uniform(30, 120, (false, 2))
            drawn = np.concatenate([drawn, np.concatenate([corner, corner + size], axis=1)])
            items += [number] * len(drawn)
            who += [name] * len(drawn)
            boxes.append(drawn)
    drawn = drawn_of(items, who, np.concatenate(boxes))
    started = time.process_time()
    found = weigh_boxes(drawn)
    seconds = time.process_time() - started
    count = np.bincount(found.cluster_B)
    plain = np.stack([np.bincount(found.cluster_B, weights=drawn.box_B4[:, side]) / count for side in range(4)], axis=1)
    by_em = scored(found.item_C, found.box_C4, found.probability_C > 0.5, truth)
    by_mean = scored(found.item_C, plain, found.n_drew_C * 2 > found.n_looked_C, truth)
    total = sum(map(len, truth))
    print(f"\nbccd_detection, {len(truth)} pictures, {total:,} boxes, {len(items):,} drawn by {len(people)} people")
    print(f"  {'':28}{'IoU with the truth':>20}{'found':>10}{'wrong':>10}")
    for name, (like, hits, wrong) in (("mean box, majority", by_mean), ("EM with skill", by_em)):
        print(f"  {name:28}{like:>20.4f}{hits / total:>10.1%}{wrong / max(1, hits + wrong):>10.1%}")
    print(f"  {seconds:.2f} s of processor time")
    return {"drawn": len(items), "seconds": round(seconds, 2), "em": by_em, "mean": by_mean, "truth": total}


def scored(
    item_C: NDArray[np.int64], box_C4: NDArray[np.float64], is_there_C: NDArray[np.bool_],
    truth: list[NDArray[np.float64]],
) -> tuple[float, int, int]:  # fmt: skip
    """Mean IoU of what was found, things found, boxes around nothing; each thing by the box most like it."""
    like, hits, wrong = [], 0, 0
    for number, things in enumerate(truth):
        chosen = box_C4[(item_C == number) & is_there_C]
        left = overlaps(chosen, things) if len(chosen) else np.zeros((0, len(things)))
        while left.size and left.max() >= 0.5:
            at, thing = np.unravel_index(left.argmax(), left.shape)
            like.append(float(left[at, thing]))
            left[at, :] = left[:, thing] = -1
            hits += 1
        wrong += len(chosen)
    return round(float(np.mean(like)), 4), hits, wrong - hits


def bccd() -> Iterator[NDArray[np.float64]]:
    with tarfile.open(REAL / "bccd_detection" / "bccd.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".xml") else None
            if file is None:
                continue
            sides = [
                [float(one.findtext(f"bndbox/{side}", "0")) for side in ("xmin", "ymin", "xmax", "ymax")]
                for one in ET.fromstring(file.read()).iter("object")
            ]
            boxes = np.array(sides, np.float64).reshape(-1, 4)
            yield boxes[(boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])]


def clicks(n_things: int) -> dict[str, Any]:
    print(f"\nmasks from clicks, {n_things} things of each set, seed {SEED}")
    print(f"  {'set':10}{'segmenter':12}{'IoU after 1':>14}{'3':>8}{'5 clicks':>10}{'ms per click':>14}{'prepare':>10}")
    found: dict[str, Any] = {}
    for name, things in (("nuclei", nuclei), ("camvid", camvid)):
        if not (REAL / {"nuclei": "nuclei_instances", "camvid": "camvid_segmentation"}[name]).exists():
            print(f"  {REAL} has no {name}")
            continue
        chosen = list(things(n_things))
        for kind in ("regions", "grabcut"):
            found[f"{name} {kind}"] = clicked(name, kind, SEGMENTERS.get(kind)(), chosen)
    speed()
    return found


def clicked(
    name: str, kind: str, segmenter: Segmenter, things: list[tuple[NDArray[np.uint8], NDArray[np.bool_]]]
) -> dict[str, Any]:
    likes, clicks_s, prepare_s = [], [], []
    for pixels, truth in things:
        started = time.process_time()
        state = segmenter.prepare(pixels)
        prepare_s.append(time.process_time() - started)
        like, seconds = corrected(lambda given, state=state: segmenter.segment(state, given), truth)
        likes.append(like)
        clicks_s += seconds
    mean = np.mean(likes, axis=0)
    error = 1.96 * np.std(likes, axis=0) / np.sqrt(len(likes))
    click_ms, prepare_ms = 1e3 * np.median(clicks_s), 1e3 * np.median(prepare_s)
    print(f"  {name:10}{kind:12}{mean[0]:>9.3f}±{error[0]:.2f}{mean[2]:>8.3f}{mean[4]:>10.3f}", end="")
    print(f"{click_ms:>14.0f}{prepare_ms:>10.0f}")
    return {"iou": [round(float(mean[at]), 3) for at in (0, 2, 4)], "click_ms": round(click_ms), "n": len(likes),
            "prepare_ms": round(prepare_ms)}  # fmt: skip


def corrected(
    segment: Callable[[Clicks], NDArray[np.bool_]], truth: NDArray[np.bool_], many: int = 5
) -> tuple[list[float], list[float]]:
    """IoU after each of `many` clicks, and processor seconds of each."""
    points: dict[bool, list[tuple[float, float]]] = {True: [middle(truth)], False: []}
    like, seconds = [], []
    for _ in range(many):
        given = Clicks(*(np.array(points[side], np.float64).reshape(-1, 2) for side in (True, False)))
        started = time.process_time()
        mask = segment(given)
        seconds.append(time.process_time() - started)
        like.append(float((mask & truth).sum() / (mask | truth).sum()))
        lacking, extra = largest(truth & ~mask), largest(mask & ~truth)
        is_lacking = lacking.sum() >= extra.sum()
        if (lacking if is_lacking else extra).any():
            points[bool(is_lacking)].append(middle(lacking if is_lacking else extra))
    return like, seconds


def middle(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """The pixel farthest from the edge of a mask."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return float(x) + 0.5, float(y) + 0.5


def largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, count = ndimage.label(mask)
    return mask if count < 2 else np.asarray(parts == np.bincount(parts.ravel())[1:].argmax() + 1)


def speed() -> None:
    """Wall time of the first click on a prepared picture of 500 × 375."""
    rng = np.random.default_rng(SEED)
    noise = ndimage.gaussian_filter(rng.normal(size=(375, 500, 3)), (6, 6, 0))
    pixels = np.clip(128 + 400 * noise, 0, 255).astype(np.uint8)
    for kind in ("regions", "grabcut"):
        segmenter = SEGMENTERS.get(kind)()
        state = segmenter.prepare(pixels)
        spent = []
        for x, y in rng.uniform(50, 320, (20, 2)):
            started = time.perf_counter()
            segmenter.segment(state, Clicks(np.array([[x, y]]), np.zeros((0, 2))))
            spent.append(1e3 * (time.perf_counter() - started))
        print(f"  first click at 500 × 375, {kind}: median {np.median(spent):.0f} ms, slowest {max(spent):.0f} ms")


def nuclei(many: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    rng = np.random.default_rng(SEED)
    with tarfile.open(REAL / "nuclei_instances" / "nuclei_150.tar.xz") as archive:
        files = {name: archive.extractfile(name) for name in archive.getnames() if name.endswith(".png")}
        data = {name: file.read() for name, file in files.items() if file}
    pictures = sorted(name for name in data if "/images/" in name)
    for name in rng.permutation(pictures)[:many]:
        folder = str(name).partition("/images/")[0]
        masks = [image(data[one], "L") > 0 for one in sorted(data) if one.startswith(f"{folder}/masks/")]
        large = [mask for mask in masks if mask.sum() >= 60]
        if large:
            yield image(data[str(name)], "RGB"), large[int(rng.integers(len(large)))]


def camvid(many: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Cars, pedestrians, bicyclists and signs: connected parts of 400 px and more."""
    rng = np.random.default_rng(SEED)
    with tarfile.open(REAL / "camvid_segmentation" / "camvid_200.tar") as archive:
        files = {name: archive.extractfile(name) for name in archive.getnames()}
        data = {name: file.read() for name, file in files.items() if file}
    photos = {Path(name).stem: name for name in data if name.endswith(".jpg")}
    found = 0
    for name in rng.permutation(sorted(one for one in data if "annot" in one and one.endswith(".png"))):
        photo = photos.get(Path(str(name)).stem)
        labels = image(data[str(name)], "L")
        parts = [ndimage.label(labels == kind) for kind in (6, 8, 9, 10)]
        things = [part == at for part, count in parts for at in range(1, count + 1)]
        things = [thing for thing in things if thing.sum() >= 400]
        if photo and things and found < many:
            found += 1
            yield image(data[photo], "RGB"), things[int(rng.integers(len(things)))]


def settle(many: int) -> dict[str, Any]:
    """Seconds of processor time of `annotate shapes`: all, with nothing new, with 1,000 more marks; and MB."""
    with tempfile.TemporaryDirectory() as folder:
        project = pictus.new(Path(folder) / "shapes")
        ids = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(max(many // 4, 1))]
        pictures = [Picture(one, "pictures-00000.tar", 0, 1, 640, 480, "jpeg", "RGB", "") for one in ids]
        project.tables.append("images", table_of("images", pictures))
        found: dict[str, Any] = {"marks": many}
        put(project, ids, 0, many)
        for name, more in (("whole_s", 0), ("nothing_new_s", 0), ("more_s", 1_000)):
            put(project, ids, many, more)
            begun = time.process_time()
            summary = annotate.shapes_(project).summary
            found[name] = round(time.process_time() - begun, 2)
    found["mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{many:,} marks settled in {found['whole_s']} s of processor time, again with nothing new", end=" ")
    print(f"in {found['nothing_new_s']} s, with 1,000 more in {found['more_s']} s, {found['mb']:,} MB at most:")
    print(f"  {summary['boxes']:,} boxes, {summary['masks']:,} masks, {summary['keypoints']:,} sets of points")
    return found


def put(project: pictus.Project, ids: list[str], first: int, many: int) -> None:
    with project.journal.transaction() as connection:
        for start in range(first, first + many, 10_000):
            numbers = range(start, min(start + 10_000, first + many))
            written = [row for number in numbers for row in drawn(number, ids)]
            for statement in dict.fromkeys(one for one, _ in written):
                rows = [row for one, row in written if one == statement]
                connection.exec_driver_sql(f"INSERT OR IGNORE INTO {statement}", rows)


_PAGES = (
    "pages (page_id, kind, concept_id, annotator, state, revision, leased_at, expires_at, submitted_at, seconds)"
    " VALUES (?, ?, 'c', ?, 'submitted', 1, '', '', '', 60)"
)
_MARKS = (
    "marks (mark_id, kind, image_id, concept_id, annotator, shape, source, place, replaces, made_at)"
    " VALUES (?, ?, ?, 'c', ?, ?, ?, ?, 0, '')"
)
_ANSWERS = (
    "answers (page_id, revision, position, question_id, kind, concept_id, image_id, mark_id, role, known, annotator,"
    " answer, data, seconds, answered_at) VALUES (?, 1, ?, 0, ?, 'c', ?, ?, 'ask', '', ?, ?, '{}', 8, '')"
)


def drawn(number: int, ids: list[str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """One mark with what is said of it: tables with their columns, and rows. Four marks a picture."""
    kind = (("box",) * 6 + ("mask",) * 2 + ("points",) * 2)[number % 10]
    page, image_id, who = f"{number // 80:021d}{number % 10}", ids[number // 4 % len(ids)], f"person {number % 50}"
    x, y = 5.0 + number * 7 % 500, 5.0 + number * 13 % 400
    shape: dict[str, Any] = {"box": [x, y, x + 60, y + 50]}
    if kind == "mask":
        turn = np.arange(12) / 6 * np.pi
        ring = np.stack([x + 40 + 30 * np.cos(turn), y + 30 + 25 * np.sin(turn)], 1).ravel()
        shape = {"polygons": [ring.tolist()]}
    elif kind == "points":
        shape = {"skeleton": "animal-17", "points": [[x + at, y + 2 * at, 2] for at in range(17)]}
    place = number // 10 % 8
    if place == 0:
        yield _PAGES, (page, kind, who)
    yield _MARKS, (number + 1, kind, image_id, who, json.dumps(shape), f"page:{page}#1", place)
    said = [(kind, 0, kind, who)]
    if kind == "box":
        other = f"person {(number + 1) % 50}"
        said += [("box-quality", number + 1, "good" if number % 7 else "bad", other)]
        said += [("box-coverage", number + 1, "covered", other)] if number % 10 == 5 else []
    for at, (asked, mark, answer, name) in enumerate(said):
        yield _ANSWERS, (f"a{number}", at, asked, image_id, mark, name, answer)


def image(data: bytes, mode: str) -> NDArray[np.uint8]:
    return np.array(Image.open(io.BytesIO(data)).convert(mode))


if __name__ == "__main__":
    main()
