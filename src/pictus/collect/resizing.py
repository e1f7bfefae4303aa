"""Pictures made small while they are fetched, for those who want no more than a network will see."""

from __future__ import annotations

from pictus.pixels import Header, Pixels, decode_scaled, encode_jpeg, resize, sniff

QUALITY = 90


def made_small(image_bytes: bytes, short_side: int) -> tuple[bytes, str]:
    """(bytes, what was done): a JPEG whose short side is `short_side` px; bytes as they are where it is no longer.

    PictureError for what cannot be decoded: what is not kept as it came must be a picture now.
    """
    header = sniff(image_bytes)
    width, height = header.upright
    if min(width, height) <= short_side:
        return image_bytes, ""
    scale = short_side / min(width, height)
    small = max(1, round(width * scale)), max(1, round(height * scale))
    pixels = _small_jpeg(image_bytes, header, short_side)
    if pixels is None:
        pixels = decode_scaled(image_bytes, short_side)
    return encode_jpeg(resize(pixels, *small), QUALITY), f"resized from {width}x{height}"


def _small_jpeg(image_bytes: bytes, header: Header, short_side: int) -> Pixels | None:
    """An upright JPEG at the least n/8 of its size that is not too small; None where that cannot be done.

    libjpeg-turbo scales by any eighth (n x n of 8 x 8 coefficients are turned back), `decode_scaled` by halves.
    """
    if header.format != "jpeg" or header.mode not in ("L", "RGB") or header.orientation != 1:
        return None
    import simplejpeg  # noqa: PLC0415  0.02 s that --help does not pay

    scale = short_side / min(header.width, header.height)
    least = {"min_width": round(header.width * scale), "min_height": round(header.height * scale)}
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(image_bytes, "RGB", **least)
    except ValueError:
        return None  # `decode_scaled` tells what can be forgiven, and what cannot
    return pixels
