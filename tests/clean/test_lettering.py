"""Pages and writing over photographs are told from leaves, fences and slats; by drawn examples and real photographs."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from pictus.clean import measurements
from pictus.clean.lettering import overlays, strokes
from pictus.records import Check

WORDS = "every picture keeps the reason why it is where it is and nobody throws one away unseen "


def photo(seed: int = 3, width: int = 500, height: int = 375) -> Image.Image:
    rough = np.random.default_rng(seed).integers(40, 230, (20, 26, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC)


def measured(image: Image.Image, kind: str = "JPEG", **options: object) -> Check:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    (row,) = measurements.measure([("x", buffer.getvalue())])
    return row


def page(ink: str, ground: str, size: tuple[int, int] = (480, 640), point: int = 20) -> Image.Image:
    image = Image.new("RGB", size, ground)
    font = ImageFont.load_default(size=point)
    for line, top in enumerate(range(20, size[1] - point, int(point * 1.4))):
        text = (WORDS[line % 30 :] + WORDS * 3)[: int((size[0] - 40) / (point * 0.5))]
        ImageDraw.Draw(image).text((20, top), text, fill=ink, font=font)
    return image


def captioned(image: Image.Image, at: float, *, share: float = 0.08, ink: str = "white") -> Image.Image:
    marked = image.copy()
    font = ImageFont.load_default(size=int(image.height * share))
    text = "www.photosite.com"
    left = (image.width - ImageDraw.Draw(marked).textlength(text, font=font)) / 2
    ImageDraw.Draw(marked).text((left, image.height * at), text, fill=ink, font=font)
    return marked


@pytest.mark.parametrize("quality", [40, 90])
@pytest.mark.parametrize(("ink", "ground"), [("black", "white"), ("white", "navy"), ("#202020", "#e8e0c8")])
def test_pages_of_text_are_text_heavy(ink: str, ground: str, quality: int) -> None:
    assert measured(page(ink=ink, ground=ground), quality=quality).text_frac > 0.2
    assert measured(page(ink=ink, ground=ground), "PNG").text_frac > 0.2


def test_photographs_plain_things_and_blank_pages_are_not() -> None:
    assert measured(photo()).text_frac < 0.05
    plate = Image.new("RGB", (500, 375), "white")
    ImageDraw.Draw(plate).ellipse((100, 60, 400, 320), fill="navy")
    assert measured(plate).text_frac < 0.05
    assert measured(Image.new("RGB", (500, 375), "white")).text_frac == 0.0
    signed = Image.new("RGB", (500, 375), "white")
    ImageDraw.Draw(signed).text((200, 180), "Rose", fill="black", font=ImageFont.load_default(size=24))
    assert measured(signed).text_frac < 0.1  # four letters are no page


@pytest.mark.parametrize("ink", ["white", "black"])
@pytest.mark.parametrize("at", [0.02, 0.45, 0.88])
def test_a_line_of_writing_over_a_photograph_stands_out(at: float, ink: str) -> None:
    plain = photo(5)
    assert measured(plain).overlay < 0.1
    assert measured(captioned(plain, at, ink=ink)).overlay > 0.2


def test_fences_slats_and_noise_do_not_stand_out() -> None:
    fence = photo(6)
    for left in range(0, 500, 14):
        ImageDraw.Draw(fence).rectangle((left, 0, left + 4, 375), fill="white")
    slats = photo(7)
    for top in range(0, 375, 10):
        ImageDraw.Draw(slats).rectangle((0, top, 500, top + 3), fill="black")
    noise = Image.effect_noise((500, 375), 90).convert("RGB")
    assert max(measured(one).overlay for one in (fence, slats, noise)) < 0.15


def test_the_overlay_of_a_picture_does_not_depend_on_its_batch() -> None:
    views = [np.random.default_rng(seed).integers(0, 256, (188, 250), dtype=np.uint8) for seed in range(4)]
    views += [views[0][:100], views[0][:, :40], views[0][:9]]
    counts, widths = [strokes(view) for view in views], [view.shape[1] for view in views]
    together = overlays(counts, widths)
    alone = [overlays([count], [width])[0] for count, width in zip(counts, widths, strict=True)]
    assert together.tolist() == alone
    assert together[5] == together[6] == 0.0  # too narrow, too low


def photographs(real_data: Callable[[str], Path]) -> Iterator[tuple[str, bytes]]:
    for name in ("imagenet_photos_240", "imagenet_photos_5x50"):
        for path in sorted(real_data(name).glob("*.tar*")):
            with tarfile.open(path) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.name.lower().endswith((".jpg", ".jpeg")) else None
                    if file:
                        yield member.name, file.read()


@pytest.mark.real_data
def test_few_of_490_photographs_are_flagged(real_data: Callable[[str], Path]) -> None:
    """Of the 11 overlays 4 have writing laid over them, 3 show writing, 4 none. No page of text is among them."""
    rows = measurements.measure(photographs(real_data))
    assert len(rows) == 490
    assert sum(row.text_frac > 0.2 for row in rows) == 0
    assert sum(row.overlay > 0.2 for row in rows) <= 12
