from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import pytest

import pictus
from pictus import models, train
from pictus.train.loop import training
from pictus.train.loop.state import Counters

TINY = ("size=32", "batch_size=8", "precision=fp32", "ema=0.9", "flip=0", "threads=1", "checkpoint_s=1e9")

SETTINGS = {
    "lion, a line, dropout": ("optimizer=lion", "lr=1e-3", "schedule=linear", "drop=0.3"),
    "muon, one cycle, slower layers": ("optimizer=muon", "lr=1e-2", "schedule=one-cycle", "layer_decay=0.7", "parts=2"),
    "growing pictures in pieces": ("accumulate=2", "size=64", "grow=0.5", "layout=contiguous", "schedule=step"),
    "muon-normed, the last epoch": ("optimizer=muon-normed", "lr=0.05", "lr_bias=4", "weight_decay=0.01", "kept=last"),
    "branches left out": ("optimizer=adamw", "lr=1e-3", "drop_path=0.2", "schedule=constant"),
}


def _stopped_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    answers: Iterator[bool] = iter([False] * (steps - 1))
    ask: Callable[[], bool] = lambda: next(answers, True)  # noqa: E731  a type beside it
    monkeypatch.setattr(train.steps, "stop_asked", lambda: nullcontext(ask))


def _result(project: pictus.Project, name: str) -> tuple[bytes, ...]:
    root = project.models_dir / name
    return tuple((root / file).read_bytes() for file in ("metrics.jsonl", "model.safetensors", "last.safetensors"))


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_resumed_run_ends_with_the_same_bits_whatever_its_settings(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
) -> None:
    # Six steps an epoch: it is stopped in the middle of the second.
    train.run(stripes, epochs=3, set_=(*TINY, *settings), name="whole")
    _stopped_after(monkeypatch, 9)
    with pytest.raises(KeyboardInterrupt):
        train.run(stripes, epochs=3, set_=(*TINY, *settings), name="stopped")
    monkeypatch.undo()
    assert train.resume(stripes, "stopped").summary["steps"] == 18
    assert _result(stripes, "stopped") == _result(stripes, "whole")


def test_growing_pictures_have_the_side_of_their_epoch(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, sides = training._loss, []

    def loss(job: Any, state: Any, batch: Any, student: Any, piece: Any) -> Any:
        student.register_forward_pre_hook(lambda _, given: sides.append((state.counters.step, given[0].shape[-1])))
        return plain(job, state, batch, student, piece)

    monkeypatch.setattr(training, "_loss", loss)
    train.run(stripes, epochs=4, set_=(*TINY, "size=64", "grow=0.5", "parts=1"), name="growing")
    found = dict(sides)
    # 32 + 32 p / 0.75 at p = 0, 1/4, 1/2, 3/4 in multiples of 16: 32, 42.7 -> 48, 53.3 -> 48, 64.
    assert [found[step] for step in range(24)] == [32] * 6 + [48] * 12 + [64] * 6
    assert models.find_run(stripes, "growing").card["preprocessing"]["size"] == 64


def test_counters_of_before_are_read() -> None:
    old = {key: value for key, value in asdict(Counters(step=3)).items() if key not in ("accumulate", "joules")}
    assert Counters(**old) == Counters(step=3)
