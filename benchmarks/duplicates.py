"""Which copies are found, edit by edit: clean dedupe, clean match, imagededup's four hashes, cleanvision.

    python benchmarks/duplicates.py                  240 photographs, 19 edits of each: about 10 minutes on two cores
    python benchmarks/duplicates.py --photos 40      a first look

1. Copies planted by 19 edits. A copy is found when a tool pairs it with its photograph, directly; precision is the
   share of all pairs of the whole pool that come from one photograph.
2. Known copies of near_duplicates, and its published hashes of the eight positions of one picture.
3. 325 pairs of CIFAR-10 judged by people (ciFAIR), among 5,000 other pictures, at equal precision.
4. Look-alikes: 1,003 photographs of hands before one wall; every pair called the same is a picture lost.
5. What it costs: describing a picture, and looking up 1,000, 10,000 and 100,000 pictures made of real codes.

The peers live in the environment of benchmarks/clean.py. imagededup runs at its default of 10 bits; its network
needs weights that are a download of their own: not compared.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import random
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

import pictus
from clean import peer_python
from pictus import hashes, neighbours, pixels
from pictus.clean import check, duplicates, features, lookup, match, match_steps
from pictus.clean.likeness import codes_of
from pictus.records import Likeness
from pictus.shards import ShardWriter
from pictus.tables import SCHEMAS

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
OURS = ("hashes only", "with match", "match alone")
METHODS = ("PHash", "DHash", "WHash", "AHash")
DEFAULT_BITS = 10
OTHERS = 5_000

Pair = tuple[str, str]
Found = dict[str, set[Pair]]

PEER = r"""
import contextlib, io, json, logging, sys, types, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
for name, item in (("methods.cnn", "CNN"), ("utils.models", "CustomModel")):  # its networks need torch: not compared
    stand_in = sys.modules["imagededup." + name] = types.ModuleType("imagededup." + name)
    setattr(stand_in, item, None)
from cleanvision import Imagelab
from imagededup import methods
folder, most, wanted = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
found = {}
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    for name in wanted:
        method = getattr(methods, name)()
        codes = method.encode_images(image_dir=folder, num_enc_workers=0)
        near = method.find_duplicates(encoding_map=codes, max_distance_threshold=most, scores=True, num_dist_workers=0)
        found[name] = [[one, other, int(bits)] for one, others in near.items() for other, bits in others if one < other]
    lab = Imagelab(data_path=folder)
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=1, verbose=False)
sets = [[path.rsplit("/", 1)[-1] for path in group] for kind in ("exact_duplicates", "near_duplicates")
        for group in lab.info[kind]["sets"]]
