"""The funnel of each class, and who starves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pictus.collect.funnel import FEWEST, Means, Report, Rows, coverage_of, help_for
from pictus.records import Coverage

NAMES = {"owl": "owl", "jay": "jay", "gull": "gull"}


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> pa.Table:
    cells = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pa.table({name: pa.array(list(of), pa.string()) for name, of in zip(columns, cells, strict=True)})


def rows_of(
    *, searches: Sequence[Sequence[str]] = (), candidates: Sequence[str] = (), addresses: Sequence[str] = (),
    sources: Sequence[Sequence[str]] = (),
    fetches: Sequence[Sequence[str]] = (), verdicts: Sequence[Sequence[str]] = (), labels: Sequence[Sequence[str]] = (),
) -> Rows:  # fmt: skip
    return Rows(
        table(["concept_id", "cause"], searches),
        table(["address", "concept_id"], list(zip(addresses or map(str, range(99_999)), candidates, strict=False))),
        table(["image_id", "concept_id"], sources),
        table(["address", "concept_id", "cause"], fetches),
        table(["image_id", "verdict"], verdicts),
        table(["image_id", "concept_id", "status"], labels),
    )


def report_of(rows: Rows, wanted: int = 0, exempt: frozenset[str] = frozenset()) -> Report:
    return coverage_of(NAMES, rows, wanted, exempt)


def test_every_stage_is_counted_once_for_each_picture() -> None:
    rows = rows_of(
        searches=[("owl", "ok"), ("owl", "limit"), ("owl", "refused"), ("jay", "ok")],
        candidates=["owl", "owl", "owl", "jay"],
        sources=[("p1", "owl"), ("p1", "owl"), ("p1", "jay"), ("p2", "owl"), ("p3", "owl"), ("p4", "")],
        fetches=[
            ("u1", "owl", "timeout"), ("u2", "owl", "http-404"), ("u1", "owl", "ok"), ("u3", "jay", "ok"),
            ("u3", "jay", "robots"), ("u4", "owl", "unchanged"),
        ],
        verdicts=[("p1", "keep"), ("p2", "drop"), ("p3", "keep"), ("p4", "keep")],
        labels=[
            ("p1", "owl", "accepted"), ("p2", "owl", "accepted"), ("p3", "owl", "rejected"), ("p4", "jay", "unsettled"),
        ],
    )  # fmt: skip
    report = report_of(rows, wanted=2)
    assert {one.concept_id: one for one in report.classes} == {
        "owl": Coverage("owl", "owl", 2, 3, 3, 1, 2, 1, 1, is_starving=False),
        "jay": Coverage("jay", "jay", 1, 1, 1, 1, 1, 0, 0, is_starving=True),
        "gull": Coverage("gull", "gull", 0, 0, 0, 0, 0, 0, 0, is_starving=True),
    }
    assert [one.concept_id for one in report.classes] == ["gull", "jay", "owl"]
    assert (report.basis, report.wanted) == ("kept", 2)
    assert report.totals == {  # p1 is of two classes
        "queries": 3, "candidates": 4, "fetched": 3, "failed": 2, "kept": 2, "dropped": 1, "labelled": 1,
    }  # fmt: skip
    assert report.unclaimed == 1


def test_no_stage_has_more_than_the_one_before_it_where_labels_come_without_claims() -> None:
    rows = rows_of(
        sources=[(f"p{number}", "") for number in range(6)], verdicts=[("p0", "drop"), ("p1", "keep"), ("p2", "keep")],
        labels=[(f"p{number}", "owl", "accepted") for number in range(4)],
    )  # fmt: skip
    report = report_of(rows)
    owl = next(one for one in report.classes if one.concept_id == "owl")
    assert (owl.fetched, owl.kept, owl.dropped, owl.labelled) == (4, 2, 1, 2)
    assert report.unclaimed == 2
    unscreened = report_of(rows._replace(verdicts=rows.verdicts.slice(0, 0)))
    assert unscreened.totals["labelled"] == 4


def test_starving_is_judged_on_the_furthest_stage_reached() -> None:
    assert report_of(rows_of()).basis == "candidates"
    assert report_of(rows_of(candidates=["owl"])).basis == "candidates"
    assert report_of(rows_of(candidates=["owl"], sources=[("p", "owl")])).basis == "fetched"


def test_without_a_number_half_the_median_class_is_wanted_and_never_fewer_than_twenty() -> None:
    assert report_of(rows_of(candidates=["owl"] * 300 + ["jay"] * 100)).wanted == 100
    assert report_of(rows_of(candidates=["owl"] * 3)).wanted == FEWEST
    assert report_of(rows_of()).wanted == FEWEST


def test_what_is_left_out_of_the_search_starves_only_if_it_has_some() -> None:
    exempt = frozenset({"gull", "jay"})
    starving = {one.concept_id for one in report_of(rows_of(candidates=["jay"]), 5, exempt).classes if one.is_starving}
    assert starving == {"owl", "jay"}


@pytest.mark.parametrize(
    ("one", "means", "expected"),
    [
        ((2, 10, 10, 5), {"unasked": {"owl": 1}}, "pictus collect fetch"),
        ((2, 30, 10, 5), {"unasked": {"jay": 1}}, "pictus collect find openverse --concept owl"),
        ((0, 0, 0, 0), {"planned": {}}, "pictus taxonomy queries"),
        ((0, 0, 0, 0), {"planned": {"jay": 1}}, "pictus taxonomy queries --include owl"),
        ((1, 10, 5, 5), {}, "pictus collect find commons --concept owl"),
        ((2, 10, 5, 5), {}, "pictus collect find openverse --concept owl"),
        ((2, 10, 5, 5), {"engines": ["commons"]}, "pictus taxonomy queries --languages FILE"),
        ((1, 200, 200, 0), {"engines": ["commons"]}, "pictus collect find commons --limit 1000 --concept owl"),
        ((2, 10, 5, 5), {"engines": ["commons"], "has_languages": True}, "pictus collect find ADDRESS --concept owl"),
    ],
)
def test_the_nearest_help_is_proposed(one: tuple[int, int, int, int], means: dict[str, Any], expected: str) -> None:
    queries, candidates, fetched, failed = one
    row = Coverage("owl", "owl", queries, candidates, fetched, failed, 0, 0, 0, is_starving=True)
    usual = Means({"owl": 2}, {}, ["commons", "openverse"], ["commons"], has_languages=False, limit=100)
    assert help_for(row, usual._replace(**means)).typed == expected


def test_only_what_no_fetch_has_asked_for_is_left_to_fetch() -> None:
    rows = rows_of(
        candidates=["owl", "owl", "jay", "jay", "gull"], addresses=["u1", "u2", "u1", "u3", "u4"],
        sources=[("p1", "owl")], fetches=[("u1", "owl", "ok"), ("u2", "owl", "ok"), ("u4", "gull", "http-404")],
    )  # fmt: skip
    assert report_of(rows).unasked == {"jay": 1}


def test_as_many_classes_as_imagenet_has_are_counted_without_a_loop_over_rows() -> None:
    generator = np.random.default_rng(1)
    names = {f"n{number:08d}": "x" for number in range(21_841)}
    ids = np.array(list(names))[generator.integers(0, len(names), 50_000)]
    pictures = np.array([f"{number:064x}" for number in range(50_000)])
    said = dict.fromkeys(("ok", "keep", "accepted"))
    ok, keep, accepted = (pa.array([word] * 50_000) for word in said)
    rows = Rows(
        pa.table({"concept_id": ids, "cause": ok}), pa.table({"address": pictures, "concept_id": ids}),
        pa.table({"image_id": pictures, "concept_id": ids}),
        pa.table({"address": pictures, "concept_id": ids, "cause": ok}),
        pa.table({"image_id": pictures, "verdict": keep}),
        pa.table({"image_id": pictures, "concept_id": ids, "status": accepted}),
    )  # fmt: skip
    report = coverage_of(names, rows, 0, frozenset())
    assert sum(one.kept for one in report.classes) == sum(one.labelled for one in report.classes) == 50_000
