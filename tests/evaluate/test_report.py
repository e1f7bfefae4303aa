"""The page is parsed, not eyed: what is in it, that nothing is fetched, that names cannot break it."""

from __future__ import annotations

import base64
import io
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pictus.concepts import Taxonomy
from pictus.evaluate import charts
from pictus.evaluate.gallery import choose, only
from pictus.evaluate.predictions import SCHEMA
from pictus.evaluate.report import Subject, class_bars, leaning, page, shown_order
from pictus.evaluate.results import Bin, ClassScore, in_tree_order, measure
from pictus.metrics import confusion
from pictus.records import Concept
from pictus.stats import Interval

SUBJECT = Subject("first", "small-cnn", "birds", "1.0.0", "test", "2026-01-01T00:00:00Z")
EVIL = '<script>alert("x")</script>'


def world(n_classes: int, per_class: int, seed: int = 0) -> tuple[pa.Table, list[str], list[str], Taxonomy]:
    """Random predictions over classes under one root; the first class has a hostile name."""
    generator = np.random.default_rng(seed)
    classes = [f"c{label:04d}" for label in range(n_classes)]
    names = [EVIL, *(f"kind {label}" for label in range(1, n_classes))]
    rows = []
    for label in range(n_classes):
        for number in range(per_class):
            guess = label if generator.random() < 0.6 else int(generator.integers(n_classes))
            rows.append({
                "image_id": f"{label * per_class + number:064x}", "concept_id": classes[label], "label": label,
                "guesses": [classes[guess]], "guess_labels": [guess], "probabilities": [float(generator.random())],
                "true_probability": 0.5, "cause": "",
            })  # fmt: skip
    taxonomy = Taxonomy.of([Concept("root", ("root",)), *(Concept(one, (one,), parents=("root",)) for one in classes)])
    return pa.Table.from_pylist(rows, schema=SCHEMA), classes, names, taxonomy


def rendered(n_classes: int, per_class: int, jpeg: bytes) -> str:
    predictions, classes, names, taxonomy = world(n_classes, per_class)
    results = measure(predictions, classes, names, taxonomy)
    gallery = choose(predictions, results, names)
    return page(SUBJECT, results, gallery, dict.fromkeys(gallery.rows, jpeg), taxonomy)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.opened: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append((tag, dict(attrs)))


def tags(html: str) -> Tags:
    found = Tags()
    found.feed(html)
    return found


def test_the_page_fetches_nothing_and_runs_nothing(make_jpeg: Any) -> None:
    html = rendered(5, 10, make_jpeg(40, 30))
    opened = tags(html).opened
    assert not [tag for tag, _ in opened if tag in ("script", "link", "iframe", "object")]
    addresses = [value for _, attributes in opened for name, value in attributes.items() if name in ("src", "href")]
    assert addresses
    assert all(address is not None and address.startswith("data:image/jpeg;base64,") for address in addresses)
    assert not re.search(r"https?://", html)


def test_names_cannot_break_the_page(make_jpeg: Any) -> None:
    html = rendered(5, 10, make_jpeg(40, 30))
    assert EVIL not in html
    assert "&lt;script&gt;" in html


def test_every_picture_has_a_text_for_those_who_cannot_see_it(make_jpeg: Any) -> None:
    pictures = [attributes for tag, attributes in tags(rendered(5, 10, make_jpeg(40, 30))).opened if tag == "img"]
    assert len(pictures) > 30
    assert all(attributes["alt"] for attributes in pictures)


def test_a_wrong_picture_says_in_words_what_was_guessed(make_jpeg: Any) -> None:
    predictions, classes, names, taxonomy = world(12, 6)
    gallery = choose(predictions, measure(predictions, classes, names, taxonomy), names)
    html = rendered(12, 6, make_jpeg(40, 30))
    wrong = [shot for shot in gallery.sample if not shot.is_right]
    assert wrong
    for shot in wrong:
        assert f'{shot.true_name}<br><span class="wrong">→ guessed {shot.guess_name}</span>' in html.replace(
            "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;", EVIL
        )
    assert html.count("% sure</span></span>") == len(gallery.boldest)
    assert not re.search(r"\?</span>", html), "a question mark after a name explains nothing"
    assert "what the model took it for" in html


