"""Bytes <-> pixels: look at the header, decode, decode small, resize, encode, thumbnail.

One array convention everywhere: u8[H, W, 3], RGB, upright (EXIF orientation applied),
C-contiguous. Bytes come from strangers: the header is read before any pixel, so that a small
file that declares a huge picture costs nothing; every failure is a `PictureError` with a stable
cause: empty, too-many-bytes, not-an-image, too-many-pixels, too-many-scans, truncated, damaged,
unsupported.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.errors import PictureError

Pixels = npt.NDArray[np.uint8]
"""u8[H, W, 3], RGB, upright, C-contiguous."""

MAX_BYTES = 64 * 2**20
"""A web photo is 0.1 to 10 MB; above this, reading costs more than the picture is worth."""

MAX_PIXELS = 89_478_485
"""Pillow's own bound (1 GiB / 4 / 3): at most 0.3 GB of pixels, 0.9 GB while a progressive JPEG decodes."""

MAX_SCANS = 200
"""Scans of one JPEG. Encoders write 1 or about 10; each costs a pass over the whole picture."""

MAX_MARKERS = 20_000
"""Of one JPEG's header. Real ones have under 1,000 (64 MiB of metadata in segments of 64 KiB); more cost seconds."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
"""What Pillow may open here. Left out on purpose: formats that call other programs (EPS) or have no use."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"RIFF", "webp"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
)

_BEGINNINGS = (b"\xff\xd8", b"II", b"MM", b"P", *(magic for magic, _ in _MAGIC))  # also of the formats without a magic

_SURE_BEGINNINGS = (b"\xff\xd8\xff", *(magic for magic, _ in _MAGIC if magic not in (b"BM", b"RIFF")))
_PICTURE_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1"})  # AVIF §4; others are films
_NETPBM = re.compile(rb"P[1-6][ \t\r\n]")

_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # SOF0 .. SOF15
_SOS, _EOI, _APP0, _APP1, _APP14 = 0xDA, 0xD9, 0xE0, 0xE1, 0xEE
_JFIF_BYTES = 14  # of JFIF's segment; libjpeg passes over a shorter one (jdmarker.c, examine_app0)
_AS_IT_IS = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"
_METADATA = frozenset({*range(0xE1, 0xF0), 0xFE} - {0xEE})  # APP1 .. APP15 and comments; APP14 tells the colours
_NOT_FILL = re.compile(rb"[^\xff]")
_NO_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})  # stuffing, TEM, restarts, SOI

_TRUNCATED = (" truncated", "truncated ", "premature", "unexpected end", "eof", "not enough")
_HARMLESS = ("extraneous bytes", "premature end of jpeg file", "unknown adobe", "jfif", "sos parameters")


Segments = list[tuple[int, bytes, int]]
"""A JPEG's segments up to its first scan: marker, body, where it ends."""


class Header(NamedTuple):
    """What the first bytes say. width, height as stored (before `orientation`, EXIF 1..8), in px."""

    format: str  # jpeg | png | webp | gif | bmp | tiff | ppm | avif | jpeg2000
    width: int
    height: int
    mode: str  # Pillow's word: L, RGB, CMYK, P, RGBA, I;16 …
    is_animated: bool
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height once the orientation is applied."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)  # noqa: PLR2004


def sniff(image_bytes: bytes, *, max_pixels: int = MAX_PIXELS, segments: Segments | None = None) -> Header:
    """Read the header only: no pixel is decoded. Raises PictureError for what must not be decoded.

    `segments`: those of a JPEG where they were walked already.
    """
    if not image_bytes:
        raise PictureError("empty", "0 bytes")
    if len(image_bytes) > MAX_BYTES:
        raise PictureError("too-many-bytes", f"{len(image_bytes):,} bytes, at most {MAX_BYTES:,} are read")
    if image_bytes[:2] == b"\xff\xd8":
        header = _jpeg_header(image_bytes, jpeg_segments(image_bytes) if segments is None else segments)
    else:
        _check_size(*_declared_size(image_bytes), max_pixels)
        with _opened(image_bytes) as image:
            header = _pillow_header(image)
    _check_size(header.width, header.height, max_pixels)
    return header


