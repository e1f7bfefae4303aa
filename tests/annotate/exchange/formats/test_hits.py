"""ImageNet-V2's pages: real ones read and shown, controls known answers, and pages of our own queue."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import pictus
from pictus import annotate, collect
from pictus.annotate.desk.desk_steps import open_desk
from pictus.annotate.exchange.formats import hits
from pictus.annotate.exchange.formats.contents import Bad
from pictus.annotate.exchange.formats.documents import bundle_of
from pictus.errors import UserError
from pictus.records import Concept
from pictus.tables import table_of

Shelve = Callable[..., dict[str, str]]


class Counts(HTMLParser):
    """Tags that a browser would see, and the classes of list items."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "li":
            self.cells.append(dict(attrs)["class"] or "")


@pytest.mark.real_data
def test_the_333_real_pages_are_read_and_shown(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    project = pictus.new(tmp_path / "p")
    total = controls = 0
    for path in sorted((real_data("imagenetv2_collection") / "hits").glob("*.json.xz")):
        pages = [one for _, one in hits.hits(bundle_of(path))]
        assert not any(isinstance(one, Bad) for one in pages)
        for page in pages:
            assert isinstance(page, hits.Hit)
            assert len(set(page.pictures)) == 48
            yes, no = (sum(known == answer for known in page.known.values()) for answer in ("yes", "no"))
            assert yes == no in (3, 9)  # 9 of each on one page
        outcome = annotate.preview(project, path, tmp_path / "pages.html")
        counts = Counts()
        counts.feed((tmp_path / "pages.html").read_text(encoding="utf-8"))
        assert counts.tags.count("section") == len(pages) == outcome.summary["pages"]
        assert len(counts.cells) == 48 * len(pages)
        marked = [sum(f"is-{answer}" in cell for cell in counts.cells) for answer in ("yes", "no")]
        assert marked[0] == marked[1] == outcome.summary["controls"] // 2
        total += len(pages)
        controls += outcome.summary["controls"]
    assert (total, controls) == (333, 332 * 6 + 18)


def page(wnid: str, ask: list[str], yes: list[str], no: list[str]) -> dict[str, Any]:
    return {"wnid": wnid, "images_to_label": ask, "images_pos_control": yes, "images_neg_control": no,
            "images_all": [*ask[:1], *yes, *ask[1:], *no], "uuid": "u", "submitted": True}  # fmt: skip


def write(tmp_path: Path, value: object, name: str = "hits.json.xz") -> Path:
    path = tmp_path / name
    data = json.dumps(value).encode()
    path.write_bytes(lzma.compress(data) if name.endswith(".xz") else data)
    return path


def test_controls_become_known_answers_and_the_others_questions(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, known: Callable[[pictus.Project], Any]
) -> None:
    ids = shelve(project, {f"{n}.jpg": (10, 10) for n in range(5)})
    path = write(tmp_path, [page("cowl", ["0.jpg", "1.jpg", "absent"], ["2.jpg"], ["3.jpg", "4.jpg"])])
    with pytest.raises(UserError, match="no picture 'absent'"):
        annotate.import_(project, (path,))
    assert known(project) == set()
    outcome = annotate.import_(project, (path,), skip_unknown=True)
    assert (outcome.summary["asked"], outcome.summary["known"]) == (2, 3)
    assert known(project) == {
        ("cowl", ids["0.jpg"], "open", ""), ("cowl", ids["1.jpg"], "open", ""),
        ("cowl", ids["2.jpg"], "accepted", "yes"), ("cowl", ids["3.jpg"], "rejected", "no"),
        ("cowl", ids["4.jpg"], "rejected", "no"),
    }  # fmt: skip
    again = annotate.import_(project, (path,), skip_unknown=True)
    assert (again.summary["asked"], again.summary["known"]) == (0, 0)


def test_a_page_that_contradicts_itself_is_told(project: pictus.Project, tmp_path: Path, shelve: Shelve) -> None:
    shelve(project, {"0.jpg": (10, 10)})
    both = write(tmp_path, [page("cowl", [], ["0.jpg"], ["0.jpg"]), {"wnid": 3, "images_all": []}])
    with pytest.raises(UserError, match="both a positive and a negative control") as raised:
        annotate.import_(project, (both,))
    assert "hits.json.xz HIT 2: no 'wnid'" in raised.value.what


def test_a_preview_shows_names_as_text(project: pictus.Project, tmp_path: Path) -> None:
    path = write(tmp_path, [page("<script>1</script>", ["<img src=x onerror=1>"], [], [])], "a.json")
    annotate.preview(project, path, tmp_path / "a.html")
    counts = Counts()
    counts.feed((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "script" not in counts.tags
    assert "img" not in counts.tags
    with pytest.raises(UserError, match="no pages with controls"):
        annotate.preview(project, write(tmp_path, [1], "b.json"), tmp_path / "b.html")


def test_a_preview_shows_the_pictures_that_are_here(
    project: pictus.Project, tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(2):
        (photos / f"{number}.jpg").write_bytes(make_jpeg(seed=number))
    collect.add(project, (str(photos),))
    path = write(tmp_path, [page("cowl", ["0.jpg", "absent"], ["1.jpg"], [])])
    outcome = annotate.preview(project, path, tmp_path / "a.html")
    assert outcome.summary["here"] == 2
    counts = Counts()
    counts.feed((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert counts.tags.count("img") == 2
    assert "1 not in the project" in (tmp_path / "a.html").read_text(encoding="utf-8").replace("\n", " ")


def fill_queue(project: pictus.Project, tmp_path: Path, shelve: Shelve, asked: int, controls: int) -> dict[str, str]:
    names = [f"{n}.jpg" for n in range(asked + 2 * controls)]
    ids = shelve(project, dict.fromkeys(names, (10, 10)))
    path = write(tmp_path, [page("cowl", names[2 * controls :], names[:controls], names[controls : 2 * controls])])
    annotate.import_(project, (path,))
    return ids


def test_the_queue_becomes_pages_of_48_with_controls(project: pictus.Project, tmp_path: Path, shelve: Shelve) -> None:
    fill_queue(project, tmp_path, shelve, asked=100, controls=5)
    outcome = annotate.export(project, tmp_path / "out.json", format="hits")
    pages = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [len(one["images_all"]) for one in pages] == [48, 48, 22]
    assert outcome.summary["rows"] == 118
    asked = [name for one in pages for name in one["images_to_label"]]
    assert len(asked) == len(set(asked)) == 100
    for one in pages:
        assert len(one["images_pos_control"]) == len(one["images_neg_control"]) == 3
        parts = [*one["images_to_label"], *one["images_pos_control"], *one["images_neg_control"]]
        assert sorted(one["images_all"]) == sorted(parts)
        assert one["images_all"] != parts
    again = tmp_path / "again.json"
    annotate.export(project, again, format="hits")
    assert again.read_bytes() == (tmp_path / "out.json").read_bytes()
    annotate.export(project, again, format="hits", seed=1)
    assert again.read_bytes() != (tmp_path / "out.json").read_bytes()


def test_the_desk_lends_what_a_file_asks_with_its_controls_among_it(
    project: pictus.Project, tmp_path: Path, shelve: Shelve
) -> None:
    fill_queue(project, tmp_path, shelve, asked=60, controls=3)
    desk = open_desk(project)
    person = desk.person(desk.kiosk("ada"))
    assert person is not None
    lent = desk.next_page(person)
    assert lent is not None
    assert (lent.kind, lent.concept_id, len(lent.items)) == ("grid", "cowl", 48)
    query = "SELECT role, COUNT(*) FROM page_items GROUP BY role"
    with project.journal.transaction() as connection:
        roles = {row[0]: row[1] for row in connection.execute(sa.text(query))}
    assert roles["gold"] > 0
    assert roles["ask"] + roles["gold"] == 48


def test_pages_exported_and_taken_in_elsewhere_ask_the_same(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, known: Callable[[pictus.Project], Any]
) -> None:
    ids = fill_queue(project, tmp_path, shelve, asked=50, controls=3)
    annotate.export(project, tmp_path / "out.json", format="hits")
    new = pictus.new(tmp_path / "new")
    shelve(new, dict.fromkeys(ids, (10, 10)), start="/srv/")
    annotate.import_(new, (tmp_path / "out.json",))
    assert known(new) == known(project)


def test_a_platforms_tasks_do_not_say_which_are_controls(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, known: Callable[[pictus.Project], Any],
    said: Callable[[pictus.Project], Any],
) -> None:  # fmt: skip
    fill_queue(project, tmp_path, shelve, asked=44, controls=3)
    project.tables.replace("concepts", table_of("concepts", [Concept("cowl", ("owl",), gloss='a <b>"bird"</b>')]))
    served = "https://pictures.example.org/x"
    outcome = annotate.export(project, tmp_path / "b.csv", format="mturk", what="tasks", pictures=served)
    assert outcome.problems == ()
    head, *rows = [line.split(",") for line in (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines()]
    assert head[:4] == ["concept", "name", "gloss", "image_1"]
    assert len(rows) == 2
    assert all(cell.startswith(served) for cell in rows[0][3:])
    text = (tmp_path / "b.csv").read_text(encoding="utf-8")
    assert "<b>" not in text
    form = (tmp_path / "b.html").read_text(encoding="utf-8")
    assert "${image_48}" in form
    assert "known" not in form
    # A worker's results: everything that was shown, and the numbers of what was marked.
    results = tmp_path / "results.csv"
    columns = ["HITId", "WorkerId", "AssignmentStatus", *(f"Input.{name}" for name in head)]
    answers = [["H1", "W1", "Approved", *rows[0], "1 3", "2", "48"], ["H1", "W2", "Rejected", *rows[0], "1", "", "48"]]
    lines = [[*columns, "Answer.yes", "Answer.unsure", "Answer.seen"], *answers]
    results.write_text("\n".join(",".join(line) for line in lines) + "\n", encoding="utf-8")
    taken = annotate.import_(project, (results,))
    assert taken.summary["votes"] == 48
    assert taken.problems == ("1 answer left out that the file itself rejects",)
    by = {answer: sum(vote[3] == answer for vote in said(project)) for answer in ("yes", "no", "unsure")}
    assert by == {"yes": 2, "no": 45, "unsure": 1}


def test_toloka_gets_golden_answers_in_their_own_column_only(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, known: Callable[[pictus.Project], Any]
) -> None:
    ids = fill_queue(project, tmp_path, shelve, asked=20, controls=4)
    outcome = annotate.export(project, tmp_path / "t.tsv", format="toloka", what="tasks")
    assert "without a web address" in outcome.problems[0]
    rows = [line.split("\t") for line in (tmp_path / "t.tsv").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 29
    golden = [number for number, row in enumerate(rows[1:]) if row[-1]]
    assert len(golden) == 8
    assert golden != list(range(8))
    new = pictus.new(tmp_path / "new")
    shelve(new, dict.fromkeys(ids, (10, 10)))
    golden_only = tmp_path / "golden.tsv"
    golden_only.write_text("\n".join("\t".join(row) for row in rows if row[-1]) + "\n", encoding="utf-8")
    annotate.import_(new, (golden_only,))
    assert known(new) == {row for row in known(project) if row[3]}
