"""Sizes of pictures, upright."""

from __future__ import annotations

from tests.annotate.conftest import image_id

import pictus
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
