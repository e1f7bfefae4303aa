"""What is written comes back: votes as they were, shapes within the precision that each format has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pictus
from pictus import annotate
from pictus.annotate.shapes import rle
from pictus.errors import UserError
from pictus.records import Vote

Shelve = Callable[..., dict[str, str]]
Read = Callable[[pictus.Project], Any]

PICTURES = {"owl/1.jpg": (640, 480), "wren/1.jpg": (301, 777), "wren/2.png": (33, 20)}
SIZES = list(PICTURES.values())


def draw(project: pictus.Project, rows: list[tuple[str, str, str, str, dict[str, Any]]]) -> None:
    """Rows of kind, image_id, concept_id, annotator, shape, as a page of the desk leaves them."""
    query = sa.text(
        "INSERT INTO marks (kind, image_id, concept_id, annotator, shape, source, place, replaces, made_at)"
        " VALUES (:kind, :image, :concept, :who, :shape, 'page:p#1', :place, 0, '')"
    )
    with project.journal.transaction() as connection:
        for place, (kind, image, concept, who, shape) in enumerate(rows):
            values = {"kind": kind, "image": image, "concept": concept, "who": who, "place": place}
            connection.execute(query, {**values, "shape": json.dumps(shape)})


def there_and_back(
    tmp_path: Path, shelve: Shelve, kept: Read, drawn: list[tuple[int, str, str, str, dict[str, Any]]],
    chosen: str,
) -> tuple[list[Any], list[Any]]:  # fmt: skip
    """drawn: number of the picture, kind, concept, annotator, shape -> the marks before and after."""
    number = sum(1 for _ in tmp_path.iterdir())
    if number:
        old, new = (pictus.open(tmp_path / side) for side in ("old", "new"))
        for project in (old, new):
            with project.journal.transaction() as connection:
                connection.execute(sa.text("DELETE FROM marks"))
    else:
        old, new = (pictus.new(tmp_path / side) for side in ("old", "new"))
        shelve(old, PICTURES)
        shelve(new, PICTURES, start="/srv/elsewhere/")
    ids = [id_of(name) for name in PICTURES]
    draw(old, [(kind, ids[at], concept, who, shape) for at, kind, concept, who, shape in drawn])
    out = tmp_path / f"out{number}{EXACT.get(chosen, '')}"
    outcome = annotate.export(old, out, format=chosen, what="marks")
    assert outcome.summary["rows"] == len(drawn)
    annotate.import_(new, (out,), keep_names=True)

    def order(mark: Any) -> tuple[Any, ...]:
        return (mark.image_id, mark.concept_id, mark.annotator, mark.kind, numbers(mark.shape))

    return sorted(kept(old), key=order), sorted(kept(new), key=order)


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [one for key in sorted(value) if key != "words" for one in numbers(value[key])]
    if isinstance(value, list):
        return [one for inner in value for one in numbers(inner)]
    return [float(value)] if isinstance(value, (int, float)) else [float(ord(sign)) for sign in str(value)]


@st.composite
def boxes(draw_one: st.DrawFn, step: float = 0.001) -> tuple[int, str, str, str, dict[str, Any]]:
    at = draw_one(st.integers(0, len(SIZES) - 1))
    sides = []
    for side in SIZES[at]:
        most = round(side / step)
        first = draw_one(st.integers(0, most - round(2 / step)))
        second = draw_one(st.integers(first + round(1 / step), most))
        sides.append((round(first * step, 3), round(second * step, 3)))
    (x1, x2), (y1, y2) = sides
    who = draw_one(st.sampled_from(["ada", "bob <b>&", "source:old.csv", "model:v1"]))
    concept = draw_one(st.sampled_from(["cowl", "cwren"]))
    return at, "box", concept, who, {"box": [x1, y1, x2, y2]}


def id_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


FAST = settings(
    max_examples=6, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip

EXACT = {"coco": ".json", "cvat": ".xml", "label-studio": ".json", "yolo": "", "csv": ".csv"}
NAMELESS = ("yolo",)


@pytest.mark.parametrize("chosen", EXACT)
@FAST
@given(drawn=st.lists(boxes(), min_size=1, max_size=5))
def test_boxes_come_back_to_a_thousandth_of_a_pixel(
    chosen: str, tmp_path: Path, shelve: Shelve, kept: Read, drawn: list[Any]
) -> None:
    before, after = there_and_back(tmp_path, shelve, kept, drawn, chosen)
    assert [mark[1:3] for mark in after] == [mark[1:3] for mark in before] or chosen in NAMELESS
    if chosen not in NAMELESS:
        assert [mark.annotator for mark in after] == [mark.annotator for mark in before]
    found = sorted((mark.image_id, mark.concept_id, tuple(mark.shape["box"])) for mark in after)
    wanted = sorted((mark.image_id, mark.concept_id, tuple(mark.shape["box"])) for mark in before)
    for one, other in zip(found, wanted, strict=True):
        assert one[:2] == other[:2]
        assert np.allclose(one[2], other[2], atol=0.0011)


@FAST
@given(drawn=st.lists(boxes(), min_size=1, max_size=5))
def test_voc_holds_whole_pixels_around_the_box(tmp_path: Path, shelve: Shelve, kept: Read, drawn: list[Any]) -> None:
    before, after = there_and_back(tmp_path, shelve, kept, drawn, "voc")
    key = {(mark.image_id, mark.concept_id, mark.annotator, mark.kind) for mark in before}
    assert key == {(mark.image_id, mark.concept_id, mark.annotator, mark.kind) for mark in after}
    found = sorted((mark.image_id, *(int(side) for side in mark.shape["box"])) for mark in after)
    wanted = sorted(
        (mark.image_id, *(int(np.floor(side)) for side in mark.shape["box"][:2]),
         *(int(np.ceil(side)) for side in mark.shape["box"][2:]))
        for mark in before
    )  # fmt: skip
    assert found == wanted


@FAST
@given(drawn=st.lists(boxes(step=1), min_size=1, max_size=5))
def test_voc_brings_whole_boxes_back_as_they_were(
    tmp_path: Path, shelve: Shelve, kept: Read, drawn: list[Any]
) -> None:
    before, after = there_and_back(tmp_path, shelve, kept, drawn, "voc")
    assert sorted(numbers(mark.shape) for mark in after) == sorted(numbers(mark.shape) for mark in before)


def blob(width: int, height: int, seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    mask = generator.random((height, width)) < 0.3
    mask[height // 3 : height // 2, width // 4 : width // 2] = True
    return rle.to_json(rle.encode(mask))


MIXED: list[tuple[int, str, str, str, dict[str, Any]]] = [
    (0, "mask", "cowl", "ada", {"polygons": [[10.5, 20.25, 300.125, 40, 200, 300]], "words": {"occluded": "1"}}),
    (0, "mask", "cowl", "bob", blob(640, 480, 1)),
    (2, "mask", "cwren", "model:v2", blob(33, 20, 2)),
    (0, "box", "cowl", "ada", {"box": [0, 0, 640, 480], "words": {"pose": "left"}}),
    (1, "points", "cwren", "ada", {"skeleton": "bird", "points": [[1.5, 2, 2], [0, 0, 0], [300, 700.25, 1]],
                                   "names": ["beak", "tail", "eye"]}),
]  # fmt: skip


@pytest.mark.parametrize("chosen", ["coco", "cvat", "label-studio"])
def test_masks_points_and_words_come_back_as_they_were(
    chosen: str, tmp_path: Path, shelve: Shelve, kept: Read
) -> None:
    before, after = there_and_back(tmp_path, shelve, kept, MIXED, chosen)
    assert [mark[:4] for mark in after] == [mark[:4] for mark in before]
    for one, other in zip(after, before, strict=True):
        assert one.shape.keys() == other.shape.keys()
        assert one.shape.get("words") == other.shape.get("words")
        assert one.shape.get("counts") == other.shape.get("counts")
        assert one.shape.get("names") == other.shape.get("names")
        assert np.allclose(numbers(one.shape), numbers(other.shape), atol=0.0011)


def test_the_same_boxes_in_a_table_and_in_other_files_are_there_once(
    tmp_path: Path, shelve: Shelve, kept: Read
) -> None:
    said = {"words": {"truncated": "1", "difficult": "1", "pose": "left, up"}}
    drawn: list[Any] = [
        (0, "box", "cowl", "ada", {"box": [1, 2, 30, 40], **said}), (1, "box", "cwren", "bob", {"box": [1, 2, 3, 9]}),
    ]
    before, after = there_and_back(tmp_path, shelve, kept, drawn, "csv")
    assert [mark.shape for mark in after] == [mark.shape for mark in before]
    new, old = pictus.open(tmp_path / "new"), pictus.open(tmp_path / "old")
    for chosen, name in (("coco", "a.json"), ("voc", "voc"), ("cvat", "a.xml"), ("label-studio", "b.json")):
        annotate.export(old, tmp_path / name, format=chosen, what="marks")
        summary = annotate.import_(new, (tmp_path / name,)).summary
        assert (summary["marks"], summary["marks_there"]) == (0, 2), chosen


def test_a_mask_of_two_rings_stays_one_mask(tmp_path: Path, shelve: Shelve, kept: Read) -> None:
    rings = [[1.0, 1, 100, 1, 100, 100, 1, 100], [200.0, 200, 300, 200, 300, 300, 200, 300]]
    drawn = [(0, "mask", "cowl", "ada", {"polygons": rings})]
    for chosen in ("coco", "cvat", "label-studio"):
        (before,), (after,) = there_and_back(tmp_path, shelve, kept, drawn, chosen)
        one, other = (
            mark if "counts" in mark else rle.to_json(rle.from_polygons(mark["polygons"], 480, 640))
            for mark in (before.shape, after.shape)
        )
        assert one == other, chosen


VOTES = (
    ("owl/1.jpg", "ada", "cowl", "yes"), ("owl/1.jpg", "bob", "cowl", "no"), ("owl/1.jpg", "cy", "cwren", "unsure"),
    ("wren/1.jpg", "ada", "", "cwren"), ("wren/2.png", "bob", "", "cowl"), ("wren/2.png", "cy", "cwren", "yes"),
)  # fmt: skip


@pytest.mark.parametrize("chosen", ["csv", "cvat", "label-studio", "mturk", "toloka"])
def test_votes_come_back_as_they_were(chosen: str, tmp_path: Path, shelve: Shelve, said: Read) -> None:
    old, new = pictus.new(tmp_path / "old"), pictus.new(tmp_path / "new")
    ids = shelve(old, PICTURES)
    shelve(new, PICTURES, start="/srv/elsewhere/")
    old.journal.add_votes(Vote(ids[name], who, question, answer, "x", "") for name, who, question, answer in VOTES)
    out = tmp_path / f"out{ {'cvat': '.xml', 'label-studio': '.json', 'toloka': '.tsv'}.get(chosen, '.csv') }"
    assert annotate.export(old, out, format=chosen, what="votes").summary["rows"] == len(VOTES)
    annotate.import_(new, (out,), keep_names=True)
    assert said(new) == said(old)
    assert annotate.import_(new, (out,), keep_names=True).summary["added"] == 0


def test_our_own_votes_come_back_under_one_name_from_every_format(
    tmp_path: Path, shelve: Shelve, said: Read
) -> None:
    old, new = pictus.new(tmp_path / "old"), pictus.new(tmp_path / "new")
    ids = shelve(old, PICTURES)
    shelve(new, PICTURES)
    who = ("ada", "ann@x.org", "mturk-0123456789ab")
    old.journal.add_votes([Vote(ids["owl/1.jpg"], name, "cowl", "yes", "x", "") for name in who])
    for chosen, name in (
        ("mturk", "m.csv"), ("toloka", "t.tsv"), ("csv", "c.csv"), ("label-studio", "l.json"), ("cvat", "c.xml"),
    ):
        annotate.export(old, tmp_path / name, format=chosen, what="votes")
        annotate.import_(new, (tmp_path / name,))
        names = {vote[1] for vote in said(new)}
        assert len(names) == 3, chosen
        assert names > {"ada", "mturk-0123456789ab"}
        assert not any("@" in one for one in names)


def test_an_address_that_an_earlier_version_kept_stays_that_person(tmp_path: Path, shelve: Shelve, said: Read) -> None:
    project = pictus.new(tmp_path / "p")
    ids = shelve(project, PICTURES)
    project.journal.add_votes([Vote(ids["owl/1.jpg"], "ann@x.org", "", "cowl", "x", "")])
    (tmp_path / "v.csv").write_text("worker,image,answer\nann@x.org,owl/1.jpg,owl\n", encoding="utf-8")
    assert annotate.import_(project, (tmp_path / "v.csv",)).summary["added"] == 0
    assert {vote[1] for vote in said(project)} == {"ann@x.org"}


def test_nobody_in_a_column_of_workers_is_a_folder_or_a_model(tmp_path: Path, shelve: Shelve, said: Read) -> None:
    project = pictus.new(tmp_path / "p")
    shelve(project, PICTURES)
    path = tmp_path / "v.csv"
    path.write_text("worker,image,answer\nsource:evil,owl/1.jpg,owl\nmodel:x,owl/1.jpg,wren\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 2: 'source:evil' is no person") as raised:
        annotate.import_(project, (path,))
    assert "as they are with keep_names=True" in str(raised.value)
    assert not said(project)
    batch = tmp_path / "batch.csv"
    header = "HITId,WorkerId,AssignmentStatus,Input.image_url,Input.question,Answer.label\n"
    batch.write_text(header + "H1,source:evil,Approved,owl/1.jpg,owl,yes\n", encoding="utf-8")
    annotate.import_(project, (batch,))
    ((_, name, _, _),) = said(project)
    assert name.startswith("mturk-")
    annotate.import_(project, (path,), keep_names=True)
    assert {vote[1] for vote in said(project)} == {name, "source:evil", "model:x"}


def test_own_votes_of_folders_and_models_come_back_without_a_flag(tmp_path: Path, shelve: Shelve, said: Read) -> None:
    project, other = pictus.new(tmp_path / "p"), pictus.new(tmp_path / "other")
    ids = shelve(project, PICTURES)
    shelve(other, PICTURES)
    project.journal.add_votes([
        Vote(ids["owl/1.jpg"], name, "", "cowl", "x", "") for name in ("source:folder", "model:x", "ada")
    ])  # fmt: skip
    path = tmp_path / "v.csv"
    annotate.export(project, path, format="csv", what="votes")
    before = said(project)
    outcome = annotate.import_(project, (path,))
    assert (outcome.summary["added"], outcome.summary["already_there"]) == (0, 3)
    assert said(project) == before
    with pytest.raises(UserError) as raised:  # somebody else's: a flag says that it is meant
        annotate.import_(other, (path,))
    assert "take source: and model: as they are with --keep-names, or " in raised.value.fix


@pytest.mark.parametrize("chosen", ["csv", "cvat", "label-studio", "mturk", "toloka"])
@pytest.mark.parametrize("name", ["out", "out.votes"])
def test_a_file_without_a_known_ending_is_recognised_by_its_content(
    chosen: str, name: str, tmp_path: Path, shelve: Shelve, said: Read
) -> None:
    old, new = pictus.new(tmp_path / "old"), pictus.new(tmp_path / "new")
    ids = shelve(old, PICTURES)
    shelve(new, PICTURES)
    old.journal.add_votes(Vote(ids[name], who, question, answer, "x", "") for name, who, question, answer in VOTES)
    annotate.export(old, tmp_path / name, format=chosen, what="votes")
    annotate.import_(new, (tmp_path / name,))
    assert said(new) == said(old)


def test_a_file_that_is_no_text_and_has_no_ending_says_what_can_be_typed(tmp_path: Path, shelve: Shelve) -> None:
    project = pictus.new(tmp_path / "p")
    shelve(project, PICTURES)
    for name, data in (("noise", bytes(range(256))), ("notes", b"nothing of use\n"), ("other", b'{"a": 1}')):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError) as raised:
            annotate.import_(project, (tmp_path / name,))
        assert "--format NAME" in raised.value.fix


@pytest.mark.parametrize("chosen", ["yolo", "voc"])
def test_an_own_export_that_has_lost_something_is_left_out_when_it_comes_back(
    tmp_path: Path, shelve: Shelve, kept: Read, chosen: str
) -> None:
    project = pictus.new(tmp_path / "birds")
    shelve(project, PICTURES)
    draw(project, [("box", id_of("owl/1.jpg"), "owl", "ada", {"box": [1, 2, 30, 40]})])
    annotate.export(project, tmp_path / "boxes", format=chosen, what="marks")
    outcome = annotate.import_(project, (tmp_path / "boxes",))
    assert outcome.headline == "nothing new"
    assert f"'boxes' is what this project wrote itself (marks as {chosen}), and is left out" in outcome.problems[0]
    assert len(kept(project)) == 1
    moved = (tmp_path / "boxes").rename(tmp_path / "other")
    assert annotate.import_(project, (moved,)).headline == "nothing new", "whatever it is called"
    votes = tmp_path / "votes.csv"
    votes.write_text("worker,image,answer\nbob,owl/1.jpg,owl\n")
    with pytest.raises(UserError, match="There is no file"):
        annotate.import_(project, (tmp_path / "gone",))
    assert annotate.import_(project, (moved, votes)).summary["added"] == 1, "what else was named is taken in"
    label = next(one for one in moved.rglob("1.*") if one.is_file())
    label.write_text(label.read_text().replace("0 0.", "0 0.1", 1).replace("<ymax>40", "<ymax>50"))
    assert annotate.import_(project, (moved,)).summary["marks"] == 1, "what somebody changed is another file"
    elsewhere = pictus.new(tmp_path / "elsewhere")
    shelve(elsewhere, PICTURES)
    assert annotate.import_(elsewhere, (moved,)).summary["marks"] == 1


def test_labels_that_were_settled_here_are_no_further_voice(tmp_path: Path, shelve: Shelve) -> None:
    project = pictus.new(tmp_path / "birds")
    shelve(project, PICTURES)
    votes = tmp_path / "votes.csv"
    votes.write_text("worker,image,answer\nada,owl/1.jpg,owl\nbob,owl/1.jpg,owl\n")
    annotate.import_(project, (votes,))
    annotate.settle(project)
    out = tmp_path / "labels.csv"
    annotate.export(project, out, what="labels")
    told = annotate.import_(project, (out,))
    assert told.summary["added"] == 0
    assert "(labels as csv), and is left out" in told.problems[0]
    assert project.journal.votes().num_rows == 2
