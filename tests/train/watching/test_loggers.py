from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pictus.errors import UserError
from pictus.train import recipes
from pictus.train.recipes import Recipe
from pictus.train.watching import loggers
from pictus.train.watching.loggers import LOGGERS, Subject


class Told:
    """A logger that keeps what it is told; it may break at a step."""

    def __init__(self, subject: Subject, *, breaks_at: int = -1) -> None:
        self.subject, self.breaks_at = subject, breaks_at
        self.values: list[tuple[int, dict[str, float]]] = []
        self.ended: bool | None = None

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        if step == self.breaks_at:
            message = "the server is away\nsince noon"
            raise ConnectionError(message)
        self.values.append((step, dict(values)))

    def close(self, *, is_finished: bool) -> None:
        self.ended = is_finished


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    """Two loggers, `first` and `second`; the second breaks at step 2."""
    made: list[Told] = []

    def make(breaks_at: int) -> Any:
        def one(subject: Subject) -> Told:
            made.append(Told(subject, breaks_at=breaks_at))
            return made[-1]

        return one

    monkeypatch.setitem(LOGGERS._found, "first", make(-1))
    monkeypatch.setitem(LOGGERS._found, "second", make(2))
    return made


def test_a_logger_that_fails_is_told_of_once_and_the_others_go_on(
    told: list[Told], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), loggers.opened("first,second", Subject(tmp_path, 0, {})) as outlets:
        for step in range(1, 4):
            outlets.scalars({"train/loss": step / 2}, step)
        outlets.is_finished = True
    first, second = told
    assert [step for step, _ in first.values] == [1, 2, 3]
    assert [step for step, _ in second.values] == [1]
    assert (first.ended, second.ended) == (True, None)
    assert len(caplog.records) == 1
    assert "second takes no more numbers of this run (ConnectionError: the server is away)" in caplog.text


def test_a_run_that_was_stopped_is_not_told_as_finished(told: list[Told], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), loggers.opened("first", Subject(tmp_path, 0, {})):
        raise KeyboardInterrupt
    assert told[0].ended is False


def test_a_logger_that_ends_the_run_before_it_began_leaves_none_open(
    told: list[Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(_: Subject) -> Any:
        raise UserError("no package")

    monkeypatch.setitem(LOGGERS._found, "refusing", refusing)
    with pytest.raises(UserError, match="no package"), loggers.opened("first,refusing", Subject(tmp_path, 0, {})):
        pass
    assert told[0].ended is False


def test_names_are_read_from_a_recipe() -> None:
    assert loggers.names_of("tensorboard, wandb,tensorboard") == ("tensorboard", "wandb")
    assert loggers.names_of("none") == ()
    recipe = recipes.changed(Recipe("small-cnn"), ("log=none",))
    assert recipe.log == "none"
    with pytest.raises(UserError, match=r"log = 'tensorbord': one of: none, .*tensorboard"):
        recipes.changed(recipe, ("log=tensorbord,mlflow",))


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=f"needs the package '{name}'") as caught:
        loggers.check(name)
    assert caught.value.fix == f"pip install 'pictus[{name}]'"


def test_wandb_stays_offline_without_a_key_and_goes_on_under_its_id(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun: list[dict[str, Any]] = []
    logged: list[Any] = []
    run = SimpleNamespace(log=lambda values, step: logged.append((step, values)), finish=lambda exit_code: None)

    def init(**named: Any) -> Any:
        begun.append(named)
        return run

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    for _ in range(2):
        with loggers.opened("wandb", Subject(tmp_path / "a", 0, {"lr": 0.1})) as outlets:
            outlets.scalars({"val/top-1": 0.5}, 7)
    assert begun[0] == begun[1]
    assert (begun[0]["mode"], begun[0]["resume"], begun[0]["config"]) == ("offline", "allow", {"lr": 0.1})
    assert logged == [(7, {"val/top-1": 0.5})] * 2
    monkeypatch.setenv("WANDB_API_KEY", "k")
    loggers.Wandb(Subject(tmp_path / "a", 0, {}))
    assert begun[2]["mode"] == "online"


def test_mlflow_writes_beside_the_runs_and_goes_on_in_its_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[Any] = []

    class Client:
        def __init__(self, tracking_uri: str) -> None:
            said.append(tracking_uri)

        def get_experiment_by_name(self, name: str) -> None:
            return None

        def create_experiment(self, name: str) -> str:
            return "7"

        def create_run(self, experiment: str, run_name: str) -> Any:
            said.append(("run", experiment, run_name))
            return SimpleNamespace(info=SimpleNamespace(run_id="r1"))

        def __getattr__(self, name: str) -> Any:
            return lambda *given, **named: said.append((name, *given, *named.values()))

    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=Client))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for _ in range(2):
        with loggers.opened("mlflow", Subject(tmp_path / "a", 0, {"lr": 0.1})) as outlets:
            outlets.scalars({"val/top-1": 0.5}, 7)
    assert said[:3] == [f"sqlite:///{tmp_path / 'mlflow.db'}", ("run", "7", "a"), ("log_param", "r1", "lr", 0.1)]
    assert said.count(("log_metric", "r1", "val/top-1", 0.5, 7)) == 2
    assert [one for one in said if one[0] == "run"] == [("run", "7", "a")], "the second time it goes on"
    assert said[-1] == ("set_terminated", "r1", "KILLED")
