"""The pages in a real Chromium: keyboard, scrolling, narrow screens, dark and light."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import pictus
from pictus import annotate, clean, collect, release, search, taxonomy
from pictus.web.server import build_app, listen

pytestmark = pytest.mark.browser

PICTURES = 150
PAGES = ("/", "/concepts", "/pictures", "/clean", "/clean/duplicates", "/releases", "/runs", "/search")
LONG = "pneumonoultramicroscopicsilicovolcanoconiosis-" * 3 + "x"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, make_jpeg: Callable[..., bytes]) -> Iterator[str]:
    """A project of 150 pictures served on loopback."""
    folder = tmp_path_factory.mktemp("in")
    for index in range(PICTURES):
        place = folder / ("owl", "cup", "tree")[index % 3]
        place.mkdir(exist_ok=True)
        (place / f"{index}.jpg").write_bytes(make_jpeg(160, 120, seed=index))
    project = pictus.new(tmp_path_factory.mktemp("project") / "birds")
    taxonomy.import_(project, folders=folder)
    collect.add(project, (folder,), by_folder=True)
    for stage in (clean.check, clean.dedupe, clean.screen):
        stage(project)
    annotate.import_(project, from_folders=True)
    annotate.settle(project)
    search.index(project, run="classical")
    with served(project) as found:
        yield found


@contextmanager
def served(project: pictus.Project) -> Iterator[str]:
    """The project's pages on a free port of loopback."""
    import uvicorn

    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(build_app(project), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, make_jpeg: Callable[..., bytes]) -> Iterator[str]:
    """A project of small pictures, duplicates and names that no column holds."""
    import base64

    folder = tmp_path_factory.mktemp("in")
    for index in range(16):
        place = folder / ("kurz", LONG, "many short words " * 6)[index % 3].strip()
        place.mkdir(exist_ok=True)
        (place / f"{index}.jpg").write_bytes(make_jpeg(64, 48 + index, seed=index))
        if index < 4:
            (place / f"{index}-again.jpg").write_bytes(make_jpeg(64, 48 + index, seed=index, quality=70))
    project = pictus.new(tmp_path_factory.mktemp("project") / "p", name="a-very-long-name-" * 6)
    taxonomy.import_(project, folders=folder)
    collect.add(project, (folder,), by_folder=True)
    for stage in (clean.check, clean.dedupe, clean.screen):
        stage(project)
    annotate.import_(project, from_folders=True)
    annotate.settle(project)
    release.split(project, seed=1)
    release.cut(project, "1.0.0-" + "alpha." * 12 + "1", description=LONG)
    root = make_run(project, "r" * 90, epochs=5)
    evaluated(root)
    study = project.models_dir / ("s" * 90)
    study.mkdir()
    (study / "study.sqlite").touch()
    told = {"recipe": "n" * 90, "release": "1.0.0", "trials": 12, "given_up": 3, "best": 4, "score": 0.5}
    (study / "study.json").write_text(json.dumps(told))
    (study / "report.html").write_text("<p>importance</p>")
    picture = base64.b64encode(make_jpeg(20, 20)).decode()
    html = f"<style>body {{ font-size: 21px }}</style><img alt='x' src='data:image/jpeg;base64,{picture}'>"
    (root / "evaluations" / "1.0.0-test" / "report.html").write_text(html)
    with served(project) as found:
        yield found


