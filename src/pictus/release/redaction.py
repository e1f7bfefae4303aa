"""What a cut does to pictures for the sake of people: GPS taken out, faces blurred. Pure: bytes in, bytes out.

Only these pictures change; all others are released as they were found. GPS is taken out in place: same length, same
pixels. Faces are blurred as ImageNet's were (Yang et al. 2022, "A study of face obfuscation in ImageNet", appendix):
each box is enlarged on every side by 0.1 of its longer side, the picture is blurred by a Gaussian of 0.1 of the
longest side of all boxes, and the two are mixed by the boxes' mask, itself blurred so, that no edge shows. The boxes
found here are of a detector that cuts foreheads and chins, so that they are enlarged by 0.25 instead.

A blurred picture is encoded anew and keeps nothing beside its pixels but an RGB colour profile: EXIF often holds a
small copy of the picture, with the face. Of a moving picture the first frame remains, as only that was looked at.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import pyarrow as pa

from pictus import metadata
from pictus.errors import UserError, counted
from pictus.pixels import Pixels, decode_known, sniff

GROWTH = 0.25
SIGMA = 0.1
QUALITY = 95
"""Of what is encoded anew in JPEG or WebP: a generation that is not seen."""

GPS_REMOVED, FACES_BLURRED, FIRST_FRAME = "gps removed", "faces blurred", "first frame only"
KINDS = (GPS_REMOVED, FACES_BLURRED, FIRST_FRAME)

Boxes = Sequence[Sequence[float]]
"""x, y, width, height in px of the upright picture; what follows is not read."""


class Redacted(NamedTuple):
    """A picture as it is released. `changes`: "" when it is as it was found, else "gps removed, 2 faces blurred"."""

    image_bytes: bytes
    changes: str


class Redaction(NamedTuple):
    """What a cut is asked to do. `boxes`: image_id -> the faces to blur."""

    keeps_gps: bool = False
    boxes: Mapping[str, Boxes] = {}


def redact(image_id: str, image_bytes: bytes, asked: Redaction) -> Redacted:
    """One picture as `asked`. The same picture and boxes give the same bytes."""
    boxes = asked.boxes.get(image_id, ())
    changed = image_bytes if asked.keeps_gps else metadata.without_gps(image_bytes)
    said = [GPS_REMOVED] if changed != image_bytes else []
    if boxes:
        changed, is_first_only = _without_faces(image_bytes, boxes)
        said.append(counted(len(boxes), "face blurred", FACES_BLURRED))
        said += [FIRST_FRAME] if is_first_only else []
    return Redacted(changed, ", ".join(said))


def asked_of(
    released: AbstractSet[str], faces: pa.Table, *, blur_faces: bool, keep_gps: bool
) -> tuple[Redaction, dict[str, Any]]:
    """What to do to the pictures of a release, from the table `faces`, and that as plain JSON for its history.

    A UserError when faces are to be blurred and some of the pictures were never looked at.
    """
    rows = [row for row in faces.to_pylist() if row["image_id"] in released]
    unseen = len(released) - sum(not row["cause"] for row in rows)
    if blur_faces and unseen:
        raise UserError(
            f"{counted(unseen, 'picture')} of {len(released):,} to be released "
            f"{'was' if unseen == 1 else 'were'} not looked at for faces.",
            fix="pictus clean faces    (where it fails, another --detector), then cut again; or leave out --blur-faces",
        )
    boxes = {row["image_id"]: json.loads(row["boxes"]) for row in rows if row["n_faces"]} if blur_faces else {}
    return Redaction(keep_gps, boxes), _facts(keep_gps=keep_gps, blur_faces=blur_faces, rows=rows)


def of_a_folder(name: str, *, keep_gps: bool) -> dict[str, Any]:
    """The history of a release made of plain class folders: how they were collected is not known."""
    return {"origin": f"a folder of pictures ({name})", "privacy": _facts(keep_gps=keep_gps)}


def _facts(*, keep_gps: bool, blur_faces: bool = False, rows: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    return {
        "gps": "kept" if keep_gps else "removed",
        "faces": "blurred" if blur_faces else "as found",
        "looked_at": sum(not row["cause"] for row in rows),
        "with_faces": sum(row["n_faces"] > 0 for row in rows),
        "n_faces": sum(row["n_faces"] for row in rows),
        "detectors": sorted({row["detector"] for row in rows}),
        **({"growth": GROWTH, "sigma": SIGMA, "quality": QUALITY} if blur_faces else {}),
    }


def kind_of(change: str) -> str:
    """A part of `changes` without its number: "2 faces blurred", "1 face blurred" -> "faces blurred"."""
    words = change.strip().lstrip("0123456789, ")
    return FACES_BLURRED if words.endswith("blurred") else words


def blurred(pixels: Pixels, boxes: Boxes) -> Pixels:
    """u8[H, W, 3] with the boxes made unrecognisable, everything farther from them untouched."""
    import numpy as np  # noqa: PLC0415  with Pillow, 0.1 s that --help does not pay
    from PIL import Image, ImageDraw, ImageFilter  # noqa: PLC0415

    picture = Image.fromarray(pixels)
    mask = Image.new("L", picture.size, 255)
    draw = ImageDraw.Draw(mask)
    for x, y, width, height, *_ in boxes:
        more = GROWTH * max(width, height)
        draw.rectangle((x - more, y - more, x + width + more, y + height + more), fill=0)
    gaussian = ImageFilter.GaussianBlur(max(1.0, SIGMA * max(max(box[2], box[3]) for box in boxes)))
    return np.array(Image.composite(picture, picture.filter(gaussian), mask.filter(gaussian)))


def _without_faces(image_bytes: bytes, boxes: Boxes) -> tuple[bytes, bool]:
    """The picture encoded anew in its own format where that can hold it well, else as PNG; whether frames were lost."""
    from PIL import Image  # noqa: PLC0415

    header = sniff(image_bytes)
    picture = Image.fromarray(blurred(decode_known(image_bytes, header), boxes))
    profile = _rgb_profile(image_bytes, header.format)
    out = io.BytesIO()
    if header.format == "jpeg":
        picture.save(out, "JPEG", quality=QUALITY, subsampling=0, optimize=True, icc_profile=profile)
    elif header.format == "webp":
        picture.save(out, "WEBP", quality=QUALITY, method=4, icc_profile=profile)
    else:
        picture.save(out, "PNG", icc_profile=profile)
    return out.getvalue(), header.is_animated


def _rgb_profile(image_bytes: bytes, name: str) -> bytes | None:
    """The colour profile, when it is one of RGB: those of grey or CMYK do not fit what is encoded."""
    from PIL import Image  # noqa: PLC0415

    with Image.open(io.BytesIO(image_bytes), formats=[name.upper()]) as opened:  # sniffed and decoded before
        profile = opened.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile[16:20] == b"RGB " else None
