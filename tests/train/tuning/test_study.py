"""Studies with trials that need no training: what is tried next, given up, failed, and goes on after a kill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pictus.train.recipes import Recipe
from pictus.train.tuning import space, study
from pictus.train.tuning.study import Wanted
from pictus.train.tuning.trial import Asked, End, Watcher

pytest.importorskip("optuna")

Stop = Callable[[], bool]


def wanted(folder: Path, trials: int, workers: int = 1) -> Wanted:
    tried = space.chosen(Recipe("small-cnn"), "lr,erase")
    return Wanted(folder, "r", "small-cnn", ("epochs=3",), tried, trials, 0.0, 7, ((),) * workers)


def values(asked: Asked) -> dict[str, float]:
    pairs = (one.split("=") for one in asked.settings)
    return {name: float(value) for name, value in pairs}


def trained(asked: Asked, watch: Watcher, _stop: Stop) -> End:
    """Best at lr 0.2; it grows over three epochs. At lr above 1 the loss is no number."""
    found = values(asked)
    if found["lr"] > 1:
        return End(None, is_pruned=False, cause="The loss became nan.")
    score = 1 / (1 + abs(found["lr"] - 0.2))
    for epoch in (1, 2, 3):
        if watch(epoch, score * epoch / 3):
            return End(score * epoch / 3, is_pruned=True)
    return End(score, is_pruned=False)


def record(folder: Path) -> list[tuple[object, ...]]:
    found = study.opened(folder, {})
    return [(one.number, one.state.name, one.value, tuple(one.params.items())) for one in found.get_trials()]


def test_good_settings_are_found_bad_ones_given_up_and_failures_kept_with_their_cause(tmp_path: Path) -> None:
    found = study.opened(tmp_path, {"a": 1})
    said: list[str] = []
    study.search(found, wanted(tmp_path, 14), trained, said.append)
    states = [one.state.name for one in found.get_trials()]
    assert len(states) == len(said) == 14
    assert said[0].startswith("1 trial · best ")
    assert {"COMPLETE", "PRUNED", "FAIL"} == set(states)
    causes = {one.user_attrs.get("cause", "") for one in found.get_trials() if one.state.name == "FAIL"}
    assert causes == {"The loss became nan."}
    assert study.importance(found) == {}, "of so few whole trials nothing is told"
    study.search(found, wanted(tmp_path, 40), trained, said.append)
    assert sum(map(study.is_whole, found.get_trials())) >= study.LEAST_COMPARED
    assert sum(study.importance(found).values()) == pytest.approx(1)
    assert study.begun(tmp_path) == {"a": 1}


def test_a_study_killed_within_a_trial_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    study.search(study.opened(whole, {}), wanted(whole, 7), trained, lambda _: None)

    def dies(asked: Asked, watch: Watcher, stop: Stop) -> End:
        if asked.name == "trial-003":
            watch(1, 0.1)
            raise KeyboardInterrupt
        return trained(asked, watch, stop)

    with pytest.raises(KeyboardInterrupt):
        study.search(study.opened(killed, {}), wanted(killed, 7), dies, lambda _: None)
    names = []

    def noted(asked: Asked, watch: Watcher, stop: Stop) -> End:
        names.append(asked.name)
        return trained(asked, watch, stop)

    study.search(study.opened(killed, {}), wanted(killed, 7), noted, lambda _: None)
    assert names == ["trial-003", "trial-004", "trial-005", "trial-006"]
    assert record(killed) == record(whole)


def test_a_study_killed_between_two_settings_of_a_trial_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    study.search(study.opened(whole, {}), wanted(whole, 4), trained, lambda _: None)
    suggested = study._suggested

    def dies(trial: Any, name: str, one: Any) -> float | int | str:
        if (trial.number, name) == (2, "erase"):
            raise KeyboardInterrupt
        return suggested(trial, name, one)

    begun = study.opened(killed, {})
    monkeypatch.setattr(study, "_suggested", dies)
    with pytest.raises(KeyboardInterrupt):
        study.search(begun, wanted(killed, 4), trained, lambda _: None)
    monkeypatch.setattr(study, "_suggested", suggested)
    study.search(study.opened(killed, {}), wanted(killed, 4), trained, lambda _: None)
    assert record(killed) == record(whole)


def test_a_trial_that_was_stopped_is_left_for_the_next_time(tmp_path: Path) -> None:
    found = study.opened(tmp_path, {})

    def stopped(asked: Asked, watch: Watcher, stop: Stop) -> End | None:
        return None if asked.name == "trial-000" else trained(asked, watch, stop)

    study.search(found, wanted(tmp_path, 2), stopped, lambda _: None)
    assert [one.state.is_finished() for one in found.get_trials()] == [False, True]
    study.search(study.opened(tmp_path, {}), wanted(tmp_path, 2), trained, lambda _: None)
    assert [one.state.is_finished() for one in found.get_trials()] == [True, True]


def test_two_workers_make_as_many_trials_as_were_wanted(tmp_path: Path) -> None:
    found = study.opened(tmp_path, {})
    study.search(found, wanted(tmp_path, 5, workers=2), trained, lambda _: None)
    assert [one.number for one in found.get_trials()] == list(range(5))
    assert all(one.state.is_finished() for one in found.get_trials())
