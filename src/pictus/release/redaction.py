"""What a cut does to pictures for the sake of people: GPS taken out, faces blurred. Pure: bytes in, bytes out.

Only these pictures change; all others are released as they were found. GPS is taken out in place: same length, same
pixels. Faces are blurred as ImageNet's were (Yang et al. 2022, "A study of face obfuscation in ImageNet", appendix):
each box is enlarged on every side by 0.1 of its longer side, the picture is blurred by a Gaussian of 0.1 of the
longest side of all boxes, and the two are mixed by the boxes' mask. There the mask is blurred as the picture is, so
that no edge shows; here each box's by 0.1 of its own longer side, and outwards only: a small face beside a large one
would dissolve in the large one's softness and be seen. The boxes found here are of a detector that cuts foreheads and
chins, so that they are enlarged by 0.25 instead.

A blurred picture is encoded anew, as RGB of 8 bits over white, and keeps nothing beside its pixels but an RGB colour
profile: EXIF often holds a small copy of the picture, with the face.

Where faces are to be blurred, of a picture with several frames, pages or pictures (MPO, a phone's motion photo) the
first remains, as only that was looked at, with a face in it or without. A JPEG then keeps its first picture byte for
byte and loses what lies behind it; anything else is encoded anew.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from pictus import metadata
from pictus.errors import UserError, counted
from pictus.pixels import MAX_MARKERS, Pixels, decode_known, jpeg_segments, sniff

if TYPE_CHECKING:
    from PIL import Image

GROWTH = 0.25
SIGMA = 0.1
_EOI, _APP2 = 0xD9, 0xE2
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # ITU T.81 B.1.1.5: in a scan only restarts and stuffed zeros
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
    """What a cut is asked to do. `boxes`: image_id -> the faces to blur. `blurs`: also where there is none."""

    keeps_gps: bool = False
    boxes: Mapping[str, Boxes] = {}
    blurs: bool = False


def redact(image_id: str, image_bytes: bytes, asked: Redaction) -> Redacted:
    """One picture as `asked`. The same picture and boxes give the same bytes."""
    boxes = asked.boxes.get(image_id, ())
    changed = image_bytes if asked.keeps_gps else metadata.without_gps(image_bytes)
    said = [GPS_REMOVED] if changed != image_bytes else []
    first = _first_of(image_bytes) if boxes or asked.blurs else image_bytes
    if boxes:
        changed = _encoded(image_bytes, boxes)
        said.append(counted(len(boxes), "face blurred", FACES_BLURRED))
    elif first is None:
        changed = _encoded(image_bytes, ())
    elif first is not image_bytes:
        changed = first if asked.keeps_gps else metadata.without_gps(first)
    said += [FIRST_FRAME] if first is not image_bytes else []
    return Redacted(changed, ", ".join(said) if changed != image_bytes else "")


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
    return Redaction(keep_gps, boxes, blurs=blur_faces), _facts(keep_gps=keep_gps, blur_faces=blur_faces, rows=rows)


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
        **({"growth": GROWTH, "sigma": SIGMA, "quality": QUALITY, "encoders": _encoders()} if blur_faces else {}),
    }


def _encoders() -> dict[str, str]:
    """Name -> version of what encodes blurred pictures: with others the bytes, and so the digest, are others."""
    from PIL import __version__, features  # noqa: PLC0415

    named = {"libjpeg": "libjpeg_turbo", "libwebp": "webp", "zlib": "zlib"}
    found = {name: features.version(feature) for name, feature in named.items()}
    return {"pillow": __version__, **{name: str(version) for name, version in found.items() if version}}


def kind_of(change: str) -> str:
    """A part of `changes` without its number: "2 faces blurred", "1 face blurred" -> "faces blurred"."""
    words = change.strip().lstrip("0123456789, ")
    return FACES_BLURRED if words.endswith("blurred") else words


def blurred(pixels: Pixels, boxes: Boxes) -> Pixels:
    """u8[H, W, 3] with the boxes made unrecognisable, everything farther from them untouched."""
    import numpy as np  # noqa: PLC0415  with Pillow, 0.1 s that --help does not pay
    from PIL import Image, ImageFilter  # noqa: PLC0415

    picture = Image.fromarray(pixels)
    mask = Image.new("L", picture.size, 0)
    for x, y, width, height, *_ in boxes:
        longer = max(width, height)
        _cover(mask, (x, y, x + width, y + height), more=GROWTH * longer, sigma=max(1.0, SIGMA * longer))
    gaussian = ImageFilter.GaussianBlur(max(1.0, SIGMA * max(max(box[2], box[3]) for box in boxes)))
    return np.array(Image.composite(picture.filter(gaussian), picture, mask))


def _cover(mask: Image.Image, box: tuple[float, float, float, float], *, more: float, sigma: float) -> None:
    """Draw the box, `more` px larger on every side, as 255, with an edge that softens outwards over 3 sigma."""
    from PIL import Image, ImageChops, ImageDraw, ImageFilter  # noqa: PLC0415

    reach = more + 3 * sigma
    left, top = max(0, math.floor(box[0] - reach)), max(0, math.floor(box[1] - reach))
    right, bottom = min(mask.width, math.ceil(box[2] + reach) + 1), min(mask.height, math.ceil(box[3] + reach) + 1)
    if left >= right or top >= bottom:  # outside the picture
        return
    hard = Image.new("L", (right - left, bottom - top), 0)
    place = (box[0] - more - left, box[1] - more - top, box[2] + more - left, box[3] + more - top)
    ImageDraw.Draw(hard).rectangle(place, fill=255)
    soft = ImageChops.lighter(hard, hard.filter(ImageFilter.GaussianBlur(sigma)))
    here = (left, top, right, bottom)
    mask.paste(ImageChops.lighter(mask.crop(here), soft), here)


def _first_of(image_bytes: bytes) -> bytes | None:
    """The picture without the others in its file: itself when it is alone, None when it must be encoded for that."""
    header = sniff(image_bytes)
    if header.format != "jpeg":
        return None if header.is_animated else image_bytes
    *before, (marker, _, at) = (kept := list(jpeg_segments(image_bytes)))
    starts = [2, *(end for _, _, end in before)]
    for _ in range(MAX_MARKERS):  # scans, and tables between them
        if marker == _EOI or not (found := _MARKER.search(image_bytes, at)):
            break
        marker, at = image_bytes[found.start() + 1], found.end()
        at += 0 if marker == _EOI else int.from_bytes(image_bytes[at : at + 2], "big")
    else:
        return None
    is_alone = marker != _EOI or not image_bytes[at:].strip(b"\0\xff \t\r\n")
    if is_alone:
        return image_bytes
    parts = [image_bytes[start:end] for start, (kind, body, end) in zip(starts, kept, strict=True)
             if not (kind == _APP2 and body.startswith(b"MPF\0"))]  # fmt: skip  the list of the others
    return image_bytes[:2] + b"".join(parts) + image_bytes[kept[-1][2] : at]


def _encoded(image_bytes: bytes, boxes: Boxes) -> bytes:
    """The first picture encoded anew, in its own format where that can hold it well, else as PNG."""
    from PIL import Image  # noqa: PLC0415

    header = sniff(image_bytes)
    pixels = decode_known(image_bytes, header)
    picture = Image.fromarray(blurred(pixels, boxes) if boxes else pixels)
    profile = _rgb_profile(image_bytes, header.format)
    out = io.BytesIO()
    if header.format == "jpeg":
        picture.save(out, "JPEG", quality=QUALITY, subsampling=0, optimize=True, icc_profile=profile)
    elif header.format == "webp":
        picture.save(out, "WEBP", quality=QUALITY, method=4, icc_profile=profile)
    else:
        picture.save(out, "PNG", icc_profile=profile)
    return out.getvalue()


def _rgb_profile(image_bytes: bytes, name: str) -> bytes | None:
    """The colour profile, when it is one of RGB: those of grey or CMYK do not fit what is encoded."""
    from PIL import Image  # noqa: PLC0415

    with Image.open(io.BytesIO(image_bytes), formats=[name.upper()]) as opened:  # sniffed and decoded before
        profile = opened.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile[16:20] == b"RGB " else None
