"""Bytes <-> pixels: every odd kind of file decodes upright or fails with a stable cause."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pictus.errors import PictureError
from pictus.pixels import (
    MAX_BYTES,
    MAX_PIXELS,
    MAX_SCANS,
    begins_as_picture,
    decode,
    decode_known,
    decode_luma,
    decode_scaled,
    encode_jpeg,
    luma_and_digest,
    resize,
    same_pixels_sha256,
    sniff,
    thumbnail,
)

MakeJpeg = Callable[..., bytes]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners() -> Image.Image:
    """24 × 16: red top left, green top right, blue bottom left, white bottom right, in blocks of 8 px or more."""
    pixels = np.zeros((16, 24, 3), dtype=np.uint8)
    pixels[:8, :12], pixels[:8, 12:] = (255, 0, 0), (0, 255, 0)
    pixels[8:, :12], pixels[8:, 12:] = (0, 0, 255), (255, 255, 255)
    return Image.fromarray(pixels)


def cause_of(call: Callable[..., object], *arguments: object, **options: object) -> str:
    with pytest.raises(PictureError) as caught:
        call(*arguments, **options)
    return caught.value.cause


def cause_or_fine(image_bytes: bytes) -> str:
    """The cause of a failure, or "" for a picture in the promised shape."""
    try:
        pixels = decode(image_bytes)
    except PictureError as error:
        return error.cause
    return "" if pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8 else "wrong shape"


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds next to nothing: 67 bytes for 900 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", body) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_jpeg_decodes_to_the_same_pixels_as_pillow(make_jpeg: MakeJpeg) -> None:
    image_bytes = make_jpeg(97, 61)
    expected = np.asarray(Image.open(io.BytesIO(image_bytes)))
    assert np.array_equal(decode(image_bytes), expected)
    assert sniff(image_bytes) == ("jpeg", 97, 61, "RGB", False, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_as_pillow_applies_it(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image_bytes = saved(corners(), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(image_bytes)))
    header = sniff(image_bytes)
    assert (header.width, header.height, header.orientation) == (24, 16, orientation)
    assert header.upright == expected.size
    assert np.array_equal(decode(image_bytes), np.asarray(expected))


def test_an_exif_block_that_makes_no_sense_means_upright(make_jpeg: MakeJpeg) -> None:
    plain = make_jpeg(32, 16)
    for tiff in (b"", b"II*\0", b"XX*\0" + bytes(20), b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0"):
        body = b"Exif\0\0" + tiff
        strange = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + plain[2:]
        assert sniff(strange).orientation == 1
        assert np.array_equal(decode(strange), decode(plain))


def test_cmyk_jpeg_becomes_rgb() -> None:
    image_bytes = saved(corners().convert("CMYK"), "JPEG", quality=95)
    assert sniff(image_bytes).mode == "CMYK"
    pixels = decode(image_bytes)
    assert pixels.shape == (16, 24, 3)
    assert pixels[2, 2, 0] > 200
    assert pixels[2, 2, 1:].max() < 60  # red stays red


def test_sixteen_bits_keep_the_upper_eight() -> None:
    values = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    image_bytes = saved(Image.fromarray(values), "PNG")
    assert sniff(image_bytes).mode.startswith("I;16")
    assert decode(image_bytes)[0, :, 1].tolist() == [0, 0, 1, 128, 255]


def test_floats_are_read_as_zero_to_one_or_as_levels() -> None:
    unit = saved(Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)), "TIFF")
    levels = saved(Image.fromarray(np.array([[0.0, 100.0, 300.0]], dtype=np.float32)), "TIFF")
    assert decode(unit)[0, :, 0].tolist() == [0, 127, 255]
    assert decode(levels)[0, :, 0].tolist() == [0, 100, 255]


def test_transparency_lies_over_white() -> None:
    clear = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert decode(saved(clear, "PNG")).min() == 255
    assert decode(saved(half, "PNG"))[0, 0].tolist() == [127, 127, 127]  # 255 × (1 - 128 / 255)


def test_palette_with_a_clear_colour_lies_over_white() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((3, 3), 1)
    pixels = decode(saved(image, "PNG", transparency=0))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[3, 3].tolist() == [0, 0, 255]


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        image_bytes = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert sniff(image_bytes).is_animated, kind
        assert decode(image_bytes)[4, 4].tolist() == [255, 0, 0] or kind == "WEBP"
    assert not sniff(saved(frames[0], "GIF")).is_animated


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_every_mode_becomes_rgb(mode: str, kind: str) -> None:
    pixels = decode(saved(corners().convert("L").convert(mode) if mode != "P" else corners().convert("P"), kind))
    assert pixels.shape == (16, 24, 3)
    assert pixels.flags.c_contiguous


def test_a_huge_png_is_refused_by_its_header() -> None:
    bomb = png_header(30_000, 30_000)
    assert len(bomb) < 100
    assert cause_of(sniff, bomb) == "too-many-pixels"
    assert cause_of(decode, bomb) == "too-many-pixels"
    assert cause_of(thumbnail, bomb) == "too-many-pixels"


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "TIFF", "JPEG", "PPM"])
def test_every_format_is_held_to_the_same_number_of_pixels(kind: str) -> None:
    image_bytes = saved(corners(), kind)
    assert sniff(image_bytes, max_pixels=24 * 16).width == 24
    assert cause_of(sniff, image_bytes, max_pixels=24 * 16 - 1) == "too-many-pixels"


def test_a_declared_size_is_believed_before_pillow_opens_the_file() -> None:
    gif = b"GIF89a" + struct.pack("<HH", 65_000, 65_000) + bytes(20)
    bmp = b"BM" + bytes(12) + struct.pack("<Iii", 40, 60_000, -60_000) + bytes(30)
    webp = b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + (15_999).to_bytes(3, "little") * 2
    assert 65_000**2 > MAX_PIXELS < 16_000**2
    assert {cause_of(sniff, data) for data in (gif, bmp, webp)} == {"too-many-pixels"}


def test_bytes_that_are_no_picture_say_so() -> None:
    assert cause_of(sniff, b"") == "empty"
    assert cause_of(sniff, b"<!doctype html><p>404") == "not-an-image"
    assert cause_of(sniff, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n") == "not-an-image"
    assert cause_of(sniff, bytes(MAX_BYTES + 1)) == "too-many-bytes"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_file_cut_anywhere_fails_with_a_cause(kind: str, make_jpeg: MakeJpeg) -> None:
    whole = saved(Image.open(io.BytesIO(make_jpeg(120, 90))), kind)
    for share in (0.02, 0.2, 0.5, 0.9):
        cut = whole[: max(3, int(len(whole) * share))]
        assert cause_of(decode, cut) in {"truncated", "damaged", "not-an-image"}, share


def test_a_cut_jpeg_is_truncated(make_jpeg: MakeJpeg) -> None:
    for progressive in (False, True):
        whole = saved(Image.open(io.BytesIO(make_jpeg(120, 90))), "JPEG", progressive=progressive)
        for size in (10, 200, len(whole) // 2, len(whole) - 40):
            assert cause_of(decode, whole[:size]) == "truncated"
            assert cause_of(decode_scaled, whole[:size], 16) == "truncated"


def test_rubbish_behind_the_picture_is_harmless(make_jpeg: MakeJpeg) -> None:
    whole = make_jpeg(64, 48)
    assert np.array_equal(decode(whole + b"appended by a camera"), decode(whole))


def test_a_jpeg_of_too_many_scans_is_refused(make_jpeg: MakeJpeg) -> None:
    whole = saved(Image.open(io.BytesIO(make_jpeg(64, 48))), "JPEG", progressive=True)
    assert decode(whole).shape == (48, 64, 3)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00\x00"
    bomb = whole[:-2] + scan * MAX_SCANS + whole[-2:]
    assert cause_of(sniff, bomb) == "too-many-scans"


def test_a_twelve_bit_or_lossless_jpeg_is_unsupported(make_jpeg: MakeJpeg) -> None:
    whole = bytearray(make_jpeg(32, 32))
    at = whole.index(b"\xff\xc0")
    twelve = bytes(whole[: at + 4]) + b"\x0c" + bytes(whole[at + 5 :])
    lossless = bytes(whole[:at]) + b"\xff\xc3" + bytes(whole[at + 2 :])
    assert cause_of(sniff, twelve) == "unsupported"
    assert cause_of(sniff, lossless) == "unsupported"


CAUSES = {"", "empty", "not-an-image", "too-many-pixels", "too-many-scans", "truncated", "damaged", "unsupported"}


MAGIC = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF....WEBP", b""]


@settings(deadline=None)
@given(st.binary(max_size=400), st.sampled_from(MAGIC))
def test_no_bytes_crash_the_decoder(tail: bytes, magic: bytes) -> None:
    assert cause_or_fine(magic + tail) in CAUSES


@settings(deadline=None)
@given(st.integers(0, 4000), st.integers(0, 255), st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]))
def test_one_changed_byte_never_crashes_the_decoder(place: int, value: int, kind: str) -> None:
    whole = bytearray(saved(corners(), kind))
    whole[place % len(whole)] = value
    assert cause_or_fine(bytes(whole)) in CAUSES


def test_scaled_decoding_leaves_at_least_the_short_side(make_jpeg: MakeJpeg) -> None:
    image_bytes = make_jpeg(800, 600)
    small = decode_scaled(image_bytes, 128)
    assert min(small.shape[:2]) >= 128
    assert small.shape[0] <= 300
    assert decode_scaled(image_bytes, 5000).shape == (600, 800, 3)
    assert decode_scaled(saved(corners(), "PNG"), 4).shape == (4, 6, 3)
    assert decode_scaled(saved(corners(), "PNG"), 5).shape == (8, 12, 3)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_smaller_view_looks_like_the_picture(factor: int, make_jpeg: MakeJpeg) -> None:
    for image_bytes in (make_jpeg(208, 152), saved(Image.open(io.BytesIO(make_jpeg(208, 152))), "PNG")):
        view = decode_known(image_bytes, sniff(image_bytes), factor=factor)
        assert view.shape == (152 // factor, 208 // factor, 3)
        odd = make_jpeg(203, 149)
        assert decode_known(odd, sniff(odd), factor=factor).shape == (-(-149 // factor), -(-203 // factor), 3)
        whole = Image.fromarray(decode(image_bytes)).resize((26, 19), Image.Resampling.BOX)
        small = Image.fromarray(view).resize((26, 19), Image.Resampling.BOX)
        assert np.abs(np.asarray(whole).astype(int) - np.asarray(small)).mean() < 4


def test_same_pixels_are_recognised_whatever_the_metadata(make_jpeg: MakeJpeg) -> None:
    plain = make_jpeg(80, 60)
    comment = plain[:2] + b"\xff\xfe\x00\x08hello\0" + plain[2:]
    exif = plain[:2] + b"\xff\xe1\x00\x0eExif\0\0II*\0\0\0" + plain[2:]
    digests = {same_pixels_sha256(one, sniff(one)) for one in (plain, comment, exif)}
    assert len(digests) == 1
    others = [make_jpeg(80, 60, seed=1), make_jpeg(80, 60, quality=89), turned(plain)]
    assert len(digests | {same_pixels_sha256(one, sniff(one)) for one in others}) == 4


def test_equal_pixels_in_lossless_files_are_recognised() -> None:
    image = corners()
    same = [saved(image, kind) for kind in ("PNG", "BMP", "TIFF")] + [saved(image, "WEBP", lossless=True)]
    assert len({same_pixels_sha256(one, sniff(one)) for one in same}) == 1
    flat = Image.new("RGB", (8, 2), "red"), Image.new("RGB", (2, 8), "red")
    assert len({same_pixels_sha256(saved(one, "PNG"), sniff(saved(one, "PNG"))) for one in flat}) == 2


def turned(image_bytes: bytes) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 3
    body = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    return image_bytes[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + image_bytes[2:]


def test_resize_gives_the_size_asked_for(make_jpeg: MakeJpeg) -> None:
    pixels = decode(make_jpeg(60, 40))
    assert resize(pixels, 30, 20).shape == (20, 30, 3)
    assert resize(pixels, 60, 40) is pixels
    flat = np.full((40, 60, 3), 77, dtype=np.uint8)
    assert (resize(flat, 13, 9) == 77).all()


def test_thumbnails_fit_and_are_never_enlarged(make_jpeg: MakeJpeg) -> None:
    assert sniff(thumbnail(make_jpeg(800, 600)))[:3] == ("jpeg", 256, 192)
    assert sniff(thumbnail(make_jpeg(50, 40)))[:3] == ("jpeg", 50, 40)
    assert sniff(thumbnail(make_jpeg(900, 3), side=90))[:3] == ("jpeg", 90, 1)


def test_encoding_and_decoding_keeps_a_smooth_picture() -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    pixels = np.repeat(np.tile(ramp, (48, 1))[:, :, None], 3, axis=2)
    assert np.abs(decode(encode_jpeg(pixels, 95)).astype(int) - pixels).max() <= 4


@pytest.mark.real_data
def test_real_photos_decode_to_pillows_pixels(real_data: Callable[[str], Path]) -> None:
    for path in sorted((real_data("near_duplicates") / "imagededup" / "base_images").glob("*.jpg")):
        image_bytes = path.read_bytes()
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(image_bytes))).convert("RGB")
        assert np.array_equal(decode(image_bytes), np.asarray(expected)), path.name


@pytest.mark.real_data
def test_odd_real_files_decode_or_say_why(real_data: Callable[[str], Path]) -> None:
    causes = {}
    seen = 0
    for path in sorted(real_data("near_duplicates").rglob("*")):
        if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tiff", ".pgm", ".pbm"}:
            seen += 1
            try:
                assert decode(path.read_bytes()).ndim == 3
            except PictureError as error:
                causes[path.name] = error.cause
    assert seen > 60
    assert causes == {"ukbench09268_corrupt.jpg": "not-an-image"}


@pytest.mark.parametrize(
    ("filler", "cause"),
    [
        (b"\0", "truncated"),  # garbage between segments
        (b"\xff", "truncated"),  # fill bytes
        (b"\xff\x01", "damaged"),  # markers without a length
        (b"\xff\xe1\0\x02", "damaged"),  # empty segments
    ],
)
def test_a_header_made_to_be_walked_for_long_is_given_up_at_once(filler: bytes, cause: str) -> None:
    hostile = b"\xff\xd8" + filler * (16 * 2**20 // len(filler))
    started = time.process_time()
    with pytest.raises(PictureError) as caught:
        sniff(hostile)
    assert caught.value.cause == cause
    assert time.process_time() - started < 0.3  # byte by byte it was 0.7 to 2 s


def test_garbage_and_fill_between_segments_are_passed_over(make_jpeg: MakeJpeg) -> None:
    plain = make_jpeg()
    padded = plain[:2] + b"\0garbage" + b"\xff" * 5 + plain[2:]
    assert sniff(padded) == sniff(plain)


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000"])
def test_a_picture_whose_header_cannot_be_read_is_damaged_and_no_error_page(kind: str, make_jpeg: MakeJpeg) -> None:
    whole = saved(Image.open(io.BytesIO(make_jpeg(120, 90))), kind)
    assert cause_of(sniff, whole[:48] + bytes(len(whole) - 48)) == "damaged"


def test_an_avif_is_unsupported_where_pillow_cannot_read_it(
    make_jpeg: MakeJpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = saved(Image.open(io.BytesIO(make_jpeg(120, 90))), "AVIF")
    monkeypatch.delitem(Image.OPEN, "AVIF")
    assert cause_of(sniff, whole) == "unsupported"


def test_a_heic_picture_is_unsupported() -> None:
    assert cause_of(sniff, b"\0\0\0\x18ftypheic" + bytes(100)) == "unsupported"


def test_a_raw_jpeg_2000_stream_that_cannot_be_read_is_damaged() -> None:
    assert cause_of(sniff, b"\xff\x4f\xff\x51" + bytes(100)) == "damaged"


def test_what_the_header_says_turns_the_picture_whoever_decodes_it(make_jpeg: MakeJpeg) -> None:
    """Of two EXIF blocks Pillow takes the first, sniff the last; what has garbage between segments Pillow decodes."""
    plain = make_jpeg(96, 64)
    damaged = plain[:20] + b"\0\0" + plain[20:]
    for orientation in (6, 1):  # the later is put in first
        body = b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x0112, 3, 1, orientation) + bytes(4)
        damaged = damaged[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + damaged[2:]
    header = sniff(damaged)
    assert header.upright == (64, 96)
    assert decode(damaged).shape == (96, 64, 3)
    assert decode_luma(damaged, header, factor=2).shape[:2] == (48, 32)


def test_luma_is_what_the_jpeg_holds_and_what_its_pixels_make(make_jpeg: MakeJpeg) -> None:
    import simplejpeg

    for image_bytes in (make_jpeg(96, 64), make_jpeg(97, 61, quality=40), saved(corners(), "JPEG", progressive=True)):
        header = sniff(image_bytes)
        found = decode_luma(image_bytes, header)
        assert np.array_equal(found[:, :, 0], simplejpeg.decode_jpeg(image_bytes, "GRAY")[:, :, 0])
        made = np.asarray(Image.fromarray(decode(image_bytes)).convert("YCbCr")).astype(int)
        assert np.abs(found.astype(int) - made).mean() < 3
    for mode, kind in (("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG")):
        odd = saved(corners().convert(mode), kind)
        assert decode_luma(odd, sniff(odd), factor=2).shape[:2] == (8, 12)
    grey = saved(corners().convert("L"), "JPEG")
    assert decode_luma(grey, sniff(grey)).shape == (16, 24, 1)


def test_a_jpeg_of_red_green_and_blue_is_not_taken_for_luma() -> None:
    image_bytes = saved(corners(), "JPEG", keep_rgb=True, quality=95)
    header = sniff(image_bytes)
    made = np.asarray(Image.fromarray(decode(image_bytes)).convert("YCbCr"))
    assert np.array_equal(decode_luma(image_bytes, header), made)


def test_one_decode_gives_luma_and_digest(make_jpeg: MakeJpeg) -> None:
    for image_bytes in (make_jpeg(), saved(corners(), "PNG"), saved(corners().convert("CMYK"), "JPEG")):
        header = sniff(image_bytes)
        luma, digest = luma_and_digest(image_bytes, header, factor=2)
        assert np.array_equal(luma, decode_luma(image_bytes, header, factor=2))
        assert digest == same_pixels_sha256(image_bytes, header)


def test_every_format_that_is_decoded_is_known_by_its_first_bytes() -> None:
    image = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000"):
        out = io.BytesIO()
        image.save(out, kind)
        assert begins_as_picture(out.getvalue()[:12]), kind
    for other in (b"", b"BMX racing is", b"PICTURES are fun", b"II. Chapter", b"RIFF\0\0\0\0WAVE", b"\0\0\0 ftypisom"):
        assert not begins_as_picture(other[:12])


def test_a_cut_jfif_segment_does_not_count_as_one() -> None:
    """libjpeg takes components R, G, B for Y, Cb, Cr behind a whole JFIF segment, for RGB behind a cut one."""
    whole = bytearray(saved(Image.radial_gradient("L").convert("RGB").resize((64, 64)), "JPEG"))
    frame, scan = whole.find(b"\xff\xc0"), whole.find(b"\xff\xda")
    for number, name in enumerate(b"RGB"):
        whole[frame + 10 + 3 * number] = whole[scan + 5 + 2 * number] = name
    start = whole.find(b"\xff\xe0")
    length = int.from_bytes(whole[start + 2 : start + 4], "big")
    cut = bytes(whole[:start]) + b"\xff\xe0\0\x07JFIF\0" + bytes(whole[start + 2 + length :])
    assert (decode(bytes(whole)) != decode(cut)).any()
    assert same_pixels_sha256(bytes(whole), sniff(bytes(whole))) != same_pixels_sha256(cut, sniff(cut))