def refuse_early(head: bytes, *, max_pixels: int = MAX_PIXELS) -> None:
    """For bytes still arriving: PictureError where their beginning (32 bytes or more) shows that they are no use.

    That is no known format (a web page), or more pixels than are decoded. `sniff` has the last word on the rest.
    """
    if not (head.startswith(_BEGINNINGS) or head[4:8] == b"ftyp"):
        raise PictureError("not-an-image", f"starts with {head[:12]!r}")
    width, height = _declared_size(head)
    if head[:2] == b"\xff\xd8":
        with contextlib.suppress(PictureError):  # its header has not come to its end
            for marker, body, _ in jpeg_segments(head):
                if marker in _FRAMES and len(body) >= 6:  # noqa: PLR2004  precision, height, width, components
                    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
                    break
    _check_size(width, height, max_pixels)


def begins_as_picture(head: bytes) -> bool:
    """Whether the first 12 bytes of a file that nobody called a picture are one's: two letters are too few."""
    if head[4:8] == b"ftyp":
        return head[8:12] in _PICTURE_BRANDS
    if head.startswith(b"RIFF"):
        return head[8:12] == b"WEBP"
    if head.startswith(b"BM"):
        return head[6:10] == bytes(4)  # reserved
    return head.startswith(_SURE_BEGINNINGS) or _NETPBM.match(head) is not None


def decode(image_bytes: bytes, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Whole picture, upright RGB, whatever was stored: CMYK, 16-bit, palette, alpha (over white), first frame."""
    header = sniff(image_bytes, max_pixels=max_pixels)
    return decode_known(image_bytes, header)


def decode_known(image_bytes: bytes, header: Header, *, factor: int = 1) -> Pixels:
    """`decode` for bytes already sniffed, at 1 / factor of its size (1, 2, 4 or 8; sides rounded up).

    A JPEG is decoded small, which costs less; other formats are averaged over factor × factor pixels.
    """
    if header.format == "jpeg" and header.mode in ("L", "RGB"):
        with suppress(_HarmlessError):  # Pillow knows a missing end marker from missing pixels
            return _decode_jpeg(image_bytes, header, factor)
    pixels = _decode_pillow(image_bytes, header.orientation if header.format == "jpeg" else 0)
    return pixels if factor == 1 else _averaged(pixels, factor)


def decode_luma(image_bytes: bytes, header: Header, *, factor: int = 1, segments: Segments | None = None) -> Pixels:
    """Upright luma and colour at 1 / factor: u8[H, W, 3] of Y, Cb, Cr (JFIF 1.02), or u8[H, W, 1] without colour.

    What most JPEGs hold is taken as it is held: without its colour markers libjpeg hands out Y, Cb and Cr, and
    neither turning them to RGB nor RGB back to luma is paid. Equal to `decode_known`'s luma but for its clipping.
    """
    if header.format == "jpeg" and header.mode in ("L", "RGB"):
        segments = list(jpeg_segments(image_bytes)) if segments is None else segments
        if header.mode == "L" or _is_ycc(segments):
            coded = image_bytes if header.mode == "L" else _without_colour_markers(image_bytes, segments)
            with suppress(_HarmlessError, PictureError):  # `decode_known` says what is wrong, as to everybody else
                return _decode_jpeg(coded, header, factor, "GRAY" if header.mode == "L" else "RGB")
    return _ycc(decode_known(image_bytes, header, factor=factor))


def coded_as_ycc(image_bytes: bytes, segments: Segments) -> bytes | None:
    """A JPEG of three components such that decoding it as RGB gives Y, Cb, Cr as coded; None where it holds others."""
    return _without_colour_markers(image_bytes, segments) if _is_ycc(segments) else None


def luma_and_digest(
    image_bytes: bytes, header: Header, *, factor: int = 1, segments: Segments | None = None
) -> tuple[Pixels, str]:
    """`decode_luma` and `same_pixels_sha256` of one decode."""
    if header.format == "jpeg":
        luma = decode_luma(image_bytes, header, factor=factor, segments=segments)
        return luma, same_pixels_sha256(image_bytes, header, segments=segments)
    pixels = _decode_pillow(image_bytes)
    return _ycc(pixels if factor == 1 else _averaged(pixels, factor)), _digest(pixels)


def decode_scaled(image_bytes: bytes, short_side: int, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Upright RGB at 1/1, 1/2, 1/4 or 1/8, the smallest whose short side is still >= `short_side`.

    Follow with `resize`.
    """
    header = sniff(image_bytes, max_pixels=max_pixels)
    return decode_known(image_bytes, header, factor=_factor(min(header.width, header.height), short_side))


def same_pixels_sha256(image_bytes: bytes, header: Header, *, segments: Segments | None = None) -> str:
    """Equal only for pictures with equal pixels, whatever captions and other metadata they carry.

    A JPEG: sha256 of all that its pixels are decoded from (tables, scans, colour markers, orientation), so
    that it need not be decoded whole; the same pixels coded in another way differ. Others: of the pixels.
    """
    if header.format != "jpeg":
        return _digest(_decode_pillow(image_bytes))
    digest = hashlib.sha256(b"jpeg %d" % header.orientation)
    segments = list(jpeg_segments(image_bytes)) if segments is None else segments
    for marker, body, _ in segments:
        if marker == _APP0:
            is_jfif = body.startswith(b"JFIF\0") and len(body) >= _JFIF_BYTES  # tells which colours the components are
            digest.update(b"JFIF" if is_jfif else b"")
        elif marker not in _METADATA:
            digest.update(b"%d %d " % (marker, len(body)) + body)
    digest.update(memoryview(image_bytes)[segments[-1][2] :])  # the scans
    return digest.hexdigest()


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """Antialiased bilinear. u8[H, W, 3] -> u8[height, width, 3]."""
    if pixels.shape[:2] == (height, width):
        return pixels
    from PIL import Image  # noqa: PLC0415  0.05 s that --help does not pay

    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def encode_jpeg(pixels: Pixels, quality: int = 90) -> bytes:
    """Baseline JPEG, 4:2:0. u8[H, W, 3] -> bytes."""
    import simplejpeg  # noqa: PLC0415

    encoded: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), quality=quality, colorspace="RGB", colorsubsampling="420"
    )
    return encoded