def test_the_page_says_how_to_get_the_same_data(make_jpeg: Any) -> None:
    html = rendered(3, 4, make_jpeg(40, 30))
    assert "pictus evaluate run --run first --release 1.0.0 --split test --json" in html
    assert "evaluate.run(pictus.open(" in html
    assert "/api/evaluate/run" in html


def test_many_classes_show_the_worst_and_the_best_and_one_pixel_per_pair(make_jpeg: Any) -> None:
    html = rendered(80, 5, make_jpeg(40, 30))
    assert "40 classes between; the best:" in html
    assert 'class="pixels"' in html
    assert html.count("<td>c00") == 80  # the table has all


def test_a_flat_tree_is_not_said_to_hold_kin(make_jpeg: Any) -> None:
    html = rendered(3, 8, make_jpeg(40, 30))
    assert "in the order of their names" in html
    assert "kin stand side by side" not in html


def test_the_map_of_a_flat_tree_goes_by_name() -> None:
    predictions, classes, _, taxonomy = world(3, 8)
    results = measure(predictions, classes, ["owl", "Cup", "bee"], taxonomy)
    assert shown_order(results, taxonomy) == [2, 1, 0]
    by_kin = Taxonomy.of([
        *(Concept(one, (one,)) for one in ("root", "x", "y")), Concept("c0000", ("owl",), parents=("x",)),
        Concept("c0002", ("bee",), parents=("y",)), Concept("c0001", ("cup",), parents=("x",)),
    ])  # fmt: skip
    deep = measure(predictions, classes, ["owl", "cup", "bee"], by_kin)
    gallery = only(choose(predictions, deep, ["owl", "cup", "bee"]), {})
    assert shown_order(deep, by_kin) == in_tree_order(by_kin, classes)
    assert deep.greatest_height > 1
    assert "kin stand side by side" in page(SUBJECT, deep, gallery, {}, by_kin)


def test_one_class_one_picture() -> None:
    predictions, classes, names, taxonomy = world(1, 1)
    results = measure(predictions, classes, names, taxonomy)
    html = page(SUBJECT, results, only(choose(predictions, results, names), {}), {}, taxonomy)
    assert "100.0" in html
    assert "hierarchical error" not in html
    assert "What it confuses" not in html


def test_pictures_without_a_thumbnail_are_left_out_of_the_walls() -> None:
    predictions, classes, names, taxonomy = world(4, 10)
    results = measure(predictions, classes, names, taxonomy)
    gallery = choose(predictions, results, names)
    shown = set(gallery.rows[::2])
    assert only(gallery, shown).rows == sorted(shown)


def test_the_sample_is_fair_and_the_boldest_mistakes_come_surest_first() -> None:
    predictions, classes, names, taxonomy = world(20, 50)
    results = measure(predictions, classes, names, taxonomy)
    gallery = choose(predictions, results, names, seed=1)
    assert not any(shot.is_right for shot in gallery.boldest)
    confidences = [shot.confidence for shot in gallery.boldest]
    assert confidences == sorted(confidences, reverse=True)
    assert choose(predictions, results, names, seed=1) == gallery
    assert choose(predictions, results, names, seed=2).sample != gallery.sample
    for pair in gallery.pairs:
        assert {shot.true_name for shot in pair.taken} == {pair.confusion.true_name}
        assert {shot.guess_name for shot in pair.taken} == {pair.confusion.predicted_name}
        assert all(shot.is_right and shot.true_name == pair.confusion.predicted_name for shot in pair.examples)


