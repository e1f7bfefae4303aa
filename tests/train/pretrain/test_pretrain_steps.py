"""A network that learned without labels is a run as every other: stopped and resumed, probed, begun from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.train import recipes
from pictus.train.loop import training
from pictus.train.pretrain import pretrain_steps

pytest.importorskip("torch", reason="pip install 'pictus[train]'")
SETTINGS = ("epochs=1", "batch_size=16", "size=32", "hidden=16", "local_crops=1", "checkpoint_s=0", "parts=2",
            "threads=1", "precision=fp32", "log=none")  # fmt: skip


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, make_release: Any) -> pictus.Project:
    """A project with a run of each objective, none of them disturbed."""
    project = pictus.new(tmp_path_factory.mktemp("pretrain") / "project")
    make_release(project.releases_dir, classes=2, train=8, val=3)
    for objective in ("simclr", "dino", "mae"):
        train.pretrain(project, objective=objective, recipe="resnet-w16", name=objective, set_=SETTINGS)
    train.run(project, recipe="resnet-w16", name="fixmatch",
              set_=(*SETTINGS, "objective=fixmatch", "share=0.25", "unlabelled=3", "threshold=0.4"))  # fmt: skip
    return project


@pytest.mark.parametrize("objective", ["simclr", "dino", "mae", "fixmatch"])
def test_a_run_that_was_stopped_ends_with_the_same_bytes(
    taught: pictus.Project, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = taught.models_dir / objective
    card = models.open_run(whole).card["asked"]
    advance = training.advance

    def stopping(job: Any, state: Any, *rest: Any) -> Any:
        if state.counters.step == 1:
            raise KeyboardInterrupt
        return advance(job, state, *rest)

    settings = tuple(f"{name}={value}" for name, value in card.items() if value != "" and name != "model")
    monkeypatch.setattr(training, "advance", stopping)
    with pytest.raises(KeyboardInterrupt):
        train.run(taught, recipe="resnet-w16", name=f"cut-{objective}", set_=settings)
    monkeypatch.setattr(training, "advance", advance)
    cut = Path(train.resume(taught, f"cut-{objective}").summary["path"])
    for name in ("metrics.jsonl", "model.safetensors", "last.safetensors"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name


def test_what_was_learned_is_probed_and_begun_from(taught: pictus.Project) -> None:
    row = next(iter(train.probe(taught, network="simclr", share=0.25)))
    assert row.method == "linear"
    few = train.probe(taught, network="simclr", share=0.25, knn=True)
    assert few.summary["labels"] == 4, "a quarter of 8 of each of 2 classes"
    assert "from the labels of 4 pictures" in few.headline
    begun = train.run(taught, recipe="resnet-w16", name="begun", set_=(*SETTINGS, "from_run=simclr", "share=0.5"))
    card = models.open_run(taught.models_dir / begun.summary["run"]).card
    assert card["transfer"]["from_run"]["run"] == "simclr"
    assert card["pictures"]["train"] == 8


def test_the_newest_run_is_one_that_knows_classes_and_the_others_are_named(taught: pictus.Project) -> None:
    runs = {run.name: run for run in models.runs(taught)}
    assert "learned without labels" in models.unfinished(runs["simclr"])[0]
    assert models.unfinished(runs["fixmatch"]) == ()
    assert {"simclr", "dino", "mae"} & {run.name for run in models.by_finish(runs.values())} == set()
    assert next(iter(train.probe(taught, network="dino", knn=True))).method == "knn"


def test_the_logbook_tells_how_much_of_the_pool_was_sure(taught: pictus.Project) -> None:
    *_, last = train.resume(taught, "fixmatch")
    assert 0 < last.train_others["sure"] <= 1


def test_what_is_not_told_moves_the_figure_and_no_weight(taught: pictus.Project) -> None:
    train.pretrain(taught, recipe="resnet-w16", name="few", set_=(*SETTINGS, "share=0.1"))
    all_told, few_told = (taught.models_dir / name for name in ("simclr", "few"))
    for name in ("model.safetensors", "last.safetensors"):
        assert (all_told / name).read_bytes() == (few_told / name).read_bytes(), name
    assert (all_told / "metrics.jsonl").read_bytes() != (few_told / "metrics.jsonl").read_bytes()


def test_settings_of_pretraining_leave_no_rate_of_another_optimizer() -> None:
    asked = {
        objective: recipes.changed(recipes.find("airbench"), (f"objective={objective}", *settings))
        for objective, settings in pretrain_steps.WAYS.items()
    }
    assert {(one.lr_bias, one.lr_head, one.alternate, one.optimizer) for one in asked.values()} == {
        (1, 1, False, "adamw")
    }  # fmt: skip
    views = {name: recipes.changed(recipes.find("resnet-w32"), each).view for name, each in pretrain_steps.WAYS.items()}
    assert views == {"simclr": 0.75, "dcl": 0.75, "dino": 1, "mae": 1}


@pytest.mark.parametrize(
    ("given", "message"),
    [({"objective": "simclear"}, "objective 'simclear'"), ({"set_": ("pool=project",)}, "options of their own")],
)
def test_a_wrong_word_is_told_before_anything_is_made(
    taught: pictus.Project, given: dict[str, Any], message: str
) -> None:
    before = sorted(taught.models_dir.iterdir())
    with pytest.raises(UserError, match=message):
        train.pretrain(taught, **given)
    assert sorted(taught.models_dir.iterdir()) == before