print(json.dumps({"hashes": found, "sets": sets}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=240, help="photographs to plant copies of")
    parser.add_argument("--parts", default="edits,known,judged,hands,cost", help="which of the five to run")
    options = parser.parse_args()
    if not (REAL / "imagenet_photos_240").exists():
        sys.exit(f"imagenet_photos_240 not found in {REAL}: set PICTUS_REAL_DATA")
    python = peer_python()
    checks: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for part in options.parts.split(","):
            started = time.perf_counter()
            checks[part] = PARTS[part](python, Path(scratch), options.photos)
            print(f"({part}: {time.perf_counter() - started:.0f} s)\n", flush=True)
    planted = checks.get("edits", {}).get("recall", {})
    mean = {tool: round(float(np.mean(list(shares.values()))), 4) for tool, shares in planted.items()}
    print(json.dumps({
        "name": "duplicates", "ours": mean.get(OURS[1]), "peer": {k: v for k, v in mean.items() if k not in OURS},
        "unit": "share of copies found, mean over edits", "n": options.photos * len(EDITS), "checks": checks,
    }))  # fmt: skip


# 1. Planted edits


def edits(python: Path, scratch: Path, count: int) -> dict[str, Any]:
    (archive,) = (REAL / "imagenet_photos_240").glob("*.tar*")
    photos = [photo for _, photo in read(archive)][:count]
    chance = random.Random(7)
    pool: dict[str, bytes] = {}
    for number, photo in enumerate(photos):
        pool[f"{number:03d}.jpg"] = photo
        image = Image.open(io.BytesIO(photo)).convert("RGB")
        where = chance.random(), chance.random()
        for name, (edit, quality) in EDITS.items():
            pool[f"{number:03d}-{name}.jpg"] = jpeg(edit(image, where), quality)
    found = both_sides(python, scratch / "edits", pool)
    recall = {
        tool: {name: float(np.mean([(f"{n:03d}-{name}.jpg", f"{n:03d}.jpg") in pairs for n in range(len(photos))]))
               for name in EDITS}
        for tool, pairs in found.items()
    }  # fmt: skip
    right = {tool: sum(one[:3] == other[:3] for one, other in pairs) for tool, pairs in found.items()}
    print(f"share of {len(photos)} copies found with their photograph, by edit; all pairs of {len(pool):,} pictures\n")
    width = max(map(len, found)) + 1
    print(f"{'':12}" + "".join(f"{tool:>{width}}" for tool in found))
    for name in EDITS:
        print(f"{name:12}" + "".join(f"{recall[tool][name]:{width}.3f}" for tool in found))
    print(f"{'mean':12}" + "".join(f"{np.mean(list(recall[tool].values())):{width}.3f}" for tool in found))
    precision = {tool: right[tool] / len(pairs) if pairs else 1.0 for tool, pairs in found.items()}
    print(f"{'precision':12}" + "".join(f"{share:{width}.4f}" for share in precision.values()))
    print(f"{'wrong pairs':12}" + "".join(f"{len(found[tool]) - right[tool]:{width},}" for tool in found))
    wrong = {tool: len(found[tool]) - right[tool] for tool in found}
    return {
        "recall": {tool: {name: round(share, 4) for name, share in row.items()} for tool, row in recall.items()},
        "precision": {tool: round(share, 5) for tool, share in precision.items()}, "wrong_pairs": wrong,
    }  # fmt: skip


Edit = Callable[[Image.Image, tuple[float, float]], Image.Image]


def scaled(share: float) -> Edit:
    return lambda i, _: i.resize((max(8, round(i.width * share)), max(8, round(i.height * share))))


def cropped(share: float) -> Edit:
    """`share` of the width and of the height is gone, from both sides together, anywhere."""

    def edit(image: Image.Image, where: tuple[float, float]) -> Image.Image:
        width, height = round(image.width * (1 - share)), round(image.height * (1 - share))
        left, top = round((image.width - width) * where[0]), round((image.height - height) * where[1])
        return image.crop((left, top, left + width, top + height))

    return edit


def captioned(image: Image.Image, _: tuple[float, float]) -> Image.Image:
    """Two lines of white letters edged in black, a ninth of the height each, above and below."""
    marked = image.copy()
    size = max(10, image.height // 9)
    for line, height in (("THE QUICK BROWN", 0.06), ("fox jumps over", 0.8)):
        ImageDraw.Draw(marked).text(
            (image.width * 0.06, image.height * height), line, fill="white", font=ImageFont.load_default(size),
            stroke_width=max(1, size // 12), stroke_fill="black",
        )  # fmt: skip
    return marked


def branded(image: Image.Image, _: tuple[float, float]) -> Image.Image:
    """A white box over 30 % of the width and 10 % of the height, in the lower left corner."""
    marked = image.copy()
    ImageDraw.Draw(marked).rectangle((0, image.height * 0.9, image.width * 0.3, image.height), fill="white")
    return marked


EDITS: dict[str, tuple[Edit, int]] = {
    "half": (scaled(0.5), 88),
    "quarter": (scaled(0.25), 88),
    "q30": (lambda i, _: i, 30),
    "crop 10 %": (cropped(0.10), 88),
    "crop 25 %": (cropped(0.25), 88),
    "rotate 5": (lambda i, _: i.rotate(5, Image.Resampling.BICUBIC), 88),  # black corners
    "rotate 90": (lambda i, _: i.transpose(Image.Transpose.ROTATE_90), 88),
    "rotate 180": (lambda i, _: i.transpose(Image.Transpose.ROTATE_180), 88),
    "flip": (lambda i, _: ImageOps.mirror(i), 88),
    "flip+crop": (lambda i, where: ImageOps.mirror(cropped(0.10)(i, where)), 88),
    "border": (lambda i, _: ImageOps.expand(i, round(0.08 * max(i.size)), "black"), 88),
    "text": (captioned, 88),
    "logo": (branded, 88),
    "bright 1.6": (lambda i, _: ImageEnhance.Brightness(i).enhance(1.6), 88),
    "dark 0.5": (lambda i, _: ImageEnhance.Brightness(i).enhance(0.5), 88),
    "contrast 2": (lambda i, _: ImageEnhance.Contrast(i).enhance(2.0), 88),
    "saturate": (lambda i, _: ImageEnhance.Color(i).enhance(2.5), 88),
    "grey": (lambda i, _: i.convert("L"), 88),
    "square": (lambda i, _: i.resize((256, 256)), 88),
}


# 2. Known copies


def known(python: Path, scratch: Path, _: int) -> dict[str, Any]:
    folder = REAL / "near_duplicates"
    pool: dict[str, bytes] = {}
    group: dict[str, str] = {}
    where = ("pdq/bridge-mods", "pdq/dih", "pdq/labelme-subset", "imagededup/mixed_images", "imagededup/base_images")
    for path in sorted(path for inside in where for path in (folder / inside).iterdir()):
        name = f"{path.parent.name}-{path.name}"
        if "corrupt" not in name and path.read_bytes() not in pool.values():
            pool[name] = path.read_bytes()
            group[name] = "bridge" if path.parent.name in ("bridge-mods", "dih") else path.stem.partition("_")[0]
    true = {pair for pair in combinations(sorted(pool), 2) if group[pair[0]] == group[pair[1]]}
    found = both_sides(python, scratch / "known", pool)
    print(f"{len(true)} pairs of copies among {len(pool)} pictures: found (directly), and wrong pairs\n")
    result: dict[str, Any] = {}
    for tool, pairs in found.items():
        right = {tuple(sorted(pair)) for pair in pairs} & true
        result[tool] = {"found": len(right), "wrong": len(pairs) - len(right)}
        print(f"{tool:24}{len(right):6} of {len(true)}{len(pairs) - len(right):8} wrong")
    published = {
        row["file"]: bytes.fromhex(row["pdq_hex"])
        for row in csv.DictReader((folder / "pdq/expected_pdq_hashes.csv").read_text().splitlines())
    }
    bridge = pixels.decode((folder / "pdq/dih/bridge-1-original.jpg").read_bytes())
    grey = np.asarray(Image.fromarray(bridge).convert("L"))
    turns = hashes.pdq_turns(hashes.decimate(grey)[None]).bits[0]
    theirs = np.stack([np.frombuffer(code, np.uint8) for name, code in published.items() if name.startswith("dih/")])
    bits = np.bitwise_count(turns[:, None] ^ theirs[None]).sum(axis=2)
    places = len({int(place) for place in bits.argmin(axis=1)})
    print(f"\neight positions of one picture from one transform: {places} of 8 published hashes met, each within"
          f" {bits.min(axis=1).max()} bits (Meta's tolerance: 10)")  # fmt: skip
    return {"pairs": len(true), **result, "turns": {"met": places, "most_bits": int(bits.min(axis=1).max())}}


# 3. Judged pairs


def judged(python: Path, scratch: Path, _: int) -> dict[str, Any]:
    (archive,) = (REAL / "cifar10").glob("*.tar*")
    with (REAL / "cifar10" / "index.csv").open() as opened:
        path_of = {(row["split"], int(row["official_index"])): row["path"] for row in csv.DictReader(opened)}
    true: set[Pair] = set()
    for name, other in (("cifair_duplicates_cifar10.csv", "train"), ("cifair_duplicates_cifar10_test.csv", "test")):
        for one, two, *_ in list(csv.reader((REAL / "cifar10_human" / name).read_text().splitlines()))[1:]:
            true.add(tuple(sorted((flat(path_of["test", int(one)]), flat(path_of[other, int(two)])))))
    chosen = {name for pair in true for name in pair}
    others = sorted({flat(path) for path in path_of.values()} - chosen)
    chosen |= set(random.Random(7).sample(others, OTHERS))
    pool = {name: photo for path, photo in read(archive) if (name := flat(path)) in chosen}
    missing = chosen - set(pool)
    assert not missing, sorted(missing)[:3]
    project = filled(scratch / "judged-project", pool)
    check(project)
    matched = match(project)
    print(matched.headline)
    bits = sweep(project)
    turned = {tuple(sorted((one, two))) for one, two in likenesses(project)}
    theirs = run_peer(python, written(scratch / "judged", pool), 24, ("PHash", "DHash"))
    lists = {"dedupe": bits, **{f"imagededup {name}": [(tuple(sorted(row[:2])), row[2]) for row in rows]
                                for name, rows in theirs["hashes"].items()}}  # fmt: skip
    print(f"\n{len(true)} judged pairs among {len(pool):,} pictures of 32 px: found, and other pairs called the same\n")
    result: dict[str, Any] = {"judged": len(true), "match": {
        "found": len(turned & true), "other": len(turned - true)}}  # fmt: skip
    print(f"{'match':24}{len(turned & true):5}{len(turned - true):7}")
    for tool, rows in lists.items():
        result[tool] = {}
        for limit in LIMITS[tool.partition(" ")[0]]:
            within = {pair for pair, distance in rows if distance <= limit}
            result[tool][limit] = {"found": len(within & true), "other": len(within - true)}
            print(f"{tool + f' <= {limit}':24}{len(within & true):5}{len(within - true):7}")
    return result


LIMITS = {"dedupe": (48, 64, 76, 88, 96, 112), "imagededup": (0, 2, 4, 6, 8, 10)}


def sweep(project: pictus.Project) -> list[tuple[Pair, int]]:
    names = name_of(project)
    rows = project.tables.read("checks", ["image_id", "phash", "dhash", "pdq"])
    words = words_of(rows)
    near = neighbours.near_pairs(words, 112, key_radius=duplicates.KEY_RADIUS, keys=2)
    ids = [names[image_id] for image_id in rows.column("image_id").to_pylist()]
    return [((min(ids[a], ids[b]), max(ids[a], ids[b])), int(d)) for a, b, d in zip(*near, strict=True)]


# 4. Look-alikes


def hands(python: Path, scratch: Path, _: int) -> dict[str, Any]:
    pool = {f"{number:04d}.jpg": hand for archive in sorted((REAL / "sign_digits").glob("*.tar*"))
            for number, (_, hand) in enumerate(read(archive))}  # fmt: skip
    found = both_sides(python, scratch / "hands", pool)
    print(f"pairs called the same among {len(pool):,} different photographs of hands\n")
    for tool, pairs in found.items():
        print(f"{tool:24}{len(pairs):8,}")
    return {tool: len(pairs) for tool, pairs in found.items()}


# 5. Cost


def cost(_python: Path, _scratch: Path, _count: int) -> dict[str, Any]:
    """Pictures of CODES codes, each a real code with a tenth of its bits changed; one in a hundred a copy of another.

    A copy has 40 of the other's codes with an eighth of their bits changed, as a crop by a quarter has.
    """
    (archive,) = (REAL / "imagenet_photos_240").glob("*.tar*")
    photos = [(str(number), photo) for number, (_, photo) in enumerate(read(archive))]
    started = time.perf_counter()
    described = features.describe(photos)
    each_ms = (time.perf_counter() - started) / len(photos) * 1000
    print(f"described: {each_ms:.1f} ms a photograph, one process\n")
    real = np.concatenate([codes_of(row.codes) for row in described])
    result: dict[str, Any] = {"describe_ms": round(each_ms, 2)}
    for size, new in ((1_000, 1_000), (10_000, 10_000), (100_000, 100_000), (100_000, 1_000)):
        chance = np.random.default_rng(7)
        codes = changed(chance, real[chance.integers(0, len(real), size * features.CODES)], 1 / 10)
        codes = codes.reshape(size, features.CODES, -1)
        copies = chance.choice(np.arange(size // 2, size), size // 100, replace=False)
        copies = copies[copies >= size - new]
        origins = chance.integers(0, size // 2, len(copies))
        for copy, origin in zip(copies, origins, strict=True):
            codes[copy, :40] = changed(chance, codes[origin, :40], 1 / 8)
        held = lookup.Codes(np.repeat(np.arange(size), features.CODES), codes.reshape(-1, features.CODE_BYTES))
        asked = lookup.Codes(*(side[-new * features.CODES :] for side in held))
        started = time.perf_counter()
        votes = lookup.meetings(held, asked, key_bytes=4, radius=match_steps.MEETING_BITS,
                                least=match_steps.LEAST_MEETINGS, most=match_steps.MOST_CANDIDATES)  # fmt: skip
        seconds = time.perf_counter() - started
        pairs = set(zip(votes.asked.tolist(), votes.held.tolist(), strict=True))
        share = float(np.mean([pair in pairs for pair in zip(copies.tolist(), origins.tolist(), strict=True)]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{new:8,} new among {size:8,}: {seconds:7.1f} s, {len(pairs):10,} pairs to prove,"
              f" planted found {share:.3f}, peak {peak:.1f} GB")  # fmt: skip
        result[f"{new} of {size}"] = {"s": round(seconds, 2), "pairs": len(pairs), "found": round(share, 4),
                                      "peak_gb": round(peak, 2)}  # fmt: skip
    return result


def changed(chance: np.random.Generator, codes: np.ndarray[Any, Any], share: float) -> np.ndarray[Any, Any]:
    """The codes with `share` of their bits flipped."""
    out = codes.copy()
    for start in range(0, len(out), 2**16):
        part = out[start : start + 2**16]
        part ^= np.packbits(chance.random((len(part), 256), dtype=np.float32) < share, axis=1)
    return out


PARTS = {"edits": edits, "known": known, "judged": judged, "hands": hands, "cost": cost}


# The tools


def both_sides(python: Path, folder: Path, pool: dict[str, bytes]) -> Found:
    """Which two pictures each tool calls the same, as (later, earlier) names of the pool."""
    project = filled(folder.with_name(f"{folder.name}-project"), pool)
    check(project)
    started = time.perf_counter()
    outcome = match(project)
    seconds = time.perf_counter() - started
    print(f"{outcome.headline} ({outcome.summary['candidates']:,} pairs looked at, {seconds:.0f} s)\n")
    theirs = run_peer(python, written(folder, pool), DEFAULT_BITS, METHODS)
    dedupe, matched = ordered(hash_pairs(project)), ordered(likenesses(project))
    return {
        OURS[0]: dedupe,
        OURS[1]: dedupe | matched,
        OURS[2]: matched,
        **{f"imagededup {name}": ordered(row[:2] for row in rows) for name, rows in theirs["hashes"].items()},
        "cleanvision": ordered(pair for group in theirs["sets"] for pair in combinations(group, 2)),
    }


def ordered(pairs: Iterable[Iterable[str]]) -> set[Pair]:
    """(copy, photograph): a photograph's name is the beginning of its copies', and sorts behind them."""
    return {(one, other) for one, other in map(sorted, pairs)}


def hash_pairs(project: pictus.Project) -> Iterator[Pair]:
    """What `clean dedupe` calls near, or of equal pixels."""
    names = name_of(project)
    rows = project.tables.read("checks", ["image_id", "phash", "dhash", "pdq", "pdq_quality", "pixel_sha256"])
    rows = rows.filter(pa.array([bool(same) for same in rows.column("pixel_sha256").to_pylist()]))
    ids = [names[image_id] for image_id in rows.column("image_id").to_pylist()]
    words = words_of(rows)
    clear = rows.column("pdq_quality").to_numpy() >= duplicates.LEAST_QUALITY
    near = neighbours.near_pairs(words, duplicates.RADIUS, key_radius=duplicates.KEY_RADIUS, keys=2)
    yield from ((ids[a], ids[b]) for a, b, _ in zip(*near, strict=True) if clear[a] and clear[b])
    same: dict[str, list[str]] = {}
    for image_id, pixel_sha256 in zip(ids, rows.column("pixel_sha256").to_pylist(), strict=True):
        same.setdefault(pixel_sha256, []).append(image_id)
    yield from (pair for group in same.values() for pair in combinations(group, 2))


def words_of(checks: pa.Table) -> hashes.Hashes:
    phash, dhash = (checks.column(name).to_numpy() for name in ("phash", "dhash"))
    return duplicates.stack(phash, dhash, checks.column("pdq").to_pylist())


def likenesses(project: pictus.Project) -> Iterator[Pair]:
    names = name_of(project)
    yield from ((names[row.image_id], names[row.other_id]) for row in project.tables.records("likenesses", Likeness))


def name_of(project: pictus.Project) -> dict[str, str]:
    table = project.tables.read("images", ["image_id", "added_at"])
    return dict(zip(table.column("image_id").to_pylist(), table.column("added_at").to_pylist(), strict=True))


def filled(root: Path, pool: dict[str, bytes]) -> pictus.Project:
    """A project of these pictures; equal bytes once. Their names stand in `added_at`."""
    project = pictus.new(root)
    rows: dict[str, dict[str, Any]] = {}
    with ShardWriter(project.shards_dir) as writer:
        for name, image_bytes in pool.items():
            image_id = hashlib.sha256(image_bytes).hexdigest()
            if image_id not in rows:
                placed = writer.add(image_id, "jpg", image_bytes)
                rows[image_id] = {"image_id": image_id, **placed._asdict(), "width": 0, "height": 0, "format": "jpeg",
                                  "mode": "", "added_at": name}  # fmt: skip
    project.tables.append("images", pa.Table.from_pylist(list(rows.values()), schema=SCHEMAS["images"]))
    project.journal.log("clean", "benchmark_started")
    return project


def run_peer(python: Path, folder: Path, most: int, methods: tuple[str, ...]) -> dict[str, Any]:
    command = [str(python), "-c", PEER, str(folder), str(most), ",".join(methods)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return answer


def written(folder: Path, pool: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, image_bytes in pool.items():
        (folder / name).write_bytes(image_bytes)
    return folder


def jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def flat(path: str) -> str:
    return "-".join(Path(path).parts[-3:])


def read(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as opened:
        for member in opened:
            file = opened.extractfile(member) if member.name.lower().endswith((".jpg", ".jpeg")) else None
            if file:
                yield member.name, file.read()


if __name__ == "__main__":
    main()
