"""What the near-duplicate join costs from 10 thousand to 14 million pictures, and what it misses.

    python benchmarks/hamming.py                  the curve up to 14 M, then 1,000 added to 1 M
    python benchmarks/hamming.py --most 1000000   stop earlier
    python benchmarks/hamming.py --plan           what 14 M and 1 B pictures cost, from the curve in this file
    python benchmarks/hamming.py --plan FILE      the same from the JSON line of a run
    python benchmarks/hamming.py --edits          how far edits of real photographs lie: the planted distances

Three joins: (a) 64-bit hashes within 3 bits, (b) PDQ, 256 bits within 31, (c) what dedupe does, 384 bits within 76 and
the pHash or the dHash within 10. Hashes are drawn: pHash and dHash from 8 × 8 coefficients of pictures that fall off as
1 / f and come in 50,000 scenes, so that their bits are related as real ones are (`related` beside each count: how many
pairs lie in one bucket or next to it, over how many would by chance; Tiny ImageNet's are 1.07 and 1.15), PDQ at random
(Tiny ImageNet: 1.01). One picture in a hundred is a copy of another, off by bits as edits of real photographs are.
Every case runs in a process of its own; its memory is the parent's peak plus every worker's, of which the hashes
that they share are counted in each.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import pictus
from pictus import engine, neighbours
from pictus.clean import dedupe, duplicates
from pictus.tables import SCHEMAS

COUNTS = (10_000, 100_000, 1_000_000, 14_000_000)
ADDED = 1_000
CASES: dict[str, tuple[list[int], int, dict[str, int]]] = {
    "a": ([0], 3, {}),
    "b": ([2, 3, 4, 5], 31, {}),
    "c": ([0, 1, 2, 3, 4, 5], duplicates.RADIUS, {"key_radius": duplicates.KEY_RADIUS, "keys": 2}),
}
NAMES = {"a": "64 bits within 3", "b": "PDQ within 31", "c": "dedupe's"}
SAMPLE = 200  # rows compared with every other
REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))

EDITS = [
    (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 1, 0), (2, 0, 0), (0, 0, 2), (0, 0, 2), (0, 1, 2),
    (2, 0, 2), (0, 0, 4), (0, 0, 6), (2, 0, 4), (0, 0, 8), (0, 1, 8), (0, 1, 10), (2, 0, 10), (0, 3, 10), (4, 2, 8),
    (0, 1, 14), (2, 0, 14), (4, 5, 8), (2, 0, 16), (2, 1, 16), (0, 4, 16), (0, 5, 16), (2, 2, 18), (2, 2, 20),
    (2, 3, 20), (6, 9, 12), (4, 1, 24), (6, 4, 22), (4, 2, 32), (6, 3, 32), (0, 9, 36), (4, 4, 42), (8, 3, 44),
    (10, 13, 44), (6, 6, 64),
]  # fmt: skip
"""Bits of pHash, dHash and PDQ: 40 even steps through 581 edits of 80 ImageNet photographs within 76 bits (--edits)."""

CURVE: dict[str, Any] = {
    "curve": [
        {"case": "c", "pictures": 10_000, "cpu_s": 1.35, "estimated": 0.1},
        {"case": "c", "pictures": 100_000, "cpu_s": 2.94, "estimated": 1.5},
        {"case": "c", "pictures": 1_000_000, "cpu_s": 40.55, "estimated": 32.7},
        {"case": "c", "pictures": 14_000_000, "cpu_s": 1915.62, "estimated": 1328.1},
    ]
}
"""What --plan needs of the JSON line of a run: two shared cores of a server, 2026."""

CORE_HOUR, GB_MONTH = 0.04, 0.023
"""Dollars, assumed: a rented virtual core with 4 GB, and object storage, at list prices of large providers in 2025."""


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Hashes u64[count, 6] and planted pairs i64[pairs, 2]."""
    random = np.random.default_rng(seed)
    scenes = random.standard_normal((50_000, 64), dtype=np.float32)
    falloff = (1 / (1 + np.hypot(*np.mgrid[:8, :8]))).astype(np.float32).ravel()
    down = np.cos(np.pi / 8 * (np.arange(8) + 0.5)[:, None] * np.arange(8))
    across = np.cos(np.pi / 9 * (np.arange(9) + 0.5)[:, None] * np.arange(8))
    slope = np.einsum("ru,cv->rcuv", down, np.diff(across, axis=0)).reshape(64, 64).astype(np.float32)
    words = np.empty((count, 6), dtype=np.uint64)
    for start in range(0, count, 200_000):
        part = words[start : start + 200_000]
        own = random.standard_normal((len(part), 64), dtype=np.float32)
        waves = (0.5 * scenes[random.integers(0, len(scenes), len(part))] + 0.87 * own) * falloff
        part[:, 0] = np.packbits(waves > 0, axis=1).view(">u8").ravel()
        part[:, 1] = np.packbits(waves @ slope.T > 0, axis=1).view(">u8").ravel()
        part[:, 2:] = random.integers(0, 2**64, (len(part), 4), dtype=np.uint64)
    pairs = random.permutation(count)[: count // 100 * 2].reshape(-1, 2)
    edits = np.array(EDITS)[random.integers(0, len(EDITS), len(pairs))]
    copies = words[pairs[:, 0]]
    for column, start, width in ((0, 0, 64), (1, 64, 64), (2, 128, 256)):
        order = random.random((len(pairs), width), dtype=np.float32).argsort(axis=1)
        for place in range(int(edits[:, column].max())):
            rows = np.flatnonzero(edits[:, column] > place)
            bit = order[rows, place] + start
            copies[rows, bit // 64] ^= np.uint64(1) << (bit % 64).astype(np.uint64)
    words[pairs[:, 1]] = copies
    return words, pairs


def is_near(first: np.ndarray, second: np.ndarray, case: str) -> np.ndarray:
    """What the case calls near, by comparing whole: u64[N, words] with one row or as many."""
    _, radius, how = CASES[case]
    bits = np.bitwise_count(first ^ second)
    near: np.ndarray = bits.sum(axis=-1, dtype=np.int32) <= radius
    return near & (bits[..., : how["keys"]].min(axis=-1) <= how["key_radius"]) if how else near


def run_case(case: str, folder: Path, workers: int) -> dict[str, Any]:
    """Join, then check against the planted pairs and against comparing some rows with every row."""
    columns, radius, how = CASES[case]
    held = np.load(folder / "words.npy", mmap_mode="r", allow_pickle=False)
    words = np.ascontiguousarray(held[:, columns])
    del held
    np.save(folder / "case.npy", words, allow_pickle=False)
    pairs = np.load(folder / "pairs.npy", allow_pickle=False)
    bands = neighbours.plan(words, neighbours.nearness_of(radius, **how))
    seconds = sum(neighbours.cost_s(len(words), band) for band in bands)
    spread = partial(spread_metered, folder, workers) if seconds > 5 and workers > 1 else None
    at, cpu = time.perf_counter(), time.process_time()
    label = neighbours.linked(words, radius, **how, spread=spread, path=folder / "case.npy" if spread else None)
    took, cpu = time.perf_counter() - at, time.process_time() - cpu
    used = [json.loads(path.read_text()) for path in folder.glob("usage-*")]
    cpu += sum(one["cpu_s"] for one in used)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + sum(one["kb"] for one in used)) / 2**20
    for path in folder.glob("usage-*"):
        path.unlink()
    near = is_near(words[pairs[:, 0]], words[pairs[:, 1]], case)
    found = label[pairs[:, 0]] == label[pairs[:, 1]]
    sample = np.random.default_rng(1).choice(pairs.ravel(), min(SAMPLE, pairs.size), replace=False)
    true = missed = 0
    for row in sample.tolist():
        same = np.flatnonzero(is_near(words, words[row], case))
        true += len(same) - 1
        missed += int((label[same] != label[row]).sum())
    return {
        "case": case, "pictures": len(words), "seconds": round(took, 2), "cpu_s": round(cpu, 2),
        "estimated": round(seconds, 1), "workers": workers if spread else 1, "peak_gb": round(peak, 2),
        "planted_near": int(near.sum()),
        "recall_planted": float(found[near].mean()) if near.any() else 1.0, "sample": len(sample),
        "brute_force_pairs": true, "recall": 1 - missed / max(true, 1), "bands": len(bands),
        "band_bits": len(bands[0].bits), "related": related(words, bands),
    }  # fmt: skip


def spread_metered(
    folder: Path, workers: int, compute: neighbours.Compute, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Parts on several processes, each of which leaves a note of what it has used."""
    yield from engine.spread(partial(metered, folder, compute), batches, workers=workers)


def metered(folder: Path, compute: neighbours.Compute, batch: pa.RecordBatch) -> pa.RecordBatch:
    """One part, in a worker: its note says processor seconds and peak memory since it was started."""
    found = compute(batch)
    used = {"cpu_s": time.process_time(), "kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    (folder / f"usage-{os.getpid()}").write_text(json.dumps(used))
    return found


def related(words: np.ndarray, bands: tuple[neighbours.Band, ...]) -> float:
    """Of 4,000 rows, how many pairs are near in a band, over how many would be if bits were drawn at random."""
    some = words[:: max(1, len(words) // 4000)][:4000]
    found = expected = 0.0
    for band in bands:
        if not band.bits:
            return 1.0
        mask = np.uint64(sum(1 << bit for bit in band.bits))
        key = some[:, band.word] & mask
        near = np.bitwise_count(key[:, None] ^ key) <= band.radius
        found += (near.sum() - len(some)) / (len(some) * (len(some) - 1))
        expected += band.masks / 2 ** len(band.bits)
    return round(float(found / expected), 2)


def curve(most: int, workers: int, cases: str) -> list[dict[str, Any]]:
    """Every case at every count, each in a process of its own."""
    rows = []
    print(f"{'pictures':>11}  {'join':<17}{'seconds':>9}{'of CPU':>9}{'GB':>6}{'planted':>9}{'recall':>9}{'of all':>9}"
          f"{'bands':>11}{'related':>9}")  # fmt: skip
    for count in [count for count in COUNTS if count <= most]:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            words, pairs = drawn(count)
            np.save(folder / "words.npy", words, allow_pickle=False)
            np.save(folder / "pairs.npy", pairs, allow_pickle=False)
            del words, pairs
            for case in cases:
                command = [sys.executable, __file__, "--case", case, "--folder", temporary, "--workers", str(workers)]
                out = subprocess.run(command, check=True, capture_output=True, text=True)
                row = json.loads(out.stdout.splitlines()[-1])
                rows.append(row)
                bands = f"{row['bands']} × {row['band_bits']}"
                print(f"{count:>11,}  {NAMES[case]:<17}{row['seconds']:>9.2f}{row['cpu_s']:>9.2f}{row['peak_gb']:>6.2f}"
                      f"{row['planted_near']:>9,}{row['recall_planted']:>9.5f}{row['recall']:>9.5f}{bands:>11}"
                      f"{row['related']:>9.2f}", flush=True)  # fmt: skip
    return rows


def increment(count: int) -> dict[str, Any]:
    """`clean dedupe` on `count` measured pictures, on 1,000 more, and again from the start: seconds, and equal rows."""
    words, _ = drawn(count + ADDED)
    with tempfile.TemporaryDirectory() as temporary:
        project = pictus.new(f"{temporary}/pool")
        for start in range(0, count, 100_000):
            add(project, words[start : min(start + 100_000, count)], start)
        first_s, _ = timed(project)
        add(project, words[count:], count)
        more_s, more = timed(project)
        nothing_s, _ = timed(project)
        (project.cache_dir / "dedupe" / "state").unlink()
        project.tables.drop("duplicates")
        again_s, again = timed(project)
    found = {"pictures": count, "added": ADDED, "first_s": first_s, "more_s": more_s, "nothing_new_s": nothing_s,
             "again_s": again_s, "ratio": round(again_s / more_s, 1), "is_equal": bool(more.equals(again)),
             "duplicates": again.num_rows}  # fmt: skip
    print(f"dedupe of {count:,}: {first_s:.1f} s; {ADDED:,} more: {more_s:.1f} s; nothing new: {nothing_s:.1f} s; all"
          f" from the start: {again_s:.1f} s, {found['ratio']} times as long; equal rows: {found['is_equal']}",
          flush=True)  # fmt: skip
    return found


def timed(project: pictus.Project) -> tuple[float, pa.Table]:
    """One dedupe, in seconds, and the rows of its table."""
    at = time.perf_counter()
    dedupe(project)
    return round(time.perf_counter() - at, 2), project.tables.read("duplicates")


def add(project: pictus.Project, words: np.ndarray, first: int) -> None:
    """Rows of `images` and `checks` as if pictures with these hashes had been measured."""
    count = len(words)
    names = {"image_id": [f"{row:064x}" for row in range(first, first + count)]}
    names["pixel_sha256"] = names["image_id"]
    for table in ("images", "checks"):
        columns = {}
        for field in SCHEMAS[table]:
            if field.name in names:
                values: Any = names[field.name]
            elif field.name in {"phash", "dhash"}:
                values = words[:, int(field.name == "dhash")]
            elif field.name == "pdq":
                values = [row.tobytes() for row in words[:, 2:]]
            elif pa.types.is_list(field.type):
                values = [[]] * count
            elif pa.types.is_string(field.type):
                values = [""] * count
            elif pa.types.is_boolean(field.type):
                values = [False] * count
            else:
                values = np.full(count, 100)
            columns[field.name] = pa.array(values).cast(field.type)
        project.tables.append(table, pa.table(columns, schema=SCHEMAS[table]))


def plan(measured: dict[str, Any]) -> None:
    """Core-hours, GB and dollars of 14 M and 1 B pictures, from measured speeds; the bands of the join at 1 B."""
    rows = [row for row in measured["curve"] if row["case"] == "c"]
    if not rows:
        print("no measured curve: run benchmarks/hamming.py first, then --plan FILE")
        return
    last = max(rows, key=lambda row: int(row["pictures"]))
    factor = last["cpu_s"] / last["estimated"]
    print(f"dedupe's join, measured at {last['pictures']:,}: {last['cpu_s'] / 3600:.3f} core-hours,"
          f" {factor:.2f} times the plan's estimate; larger counts are the estimate times that")  # fmt: skip
    print(f"prices assumed: ${CORE_HOUR} a core-hour, ${GB_MONTH} a GB-month")
    for count in (14_000_000, 1_000_000_000):
        print(f"\n{count:,} pictures{'core-hours':>23}{'dollars':>10}{'GB kept':>10}{'$ a month':>11}")
        total = 0.0
        for stage, speed, kept in STAGES:
            hours = count / speed / 3600 if speed else join_s(count) * factor / 3600
            total += hours
            size = count * kept / 1e9
            print(f"  {stage:<30}{hours:>12,.1f}{hours * CORE_HOUR:>10,.0f}{size:>10,.0f}{size * GB_MONTH:>11,.0f}")
        print(f"  {'together':<30}{total:>12,.1f}{total * CORE_HOUR:>10,.0f}")
        number, width = shape(count)
        own, masks = count / 2**width, sum(band.masks for band in bands_of(number, width))
        print(f"  the join: {number} bands of {width} indexed bits in each of 2 words, {own:,.1f} rows a bucket,"
              f" {masks:,} partners looked up for each; {join_pairs(count):.1e} pairs compared,"
              f" {join_s(count) * factor / neighbours.PART_S:,.0f} parts of {neighbours.PART_S:.0f} s; hashes"
              f" {count * 48 / 1e9:,.1f} GB, a worker's index and labels {count * 32 / 1e9:,.1f} GB")  # fmt: skip


STAGES = (
    ("fetch, beside its waiting", 1140.0, 110_000),  # docs/collect.md, per CPU second; ImageNet's mean bytes
    ("check", 520.0, 420),  # docs/clean.md, one process; a row of `checks`
    ("embed", 20.0, 1536),  # assumed: a small network on one core; 384 numbers
    ("dedupe, the join", 0.0, 48),
)


def shape(count: int) -> tuple[int, int]:
    """Bands and their width that the plan chooses for dedupe's join."""
    return min(
        ((number, width) for number in range(1, duplicates.KEY_RADIUS + 2) for width in range(6, 23)
         if width <= 64 // number),
        key=lambda one: neighbours.shape_cost_s(count, duplicates.KEY_RADIUS, *one),
    )  # fmt: skip


def bands_of(number: int, width: int) -> list[neighbours.Band]:
    """The bands of one word."""
    radii = neighbours.dealt(duplicates.KEY_RADIUS, number)
    return [neighbours.Band(0, duplicates.KEY_RADIUS, radius, tuple(range(width))) for radius in radii if radius >= 0]


def join_s(count: int) -> float:
    """Estimated seconds of dedupe's join on one core."""
    return 2 * neighbours.shape_cost_s(count, duplicates.KEY_RADIUS, *shape(count))


def join_pairs(count: int) -> float:
    """Pairs compared in one word."""
    number, width = shape(count)
    return sum(count * count / 2 * band.masks / 2**width for band in bands_of(number, width)) * 2


def edits() -> None:
    """How many bits edits of real photographs change in the three hashes."""
    from PIL import Image, ImageEnhance

    from pictus.clean.measurements import measure

    def saved(image: Image.Image, quality: int = 90) -> bytes:
        out = io.BytesIO()
        image.convert("RGB").save(out, "JPEG", quality=quality)
        return out.getvalue()

    def cropped(image: Image.Image, share: float) -> bytes:
        x, y = int(image.width * share), int(image.height * share)
        return saved(image.crop((x, y, int(image.width * (1 - share)), int(image.height * (1 - share)))))

    made = {
        "half": lambda image: saved(image.resize((max(8, image.width // 2), max(8, image.height // 2)))),
        "thumbnail": lambda image: saved(image.resize((160, max(8, 160 * image.height // image.width)))),
        "quality 30": lambda image: saved(image, 30),
        "cropped 2 %": lambda image: cropped(image, 0.02),
        "cropped 4 %": lambda image: cropped(image, 0.04),
        "brighter": lambda image: saved(ImageEnhance.Brightness(image).enhance(1.3)),
        "grey": lambda image: saved(image.convert("L")),
        "square": lambda image: saved(image.resize((300, 300))),
    }
    pictures: list[tuple[str, bytes]] = []
    with tarfile.open(REAL / "imagenet_photos_240" / "imagenet_photos_240.tar") as tar:
        members = sorted((one for one in tar.getmembers() if one.name.lower().endswith(".jpg")), key=lambda m: m.name)
        for number, member in enumerate(members[::3]):
            data = tar.extractfile(member).read()
            image = Image.open(io.BytesIO(data)).convert("RGB")
            pictures.append((f"{number}|", data))
            pictures += [(f"{number}|{name}", make(image)) for name, make in made.items()]
    rows = {row.image_id: row for row in measure(iter(pictures)) if not row.cause and row.pdq_quality >= 50}
    found = []
    for key, row in rows.items():
        number, _, name = key.partition("|")
        original = rows.get(f"{number}|")
        if name and original:
            pdq = int.from_bytes(original.pdq) ^ int.from_bytes(row.pdq)
            found.append(((original.phash ^ row.phash).bit_count(), (original.dhash ^ row.dhash).bit_count(),
                          pdq.bit_count()))  # fmt: skip
    bits = np.array(found)
    total = bits.sum(axis=1)
    print("bits of 384 at 10, 25, 50, 75, 90, 95 %:", np.percentile(total, [10, 25, 50, 75, 90, 95]).tolist())
    near = bits[(total <= duplicates.RADIUS) & (bits[:, :2].min(axis=1) <= duplicates.KEY_RADIUS)]
    near = near[np.argsort(near.sum(axis=1), kind="stable")]
    print(f"{len(near)} of {len(bits)} within {duplicates.RADIUS}; 40 of them, in steps:")
    print(near[np.linspace(0, len(near) - 1, 40).astype(int)].tolist())


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=COUNTS[-1])
    parser.add_argument("--workers", type=int, default=0, help="processes, 0 for one per CPU")
    parser.add_argument("--cases", default="abc", choices=["a", "b", "c", "ab", "ac", "bc", "abc"])
    parser.add_argument("--no-increment", action="store_true")
    parser.add_argument("--plan", nargs="?", const="", default=None)
    parser.add_argument("--edits", action="store_true")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    workers = given.workers or engine.cpu_count()
    if given.case:
        print(json.dumps(run_case(given.case, given.folder, workers)))
    elif given.plan is not None:
        plan(json.loads(Path(given.plan).read_text().splitlines()[-1]) if given.plan else CURVE)
    elif given.edits:
        edits()
    else:
        found: dict[str, Any] = {"machine": platform.machine(), "cpus": engine.cpu_count()}
        found["curve"] = curve(given.most, workers, given.cases)
        if not given.no_increment:
            found["increment"] = increment(min(given.most, 1_000_000))
        print(json.dumps(found))


if __name__ == "__main__":
    main()
