"""Which picture of a group stays, and in what words."""

from __future__ import annotations

import numpy as np
import pytest

from pictus.clean import keepers
from pictus.clean.keepers import Merits, freedom, order, read_keep, why_better, why_kept
from pictus.errors import UserError


def merits(**columns: list[float]) -> Merits:
    """Equal pictures but for what is given."""
    count = len(next(iter(columns.values())))
    usual = {"width": 100, "height": 80, "is_grey": False, "size": 1000, "jpeg_quality": 90, "sharpness": 500.0,
             "freedom": keepers.UNKNOWN, "added": 0}  # fmt: skip
    return Merits(*(np.array(columns.get(name, [usual[name]] * count)) for name in Merits._fields))


def best(found: Merits, *keep: str) -> int:
    return int(np.argmin(order(found, keep or ("resolution",)).rank))


def test_without_a_word_more_pixels_then_colour_then_bytes_then_first() -> None:
    assert best(merits(width=[100, 200, 100])) == 1
    assert best(merits(width=[100, 200, 200], is_grey=[False, True, False])) == 2
    assert best(merits(size=[5, 9, 9])) == 1
    assert best(merits(size=[7, 7])) == 0


def test_quality_asks_for_the_coding_and_then_the_sharpness() -> None:
    found = merits(width=[300, 100, 100], jpeg_quality=[60, 95, 95], sharpness=[900.0, 400.0, 600.0])
    assert best(found) == 0
    assert best(found, "quality") == 2
    asked = order(found, ("quality",))
    assert why_better(found, asked, 2, 0) == "is better coded (JPEG quality 95, not JPEG quality 60)"
    assert why_better(found, asked, 2, 1) == "is sharper (600, not 400)"
    assert why_kept(found, asked, 2, [0, 1]) == "kept: the sharpest of 2 (600)"
    assert best(merits(jpeg_quality=[99, 0]), "quality") == 1, "a lossless file lost nothing"


def test_a_free_licence_may_count_more_than_size() -> None:
    found = merits(width=[300, 100], freedom=[keepers.UNKNOWN, 0])
    asked = order(found, ("licence", "resolution"))
    assert int(np.argmin(asked.rank)) == 1
    assert why_better(found, asked, 1, 0) == "has the freer licence (CC0, not unknown)"
    assert why_kept(found, asked, 1, [0]) == "kept: the freest licence of 2 (CC0)"
    assert best(merits(width=[300, 100], freedom=[2, 2]), "licence") == 0, "then the larger one"


def test_the_oldest_may_stay() -> None:
    found = merits(width=[300, 100], added=[5, 3])
    asked = order(found, ("age",))
    assert int(np.argmin(asked.rank)) == 1
    assert why_better(found, asked, 1, 0) == "is older"


@pytest.mark.parametrize(
    ("licence", "place"),
    [
        ("CC0-1.0", 0), ("https://creativecommons.org/publicdomain/zero/1.0/", 0), ("PDM", 1), ("Public domain", 1),
        ("CC-BY-4.0", 2), ("CC BY 2.0", 2), ("https://creativecommons.org/licenses/by/4.0/", 2), ("CC-BY-SA-3.0", 3),
        ("by-nd", 4), ("cc-by-nc-2.0", 5), ("BY-NC-SA", 6), ("CC BY-NC-ND 4.0", 7), ("© 2020 Somebody", 8),
        ("All rights reserved", 8), ("", keepers.UNKNOWN), ("photo by Joe", keepers.UNKNOWN),
    ],
)  # fmt: skip
def test_licences_are_ordered_by_what_they_allow(licence: str, place: int) -> None:
    assert freedom([licence]) == place
    assert freedom(["", licence]) == place, "of several sources the freest counts"


def test_words_are_read_with_a_good_miss() -> None:
    assert read_keep(()) == ("resolution",)
    assert read_keep(("licence,age",)) == ("licence", "age")
    with pytest.raises(UserError, match="no reason to keep 'license'") as caught:
        read_keep(("license",))
    assert "licence" in caught.value.fix
    with pytest.raises(UserError, match="stands twice") as caught:
        read_keep(("age", "age", "licence"))
    assert caught.value.fix == "pictus clean dedupe --keep age --keep licence"
