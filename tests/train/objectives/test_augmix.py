from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pictus
from pictus import train
from pictus.errors import UserError
from pictus.train.loop import training
from pictus.train.loop.state import Job, State
from pictus.train.objectives import augmix

torch = pytest.importorskip("torch", reason="pip install 'pictus[train]'")
SETTINGS = ("batch_size=8", "size=32", "probe=false", "parts=2", "threads=1", "precision=fp32")


def test_divergence_is_nothing_of_equal_answers_and_log_2_of_two_that_exclude_each_other() -> None:
    sure = torch.tensor([[50.0, -50.0]])
    assert augmix.divergence(sure, sure, sure).tolist() == [pytest.approx(0, abs=1e-6)]
    assert augmix.divergence(sure, -sure).tolist() == [pytest.approx(np.log(2), rel=1e-4)]


def test_divergence_is_the_one_of_scipy() -> None:
    from scipy.spatial.distance import jensenshannon

    first, second = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.3, 0.6])
    found = augmix.divergence(*(torch.from_numpy(np.log(one))[None] for one in (first, second)))
    assert float(found[0]) == pytest.approx(jensenshannon(first, second) ** 2)


@pytest.mark.parametrize(
    "settings", [("objective=augmix",), ("policy=rand", "mixup=0.4", "cutmix=1", "mix_until=0.7", "hue=0.1")]
)
def test_a_run_that_was_stopped_in_the_middle_ends_with_the_same_bytes(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
) -> None:
    settings = (*SETTINGS, *settings)
    whole = Path(train.run(stripes, epochs=2, name="whole", set_=settings).summary["path"])
    advance = training.advance

    def stopping(job: Job, state: State, *rest: Any) -> Any:
        if state.counters.step == 7:
            raise KeyboardInterrupt
        return advance(job, state, *rest)

    monkeypatch.setattr(training, "advance", stopping)
    with pytest.raises(KeyboardInterrupt):
        train.run(stripes, epochs=2, name="stopped", set_=settings)
    monkeypatch.setattr(training, "advance", advance)
    stopped = Path(train.resume(stripes, "stopped").summary["path"])
    for name in ("metrics.jsonl", "model.safetensors", "last.safetensors"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes(), name


def test_another_task_is_refused_before_training() -> None:
    job: Any = SimpleNamespace(recipe=SimpleNamespace(task="multilabel"))
    with pytest.raises(UserError, match="task 'multilabel' gives others") as error:
        augmix.checked(torch.nn.Identity(), job)
    assert "policy=augmix" in str(error.value.fix)
