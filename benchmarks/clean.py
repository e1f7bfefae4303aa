"""check + hash + duplicates beside cleanvision and imagededup, on the same photographs, in one run.

    python benchmarks/clean.py            speed on 490 photographs, then what each finds of planted faults
    python benchmarks/clean.py --speed    speed alone

Twice: on one core each, and as a user runs them (default settings, all CPUs). The peers are installed into an
environment of their own under the temporary folder. Both sides read files of the same bytes, run interleaved;
imports and installing are not timed. Copies edit by edit: benchmarks/duplicates.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

import pictus
from pictus.clean import check, dedupe, match, screen
from pictus.records import Check, Duplicate, Verdict
from pictus.shards import ShardWriter
from pictus.tables import SCHEMAS

ROUNDS = 3
PLANTED = 240
SETS = ("imagenet_photos_240", "imagenet_photos_5x50")
REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))

PEER = r"""
import contextlib, io, json, logging, sys, time, types, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
for name, item in (("methods.cnn", "CNN"), ("utils.models", "CustomModel")):  # its networks need torch: not compared
    stand_in = sys.modules["imagededup." + name] = types.ModuleType("imagededup." + name)
    setattr(stand_in, item, None)
from cleanvision import Imagelab
from imagededup.methods import DHash, PHash
folder, wants_findings, is_alone = sys.argv[1], sys.argv[2] == "findings", sys.argv[3] == "one"
jobs, encoding, comparing = {"n_jobs": 1}, {"num_enc_workers": 0}, {"num_dist_workers": 0}
if not is_alone:
    jobs = encoding = comparing = {}
found, seconds = {}, {}
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    at = time.perf_counter()
    lab = Imagelab(data_path=folder)
    lab.find_issues(verbose=False, **jobs)
    seconds["cleanvision"] = time.perf_counter() - at
    at = time.perf_counter()
    for name, method in (("phash", PHash()), ("dhash", DHash())):
        codes = method.encode_images(image_dir=folder, **encoding)
        found[name] = method.find_duplicates(encoding_map=codes, max_distance_threshold=10, **comparing)
    seconds["imagededup"] = time.perf_counter() - at
names = {index: index.rsplit("/", 1)[-1] for index in lab.issues.index}
if wants_findings:
    issues = {column[3:-6]: [names[i] for i in lab.issues.index[lab.issues[column]]]
              for column in lab.issues.columns if column.endswith("_issue")}
    sets = {kind: [[path.rsplit("/", 1)[-1] for path in group] for group in lab.info[kind]["sets"]]
            for kind in ("exact_duplicates", "near_duplicates")}
    found.update(issues=issues, sets=sets)
else:
    found = {}