def make_run(project: pictus.Project, name: str, *, epochs: int) -> Path:
    root = project.models_dir / name
    root.mkdir(parents=True)
    card = {
        "format": 1, "name": name, "status": "finished", "model": "small-cnn", "recipe_name": "small-cnn",
        "recipe": {"lr": 0.25, "weights": "w" * 200}, "release": {"version": "1.0.0"}, "classes": ["a", "b"],
        "class_names": ["owl", "cup"], "started_at": "2026-01-01T00:00:00Z", "finished_at": "",
        "results": {}, "pictures": {"train": 10, "val": 40},
        "preprocessing": {"size": 32, "resize": 32, "mean": [0, 0, 0], "std": [1, 1, 1]},
    }  # fmt: skip
    (root / "run.json").write_text(json.dumps(card))
    numbers = {"step": 1, "lr": 0.1, "train_loss": 1.0, "val_loss": 1.0, "val_top5": 1.0, "is_best": True}
    lines = [
        {"kind": "epoch", "epoch": epoch, "val_top1": epoch / 10, "train_top1": 0.5, **numbers}
        for epoch in range(1, epochs + 1)
    ]
    (root / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def evaluated(root: Path) -> None:
    folder = root / "evaluations" / "1.0.0-test"
    folder.mkdir(parents=True)
    share = {"estimate": 0.5, "low": 0.4, "high": 0.6}
    found = {"n": 20, "version": "1.0.0", "split": "test", "top1": share, "top5": share}
    (folder / "results.json").write_text(json.dumps(found))


@pytest.fixture(params=[1280, 400])
def page(request: pytest.FixtureRequest, chromium: Any) -> Iterator[Any]:
    """A fresh page; any error on its console fails the test."""
    context = chromium.new_context(viewport={"width": request.param, "height": 800})
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    context.close()
    assert said == []


@pytest.mark.parametrize("path", [*PAGES, "/search?text=owl"])
def test_no_page_scrolls_sideways(page: Any, address: str, path: str) -> None:
    page.goto(address + path)
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], f"{path} is {width[0]} px wide in {width[1]}"


def test_long_names_do_not_widen_a_page(page: Any, crowded: str) -> None:
    wide = {}
    page.goto(crowded + "/clean/duplicates")
    one = page.locator(".member .tile").nth(1).get_attribute("href")
    for path in (*PAGES, f"/search?text={LONG}", "/runs/" + "r" * 90, one, "/clean/duplicates?offset=99"):
        page.goto(crowded + path)
        width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        if width[0] > width[1]:
            wide[path] = width
    assert wide == {}


def test_an_error_page_fits_too(chromium: Any, address: str) -> None:
    context = chromium.new_context(viewport={"width": 400, "height": 800})
    opened = context.new_page()
    opened.goto(f"{address}/pictures/{'f' * 64}")
    assert opened.evaluate("document.documentElement.scrollWidth") <= 400
    assert opened.title() == "No such picture · birds"
    context.close()


def test_small_pictures_are_never_more_than_doubled(page: Any, crowded: str) -> None:
    for path in ("/pictures", "/"):
        page.goto(crowded + path)
        page.wait_for_load_state("networkidle")
        # cover fills the box: the larger of the two ratios is how much the picture is enlarged
        found = page.evaluate("""[...document.querySelectorAll(".tile img")].filter((one) => one.naturalWidth).map(
            (one) => Math.max(one.clientWidth / one.naturalWidth, one.clientHeight / one.naturalHeight))""")
        assert len(found) >= 6
        assert max(found) <= 2.01, path


def test_small_pictures_are_shown_whole_within_their_tiles(page: Any, crowded: str) -> None:
    shown = 0
    for path in ("/", "/pictures", "/clean", "/clean/duplicates"):
        page.goto(crowded + path)
        page.wait_for_load_state("networkidle")
        found = page.evaluate("""[...document.querySelectorAll(".tile img.little")].map((one) => {
            const box = one.getBoundingClientRect(), tile = one.closest(".tile").getBoundingClientRect();
            const over = [tile.left - box.left, tile.top - box.top, box.right - tile.right, box.bottom - tile.bottom];
            return [Math.max(...over), getComputedStyle(one).objectFit, box.width];
        })""")
        shown += len(found)
        outside = [one for one in found if one[0] > 0.5 or one[1] != "contain" or one[2] < 8]
        assert outside == [], path
    assert shown >= 20


@pytest.mark.parametrize("path", PAGES)
def test_what_has_the_focus_is_seen(page: Any, address: str, path: str) -> None:
    page.goto(address + path)
    seen = 0
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):  # past the last one
            continue
        seen += 1
        kind, width, what = page.evaluate("""(() => {
            const style = getComputedStyle(document.activeElement);
            return [style.outlineStyle, style.outlineWidth, document.activeElement.outerHTML.slice(0, 80)];
        })()""")
        assert (kind, width) == ("solid", "3px"), what
    assert seen >= 8, "the link to the content, the name, six pages, the keys"


def test_the_wall_grows_while_scrolling_until_every_picture_is_there(page: Any, address: str) -> None:
    page.goto(address + "/pictures")
    assert page.locator(".wall .tile").count() >= 120
    for _ in range(20):
        page.mouse.wheel(0, 4000)
        page.wait_for_timeout(60)
        if page.locator(".wall .tile").count() == PICTURES:
            break
    assert page.locator(".wall .tile").count() == PICTURES


