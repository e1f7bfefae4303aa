"""A study: which settings are tried next, by optuna (Akiba et al. 2019): TPE, and the median rule that gives up early.

models/tune-<name>/
  study.sqlite            optuna's own tables
  trial-000/ …            bare runs
  study.json              how far it is, for pages
  report.html

What a trial tries is a function of (seed, its number, the trials before it), so a study with one worker that was killed
goes on as if it had not been. With several, what has ended before a trial begins hangs on who is quicker.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pictus.errors import counted
from pictus.extras import need
from pictus.project import write_text
from pictus.train.tuning.space import Space, Span, settings
from pictus.train.tuning.trial import Asked, End, Watcher

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

NAME, NOTE, STUDY = "study.sqlite", "study.json", "tune"

LEAST_COMPARED = 10
"""Whole trials from which on it is told what matters: of fewer, chance decides."""

STARTUP = 5
"""Trials that end before one is compared with their median."""

WARMUP_EPOCHS = 2
"""Epochs of a trial before it may be given up: rates are still rising."""

Run = Callable[[Asked, Watcher, Callable[[], bool]], End | None]


@dataclass(frozen=True)
class Wanted:
    """A study to be made: `settings` are the same for all trials."""

    folder: Path
    release: str
    recipe: str
    settings: tuple[str, ...]
    space: Space
    trials: int
    seconds: float  # after which none is begun, 0: no end
    seed: int
    cores: tuple[tuple[int, ...], ...]  # of each worker; empty: all


def opened(folder: Path, same: dict[str, Any]) -> "Study":
    """The study in a folder, begun if there is none. `same`: what makes it this very one."""
    optuna = need("optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    found: Study = optuna.create_study(
        storage=_storage(folder), study_name=STUDY, direction="maximize", load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=WARMUP_EPOCHS),
    )  # fmt: skip
    found.set_user_attr("same", same)
    return found


def begun(folder: Path) -> dict[str, Any]:
    """What makes the study of a folder the one it is; empty where a kill came before that was said."""
    optuna = need("optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = optuna.study.get_all_study_names(storage=(storage := _storage(folder)))
    if STUDY not in names:
        return {}
    return dict(optuna.load_study(study_name=STUDY, storage=storage).user_attrs.get("same", {}))


def _storage(folder: Path) -> Any:  # noqa: ANN401  an optuna storage
    """Its tables in a file. A thread that waits for another's commit waits a minute at most."""
    return need("optuna", "tune").storages.RDBStorage(
        f"sqlite:///{folder / NAME}", engine_kwargs={"connect_args": {"timeout": 60}}
    )


def search(study: "Study", wanted: Wanted, run: Run, said: Callable[[str], None]) -> None:
    """Trials until there are as many as wanted, or the time is up; one thread for each worker's process."""
    began, lock, stop = time.monotonic(), threading.Lock(), threading.Event()
    left = [trial for trial in study.get_trials(deepcopy=False) if not trial.state.is_finished()]

    def work(cores: tuple[int, ...]) -> None:
        while not stop.is_set():
            with lock:
                is_late = wanted.seconds and time.monotonic() - began >= wanted.seconds
                trial = None if is_late else _next(study, wanted, left)
            if trial is None:
                return
            _tried(study, wanted, (trial, cores), (run, lock, stop.is_set))
            with lock:
                said(told(study))

    if len(wanted.cores) == 1:
        work(wanted.cores[0])
        return
    with ThreadPoolExecutor(len(wanted.cores)) as pool:
        waiting = [pool.submit(work, cores) for cores in wanted.cores]
        try:
            done, _ = wait(waiting, return_when=FIRST_EXCEPTION)
            for one in done:
                one.result()
        finally:
            stop.set()


def told(study: "Study") -> str:
    """`7 trials · best 93.1%`."""
    ended, first = sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False)), best(study)
    return counted(ended, "trial") + (f" · best {first.value:.1%}" if first else "")