print(json.dumps({"seconds": seconds, "found": found, "n": len(names)}))
"""


def main() -> None:
    archives = sorted(path for name in SETS for path in (REAL / name).glob("*.tar*"))
    if not archives:
        sys.exit(f"{' and '.join(SETS)} not found in {REAL}: set PICTUS_REAL_DATA")
    python = peer_python()
    photos = [photo for archive in archives for photo in read(archive)]
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch, "plain")
        write(plain, {f"{number:03d}.jpg": photo for number, photo in enumerate(photos)})
        run_ours(Path(scratch, "warm-up"), plain)
        alone = compare_speed(python, Path(scratch), plain, len(photos), cores="one")
        usual = compare_speed(python, Path(scratch), plain, len(photos), cores="all")
        checks: dict[str, object] = {"all_cores": usual}
        if "--speed" not in sys.argv:
            checks |= findings(python, Path(scratch), photos[:PLANTED])
            checks["look_alikes"] = look_alikes(python, Path(scratch))
    print(json.dumps({"name": "clean", **alone, "unit": "pictures/s", "n": len(photos), "checks": checks}))


def compare_speed(python: Path, scratch: Path, plain: Path, count: int, *, cores: str) -> dict[str, Any]:
    """Interleaved rounds on `one` core each, or on `all` of them with default settings; the best of each."""
    theirs, ours, matched = defaultdict(list), [], []
    workers = 1 if cores == "one" else 0
    for number in range(ROUNDS):
        for name, seconds in run_peer(python, plain, cores=cores)["seconds"].items():
            theirs[name].append(seconds)
        ours.append(run_ours(scratch / f"project-{cores}-{number}", plain, workers=workers)[0])
        root = scratch / f"matched-{cores}-{number}"
        matched.append(run_ours(root, plain, workers=workers, with_match=True)[0])
    speed = {"pictus": count / min(ours), "pictus with match": count / min(matched)}
    speed |= {name: count / min(spent) for name, spent in theirs.items()}
    speed["both"] = count / sum(min(spent) for spent in theirs.values())
    rounds = [sum(spent[number] for spent in theirs.values()) / ours[number] for number in range(ROUNDS)]
    words = "one core each" if cores == "one" else f"default settings, {os.cpu_count()} CPUs"
    print(f"{count} photographs, {words}, best of {ROUNDS} interleaved rounds\n\n{'':24}{'pictures/s':>12}")
    for name, value in speed.items():
        print(f"{name:24}{value:12.1f}")
    ratio = speed["pictus"] / speed["both"]
    print(f"\nratio to both together {ratio:.1f} (rounds: {', '.join(f'{one:.1f}' for one in rounds)})")
    slower = speed["pictus with match"]
    print(f"with match {slower / speed['both']:.1f}\n")
    peers = {name: round(value, 1) for name, value in speed.items() if "pictus" not in name}
    ratios = {"both": round(ratio, 2), "both, with match": round(slower / speed["both"], 2)}
    return {"ours": round(speed["pictus"], 1), "with_match": round(slower, 1), "peer": peers, "ratio": ratios}


def peer_python() -> Path:
    """An environment with the peers; kept for the next run."""
    folder = Path(tempfile.gettempdir()) / "pictus-benchmark-clean"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "cleanvision", "scikit-learn", "tqdm", "PyWavelets", "matplotlib"], check=True)
        subprocess.run([*pip, "--no-deps", "imagededup"], check=True)  # without torch: the hashes need none
        (folder / "ready").touch()
    return python


def run_peer(python: Path, folder: Path, *, wants: str = "time", cores: str = "one") -> dict[str, Any]:
    command = [str(python), "-c", PEER, str(folder), wants, cores]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return answer


def run_ours(
    root: Path, folder: Path, *, workers: int = 1, with_match: bool = False
) -> tuple[float, pictus.Project]:
    """Fill a project (not timed: the peers find their files in place), then check, dedupe and screen (timed).

    The peers compare hashes; `match` finds crops, turns and frames as well, which neither of them does.
    """
    project = pictus.new(root)
    rows = []
    with ShardWriter(project.shards_dir) as writer:
        for path in sorted(folder.iterdir()):
            image_bytes = path.read_bytes()
            image_id = hashlib.sha256(image_bytes).hexdigest()
            placed = writer.add(image_id, "jpg", image_bytes)
            rows.append({"image_id": image_id, **placed._asdict(), "width": 0, "height": 0, "format": "jpeg",
                         "mode": "", "added_at": path.name})  # fmt: skip
    project.tables.append("images", pa.Table.from_pylist(rows, schema=SCHEMAS["images"]))
    project.journal.log("clean", "benchmark_started")
    started = time.perf_counter()
    check(project, workers=workers)
    if with_match:
        match(project, workers=workers)
    dedupe(project)
    screen(project)
    return time.perf_counter() - started, project


# What is found: copies and poor pictures planted among the photographs.


def findings(python: Path, scratch: Path, photos: list[bytes]) -> dict[str, object]:
    chance = random.Random(7)
    pictures = {f"{number:03d}.jpg": photo for number, photo in enumerate(photos)}
    copies: dict[str, str] = {}  # copy -> the photo it was made from
    poor: dict[str, str] = {}  # picture -> what is wrong with it
    for number, photo in enumerate(photos):
        image = Image.open(io.BytesIO(photo)).convert("RGB")
        for kind in chance.sample(sorted(EDITS), 2):
            name = f"{number:03d}-{kind}.jpg"
            pictures[name], copies[name] = EDITS[kind](image), f"{number:03d}.jpg"
        if number % 2 == 0:
            kind = sorted(FAULTS)[number // 2 % len(FAULTS)]
            name = f"{number:03d}-{kind}.jpg"
            pictures[name], poor[name] = FAULTS[kind](image), kind
    folder = scratch / "planted"
    write(folder, pictures)
    theirs = run_peer(python, folder, wants="findings")["found"]
    _, project = run_ours(scratch / "planted-project", folder)
    pairs = all_pairs(theirs, project)
    print(f"{len(copies)} edited copies among {len(pictures)} pictures: copies found together with their photograph\n")
    result: dict[str, object] = {"duplicates": {k: table_row(k, v, copies, poor) for k, v in pairs.items()}}
    kinds = sorted(EDITS)
    print("\nrecall by kind of edit\n" + f"{'':24}" + "".join(f"{kind:>12}" for kind in kinds))
    for name, found in pairs.items():
        shares = [np.mean([is_found(c, o, found) for c, o in copies.items() if c.endswith(f"-{k}.jpg")]) for k in kinds]
        print(f"{name:24}" + "".join(f"{share:12.2f}" for share in shares))
    table = project.tables.read("images")
    names = dict(zip(table.column("image_id").to_pylist(), table.column("added_at").to_pylist(), strict=True))
    verdicts = project.tables.records("verdicts", Verdict, where="rule != ''")
    rules = {names[row.image_id]: row.rule for row in verdicts}
    result["poor"] = compare_poor(poor, pictures, copies, rules, theirs["issues"])
    result["measured"] = project.tables.count("checks")
    result["broken"] = sum(bool(row.cause) for row in project.tables.records("checks", Check))
    return result


def all_pairs(theirs: dict[str, Any], project: pictus.Project) -> dict[str, set[tuple[str, str]]]:
    """Which two pictures each side calls the same."""
    table = project.tables.read("images")
    names = dict(zip(table.column("image_id").to_pylist(), table.column("added_at").to_pylist(), strict=True))
    groups: dict[str, list[str]] = defaultdict(list)
    for row in project.tables.records("duplicates", Duplicate):
        groups[row.group_id].append(names[row.image_id])
    return {
        "pictus": of_groups(groups.values()),
        "cleanvision": of_groups([*theirs["sets"]["exact_duplicates"], *theirs["sets"]["near_duplicates"]]),
        "imagededup phash<=10": {tuple(sorted((a, b))) for a, near in theirs["phash"].items() for b in near},
        "imagededup dhash<=10": {tuple(sorted((a, b))) for a, near in theirs["dhash"].items() for b in near},
    }


def look_alikes(python: Path, scratch: Path) -> dict[str, int]:
    """Different hands in ten poses before one wall: every pair called the same is a picture lost."""
    archives = sorted((REAL / "sign_digits").glob("*.tar*"))
    hands = {f"{number:04d}.jpg": hand for archive in archives for number, hand in enumerate(read(archive))}
    if not hands:
        return {}
    write(scratch / "hands", hands)
    theirs = run_peer(python, scratch / "hands", wants="findings")["found"]
    _, project = run_ours(scratch / "hands-project", scratch / "hands")
    found = {name: len(pairs) for name, pairs in all_pairs(theirs, project).items()}
    print(f"pairs called the same among {len(hands):,} different photographs of hands\n")
    for name, count in found.items():
        print(f"{name:24}{count:8,}")
    print()
    return found


def table_row(name: str, found: set[tuple[str, str]], copies: dict[str, str], poor: dict[str, str]) -> dict[str, float]:
    """Recall over copies; precision over pairs that do not touch a poor picture (those are judged below)."""
    recall = float(np.mean([is_found(copy, origin, found) for copy, origin in copies.items()]))
    judged = [pair for pair in found if not (set(pair) & set(poor))]
    right = float(np.mean([copies.get(a, a) == copies.get(b, b) for a, b in judged])) if judged else 1.0
    print(f"{name:24} recall {recall:6.3f}   precision of pairs {right:6.3f}   pairs {len(judged):6,}")
    return {"recall": round(recall, 4), "precision": round(right, 4)}


def compare_poor(
    poor: dict[str, str], pictures: dict[str, bytes], copies: dict[str, str], rules: dict[str, str],
    issues: dict[str, list[str]],
) -> dict[str, object]:  # fmt: skip
    """Recall by fault, and how many of the untouched photographs are said to have one.

    Bars, captions and hard compression are flags of Pictus, and its untouched photographs with a flag are counted
    apart: the photographs themselves hold frames and shop's addresses. cleanvision has no check for the three.
    """
    plain = [name for name in pictures if name not in copies and name not in poor]
    wanted = ("blurry", "dark", "light", "low_information", "odd_aspect_ratio")
    flagged = set().union(*(issues.get(name, []) for name in wanted))
    told = {name for name, rule in rules.items() if rule not in ("duplicate", "grey", "restored")}
    flagged_ours = {name for name in told if rules[name] in FLAGS}
    print(f"\n{'poor pictures found':24}" + "".join(f"{kind:>12}" for kind in sorted(FAULTS)) + f"{'false':>12}")
    result: dict[str, object] = {}
    for side, found in (("pictus", told), ("cleanvision", flagged)):
        hits = {kind: [name in found for name, fault in poor.items() if fault == kind] for kind in sorted(FAULTS)}
        shares = {kind: float(np.mean(hit)) for kind, hit in hits.items()}
        false = sum(name in found and name not in flagged_ours for name in plain)
        print(f"{side:24}" + "".join(f"{share:12.2f}" for share in shares.values()) + f"{false:8} of {len(plain)}")
        result[side] = {**shares, "false": false, "of": len(plain)}
    result["flagged"] = sum(name in flagged_ours for name in plain)
    print(f"{'pictus, flagged and kept':24}{result['flagged']} of {len(plain)} untouched photographs\n")
    return result


def is_found(copy: str, origin: str, found: set[tuple[str, str]]) -> bool:
    return tuple(sorted((copy, origin))) in found


def of_groups(groups: Iterable[Iterable[str]]) -> set[tuple[str, str]]:
    return {pair for group in groups for pair in combinations(sorted(group), 2)}


def jpeg(image: Image.Image, quality: int = 88) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def cropped(image: Image.Image, share: float) -> Image.Image:
    left, top = int(image.width * share), int(image.height * share)
    return image.crop((left, top, image.width - left, image.height - top))


def with_logo(image: Image.Image) -> Image.Image:
    marked = image.copy()
    ImageDraw.Draw(marked).rectangle((0, image.height * 0.94, image.width * 0.25, image.height), fill="white")
    return marked


def captioned(image: Image.Image) -> Image.Image:
    marked = image.copy()
    font = ImageFont.load_default(size=max(8, image.height // 12))
    ImageDraw.Draw(marked).text((image.width // 20, image.height * 0.85), "www.photosite.com", fill="white", font=font)
    return marked


def barred(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, (0, max(4, image.height // 6)), "black")


FLAGS = ("borders", "overlay", "text-heavy", "compressed", "animated")

EDITS = {
    "half": lambda i: jpeg(i.resize((max(8, i.width // 2), max(8, i.height // 2)))),
    "thumb": lambda i: jpeg(i.resize((128, max(8, 128 * i.height // i.width)))),
    "q30": lambda i: jpeg(i, 30),
    "crop2": lambda i: jpeg(cropped(i, 0.02)),
    "crop4": lambda i: jpeg(cropped(i, 0.04)),
    "bright": lambda i: jpeg(ImageEnhance.Brightness(i).enhance(1.25)),
    "grey": lambda i: jpeg(i.convert("L")),
    "square": lambda i: jpeg(i.resize((256, 256))),
    "logo": lambda i: jpeg(with_logo(i)),
}

FAULTS = {
    "blurred": lambda i: jpeg(i.filter(ImageFilter.GaussianBlur(max(i.size) * 0.015))),
    "dark": lambda i: jpeg(ImageEnhance.Brightness(i).enhance(0.05)),
    "bright": lambda i: jpeg(Image.blend(i, Image.new("RGB", i.size, "white"), 0.97)),
    "blank": lambda i: jpeg(Image.new("RGB", i.size, i.getpixel((0, 0)))),
    "bars": lambda i: jpeg(barred(i)),
    "caption": lambda i: jpeg(captioned(i)),
    "q12": lambda i: jpeg(i, 12),
    "strip": lambda i: jpeg(i.resize((i.width, max(8, i.width // 12)))),
}


def read(archive: Path) -> Iterator[bytes]:
    with tarfile.open(archive) as opened:
        for member in opened:
            file = opened.extractfile(member) if member.name.lower().endswith((".jpg", ".jpeg")) else None
            if file:
                yield file.read()


def write(folder: Path, pictures: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, image_bytes in pictures.items():
        (folder / name).write_bytes(image_bytes)


if __name__ == "__main__":
    main()
