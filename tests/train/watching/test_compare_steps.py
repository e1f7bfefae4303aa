from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.stats import wilson
from pictus.train.kept import card as cards
from pictus.train.watching import words

EVIL = "<script>alert(1)</script>"


def _run(project: pictus.Project, name: str, *, tops: tuple[float, ...] = (0.5,), **card: Any) -> Path:
    """A run folder as training leaves it, without weights."""
    root = project.models_dir / name
    root.mkdir(parents=True)
    recipe = {"model": "small-cnn", "lr": 0.2, "epochs": len(tops)} | card.pop("recipe", {})
    top = max(tops, default=0.0)
    made = {
        "format": 1, "name": name, "status": "finished", "model": "small-cnn", "recipe_name": "small-cnn",
        "asked": recipe, "recipe": recipe, "release": {"version": "1.0.0", "digest": "d" * 64},
        "classes": ["a", "b"], "class_names": ["owl", "cup"], "started_at": f"2026-01-01T00:00:{len(name):02}Z",
        "finished_at": "", "pictures": {"train": 60, "val": 40}, "parameters": 1234,
        "results": {"best_epoch": tops.index(top) + 1 if tops else 0, "val_top1": top, "val_top5": 1.0,
                    "epochs": len(tops), "wall_s": 12.5, "pictures_per_s": 99.0},
        "preprocessing": {"size": 32, "resize": 32, "mean": [0, 0, 0], "std": [1, 1, 1]},
    } | card  # fmt: skip
    (root / "run.json").write_text(json.dumps(made))
    lines = [
        {"kind": "epoch", "epoch": at + 1, "step": 10 * at + 10, "lr": 0.1, "train_loss": 1.0, "train_top1": 0.5,
         "val_loss": 1.0, "val_top1": top, "val_top5": 1.0, "is_best": top == max(tops[: at + 1])}
        for at, top in enumerate(tops)
    ]  # fmt: skip
    (root / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def _tested(root: Path, share: float) -> None:
    folder = root / "evaluations" / "1.0.0-test"
    folder.mkdir(parents=True)
    found = {"estimate": share, "low": share - 0.1, "high": share + 0.1}
    (folder / "results.json").write_text(json.dumps({"top1": found}))


def test_runs_are_compared_by_what_differs_with_intervals(project: pictus.Project) -> None:
    _run(project, "a", tops=(0.25, 0.5))
    _run(project, "bb", tops=(0.75,), recipe={"lr": 0.1, "parts": 2, "warmup": 0.1})  # what it always was
    outcome = train.compare(project, runs=("a", "bb"))
    first, second = outcome
    assert (first.settings, second.settings) == ("epochs 2, lr 0.2", "epochs 1, lr 0.1")
    assert (second.val_top1, second.val_low, second.val_high) == tuple(wilson(30, 40))
    assert (first.epochs, first.seconds, first.parameters, first.test_top1) == (2, 12.5, 1234, None)
    assert outcome.summary["differ"] == {"epochs": ["2", "1"], "lr": ["0.2", "0.1"]}
    assert outcome.headline.startswith("best on validation: bb, top-1 75.0% (")


def test_the_votes_of_neighbours_are_another_figure_than_a_classifiers(project: pictus.Project) -> None:
    _run(project, "a", tops=(0.25,), recipe={"from_run": "/far/away/models/first"})
    _run(project, "simclr", tops=(0.75,), is_classifier=False)
    outcome = train.compare(project)
    assert outcome.headline.startswith("best on validation: a, top-1 25.0% (")
    assert [row.scored_by for row in outcome] == ["labels", "neighbours"]
    assert outcome.summary["differ"]["from_run"] == ["first", "none"], "a name, not where it lies"
    page = Path(outcome.summary["page"]).read_text()
    assert "kNN 75.0%" in page
    assert "kNN 25.0%" not in page


def test_the_best_is_chosen_by_test_where_all_were_tested(project: pictus.Project) -> None:
    _tested(_run(project, "a", tops=(0.9,)), 0.4)
    _tested(_run(project, "bb", tops=(0.2,)), 0.6)
    outcome = train.compare(project)
    assert outcome.headline == "best on test: bb, top-1 60.0% (50.0 to 70.0)"
    assert not outcome.problems


def test_the_page_lays_curves_on_each_other_and_runs_nothing(project: pictus.Project) -> None:
    _run(project, "a", tops=(0.25, 0.5), recipe={"policy": EVIL})
    _run(project, "bb", tops=(0.5, 0.25))
    page = Path(train.compare(project).summary["page"]).read_text()
    assert page.count("<polyline") == 6, "three charts of two runs"
    assert EVIL not in page
    assert "&lt;script&gt;" in page


def test_what_makes_a_comparison_doubtful_is_told(project: pictus.Project) -> None:
    _tested(_run(project, "a"), 0.4)
    _run(project, "bb", release={"version": "2.0.0", "digest": "e" * 64})
    _run(project, "ccc", status="running", results={}, tops=())
    outcome = train.compare(project)
    told = " ".join(outcome.problems)
    assert "ccc is not the finished model" in told
    assert "not all were trained and validated on the same release" in told
    assert "pictus evaluate run --run bb" in told
    assert list(outcome)[2].val_top1 is None


@pytest.mark.parametrize("names", [(), ("a", "a")])
def test_one_run_alone_is_not_compared(project: pictus.Project, names: tuple[str, ...]) -> None:
    _run(project, "a")
    with pytest.raises(UserError, match="Two runs or more are compared; this is one: a"):
        train.compare(project, runs=names)


@pytest.mark.parametrize("line", ["{", "3", "[" * 100_000], ids=["cut", "no object", "too deep"])
def test_a_damaged_curve_costs_the_curve_alone(project: pictus.Project, line: str) -> None:
    (_run(project, "a", status="running") / "metrics.jsonl").write_text(line + "\n")
    _run(project, "bb")
    assert next(iter(train.compare(project))).val_top1 == 0.5
    assert next(iter(train.list_(project))).val_top1 == 0.5


def _card(root: Path, *place: str, value: Any) -> None:
    path = root / "run.json"
    card = within = json.loads(path.read_text())
    for name in place[:-1]:
        within = within[name]
    within[place[-1]] = value
    path.write_text(json.dumps(card))


@pytest.mark.parametrize("value", ["x", None, [], {"a": 1}, math.inf, 10**300, "\ud800"], ids=lambda one: repr(one)[:9])
@pytest.mark.parametrize("place", [
    ("parameters",), ("pictures", "val"), ("recipe", "lr"), ("release", "version"),
    *(("results", name) for name in ("best_epoch", "epochs", "wall_s", "pictures_per_s", "val_top1")),
], ids=".".join)
def test_no_field_of_one_card_takes_the_other_runs_away(
    project: pictus.Project, place: tuple[str, ...], value: object
) -> None:
    bad = _run(project, "a", tops=())
    _run(project, "bb", recipe={"lr": 0.1})
    _card(bad, *place, value=value)
    assert [(row.name, row.epochs) for row in train.list_(project)][1:] == [("bb", 1)]
    outcome = train.compare(project)
    assert [row.val_top1 for row in outcome][1:] == [0.5]
    json.dumps(outcome.summary, ensure_ascii=False).encode()


EPOCH = {"kind": "epoch", "epoch": 1, "step": 1, "lr": 0.1, "train_loss": 1.0, "train_top1": 0.5, "val_loss": 1.0,
         "val_top1": 0.25, "val_top5": 1.0, "is_best": True}  # fmt: skip


@pytest.mark.parametrize("wrong", [
    {"epoch": "x"}, {"epoch": [1]}, {"epoch": 10**400}, {"val_top1": "x"}, {"val_top1": None}, {"val_top1": -5},
    {"val_top1": 7}, {"val_loss": "x"}, {"train_loss": []},
], ids=str)  # fmt: skip
def test_a_curve_with_a_wrong_figure_costs_the_curve_alone(project: pictus.Project, wrong: dict[str, Any]) -> None:
    (_run(project, "a", status="running") / "metrics.jsonl").write_text(json.dumps(EPOCH | wrong) + "\n")
    _run(project, "bb")
    assert [row.val_top1 for row in train.compare(project)] == [0.5, 0.5]
    assert [row.val_top1 for row in train.list_(project)] == [0.5, 0.5]


@pytest.mark.parametrize("text", [
    "[" * 200_000, json.dumps({"top1": {"estimate": 10**400, "low": 1, "high": 1}}), '{"top1": [1]}',
    '{"top1": {"estimate": NaN, "low": 0, "high": 1}}', '{"top1": {"estimate": 7, "low": 0, "high": 1}}', "",
], ids=["deep", "huge", "list", "nan", "no share", "a pipe"])  # fmt: skip
def test_an_evaluation_that_cannot_be_read_is_a_run_that_was_not_tested(project: pictus.Project, text: str) -> None:
    root = _run(project, "a")
    _tested(root, 0.4)
    _run(project, "bb")
    path = root / "evaluations" / "1.0.0-test" / "results.json"
    path.unlink()
    path.write_text(text) if text else os.mkfifo(path)
    assert [row.test_top1 for row in train.compare(project)] == [None, None]


def test_a_run_without_a_card_that_can_be_read_is_a_line(project: pictus.Project) -> None:
    for name in ("a", "bb", "ccc"):
        _run(project, name)
    (project.models_dir / "a" / "run.json").write_text("[")
    outcome = train.compare(project)
    assert [row.run for row in outcome] == ["bb", "ccc"]
    assert "is not a run card" in outcome.problems[0]


def test_a_run_that_trains_now_is_not_to_be_resumed(project: pictus.Project) -> None:
    root = _run(project, "a", status="running")
    _run(project, "bb")
    with replace(project, root=root).lock("train"):
        outcome = train.compare(project)
    assert next(iter(outcome)).status == "running"
    assert outcome.problems[0] == "a is running still: its figures are of what it has learned so far"


def test_a_list_tells_how_far_an_unfinished_run_is(project: pictus.Project) -> None:
    _run(project, "a", tops=(0.25, 0.5, 0.375), status="running", results={})
    (row,) = cards.rows(models.runs(project))
    assert (row.status, row.epochs, row.val_top1) == ("unfinished", 3, 0.5)


def test_a_card_is_told_in_words(project: pictus.Project) -> None:
    _run(
        project, "a", tops=(0.25, 0.5), energy={"kwh": 0.00016, "source": "estimate"},
        why=["It is small.", "It is grey."],
        results={"best_epoch": 2, "val_top1": 0.5, "epochs": 2, "epochs_planned": 4, "wall_s": 240.0,
                 "pictures_per_s": 99.0, "wait_share": 0.031, "peak_bytes": 1_500_000_000, "gpu_peak_bytes": 0},
    )  # fmt: skip
    told = {fact.about: fact.words for fact in train.card(project, "a")}
    assert told["pictures"] == "trained on 60 pictures of 2 classes of release 1.0.0 (dddddddddddd), validated on 40"
    assert "2 epochs of 4" in told["training"]
    assert told["result"] == "top-1 50.0% on validation at epoch 2, which is the one kept"
    assert told["speed"] == "4.0 min, 99 pictures a second, 3.1% of the time waiting for pictures"
    assert (told["why 1"], told["why 2"]) == ("It is small.", "It is grey.")
    assert (told["memory"], told["energy"]) == ("at most 1.50 GB", "0.16 Wh (estimate)")


def test_a_last_epoch_cut_short_tells_its_seconds_beside_those_asked_for() -> None:
    assert words.cut_short(15, 23, (38.5, 60.0)) == (
        "the last epoch was cut short, to fit into the minutes: 15 of its 23 steps; 38 s of 60 trained"
    )


def test_a_card_tells_what_part_was_trained() -> None:
    adapters = {"stages": 8, "trained_parameters": 48_502, "batch_norm": "as it began",
                "adapters": {"rank": 4, "layers": ["0", "4"]}}  # fmt: skip
    card = {"model": "n", "parameters": 1_987_478, "transfer": adapters}
    told = {fact.about: fact.words for fact in words.facts(card)}
    assert told["network"] == "n with 1.99 million weights, its adapters among them"
    assert told["transfer"] == (
        "adapters of rank 4 on 2 layers: 48,502 of 1,987,478 weights trained, head included; batch norm: as it began;"
        " kept with the adapters added in, which lie beside them"
    )
    frozen = {"stages": 8, "trained_parameters": 500, "batch_norm": "as it began", "trained_stages": 1}
    told = {fact.about: fact.words for fact in words.facts({"transfer": frozen})}
    assert told["transfer"] == "at first 500 weights trained, 1 of 8 stages; batch norm: as it began"
    assert "transfer" not in {fact.about for fact in words.facts({"transfer": {}})}


@pytest.mark.parametrize("card", [{}, {"recipe": {"lr": "much"}}, {"results": [], "energy": 3, "unreadable": 7},
                                  {"recipe": {"seed": 1}, "results": {"epochs": 3, "steps": 7, "steps_per_epoch": 0}}])
def test_a_card_of_another_form_tells_what_it_can(card: dict[str, Any]) -> None:
    assert all(fact.words for fact in words.facts({"model": "small-cnn", **card}))
