"""A desk with questions that are answered by drawing, served on loopback, and a person at it in a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.web.desk import conftest

import pictus
from pictus import collect, taxonomy

WIDTH, HEIGHT = 320, 240
VIEW = """(() => {
  const sheet = document.querySelector(".sheet"), frame = sheet.getBoundingClientRect();
  const turned = new DOMMatrix(getComputedStyle(sheet.querySelector(".sheet-picture")).transform);
  return [turned.a, turned.e + frame.left, turned.f + frame.top];
})()"""
"""How px of the picture lie on the page: scale, left, top. What the eye sees, not what the script believes."""


def desk_project(root: Path, make_jpeg: Callable[..., bytes], count: int) -> pictus.Project:
    """A project of `count` pictures of owls, WIDTH × HEIGHT px each."""
    folder = root / "in" / "owl"
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:03}.jpg").write_bytes(make_jpeg(WIDTH, HEIGHT, seed=number))
    project = pictus.new(root / "project", name="owls")
    taxonomy.import_(project, folders=root / "in")
    collect.add(project, (root / "in",), by_folder=True)
    return project


def emptied(project: pictus.Project) -> None:
    """Forget all people, questions, pages, answers and shapes."""
    with project.journal.transaction() as connection:
        for table in ("annotators", "tokens", "questions", "heaps", "pages", "page_items", "answers", "marks"):
            connection.exec_driver_sql(f"DELETE FROM {table}")


def images(project: pictus.Project) -> list[str]:
    return sorted(project.tables.read("images", ["image_id"]).column("image_id").to_pylist())


def ask(project: pictus.Project, kind: str, image_ids: Sequence[str], *, mark_id: int = 0) -> None:
    """Open questions about these pictures, as `annotate plan` puts them in."""
    with project.journal.transaction() as connection:
        for image_id in image_ids:
            connection.execute(
                sa.text(
                    "INSERT INTO questions (kind, concept_id, image_id, mark_id, state, priority, reason, votes,"
                    " leases, wanted, posterior, score, fold, known) VALUES (:kind, 'owl', :image, :mark, 'open', 1,"
                    " '', 0, 0, 1, 0.5, 0, '', '')"
                ),
                {"kind": kind, "image": image_id, "mark": mark_id},
            )
        connection.execute(
            sa.text(
                "INSERT INTO heaps (kind, concept_id, state, priority, reason, waiting) VALUES (:kind, 'owl', 'open',"
                " 1, 'no box yet', :count) ON CONFLICT (kind, concept_id) DO UPDATE SET"
                " waiting = heaps.waiting + excluded.waiting"
            ),
            {"kind": kind, "count": len(image_ids)},
        )


def put_mark(project: pictus.Project, image_id: str, shape: dict[str, Any], *, by: str = "model:first") -> int:
    """A box that is there already."""
    with project.journal.transaction() as connection:
        place = connection.execute(sa.text("SELECT COUNT(*) FROM marks")).scalar_one()
        connection.execute(
            sa.text(
                "INSERT INTO marks (kind, image_id, concept_id, annotator, shape, source, place, replaces, made_at)"
                " VALUES ('box', :image, 'owl', :by, :shape, 'test', :place, 0, '2026-01-01T00:00:00Z')"
            ),
            {"image": image_id, "by": by, "shape": json.dumps(shape), "place": place},
        )
        return int(connection.execute(sa.text("SELECT MAX(mark_id) FROM marks")).scalar_one())


def marks(project: pictus.Project, kind: str) -> list[dict[str, Any]]:
    """The shapes that came in, in the order they were drawn."""
    with project.journal.transaction() as connection:
        rows = connection.execute(
            sa.text("SELECT image_id, annotator, shape FROM marks WHERE kind = :kind ORDER BY mark_id"), {"kind": kind}
        )
        return [{"image": row.image_id, "by": row.annotator, **json.loads(row.shape)} for row in rows]


def states(project: pictus.Project) -> list[tuple[str, str, int]]:
    """Kind, state and votes of every question."""
    with project.journal.transaction() as connection:
        rows = connection.execute(sa.text("SELECT kind, state, votes FROM questions ORDER BY question_id"))
        return [(row.kind, row.state, int(row.votes)) for row in rows]


@contextmanager
def served(project: pictus.Project) -> Iterator[str]:
    """The desk on a free port of loopback, as a kiosk -> its address."""
    with conftest.served(project) as server:
        yield server.address


@dataclass(frozen=True)
class Hand:
    """Somebody at the desk: draws at px of the picture, whatever the zoom."""

    page: Any
    address: str

    def enter(self, name: str, kind: str) -> Hand:
        """Sign in under a name and take up the first page of a kind."""
        body, headers = {"token": "", "name": name}, {"x-pictus": "desk", "content-type": "application/json"}
        answer = self.page.context.request.post(f"{self.address}/desk/join", data=json.dumps(body), headers=headers)
        assert answer.ok, answer.text()
        return self.take(kind)

    def take(self, kind: str) -> Hand:
        self.page.goto(f"{self.address}/desk?kind={kind}")
        return self.ready()

    def ready(self) -> Hand:
        self.page.wait_for_selector(".sheet.loaded")
        self.frame()
        return self

    def frame(self) -> None:
        """Until the browser has drawn: what was just done is on the screen then."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place on the page where this point of the picture is seen."""
        scale, left, top = self.page.evaluate(VIEW)
        return left + x * scale, top + y * scale

    def drag(self, *points: tuple[float, float]) -> None:
        places = [self.at(*point) for point in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=3)
        self.page.mouse.up()
        self.frame()

    def click(self, *points: tuple[float, float]) -> None:
        for point in points:
            self.page.mouse.click(*self.at(*point))
        self.frame()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.frame()

    def said(self) -> str:
        self.frame()
        return str(self.page.inner_text("#said"))

    def wait_saved(self) -> None:
        """Until the server has everything that was handed in."""
        self.page.wait_for_selector("#saved:text-is('Saved')")


@contextmanager
def person(
    chromium: Any, address: str, *, width: int = 1280, height: int = 800, may_fail: str = "", **more: Any
) -> Iterator[Hand]:  # fmt: skip
    """A fresh browser context; any error on its console fails the test, but those that hold the words `may_fail`."""
    context = chromium.new_context(viewport={"width": width, "height": height}, **more)
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    try:
        yield Hand(opened, address)
    finally:
        context.close()
    assert [one for one in said if not may_fail or may_fail not in one] == []