def test_bars_start_at_zero_and_end_at_the_share() -> None:
    svg = charts.interval_bar(Interval(0.25, 0.1, 0.5), mark=0.75)
    assert '<rect class="fill" width="25.00"' in svg
    assert 'x1="10.00" x2="50.00"' in svg
    assert 'x1="75.00" x2="75.00"' in svg
    assert 'width="0.00"' in charts.interval_bar(Interval(float("nan"), 0, 1))


def test_a_dot_lies_at_its_confidence_and_accuracy() -> None:
    empty = Bin(0.6, 0.8, 0, float("nan"), Interval(float("nan"), 0, 1))
    svg = charts.reliability([Bin(0.4, 0.6, 10, 0.5, Interval(1.0, 0.7, 1.0)), empty])
    assert svg.count("<circle") == 1  # an empty bin has none
    assert 'cx="220.0" cy="12.0"' in svg  # left 60 + 0.5 * 320; accuracy 1 is the top, 12


def test_map_follows_the_order_given_and_tells_each_cell() -> None:
    svg = charts.confusion_map(confusion([0, 0, 0, 0, 1, 1], [0, 0, 1, 0, 1, 1], 2), ["dog", "cat"], [1, 0])
    assert re.findall(r"<title>(.*?)</title>", svg) == [
        "cat: 2 of 2 found", "dog: 1 of 4 taken for cat", "dog: 3 of 4 found"
    ]  # fmt: skip


@pytest.mark.parametrize(("n_classes", "side"), [(61, 61), (2_000, 2_000), (21_841, 2_000)])
def test_the_map_of_many_classes_is_a_picture_no_larger_than_a_screen(n_classes: int, side: int) -> None:
    from PIL import Image

    # all right, but the last class is taken for the first in one picture of four
    labels = [*range(n_classes), *[n_classes - 1] * 3]
    html = charts.confusion_map(
        confusion(labels, [*labels[:-1], 0], n_classes), [""] * n_classes, list(range(n_classes))
    )
    hits, misses = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))[:, :, 1]
        for data in re.findall(r"-webkit-mask-image:url\(data:image/png;base64,([^)]*)\)", html)
    )
    assert hits.shape == misses.shape == (side, side)
    assert np.count_nonzero(hits) == side
    assert [hits[0, 0], misses[-1, 0]] == [255, int(255 * (0.08 + 0.92 * 0.5))]
    assert np.count_nonzero(misses) == 1


@pytest.mark.parametrize(
    ("confidence", "words"), [(0.9, "40 points above"), (0.2, "30 points below"), (0.505, "agree on average")]
)
def test_leaning_in_words(confidence: float, words: str) -> None:
    predictions, classes, names, taxonomy = world(2, 1)
    results = measure(predictions, classes, names, taxonomy)
    from dataclasses import replace

    bins = (Bin(0, 1, 10, confidence, Interval(0.5, 0.2, 0.8)),)
    assert words in leaning(replace(results, bins=bins))


def test_few_classes_are_all_shown_from_worst_to_best() -> None:
    classes = [ClassScore(f"c{n}", f"kind {n}", 10, n, n / 10, 0, 1, None, 0, 1, None, None, "", 0) for n in (5, 1, 9)]
    worst, best = class_bars(classes)
    assert [one.right for one in worst] == [1, 5, 9]
    assert best == []


@pytest.mark.browser
def test_the_page_fits_a_wide_and_a_narrow_window(make_jpeg: Any, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or "/usr/bin/chromium"
    if not Path(chromium).exists():
        pytest.skip("Chromium is not installed (Debian: chromium)")
    (tmp_path / "report.html").write_text(rendered(30, 8, make_jpeg(160, 90)))
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        for width in (1280, 400):
            page = browser.new_page(viewport={"width": width, "height": 800})
            page.goto(f"file://{tmp_path}/report.html")
            assert page.evaluate("document.documentElement.scrollWidth") == width
            broken = "[...document.images].filter((one) => !one.naturalWidth).length"
            assert page.evaluate(broken) == 0
            page.keyboard.press("Tab")  # everything that can be acted on is reached by keyboard
            assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
        browser.close()
