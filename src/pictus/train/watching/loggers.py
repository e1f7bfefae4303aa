"""Where else the curve of a run goes, by name: TensorBoard by default, Weights & Biases and MLflow, plugins.

metrics.jsonl is always written and is the record; a logger that fails is told of once and left out, and the run goes
on.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pictus.errors import UserError
from pictus.extras import need
from pictus.project import write_text
from pictus.registry import Registry

NONE = "none"
MLFLOW_RUN = "mlflow-run.txt"

Settings = Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Subject:
    """The run that is logged. `step`: steps done when this process took it up."""

    root: Path
    step: int
    settings: Settings  # of the resolved recipe

    @property
    def name(self) -> str:
        return self.root.name


class Logger(Protocol):
    """Takes numbers by name; `step` counts steps done. A resumed run tells steps again, with the same numbers."""

    def scalars(self, values: Mapping[str, float], step: int) -> None: ...

    def close(self, *, is_finished: bool) -> None: ...


LOGGERS: Registry[Callable[[Subject], Logger]] = Registry("logger", entry_points="pictus.loggers")


def names_of(log: str) -> tuple[str, ...]:
    """`tensorboard,wandb` -> its names; `none` is none."""
    found = tuple(dict.fromkeys(name.strip() for name in log.split(",") if name.strip()))
    return tuple(name for name in found if name != NONE)


def check(log: str) -> None:
    """A UserError for a name that is not there, or whose package is not installed: before anything is trained."""
    for name in names_of(log):
        LOGGERS.get(name)
        if name in _PACKAGES:
            need(*_PACKAGES[name])


@contextmanager
def opened(log: str, subject: Subject) -> Iterator["Loggers"]:
    """The loggers of a run, closed at the end."""
    found = Loggers()
    try:
        for name in names_of(log):
            found.add(name, LOGGERS.get(name), subject)
        yield found
    finally:
        found.close()


class Loggers:
    """Several as one. One that fails is told of once and left out from there on."""

    def __init__(self) -> None:
        self._found: dict[str, Logger] = {}
        self.is_finished = False

    def add(self, name: str, make: Callable[[Subject], Logger], subject: Subject) -> None:
        """A UserError, such as for a package that is not there, ends the run before it has begun."""

        def put() -> None:
            self._found[name] = make(subject)

        self._tried(name, put)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, logger in list(self._found.items()):
            self._tried(name, functools.partial(logger.scalars, values, step))

    def close(self) -> None:
        for name, logger in list(self._found.items()):
            self._tried(name, functools.partial(logger.close, is_finished=self.is_finished))

    def _tried(self, name: str, told: Callable[[], None]) -> None:
        try:
            told()
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001  whatever somebody else's server or package does, the run goes on
            self._found.pop(name, None)
            logging.getLogger(__name__).warning(
                "%s takes no more numbers of this run (%s: %s); training goes on, and metrics.jsonl holds them all",
                name, type(error).__name__, str(error).splitlines()[0] if str(error) else "no reason given",
            )  # fmt: skip


_PACKAGES = {
    "tensorboard": ("tensorboard", "train"), "wandb": ("wandb", "wandb"), "mlflow": ("mlflow", "mlflow"),
}  # fmt: skip


@LOGGERS.register("tensorboard")
class TensorBoard:
    """Event files beside the run: `tensorboard --logdir models`."""

    def __init__(self, subject: Subject) -> None:
        board = need("torch.utils.tensorboard", "train")
        self._board = board.SummaryWriter(
            str(subject.root / "tensorboard"), purge_step=subject.step + 1, flush_secs=30
        )

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def close(self, *, is_finished: bool) -> None:  # noqa: ARG002  the protocol's
        self._board.close()


@LOGGERS.register("wandb")
class Wandb:
    """Weights & Biases. Without a key nothing is sent: files beside the run, for `wandb sync models/RUN/wandb/*`.

    Its own variables rule: WANDB_MODE, WANDB_PROJECT, WANDB_API_KEY. A resumed run goes on under the same id.
    """

    def __init__(self, subject: Subject) -> None:
        wandb = need("wandb", "wandb")
        has_key = bool(os.environ.get("WANDB_API_KEY"))
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "pictus"), name=subject.name, dir=str(subject.root),
            id=hashlib.sha256(str(subject.root).encode()).hexdigest()[:16], resume="allow",
            config=dict(subject.settings), mode=os.environ.get("WANDB_MODE") or ("online" if has_key else "offline"),
        )  # fmt: skip

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self, *, is_finished: bool) -> None:
        self._run.finish(exit_code=0 if is_finished else 1)


@LOGGERS.register("mlflow")
class MLflow:
    """MLflow: to MLFLOW_TRACKING_URI, else into a file beside the runs:
    `mlflow ui --backend-store-uri sqlite:///models/mlflow.db`. A resumed run goes on in the same run of MLflow.
    """

    def __init__(self, subject: Subject) -> None:
        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{subject.root.parent / 'mlflow.db'}"
        self._client = need("mlflow", "mlflow").MlflowClient(tracking_uri=place)
        kept = subject.root / MLFLOW_RUN
        if kept.is_file():
            self._run_id = kept.read_text(encoding="ascii").strip()
            self._client.update_run(self._run_id, status="RUNNING")
            return
        wanted = os.environ.get("MLFLOW_EXPERIMENT_NAME", "pictus")
        found = self._client.get_experiment_by_name(wanted)
        experiment = found.experiment_id if found else self._client.create_experiment(wanted)
        self._run_id = str(self._client.create_run(experiment, run_name=subject.name).info.run_id)
        for name, value in subject.settings.items():
            self._client.log_param(self._run_id, name, value)
        write_text(kept, self._run_id + "\n")

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run_id, name.replace("@", "at"), float(value), step=step)

    def close(self, *, is_finished: bool) -> None:
        self._client.set_terminated(self._run_id, status="FINISHED" if is_finished else "KILLED")


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Of a recipe as plain values."""
    return {name: value for name, value in values.items() if isinstance(value, (str, int, float, bool))}
