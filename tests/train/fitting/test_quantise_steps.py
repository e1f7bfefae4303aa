"""A run trained on with 8 bits: a run like any other, the same bits after a stop, measured beside what it came from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import pictus
from pictus import models, quantised_networks, train
from pictus.errors import UserError
from pictus.train.fitting import quantise_steps, successor
from pictus.train.loop import training
from pictus.train.recipes import changed, find

TINY = ("size=32", "batch_size=8", "precision=fp32", "threads=1", "parts=2", "probe=false", "log=none")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, make_release: Any) -> Any:
    """A project with the run `wide`, and what `train quantise` made of it."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    project = pictus.new(tmp_path_factory.mktemp("quantise") / "stripes")
    make_release(project.releases_dir)
    train.run(project, name="wide", epochs=1, set_=(*TINY, "flip=0.25"))
    return project, train.quantise(project, "wide", epochs=2)


def test_a_quantised_run_is_told_before_rounded_and_trained(outcome: Any) -> None:
    _, found = outcome
    before, rounded, after = found
    assert [row.which for row in (before, rounded, after)] == ["before", "quantised", "after"]
    assert rounded.bytes == after.bytes < 0.3 * before.bytes
    assert all(row.pictures == 12 and 0 <= row.low <= row.top1 <= row.high <= 1 for row in found)
    assert all(0 < row.cpu_ms_least <= row.cpu_ms <= row.cpu_ms_greatest for row in found)
    assert "rounded only" in found.headline
    assert found.summary["left_in_float"] == []


def test_a_quantised_run_is_a_run_like_any_other(outcome: Any) -> None:
    project, found = outcome
    run = models.find_run(project, found.summary["run"])
    assert run.model_name == "small-cnn@int8"
    assert run.is_finished
    asked, usual = run.card["recipe"], models.find_run(project, "wide").card["recipe"]
    assert asked["flip"] == 0.25, "what the run was trained with goes over"
    assert asked["lr"] == pytest.approx(usual["lr"] / 10)
    assert asked["precision"] == "fp32"
    network = models.load_run(run, device="cpu")
    assert all(layer.hears is None or layer.hears.is_known() for _, layer in quantised_networks.layers(network))
    assert bool(network[0].hears.is_held), "the last part of training"
    assert run.name in [row.name for row in train.list_(project)]


@pytest.mark.parametrize(("name", "optimizer", "lr"), [("small-cnn", "sgd", 0.02), ("airbench", "adamw", 1e-4)])
def test_rates_that_want_normalisation_do_not_go_over_to_where_it_is_folded(
    name: str, optimizer: str, lr: float
) -> None:
    seen, asked = models.Preprocessing(32, 32), asdict(find(name))
    run = models.Run(Path("wide"), "wide", name, ("a", "b"), ("a", "b"), seen, {"asked": asked})
    model = f"{name}@int8"
    taken = (*successor.settings_of(run, model, Path("wide.safetensors")), *quantise_steps.settings_of_folded(run))
    found = changed(find(model), taken)
    assert (found.optimizer, found.lr, found.lr_bias, found.precision) == (optimizer, lr, 1, "fp32")
    assert (found.lr_head, found.grow, found.clip) == (1, 1, 2)


def test_what_is_quantised_already_is_neither_quantised_nor_pruned(outcome: Any) -> None:
    project, found = outcome
    with pytest.raises(UserError, match="is of 8 bits already"):
        train.quantise(project, found.summary["run"])
    with pytest.raises(UserError, match="is of 8 bits already"):
        train.prune(project, found.summary["run"])
    with pytest.raises(UserError, match="0 or more"):
        train.quantise(project, epochs=-1)


def test_a_quantised_run_that_was_stopped_has_the_bits_of_one_that_was_not(
    outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, found = outcome
    whole = models.find_run(project, found.summary["run"])
    kept = (whole.root / models.WEIGHTS_NAME).read_bytes()
    whole.root.rename(project.root / "whole")
    advance = training.advance

    def stopping(job: Any, state: Any, *rest: Any) -> Any:
        if state.counters.step == 7:  # of 12, within an epoch
            raise KeyboardInterrupt
        return advance(job, state, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(training, "advance", stopping)
        with pytest.raises(KeyboardInterrupt):
            train.quantise(project, "wide", epochs=2)
    train.resume(project, whole.name)
    assert (whole.root / models.WEIGHTS_NAME).read_bytes() == kept
    again = train.quantise(project, "wide", epochs=2)  # the comparison that the stop was before
    assert [row.top1 for row in again] == [row.top1 for row in found]
    assert (whole.root / models.WEIGHTS_NAME).read_bytes() == kept
