"""Files in folders that nobody named."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictus.collect.places import look_in_folder


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM"])
def test_a_picture_without_an_ending_is_found_whatever_its_format(tmp_path: Path, kind: str) -> None:
    out = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(out, kind)
    (tmp_path / "picture").write_bytes(out.getvalue())
    for number, text in enumerate((b"BMX racing", b"Pictures", b"RIFF....WAVE", b"MMXXIV", b"")):
        (tmp_path / f"text{number}").write_bytes(text)
    assert [Path(one.address).name for one in look_in_folder(str(tmp_path), how="", with_bytes=False)] == ["picture"]