def test_a_picture_is_reached_and_left_by_keyboard_alone(page: Any, address: str) -> None:
    page.goto(address + "/pictures")
    page.keyboard.press("j")
    page.keyboard.press("ArrowRight")
    wanted = page.evaluate("document.activeElement.dataset.id")
    assert wanted == page.locator(".tile").nth(1).get_attribute("data-id")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/pictures/{wanted}")
    assert "Kept or dropped" in page.inner_text("main")
    page.keyboard.press("Escape")
    page.wait_for_url("**/pictures")


@pytest.mark.parametrize(("key", "path"), [("r", "/releases"), ("t", "/runs"), ("s", "/search"), ("l", "/clean")])
def test_g_and_a_letter_lead_to_a_page(page: Any, address: str, key: str, path: str) -> None:
    page.goto(address + "/")
    page.keyboard.press("g")
    page.keyboard.press(key)
    page.wait_for_url(f"**{path}")


def test_question_mark_lists_the_keys(page: Any, address: str) -> None:
    page.goto(address + "/")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_a_filter_applies_when_chosen(page: Any, address: str) -> None:
    page.goto(address + "/pictures")
    page.select_option("select[name=concept]", label="owl")
    page.wait_for_url("**concept=*")
    assert "50 pictures" in page.inner_text("h1")


def test_a_dropped_picture_finds_itself(
    page: Any, address: str, tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:
    (tmp_path / "query.jpg").write_bytes(make_jpeg(160, 120, seed=4))
    page.goto(address + "/search")
    page.set_input_files("#drop input[type=file]", tmp_path / "query.jpg")
    page.wait_for_selector(".wall .tile")
    assert "1.00" in page.locator(".wall .tile").first.inner_text()
    assert page.evaluate("document.querySelector('.asked img').naturalWidth") == 160


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted_anywhere_on_the_search_page(
    page: Any, address: str, make_jpeg: Callable[..., bytes], kind: str
) -> None:
    page.goto(address + "/search")
    event = """([bytes, kind]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "query.jpg", { type: "image/jpeg" }));
        const how = { bubbles: true, cancelable: true };
        document.body.dispatchEvent(kind === "drop"
            ? new DragEvent("drop", { ...how, dataTransfer: data })
            : new ClipboardEvent("paste", { ...how, clipboardData: data }));
    }"""
    page.evaluate(event, [list(make_jpeg(160, 120, seed=4)), kind])
    page.wait_for_selector(".asked img")
    assert "1.00" in page.locator(".wall .tile").first.inner_text()


def test_a_picture_that_is_too_large_is_not_sent(page: Any, address: str) -> None:
    page.goto(address + "/search")
    page.evaluate("document.getElementById('drop').dataset.most = 10")
    page.set_input_files("#file", {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": bytes(11)})
    assert "larger than" in page.inner_text("#problem")
    assert page.locator("#file").input_value() == ""


def test_a_report_opens_in_its_sandbox_without_an_error(page: Any, crowded: str) -> None:
    page.goto(crowded + "/runs")
    page.click("text=Report on 1.0.0-test")
    page.wait_for_url("**/runs/*/1.0.0-test")
    assert page.evaluate("getComputedStyle(document.body).fontSize") == "21px", "its own styles hold"
    assert page.evaluate("document.images[0].naturalWidth") > 0, "its own pictures are shown"


def test_a_duplicate_is_restored_with_one_press(page: Any, crowded: str) -> None:
    page.goto(crowded + "/clean/duplicates")
    left = page.locator(".member form.do button").count()
    assert left
    page.locator(".member form.do button").first.press("Enter")
    page.wait_for_url("**#p-*")
    assert page.locator(".member form.do button").count() == left - 1
    assert "restored" in page.inner_text("main")


def test_dark_and_light_differ_and_keep_their_contrast(chromium: Any, address: str) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        context = chromium.new_context(color_scheme=scheme)
        opened = context.new_page()
        opened.goto(address + "/")
        style = "getComputedStyle(document.body)"
        colours[scheme] = opened.evaluate(f"[{style}.backgroundColor, {style}.color]")
        context.close()
    assert colours["light"] != colours["dark"]
    for background, ink in colours.values():
        assert contrast(background, ink) >= 7, "WCAG AAA for body text"


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio of two rgb(…) colours."""
    lights = sorted((luminance(first), luminance(second)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