def thumbnail(image_bytes: bytes, side: int = 256) -> bytes:
    """A JPEG that fits in side × side, never enlarged."""
    header = sniff(image_bytes)
    width, height = header.upright
    scale = min(1.0, side / max(width, height))
    small = max(1, round(width * scale)), max(1, round(height * scale))
    factor = _factor(max(width, height), max(small))
    return encode_jpeg(resize(decode_known(image_bytes, header, factor=factor), *small), 85)


def _factor(side: int, least: int) -> int:
    """The largest of 8, 4, 2, 1 that leaves `side` at least `least`."""
    return next((factor for factor in (8, 4, 2) if side >= factor * least), 1)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PictureError("too-many-pixels", f"{width:,} × {height:,} px, at most {max_pixels:,} are decoded")


def _declared_size(image_bytes: bytes) -> tuple[int, int]:
    """Width and height where a few bytes give them, so that a bomb is refused before Pillow sees it; else 0, 0."""
    head = image_bytes[:32]
    if head.startswith(b"\x89PNG") and head[12:16] == b"IHDR":
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head.startswith(b"GIF8"):
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") >= 40:  # noqa: PLR2004  BITMAPINFOHEADER
        return int.from_bytes(head[18:22], "little"), abs(int.from_bytes(head[22:26], "little", signed=True))
    if head[8:16] == b"WEBPVP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return 0, 0


# JPEG: the header is walked here (20 µs against Pillow's 200), pixels come from libjpeg-turbo.


def _jpeg_header(image_bytes: bytes, segments: Iterable[tuple[int, bytes, int]]) -> Header:
    orientation = 1
    frame: tuple[int, bytes] | None = None
    for marker, body, _ in segments:
        if marker == _SOS and frame:
            return _frame_header(*frame, orientation, _scans(image_bytes, frame, body))
        if marker in _FRAMES:
            frame = frame or (marker, body)
        elif marker == _APP1 and body.startswith(b"Exif\0\0"):
            orientation = _exif_orientation(body[6:])
    raise PictureError("damaged", "JPEG without a frame header")


