"""Sizes of pictures, upright."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from tests.annotate.conftest import image_id

import pictus
from pictus import collect
from pictus.annotate.desk.sizes_steps import Sizes
from pictus.records import Check, Picture
from pictus.tables import table_of


def test_sizes_are_upright_where_measured_and_new_pictures_are_found(project: pictus.Project) -> None:
    sizes = Sizes(project)
    assert sizes.of(image_id("a")) == (0, 0)
    stored = [Picture(image_id(name), "s", 0, 1, 640, 480, "jpeg", "RGB", "") for name in ("a", "b")]
    project.tables.append("images", table_of("images", stored))
    assert sizes.of(image_id("a")) == (640, 480)
    turned = Check(image_id("c"), "", 30, 40, 7.0, 1.0, 1.0, 1.0, 0.0, 1.3, False, "x", 0, 0, b"\0" * 32, 0)
    project.tables.append("checks", table_of("checks", [turned]))
    project.tables.append("images", table_of("images", [Picture(image_id("c"), "s", 0, 1, 40, 30, "jpeg", "RGB", "")]))
    assert sizes.of(image_id("c")) == (30, 40)
    for odd in ("", "x", "zz" * 32, "a" * 62, "\ud800"):
        assert sizes.of(odd) == (0, 0)


def test_a_turned_picture_is_upright_before_it_was_measured(
    project: pictus.Project, tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:
    for name, size, orientation in (("turned", (40, 30), 6), ("plain", (50, 20), 1)):
        out, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = orientation
        with Image.open(io.BytesIO(make_jpeg(*size))) as image:
            image.save(out, "JPEG", exif=exif)
        (tmp_path / f"{name}.jpg").write_bytes(out.getvalue())
    collect.add(project, (tmp_path / "turned.jpg", tmp_path / "plain.jpg"))
    stored = {(row["width"], row["height"]): row["image_id"] for row in project.tables.read("images").to_pylist()}
    sizes = Sizes(project)
    assert sizes.of(stored[40, 30]) == sizes.of(stored[40, 30]) == (30, 40)
    assert sizes.of(stored[50, 20]) == (50, 20)
