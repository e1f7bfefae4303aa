"""Taking in and giving out on both databases: batches, kills, what stands and what was replaced."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import pictus
from pictus import annotate
from pictus.annotate.exchange import version_steps
from pictus.errors import UserError

Shelve = Callable[..., dict[str, str]]
Read = Callable[[pictus.Project], Any]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def shelf(request: pytest.FixtureRequest, tmp_path: Path, shelve: Shelve) -> Iterator[pictus.Project]:
    from tests.annotate.desks import emptied

    address = emptied(request.getfixturevalue("postgres_server")) if request.param == "postgresql" else ""
    project = pictus.new(tmp_path / "birds", database_url=address)
    shelve(project, {"1.jpg": (200, 100), "2.jpg": (200, 100)})
    yield project
    project.journal.engine.dispose()


def coco(tmp_path: Path, boxes: list[list[float]], name: str = "a.json") -> Path:
    path = tmp_path / name
    images = [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "2.jpg"}]
    notes = [
        {"image_id": 1 + number % 2, "category_id": 1, "bbox": box} for number, box in enumerate(boxes)
    ]
    whole = {"images": images, "annotations": notes, "categories": [{"id": 1, "name": "owl"}]}
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


BOXES = [[float(number), 1, 10, 10] for number in range(50)]


def test_an_import_that_was_killed_between_batches_goes_on(
    shelf: pictus.Project, tmp_path: Path, kept: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version_steps, "BATCH", 20)
    path = coco(tmp_path, BOXES)
    same = version_steps._same
    calls: list[int] = []

    def killed(connection: sa.Connection, source: str, batch: Any) -> Any:
        calls.append(len(batch))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return same(connection, source, batch)

    monkeypatch.setattr(version_steps, "_same", killed)
    with pytest.raises(KeyboardInterrupt):
        annotate.import_(shelf, (path,))
    assert len(kept(shelf)) in (20, 40)
    monkeypatch.setattr(version_steps, "_same", same)
    outcome = annotate.import_(shelf, (path,))
    assert outcome.summary["marks"] + outcome.summary["marks_there"] == 50
    assert sorted(mark.shape["box"][0] for mark in kept(shelf)) == [box[0] for box in BOXES]


def test_votes_questions_and_marks_come_in_and_go_out(shelf: pictus.Project, tmp_path: Path, said: Read) -> None:
    header = "INPUT:image\tINPUT:question\tOUTPUT:answer\tGOLDEN:answer\tASSIGNMENT:worker_id"
    rows = ["1.jpg\towl\tyes\t\tw1", "2.jpg\towl\tno\tno\tw1"]
    path = tmp_path / "a.tsv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    assert annotate.import_(shelf, (path, coco(tmp_path, BOXES)), keep_names=True).summary["marks"] == 50
    assert len(said(shelf)) == 2
    assert annotate.export(shelf, tmp_path / "v.csv").summary["rows"] == 2
    assert annotate.export(shelf, tmp_path / "m.json", format="coco").summary["rows"] == 50
    lines = (tmp_path / "v.csv").read_text(encoding="utf-8").splitlines()
    assert lines == ["worker,image,question,answer", "w1,2.jpg,owl,no", "w1,1.jpg,owl,yes"] or len(lines) == 3


def test_what_was_replaced_does_not_go_out(shelf: pictus.Project, tmp_path: Path, kept: Read) -> None:
    annotate.import_(shelf, (coco(tmp_path, BOXES[:4]),), as_proposals=True)
    with shelf.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE marks SET annotator = 'ada' WHERE place > 1"))
        first, second = connection.execute(
            sa.text("SELECT mark_id FROM marks WHERE annotator = 'ada' ORDER BY mark_id")
        ).scalars().all()[:2]
        connection.execute(
            sa.text("UPDATE marks SET replaces = :old WHERE mark_id = :new"), {"old": first, "new": second}
        )
    marks = annotate.export(shelf, tmp_path / "m.json", format="coco", what="marks").summary["rows"]
    assert len(kept(shelf)) == 4
    assert marks == 3


def test_settled_shapes_go_out_with_how_sure_they_are(shelf: pictus.Project, tmp_path: Path) -> None:
    box = {"x": 10, "y": 10, "width": 30, "height": 40, "rectanglelabels": ["owl"]}
    ring = {"points": [[1, 1], [50, 1], [50, 50]], "polygonlabels": ["owl"]}
    results = [{"type": "rectanglelabels", "value": box}, {"type": "polygonlabels", "value": ring}]
    annotations = [{"annotator": name, "result": results} for name in ("ada", "bob", "cy")]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([{"data": {"image": "1.jpg"}, "annotations": annotations}]), encoding="utf-8")
    annotate.import_(shelf, (path,))
    with pytest.raises(UserError, match="There are no shapes") as raised:
        annotate.export(shelf, tmp_path / "s.json", format="coco", what="shapes")
    assert raised.value.fix == "pictus annotate shapes"
    annotate.shapes_(shelf)
    outcome = annotate.export(shelf, tmp_path / "s.json", format="coco", what="shapes")
    assert outcome.summary["rows"] == 2
    notes = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["annotations"]
    drawn, mask = sorted(notes, key=lambda note: bool(note["segmentation"]))
    assert drawn["bbox"] == [20, 10, 60, 40]
    assert float(drawn["attributes"]["posterior"]) > 0.9
    assert mask["segmentation"]["size"] == [100, 200]
    assert annotate.export(shelf, tmp_path / "voc", format="voc", what="shapes").problems == (
        "1 shape of 2 left out: voc has no form for them",
    )


def test_what_is_not_there_or_cannot_be_held_is_told(shelf: pictus.Project, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There are no votes"):
        annotate.export(shelf, tmp_path / "v.csv")
    with pytest.raises(UserError, match="coco has no way to hold votes") as raised:
        annotate.export(shelf, tmp_path / "v.json", format="coco", what="votes")
    assert "csv (votes, labels, marks, shapes, tasks)" in raised.value.fix
    with pytest.raises(UserError, match="does not say which format"):
        annotate.export(shelf, tmp_path / "v.json")
    with pytest.raises(UserError, match="is a folder"):
        annotate.export(shelf, tmp_path, format="coco", what="marks")


def test_names_cannot_leave_the_folder_or_become_formulas(tmp_path: Path, shelve: Shelve) -> None:
    project = pictus.new(tmp_path / "p")
    shelve(project, {"../../../etc/=cmd.jpg": (200, 100)}, start="")
    path = tmp_path / "a.csv"
    path.write_text("image,label,xmin,ymin,xmax,ymax\n=cmd.jpg,owl,1,1,5,5\n", encoding="utf-8")
    annotate.import_(project, (path,))
    annotate.export(project, tmp_path / "voc", format="voc")
    annotate.export(project, tmp_path / "yolo", format="yolo")
    annotate.export(project, tmp_path / "b.csv", format="csv", what="marks")
    made = [one.relative_to(tmp_path).as_posix() for one in tmp_path.rglob("*") if one.suffix in (".xml", ".txt")]
    assert sorted(made) == ["voc/_cmd.xml", "yolo/classes.txt", "yolo/labels/_cmd.txt"]
    assert "'=cmd.jpg,owl" in (tmp_path / "b.csv").read_text(encoding="utf-8")


def test_pictures_are_called_by_the_shortest_end_that_means_no_other(tmp_path: Path, shelve: Shelve) -> None:
    project = pictus.new(tmp_path / "p")
    addresses = ["a/owl/1.jpg", "a/wren/1.jpg", "b/owl/2.jpg", "b/x.tar!/owl/3.jpg", "c/d/owl/4.jpg", "e/d/owl/4.jpg"]
    ids = shelve(project, dict.fromkeys(addresses, (200, 100)), start="/h/")
    rows = "".join(f"ada,{image_id},owl\n" for image_id in ids.values())
    (tmp_path / "v.csv").write_text(f"worker,image,answer\n{rows}", encoding="utf-8")
    annotate.import_(project, (tmp_path / "v.csv",))
    annotate.export(project, tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1:]
    names = {line.split(",")[1] for line in lines}
    own = {f"{ids[name]}.jpg" for name in ("c/d/owl/4.jpg", "e/d/owl/4.jpg")}
    assert names == {"owl/1.jpg", "wren/1.jpg", "2.jpg", "3.jpg"} | own


def standing(project: pictus.Project, out: Path) -> list[tuple[str, list[float]]]:
    """What an export of all marks holds: name of the picture and box."""
    annotate.export(project, out, format="coco", what="marks")
    whole = json.loads(out.read_text(encoding="utf-8"))
    names = {one["id"]: one["file_name"] for one in whole["images"]}
    return sorted((names[note["image_id"]], note["bbox"]) for note in whole["annotations"])


def test_a_newer_version_of_a_file_takes_back_what_it_has_not(
    shelf: pictus.Project, tmp_path: Path, kept: Read
) -> None:
    annotate.import_(shelf, (coco(tmp_path, BOXES[:4]),))
    corrected: list[list[float]] = [BOXES[0], BOXES[1], [70, 70, 9, 9]]  # one was moved, one of the second is gone
    outcome = annotate.import_(shelf, (coco(tmp_path, corrected),))
    assert (outcome.summary["marks"], outcome.summary["marks_there"], outcome.summary["withdrawn"]) == (1, 2, 2)
    assert outcome.problems == ("taken back, an earlier file of this name had them and this one has not: 2 shapes",)
    assert standing(shelf, tmp_path / "m.json") == [
        ("1.jpg", [0, 1, 10, 10]), ("1.jpg", [70, 70, 9, 9]), ("2.jpg", [1, 1, 10, 10])
    ]  # fmt: skip
    assert len([one for one in kept(shelf) if one.kind == "box"]) == 5, "nothing is deleted"
    again = annotate.import_(shelf, (coco(tmp_path, corrected),)).summary
    assert (again["marks"], again["withdrawn"]) == (0, 0)
    first = annotate.import_(shelf, (coco(tmp_path, BOXES[:4]),)).summary  # and the way back
    assert (first["marks"], first["withdrawn"]) == (2, 1)
    assert [box for _, box in standing(shelf, tmp_path / "m.json")] == [
        [0, 1, 10, 10], [2, 1, 10, 10], [1, 1, 10, 10], [3, 1, 10, 10]
    ]  # fmt: skip


def test_a_file_of_the_same_name_leaves_other_pictures_and_other_people_alone(
    shelf: pictus.Project, tmp_path: Path
) -> None:
    def job(who: str, picture: str, left: int) -> Path:
        box = f'<box label="owl" xtl="{left}" ytl="1" xbr="50" ybr="50"/>'
        path = tmp_path / "annotations.xml"
        head = f"<meta><job><assignee><username>{who}</username></assignee></job></meta>"
        image = f'<image name="{picture}" width="200" height="100">{box}</image>'
        path.write_text(f"<annotations>{head}{image}</annotations>", encoding="utf-8")
        return path

    for who, picture, left in (("ada", "1.jpg", 1), ("ada", "2.jpg", 2), ("bob", "1.jpg", 3)):
        assert annotate.import_(shelf, (job(who, picture, left),)).summary["withdrawn"] == 0
    assert annotate.import_(shelf, (job("ada", "1.jpg", 4),)).summary["withdrawn"] == 1
    assert [box[0] for _, box in standing(shelf, tmp_path / "m.json")] == [3, 4, 2]


def test_what_is_asked_about_a_shape_that_was_taken_back_is_put_aside(shelf: pictus.Project, tmp_path: Path) -> None:
    from pictus.annotate.shapes import shape_steps

    annotate.import_(shelf, (coco(tmp_path, BOXES[:2]),), as_proposals=True)
    assert shape_steps.ask_on(shelf) == 2
    annotate.import_(shelf, (coco(tmp_path, [[70, 70, 9, 9], BOXES[1]]),), as_proposals=True)
    query = "SELECT mark_id, state FROM questions ORDER BY mark_id"
    with shelf.journal.reading() as connection:
        asked = [tuple(row) for row in connection.execute(sa.text(query))]
        waiting = connection.execute(sa.text("SELECT waiting FROM heaps WHERE kind = 'box-quality'")).scalar()
    assert (asked, waiting) == ([(1, "parked"), (2, "open")], 1)
    assert shape_steps.ask_on(shelf) == 1, "the corrected one, though the old one is put aside"
    assert annotate.shapes_(shelf).summary["boxes_unsettled"] == 2


def test_an_export_never_replaces_what_is_no_export(tmp_path: Path, shelve: Shelve) -> None:
    project = pictus.new(tmp_path / "p")
    shelve(project, {"1.jpg": (200, 100)})
    annotate.import_(project, (coco(tmp_path, BOXES[:1]),))
    before = (project.root / "journal.sqlite").read_bytes()[:16]
    for own in ("journal.sqlite", "journal.sqlite-wal", "tables/images.csv", "pictus.toml", "."):
        with pytest.raises(UserError, match="belongs to the project itself"):
            annotate.export(project, project.root / own, format="voc", what="marks")
    with pytest.raises(UserError, match="belongs to the project itself"):
        annotate.preview(project, tmp_path / "a.json", project.root / "journal.sqlite")
    assert (project.root / "journal.sqlite").read_bytes()[:16] == before == b"SQLite format 3\0"
    (tmp_path / "photo.jpg").write_bytes(b"picture")
    (tmp_path / "mine.csv").write_text("image,label\n", encoding="utf-8")
    for name in ("photo.jpg", "mine.csv"):
        with pytest.raises(UserError, match="is there already") as raised:
            annotate.export(project, tmp_path / name, format="csv", what="marks")
        assert "--force" in raised.value.fix
    for _ in range(2):  # its own former output
        assert annotate.export(project, project.root / "boxes.csv", what="marks").summary["rows"] == 1
    with (project.root / "boxes.csv").open("a", encoding="utf-8") as file:
        file.write("by hand\n")
    with pytest.raises(UserError, match="changed since"):
        annotate.export(project, project.root / "boxes.csv", what="marks")
    assert annotate.export(project, project.root / "boxes.csv", what="marks", force=True).summary["rows"] == 1
    with pytest.raises(UserError, match="belongs to the project itself"):
        annotate.export(project, project.root / "pictus.toml", format="csv", what="marks", force=True)


def test_a_folder_with_files_of_others_is_not_written_into(tmp_path: Path, shelve: Shelve) -> None:
    project = pictus.new(tmp_path / "p")
    shelve(project, {"1.jpg": (200, 100)})
    annotate.import_(project, (coco(tmp_path, BOXES[:1]),))
    voc = tmp_path / "voc"
    for _ in range(2):
        annotate.export(project, voc, format="voc", what="marks")
    (voc / "1.xml").write_text("<by-hand/>", encoding="utf-8")
    with pytest.raises(UserError, match="is there already"):
        annotate.export(project, voc, format="voc", what="marks")
    assert (voc / "1.xml").read_text(encoding="utf-8") == "<by-hand/>"


def ask(project: pictus.Project, image_id: str) -> None:
    put = sa.text(
        "INSERT INTO questions (kind, concept_id, image_id, mark_id, state, priority, reason, votes, leases, wanted,"
        " posterior, score, fold, known) VALUES ('grid', 'cowl', :image, 0, 'open', 0, '', 0, 0, 1, 0.5, 0, '', '')"
    )
    with project.journal.transaction() as connection:
        connection.execute(put, {"image": image_id})


def test_a_form_of_anybody_else_beside_the_tasks_is_left_and_one_that_is_written_is_named(
    tmp_path: Path, shelve: Shelve
) -> None:
    project = pictus.new(tmp_path / "p")
    ids = shelve(project, {"1.jpg": (200, 100)})
    ask(project, ids["1.jpg"])
    form = tmp_path / "tasks.html"
    form.write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"tasks\.html is there already"):
        annotate.export(project, tmp_path / "tasks.csv", format="mturk", what="tasks")
    form.unlink()
    outcome = annotate.export(project, tmp_path / "tasks.csv", format="mturk", what="tasks")
    assert str(form) in outcome.headline
    assert outcome.summary["forms"] == [str(form)]
    annotate.export(project, tmp_path / "tasks.csv", format="mturk", what="tasks")


def test_names_of_pictures_that_tell_the_answer_are_told_and_pictures_hides_them(
    tmp_path: Path, shelve: Shelve
) -> None:
    project = pictus.new(tmp_path / "p")
    ids = shelve(project, {"x/n01_owl12.jpg": (200, 100), "x/IMG_2.jpg": (200, 100)}, ("owl", "wren"), "https://a.org/")
    for image_id in ids.values():
        ask(project, image_id)
    for chosen, name in (("toloka", "t.tsv"), ("mturk", "t.csv"), ("hits", "t.json"), ("csv", "plain.csv")):
        outcome = annotate.export(project, tmp_path / name, format=chosen, what="tasks")
        assert "1 picture whose name tells the answer" in " ".join(outcome.problems), chosen
        assert "--pictures" in " ".join(outcome.problems)
        outcome = annotate.export(
            project, tmp_path / name, format=chosen, what="tasks", pictures="https://pictures.example.org"
        )
        assert outcome.problems == ()
        assert "owl12" not in (tmp_path / name).read_text(encoding="utf-8"), chosen
        assert ids["x/IMG_2.jpg"] in (tmp_path / name).read_text(encoding="utf-8"), chosen