def best(study: "Study") -> "FrozenTrial | None":
    """The first of the best that were trained to their end."""
    whole = [trial for trial in study.get_trials(deepcopy=False) if is_whole(trial)]
    return max(whole, key=lambda one: (one.value, -one.number), default=None)


def note(study: "Study", folder: Path, recipe: str, release: str) -> None:
    """study.json: trials that have ended, by how, and the best; numbers and scores as the page of runs shows them."""
    ended = Counter(trial.state.name for trial in study.get_trials(deepcopy=False) if trial.state.is_finished())
    first = best(study)
    found = {
        "format": 1, "recipe": recipe, "release": release, "trials": ended.total(), "given_up": ended["PRUNED"],
        "failed": ended["FAIL"], "best": first and first.number, "score": first and first.value,
    }  # fmt: skip
    write_text(folder / NOTE, json.dumps(found) + "\n")


def is_whole(trial: "FrozenTrial") -> bool:
    """Whether it was trained to its end."""
    return trial.state.name == "COMPLETE"


def importance(study: "Study") -> dict[str, float]:
    """Of each setting (PED-ANOVA, Watanabe et al. 2023), adding up to 1; empty with fewer than LEAST_COMPARED whole
    trials.
    """
    whole = [trial for trial in study.get_trials(deepcopy=False) if is_whole(trial)]
    if len(whole) < LEAST_COMPARED or len({trial.value for trial in whole}) < 2:  # noqa: PLR2004
        return {}
    optuna = need("optuna", "tune")
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _next(study: "Study", wanted: Wanted, left: "list[FrozenTrial]") -> "Trial | None":
    """A trial a kill left, else a new one, else None: as many as wanted have been begun."""
    if left:
        optuna = need("optuna", "tune")
        found: Trial = optuna.trial.Trial(study, left.pop(0)._trial_id)  # noqa: SLF001  optuna has no other way back
        return found
    return study.ask() if len(study.get_trials(deepcopy=False)) < wanted.trials else None


def _tried(
    study: "Study", wanted: Wanted, given: "tuple[Trial, tuple[int, ...]]",
    means: tuple[Run, threading.Lock, Callable[[], bool]],
) -> None:  # fmt: skip
    (trial, cores), (run, lock, wants_stop) = given, means
    with lock:
        values = {}
        for place, (name, one) in enumerate(wanted.space.items()):  # a kill may have come between two of them
            seed = (wanted.seed * 1_000_003 + trial.number * len(wanted.space) + place) % 2**32
            study.sampler = need("optuna", "tune").samplers.TPESampler(seed=seed)
            values[name] = _suggested(trial, name, one)
    asked = Asked(
        str(wanted.folder), wanted.release, wanted.recipe, f"trial-{trial.number:03d}",
        (*wanted.settings, *settings(values)), cores,
    )  # fmt: skip
    end = run(asked, partial(_watched, trial, lock), wants_stop)
    if end is None:
        return  # interrupted: the same command goes on with it
    state = need("optuna", "tune").trial.TrialState
    with lock:
        if end.score is None:
            trial.set_user_attr("cause", end.cause)
            study.tell(trial, state=state.FAIL)
        elif end.is_pruned:
            study.tell(trial, state=state.PRUNED)
        else:
            study.tell(trial, end.score)


def _watched(trial: "Trial", lock: threading.Lock, epoch: int, score: float) -> bool:
    with lock:
        before = trial.study._storage.get_trial(trial._trial_id).intermediate_values  # noqa: SLF001  told once only
        if epoch not in before:
            trial.report(score, epoch)
        return bool(trial.should_prune())


def _suggested(trial: "Trial", name: str, one: Any) -> float | int | str:  # noqa: ANN401  a Span or Words
    if isinstance(one, Span):
        value = trial.suggest_float(name, one.low, one.high, log=one.is_log)
        return float(value)
    found: float | int | str = trial.suggest_categorical(name, list(one.values))
    return found
