"""A project with a queue, its desk on a free port of loopback, a Chromium, and somebody signed in."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pictus
from pictus import annotate, collect, taxonomy
from pictus.annotate.desk.desk_steps import Desk, Limits, open_desk
from pictus.web.desk import review
from pictus.web.desk.app import build_desk_app
from pictus.web.server import listen

CONCEPTS = 8
EACH = 12
PATIENT = Limits(accuracy=0.0, fast_s=0.0, pages=0)
"""Nobody is paused: a test answers faster than anybody looks."""

MakeDesk = Callable[[pictus.Project], Desk]


def drawn(seed: int) -> bytes:
    """A small picture unlike the others."""
    generator = np.random.default_rng(seed)
    cells = Image.fromarray(generator.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    out = io.BytesIO()
    cells.resize((120, 90), Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
    return out.getvalue()


def make_project(
    root: Path, concepts: int = CONCEPTS, each: int = EACH, *, quiz: int = 0, name: str = "",
    is_planned: bool = True,
) -> pictus.Project:  # fmt: skip
    """`concepts` × `each` drawn pictures, each claimed by its folder; the first `quiz` concepts have glosses."""
    folder = root / "in"
    lines = ["id,name,parent,gloss,is_class", "top,thing,,,no"]
    for number in range(concepts):
        place = folder / f"c{number:02}"
        place.mkdir(parents=True)
        gloss = f"what is meant by number {number}" if number < quiz else ""
        lines.append(f"c{number:02},{name or 'kind'} {number},top,{gloss},yes")
        for index in range(each):
            (place / f"{index}.jpg").write_bytes(drawn(1000 * number + index))
    (root / "concepts.csv").write_text("\n".join(lines) + "\n")
    project = pictus.new(root / "birds")
    taxonomy.import_(project, file=root / "concepts.csv")
    collect.add(project, (folder,), by_folder=True)
    if is_planned:
        annotate.plan(project)
    return project


def settled_project(root: Path, concepts: int, each: int, *, quiz: int = 0, settled: int = 3) -> pictus.Project:
    """The same, but the first `settled` pictures of each concept have been agreed upon."""
    project = make_project(root, concepts, each, quiz=quiz, is_planned=False)
    chosen = [row for row in project.tables.read("sources").to_pylist()
              if int(Path(row["address"]).stem) < settled]  # fmt: skip
    lines = [f"{who},{row['image_id']},{row['concept_id']},yes" for row in chosen for who in ("a", "b", "c")]
    (root / "votes.csv").write_text("\n".join(["worker,image,question,answer", *lines]) + "\n")
    annotate.import_(project, (root / "votes.csv",))
    annotate.settle(project)
    annotate.plan(project)
    return project


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, too, a page of review is the page and not the one that says it is being counted."""
    monkeypatch.setattr(review, "PATIENT_S", 30.0)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> pictus.Project:
    """8 concepts with 12 pictures each; the first two begin with a quiz."""
    return make_project(tmp_path_factory.mktemp("desk"), quiz=2)


@pytest.fixture
def fresh(tmp_path: Path) -> pictus.Project:
    """A small project of one's own: 6 concepts with 8 pictures each."""
    return make_project(tmp_path, 6, 8)


@pytest.fixture
def desk_of() -> MakeDesk:
    """desk_of(project): three votes each, chance that can be repeated, nobody paused."""
    return lambda project: open_desk(project, rule="fixed", seed=1, limits=PATIENT)


class Server:
    """The desk's process, as a thread that can be killed and started again on the same port."""

    def __init__(self, project: pictus.Project, *, is_kiosk: bool = True) -> None:
        self.project = project
        self.is_kiosk = is_kiosk
        self.port = 0
        self._server: Any = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        import uvicorn

        listener = listen("127.0.0.1", self.port)
        self.port = listener.getsockname()[1]
        desk = open_desk(self.project, rule="fixed", seed=1, limits=PATIENT)
        app = build_desk_app(self.project, desk, is_kiosk=self.is_kiosk)
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=10))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop(self) -> None:
        """What is under way is answered first: what uvicorn cuts off it answers 500, which no killed process does."""
        assert self._thread is not None
        self._server.should_exit = True
        self._thread.join(15)
        self._server.force_exit = True
        self._thread.join(10)


@contextmanager
def served(project: pictus.Project, *, is_kiosk: bool = True) -> Iterator[Server]:
    """The desk of a project while a test lasts."""
    server = Server(project, is_kiosk=is_kiosk)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def server(project: pictus.Project) -> Iterator[Server]:
    with served(project) as found:
        yield found


NewPage = Callable[..., Any]


@pytest.fixture
def new_page(chromium: Any) -> Iterator[NewPage]:
    """new_page(width=1280, color_scheme=…): a page of its own; an error on any console fails the test.

    What a lost connection and a refusal print there is expected.
    """
    contexts: list[Any] = []
    said: list[str] = []

    def make(*, width: int = 1280, height: int = 800, **how: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, **how)
        contexts.append(context)
        page = context.new_page()
        listen_to(page, said)
        return page

    yield make
    for context in contexts:
        context.close()
    assert said == []


Sit = Callable[..., Any]


@pytest.fixture
def sit(new_page: NewPage) -> Sit:
    """sit(server, name, width=…): a page of their own for somebody at a kiosk, who has the wall before them."""

    def down(server: Server, name: str, **how: Any) -> Any:
        page = new_page(**how)
        come_in(page, server.address, name)
        at_wall(page)
        return page

    return down


def listen_to(page: Any, said: list[str]) -> None:
    """Collect what goes wrong on a page."""
    lost = ("ERR_INTERNET_DISCONNECTED", "ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_NETWORK_CHANGED", "401 (")

    def heard(message: Any) -> None:
        if message.type == "error" and not any(word in message.text for word in lost):
            said.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: said.append(str(error)))


def come_in(page: Any, address: str, name: str) -> None:
    """Sign in at a kiosk and go to the wall, through a quiz where there is one."""
    page.goto(address)
    sign_in(page, name)
    page.goto(address + "/desk")


def come_by_link(page: Any, server: Server, name: str, role: str = "annotator") -> None:
    """Sign in by a link of one's own."""
    page.goto(server.address + annotate.invite(server.project, role=role).summary["links"][0])
    sign_in(page, name)


def sign_in(page: Any, name: str) -> None:
    """Type a name at the entrance, and wait until one is in."""
    page.fill("#name", name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#leave")


def at_wall(page: Any) -> None:
    """Answer a quiz if one is asked, by keys, until the wall is there, and stays when the choice was looked at."""
    for key in "12341234":
        page.wait_for_selector(".mark, .quiz")
        if page.locator(".quiz").count():
            page.keyboard.press(key)
        page.wait_for_timeout(400)
        if page.locator(".mark").count() and not page.locator(".quiz").count():
            break
    page.wait_for_selector(".mark")
