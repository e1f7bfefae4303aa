"""Corrupt pictures through the whole decoder path: no crash, no hang, memory bounded.

    python benchmarks/fuzz.py                  60 s
    python benchmarks/fuzz.py --seconds 600 --seed 3
    python benchmarks/fuzz.py --picture 8123   that picture again, in this process, with its traceback

Files of every kind are made with Pillow (and taken from the real data where there is some), bytes are changed,
cut, doubled or put in, and each goes through what a stranger's picture meets: sniff, decode, measure, metadata,
without_gps, thumbnail. That happens in a child process with a memory limit; a picture that computes for over 20 s
kills it. Picture number n of a seed is always the same.
"""

from __future__ import annotations

import argparse
import io
import json
import mmap
import multiprocessing
import os
import random
import resource
import signal
import struct
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin, features

from pictus import metadata
from pictus.clean.measurements import measure
from pictus.errors import PictureError
from pictus.pixels import decode, sniff, thumbnail

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
LIMIT_S = 20
"""Of computing, not by the clock: so that a busy machine is no hang. A picture may be decoded up to four times
here, and bytes that declare the 89 megapixels we decode take about 2 s each time.
"""
MEMORY = 4 * 2**30
"""Of address space; what is really used is measured and printed."""
REPORT = 50  # pictures between two words to the parent
XMP = (
    b'<x:xmpmeta><rdf:Description exif:GPSLatitude="48,8.5N" dc:rights="(c)"><dc:creator><rdf:Seq><rdf:li>Ada</rdf:li>'
    b"</rdf:Seq></dc:creator><exif:GPSAltitude>3/1</exif:GPSAltitude></rdf:Description></x:xmpmeta>"
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--picture", type=int, default=-1)
    chosen = options.parse_args()
    if chosen.picture >= 0:
        print(*corrupt(seeds(), chosen.seed, chosen.picture)[:1], "->", outcome(seeds(), chosen.seed, chosen.picture))
        return
    found = run(chosen.seconds, chosen.seed)
    print(f"{found['n']:,} corrupt pictures in {found['seconds']:.0f} s, {found['ours']:,.0f} a second\n")
    for cause, count in sorted(found["causes"].items(), key=lambda item: -item[1]):
        print(f"{cause or 'decoded all the same':28}{count:10,}")
    print(f"\ncrashes {len(found['crashes'])}   hangs {len(found['hangs'])}   errors {len(found['errors'])}", end="")
    print(f"   slowest {found['slowest_s']:.2f} s   memory {found['memory_mb']:,} MB")
    for word in ("crashes", "hangs", "errors"):
        for number, what in found[word][:10]:
            print(f"  {word}: --seed {chosen.seed} --picture {number}: {what}")
    print(json.dumps({"name": "fuzz", "unit": "pictures/s", **found}))
    sys.exit(bool(found["crashes"] or found["hangs"] or found["errors"]))


def run(seconds: float, seed: int = 0) -> dict[str, Any]:
    """What a child process, or as many as it takes, met in `seconds`."""
    context = multiprocessing.get_context("spawn")
    started, total, causes = time.perf_counter(), 0, Counter[str]()
    found: dict[str, Any] = {"crashes": [], "hangs": [], "errors": [], "slowest_s": 0.0, "memory_mb": 0}
    first = 0
    with tempfile.NamedTemporaryFile() as shared:  # the number of the picture at work: read after the child's death
        shared.write(bytes(8))
        shared.flush()
        while (left := seconds - (time.perf_counter() - started)) > 0:
            ours, theirs = context.Pipe(duplex=False)
            child = context.Process(target=work, args=(theirs, shared.name, seed, first, left))
            child.start()
            theirs.close()
            try:
                while True:
                    told = ours.recv()
                    causes.update(told["causes"])
                    total += sum(told["causes"].values())
                    found["errors"] += told["errors"]
                    found["slowest_s"] = max(found["slowest_s"], told["slowest_s"])
                    found["memory_mb"] = max(found["memory_mb"], told["memory_mb"])
            except EOFError:  # it is done, or dead
                child.join()
            number = int(struct.unpack("<q", Path(shared.name).read_bytes())[0])
            if child.exitcode == -signal.SIGPROF:
                found["hangs"].append((number, f"over {LIMIT_S} s of computing"))
            elif child.exitcode:
                found["crashes"].append((number, f"exit {child.exitcode}"))
            first = number + 1
    spent = time.perf_counter() - started
    return {"ours": round(total / spent, 1), "n": total, "seconds": round(spent, 1), "causes": dict(causes), **found}


def work(pipe: Connection, path: str, seed: int, first: int, seconds: float) -> None:
    """The child: pictures from number `first` on until the time is over."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff and Pillow talk about every broken tag
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    originals = seeds()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the end of the process, also inside a library
    until, number = time.perf_counter() + seconds, first
    with Path(path).open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
        while time.perf_counter() < until:
            causes, errors, slowest = Counter[str](), [], 0.0
            for _ in range(REPORT):
                shared[:] = struct.pack("<q", number)
                signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
                began = time.perf_counter()
                try:
                    causes[outcome(originals, seed, number)] += 1
                except Exception:  # noqa: BLE001  everything that is no PictureError is a finding
                    causes["error"] += 1
                    errors.append((number, traceback.format_exc(limit=-2)))
                slowest = max(slowest, time.perf_counter() - began)
                number += 1
                if time.perf_counter() > until:
                    break
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            pipe.send({"causes": causes, "errors": errors, "slowest_s": slowest, "memory_mb": memory})
        signal.setitimer(signal.ITIMER_PROF, 0)


def outcome(originals: list[tuple[str, bytes]], seed: int, number: int) -> str:
    """One picture through the whole path -> "" or the cause. Anything but a cause is raised."""
    _, image_bytes = corrupt(originals, seed, number)
    (row,) = measure([("x", image_bytes)])
    metadata.read(image_bytes)
    try:
        cleaned = metadata.without_gps(image_bytes)
    except PictureError as error:  # too much metadata: a release names it
        return error.cause
    assert len(cleaned) == len(image_bytes), "without_gps changed the length"
    try:
        sniff(image_bytes)
        pixels = decode(image_bytes)
        thumbnail(image_bytes)
    except PictureError as error:
        return error.cause
    assert not row.cause, f"measured as {row.cause}, decoded all the same"
    if cleaned != image_bytes:
        assert np.array_equal(decode(cleaned), pixels), "without_gps changed pixels"
    return ""


def corrupt(originals: list[tuple[str, bytes]], seed: int, number: int) -> tuple[str, bytes]:
    """One of the files with some of its bytes changed: (its name, bytes)."""
    chance = random.Random(seed * 1_000_003 + number)
    name, original = chance.choice(originals)
    changed = bytearray(original)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        size = len(changed)
        if not size:
            break
        near = chance.choice((64, 600, size))  # headers are where decoders trust numbers
        at = chance.randrange(min(size, near))
        kind = chance.randrange(7)
        if kind == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
        elif kind == 2:
            width = chance.choice((2, 4))
            changed[at : at + width] = chance.choice((bytes(width), b"\xff" * width, b"\x7f" + b"\xff" * (width - 1)))
        elif kind == 3:
            del changed[at : at + chance.randrange(1, 64)]
        elif kind == 4:
            changed[at:at] = chance.randbytes(chance.randrange(1, 64))
        elif kind == 5:
            other = chance.randrange(size)
            changed[at:at] = changed[other : other + chance.randrange(1, 2000)]
        elif chance.random() < 0.3:
            del changed[at:]
    return name, bytes(changed)


def seeds() -> list[tuple[str, bytes]]:
    """Files of every kind that is decoded, with metadata, and a few real ones."""
    shades = np.linspace(0, 255, 160 * 120 * 3).reshape(120, 160, 3)
    noise = np.random.default_rng(0).integers(0, 60, shades.shape)
    image = Image.fromarray(((shades + noise) % 256).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Grace Hopper"
    place = exif.get_ifd(0x8825)
    place[1], place[2], place[3], place[4] = "N", (48.0, 8.0, 30.5), "E", (11.0, 34.0, 12.5)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x8825], tags[700] = dict(place), XMP
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    frames: dict[str, Any] = {"save_all": True, "append_images": [image.rotate(90).resize(image.size)]}
    wanted: list[tuple[str, str, Image.Image, dict[str, Any]]] = [
        ("baseline", "JPEG", image, {"exif": exif, "xmp": XMP, "icc_profile": bytes(300)}),
        ("progressive", "JPEG", image, {"progressive": True, "exif": exif}),
        ("restarts", "JPEG", image, {"restart_marker_blocks": 4, "subsampling": 0}),
        ("grey", "JPEG", image.convert("L"), {}), ("cmyk", "JPEG", image.convert("CMYK"), {}),
        ("png", "PNG", image, {"exif": exif, "pnginfo": text}), ("palette", "PNG", image.convert("P"), {}),
        ("alpha", "PNG", image.convert("RGBA"), {}), ("bits", "PNG", image.convert("1"), {}),
        ("sixteen", "PNG", Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256), {}),
        ("apng", "PNG", image, frames), ("webp", "WEBP", image, {"exif": exif, "xmp": XMP}),
        ("lossless", "WEBP", image.convert("RGBA"), {"lossless": True}), ("moving", "WEBP", image, frames),
        ("gif", "GIF", image.convert("P"), {}), ("frames", "GIF", image, frames),
        ("tiff", "TIFF", image, {"tiffinfo": tags}), ("lzw", "TIFF", image, {"compression": "tiff_lzw"}),
        ("deflate", "TIFF", image, {"compression": "tiff_adobe_deflate"}),
        ("jpeg-in-tiff", "TIFF", image, {"compression": "jpeg"}),
        ("fax", "TIFF", image.convert("1"), {"compression": "group4"}),
        ("bmp", "BMP", image, {}), ("ppm", "PPM", image, {}),
    ]  # fmt: skip
    wanted += [("avif", "AVIF", image, {"exif": exif})] if features.check("avif") else []
    wanted += [("jpeg2000", "JPEG2000", image, {})] if features.check_codec("jpg_2000") else []
    made = []
    for name, kind, picture, options in wanted:
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        made.append((name, buffer.getvalue()))
    return made + real()


def real() -> list[tuple[str, bytes]]:
    """Ten photographs and the odd files of the duplicates' set, where they are."""
    found = []
    for archive in sorted((REAL / "imagenet_photos_5x50").glob("*.tar*"))[:1]:
        with tarfile.open(archive) as opened:
            members = [member for member in opened if member.name.lower().endswith(".jpg")][:200:20]
            found = [(member.name, file.read()) for member in members if (file := opened.extractfile(member))]
    odd = sorted((REAL / "near_duplicates").rglob("*.*"))
    known = [path for path in odd if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".bmp")]
    return found + [(path.name, path.read_bytes()) for path in known if path.stat().st_size < 300_000][:20]


if __name__ == "__main__":
    main()
