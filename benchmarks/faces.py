"""How often the detector that OpenCV ships sees faces where there are none, and how fast it is.

    python benchmarks/faces.py
    python benchmarks/faces.py --sheet hits.png        every picture with a find, drawn, to be looked at

sign_digits: 1,003 photographs of hands, no face in any: every find is a false alarm. imagenet_photos_5x50: 250
photographs of 50 things, people in the background of some: only looking at the sheet tells which finds are right.
Needs PICTUS_REAL_DATA or ../shared/data, and the extra vision.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tarfile
import time
from pathlib import Path

from PIL import Image, ImageDraw

from pictus.clean import detectors
from pictus.pixels import decode

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
SIDE, ACROSS = 232, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheet", type=Path, default=None)
    asked = parser.parse_args()
    checks, tiles = {}, []
    for name in ("sign_digits", "imagenet_photos_5x50"):
        path = REAL / name / f"{name}.tar"
        if not path.exists():
            sys.exit(f"{path} not found: set PICTUS_REAL_DATA")
        pictures = finds = hits = 0
        seconds = 0.0
        with tarfile.open(path) as tar:
            for member in tar:
                if not member.name.lower().endswith((".jpg", ".jpeg", ".png")):
                    continue
                pixels = decode((tar.extractfile(member) or io.BytesIO()).read())
                start = time.perf_counter()
                boxes = detectors.opencv(pixels)
                seconds += time.perf_counter() - start
                pictures, finds, hits = pictures + 1, finds + len(boxes), hits + bool(len(boxes))
                if len(boxes) and asked.sheet:
                    image = Image.fromarray(pixels)
                    draw = ImageDraw.Draw(image)
                    for x, y, width, height, _ in boxes.tolist():
                        draw.rectangle((x, y, x + width, y + height), outline="red", width=max(2, image.width // 120))
                    image.thumbnail((SIDE - 2, SIDE - 2))
                    tiles.append(image)
        checks[name] = {"pictures": pictures, "with_finds": hits, "finds": finds,
                        "pictures_per_s": round(pictures / seconds, 1)}  # fmt: skip
        print(f"{name:24}{pictures:>6,} pictures, {hits:,} with {finds:,} finds, {pictures / seconds:,.0f} pictures/s")
    if asked.sheet:
        sheet = Image.new("RGB", (ACROSS * SIDE, -(-len(tiles) // ACROSS) * SIDE), "white")
        for at, tile in enumerate(tiles):
            sheet.paste(tile, ((at % ACROSS) * SIDE, at // ACROSS * SIDE))
        sheet.save(asked.sheet)
    alarms = 1_000 * checks["sign_digits"]["with_finds"] / checks["sign_digits"]["pictures"]
    print(json.dumps({"name": "faces", "ours": round(alarms, 1), "peer": {}, "unit": "false alarms per 1,000 pictures",
                      "ratio": {}, "n": checks["sign_digits"]["pictures"], "checks": checks}))  # fmt: skip


if __name__ == "__main__":
    main()
