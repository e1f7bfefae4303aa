from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

import pictus
from pictus import models, networks, train
from pictus.train.loop import probe, training
from pictus.train.recipes import Recipe

USUAL = Recipe("resnet-w16", size=32, batch_size=64, precision="bf16", layout="channels-last", parts=2, threads=1)
CPUS = probe.Machine(2, "cpu", is_random=False)
ASKED = Recipe("resnet-w16", size=32, batch_size=64)
TINY = ("size=32", "batch_size=8", "precision=fp32", "flip=0", "threads=1")


def _timed(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[Recipe], float | None]) -> list[str]:
    tried: list[str] = []

    def step_s(recipe: Recipe, *_: object) -> float | None:
        tried.append(probe.words(recipe))
        return seconds(recipe)

    monkeypatch.setattr(probe, "_step_s", step_s)
    return tried


def _found(asked: Recipe = ASKED, clock: Callable[[], float] = lambda: 0.0) -> probe.Found:
    network: Any = None
    return probe.probed(asked, USUAL, network, CPUS, clock)


def test_each_choice_is_timed_from_the_best_of_the_ones_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(recipe: Recipe) -> float:
        return {1: 0.5, 2: 1.0}[recipe.parts] * (0.8 if recipe.layout == "contiguous" else 1)

    tried = _timed(monkeypatch, seconds)
    found = _found()
    assert found.recipe == replace(USUAL, parts=1, threads=2, layout="contiguous")
    assert tried == [
        "bf16, channels-last, 2 x 1 threads", "fp32, channels-last, 2 x 1 threads",
        "bf16, channels-last, 1 x 2 threads", "bf16, contiguous, 1 x 2 threads",
    ]  # fmt: skip
    record = found.record()
    assert record["chose"] == "bf16, contiguous, 1 x 2 threads"
    assert record["step_s"] == dict(zip(tried, (1.0, 1.0, 0.5, 0.4), strict=True))


def test_where_the_time_ends_early_precision_has_been_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    _timed(monkeypatch, lambda recipe: 0.5 if recipe.precision == "fp32" else 1.0)
    clock = iter((0.0, 0.0, *[probe.BUDGET_S + 1] * 9))  # begun, after the usual choice, and too late for a third
    assert _found(clock=lambda: next(clock)).recipe == replace(USUAL, precision="fp32")


def test_a_choice_that_is_hardly_faster_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    _timed(monkeypatch, lambda recipe: 1.0 if recipe == USUAL else 0.92)
    assert _found().recipe == USUAL


def test_what_the_user_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = _timed(monkeypatch, lambda recipe: 1.0 if recipe == USUAL else 0.1)
    asked = replace(ASKED, parts=2, threads=1, precision="bf16", layout="channels-last")
    assert _found(asked).recipe == USUAL
    assert len(tried) == 1


def test_a_network_that_draws_is_computed_in_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = _timed(monkeypatch, lambda _: 1.0)
    machine, network = probe.Machine(2, "cpu", is_random=True), cast("Any", None)
    probe.probed(ASKED, replace(USUAL, parts=1, threads=2), network, machine, lambda: 0.0)
    assert len(tried) == 4
    assert not [one for one in tried if "2 x" in one]


def test_of_a_batch_too_small_for_parts_one_thread_is_tried_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    usual, network = replace(USUAL, batch_size=16, parts=1, threads=2), cast("Any", None)
    _timed(monkeypatch, lambda recipe: 1.0 if recipe.threads == 2 else 0.2)  # two wait for each other
    found = probe.probed(ASKED, usual, network, CPUS, lambda: 0.0)
    assert (found.recipe.parts, found.recipe.threads) == (1, 1)
    found = probe.probed(replace(ASKED, threads=2), usual, network, CPUS, lambda: 0.0)
    assert found.recipe.threads == 2, "asked for"


def test_of_several_processes_each_is_timed_on_its_share_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    usual, network = replace(USUAL, processes=4, parts=1, threads=2), cast("Any", None)
    shown: list[int] = []

    def timed(_parts: object, count: int, *_: object) -> float:
        shown.append(count)
        return 1.0

    monkeypatch.setattr(probe, "_timed", timed)
    probe.probed(ASKED, usual, networks.make("resnet-w16", 3), CPUS)
    assert set(shown) == {16}
    tried = _timed(monkeypatch, lambda _: 1.0)
    probe.probed(ASKED, usual, network, CPUS, lambda: 0.0)
    assert not [words for words in tried if " 2 x " in words], "of 8 pictures a part would know too little"


def test_time_that_is_up_ends_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking: Iterator[float] = iter(range(0, 100, 2))
    tried = _timed(monkeypatch, lambda _: 1.0)
    found = _found(clock=lambda: next(ticking))
    assert len(tried) == 2
    assert found.recipe == USUAL


def test_a_choice_that_does_not_fit_into_memory_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    _timed(monkeypatch, lambda recipe: 1.0 if recipe == USUAL else None)
    found = _found()
    assert found.recipe == USUAL
    assert len(found.steps_s) == 1


def test_steps_are_really_timed_and_the_network_is_left_as_it_was() -> None:
    import torch

    torch.manual_seed(0)
    network = networks.make("resnet-w16", 3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    usual = replace(USUAL, precision="fp32", batch_size=32)
    found = probe.probed(replace(ASKED, precision="fp32"), usual, network, CPUS)
    assert all(taken > 0 for taken in found.steps_s.values())
    assert all(bool((value == before[name]).all()) for name, value in network.state_dict().items())


def test_only_runs_that_are_long_enough_and_leave_something_open_are_probed() -> None:
    assert probe.is_worth(replace(ASKED, epochs=10), 5_000)
    assert not probe.is_worth(replace(ASKED, epochs=10), 4_999)
    assert not probe.is_worth(replace(ASKED, minutes=1.0, epochs=1000), 5_000)
    assert probe.is_worth(replace(ASKED, minutes=10.0), 5)
    for settled in ({"probe": False}, {"compile": True},
                    {"precision": "fp32", "layout": "contiguous", "parts": 1, "threads": 1}):  # fmt: skip
        assert not probe.is_worth(replace(ASKED, **settled), 10**6)


def test_the_card_says_what_was_timed_and_a_resumed_run_takes_its_word(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "LEAST_PICTURES_SHOWN", 1)
    _timed(monkeypatch, lambda recipe: 0.1 if recipe.layout == "contiguous" else 1.0)
    monkeypatch.setattr(training, "fit", _stopped)
    with pytest.raises(KeyboardInterrupt):
        train.run(stripes, epochs=1, set_=TINY, name="probed")
    monkeypatch.undo()
    train.resume(stripes)
    card = models.find_run(stripes, "probed").card
    assert card["recipe"]["layout"] == "contiguous"
    assert card["environment"]["probe"]["chose"].startswith("fp32, contiguous")
    assert card["environment"]["keeps_memory"] in (True, False)
    assert card["energy"]["kwh"] >= 0


def _stopped(*_: object) -> None:
    raise KeyboardInterrupt