def jpeg_segments(image_bytes: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(marker, body, end) of each segment up to and with the first scan's header (ITU T.81 annex B)."""
    at, end = 2, len(image_bytes)
    for _ in range(MAX_MARKERS):
        if at + 4 <= end and image_bytes[at] == 0xFF and image_bytes[at + 1] != 0xFF:  # noqa: PLR2004
            at += 1  # as every encoder writes it
        else:
            at = image_bytes.find(b"\xff", at)  # libjpeg skips garbage between segments too
            filled = _NOT_FILL.search(image_bytes, at) if at >= 0 else None
            if not filled or (at := filled.start()) + 3 > end:
                raise PictureError("truncated", f"the JPEG ends in its header, after {end:,} bytes")
        marker = image_bytes[at]
        if marker in _NO_LENGTH:
            at += 1
            continue
        after = max(at + 3, at + 1 + int.from_bytes(image_bytes[at + 1 : at + 3], "big"))
        yield marker, image_bytes[at + 3 : after], after
        if marker in (_EOI, _SOS):
            return
        at = after
    raise PictureError("damaged", f"over {MAX_MARKERS:,} markers in the JPEG's header")


def _scans(image_bytes: bytes, frame: tuple[int, bytes], first_scan: bytes) -> int:
    """How many scans there may be; 1 where the first holds every component, as in most photos."""
    if frame[0] in (0xC0, 0xC1) and first_scan[:1] == frame[1][5:6]:
        return 1
    return image_bytes.count(b"\xff\xda")  # inside a scan 0xFF is always followed by 0 or a restart marker


def _frame_header(marker: int, body: bytes, orientation: int, scans: int) -> Header:
    if len(body) < 6:  # noqa: PLR2004
        raise PictureError("damaged", "JPEG with a short frame header")
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    if body[0] != 8 or marker in (0xC3, 0xC7, 0xCB, 0xCF):  # noqa: PLR2004  12-bit, lossless
        raise PictureError("unsupported", f"JPEG of {body[0]} bits, process {marker - 0xC0}")
    if not width or not height:
        raise PictureError("damaged", f"JPEG of {width} × {height} px")
    if scans > MAX_SCANS:
        raise PictureError("too-many-scans", f"{scans:,} scans, at most {MAX_SCANS} are decoded")
    mode = {1: "L", 3: "RGB", 4: "CMYK"}.get(body[5], "")
    if not mode:
        raise PictureError("unsupported", f"JPEG of {body[5]} components")
    return Header("jpeg", width, height, mode, is_animated=False, orientation=orientation)


def _exif_orientation(tiff: bytes) -> int:
    """Tag 0x0112 of the first directory, 1 where there is none or it makes no sense."""
    if tiff[:2] not in (b"II", b"MM"):
        return 1
    is_little = tiff[:2] == b"II"

    def number(start: int, length: int) -> int:
        return int.from_bytes(tiff[start : start + length], "little" if is_little else "big")

    start = number(4, 4)
    for entry in range(start + 2, start + 2 + 12 * min(number(start, 2), 200), 12):
        if number(entry, 2) == 0x0112:  # noqa: PLR2004
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1  # noqa: PLR2004
    return 1


def _is_ycc(segments: Segments) -> bool:
    """Whether libjpeg takes three components for Y, Cb, Cr (jdapimin.c, default_decompress_parms)."""
    adobe, ids = b"", b""
    for marker, body, _ in segments:
        if marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= _JFIF_BYTES:
            return True
        if marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:  # noqa: PLR2004
            adobe = body[11:12]
        elif marker in _FRAMES:
            ids = body[6::3][:3]
    return adobe == b"\1" if adobe else ids == b"\1\2\3"


def _without_colour_markers(image_bytes: bytes, segments: Segments) -> bytes:
    """The same coded picture, said to hold colours that are not to be changed (Adobe's transform 0)."""
    parts = [b"\xff\xd8", _AS_IT_IS]
    for marker, body, _ in segments:
        if not 0xE0 <= marker <= 0xEF and marker != 0xFE:  # noqa: PLR2004  applications' own, comments
            parts.append(b"\xff%c" % marker + (len(body) + 2).to_bytes(2, "big") + body)
    return b"".join([*parts, memoryview(image_bytes)[segments[-1][2] :]])


class _HarmlessError(Exception):
    """libjpeg warns of something that Pillow reads on from."""


def _decode_jpeg(image_bytes: bytes, header: Header, factor: int, colours: str = "RGB") -> Pixels:
    import simplejpeg  # noqa: PLC0415

    least = {"min_height": -(-header.height // factor), "min_width": -(-header.width // factor)} if factor > 1 else {}
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(image_bytes, colours, **least)
    except ValueError as error:
        message = str(error).lower()
        if any(words in message for words in _HARMLESS):
            raise _HarmlessError from None
        raise PictureError(_cause(message), str(error)) from None
    return _turned(pixels, header.orientation)


# The rest: Pillow.


def _opened(image_bytes: bytes) -> Any:  # noqa: ANN401  PIL.Image.Image, imported late
    from PIL import Image  # noqa: PLC0415

    try:
        return Image.open(io.BytesIO(image_bytes), formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError("too-many-pixels", str(error)) from None
    except Exception as error:  # noqa: BLE001  Pillow's readers raise anything on hostile bytes
        kind = next((name for magic, name in _MAGIC if image_bytes.startswith(magic)), "")
        brand = image_bytes[4:12]  # after the length of the first box
        if brand in (b"ftypavif", b"ftypavis"):
            kind = "avif"
        if brand in (b"ftypheic", b"ftypheix", b"ftyphevc") or (kind == "avif" and "AVIF" not in Image.OPEN):
            raise PictureError("unsupported", f"{kind or 'heic'} cannot be decoded here") from None
        if kind:
            raise PictureError("damaged", f"{kind} whose header cannot be read ({_short(error)})") from None
        raise PictureError("not-an-image", f"starts with {image_bytes[:12]!r}") from None


def _pillow_header(image: Any) -> Header:  # noqa: ANN401
    name = {"MPO": "jpeg"}.get(image.format, image.format.lower())
    try:
        is_animated = bool(getattr(image, "is_animated", False))
        orientation = _orientation(image)
    except Exception as error:  # noqa: BLE001
        raise PictureError(_cause(str(error)), f"{name}: {_short(error)}") from None
    width, height = image.size
    if name == "tiff" and orientation >= 5:  # noqa: PLR2004  Pillow gives a TIFF's upright size
        width, height = height, width
    return Header(name, width, height, image.mode, is_animated, orientation)


def _orientation(image: Any) -> int:  # noqa: ANN401
    value = image.getexif().get(0x0112, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1  # noqa: PLR2004


def _decode_pillow(image_bytes: bytes, orientation: int = 0) -> Pixels:
    """`orientation`: what a JPEG's header said: of a damaged EXIF Pillow may make something else than `sniff` did."""
    with _opened(image_bytes) as image:
        try:
            image.load()
            # Pillow itself turns a TIFF and drops the tag.
            return _turned(_rgb(image), orientation or _orientation(image))
        except MemoryError:
            raise PictureError("too-many-pixels", "does not fit in memory") from None
        except Exception as error:  # noqa: BLE001  Pillow's readers raise anything on hostile bytes
            raise PictureError(_cause(str(error)), _short(error)) from None


def _rgb(image: Any) -> Pixels:  # noqa: ANN401
    """Any Pillow mode -> u8[H, W, 3]. 16 bits keep the upper 8; floats are read as 0..1 or 0..255."""
    from PIL import Image  # noqa: PLC0415

    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        top = float(values.max(initial=0.0))
        if image.mode != "F" and (image.mode.startswith("I;16") or top > 255):  # noqa: PLR2004
            values = np.floor(values / 256)
        elif image.mode == "F" and top <= 1:
            values = values * 255
        grey = np.clip(values, 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        ground = Image.new("RGBA", clear.size, "white")
        image = Image.alpha_composite(ground, clear)
    return np.array(image.convert("RGB"))


def _averaged(pixels: Pixels, factor: int) -> Pixels:
    from PIL import Image  # noqa: PLC0415

    return np.array(Image.fromarray(pixels).reduce(factor))


def _ycc(pixels: Pixels) -> Pixels:
    """RGB -> Y, Cb, Cr as JFIF defines them."""
    from PIL import Image  # noqa: PLC0415

    return np.array(Image.fromarray(pixels).convert("YCbCr"))


def _digest(pixels: Pixels) -> str:
    digest = hashlib.sha256(b"%d %d " % pixels.shape[1::-1])
    digest.update(pixels.data)
    return digest.hexdigest()


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """EXIF orientation -> upright (TIFF 6.0 / EXIF 2.3 tag 0x0112)."""
    if orientation == 1:
        return pixels
    if orientation >= 5:  # noqa: PLR2004
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _cause(message: str) -> str:
    text = f" {message.lower()} "
    return "truncated" if any(words in text for words in _TRUNCATED) else "damaged"


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
