from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pictus.errors import UserError
from pictus.train.objectives import augmix

torch = pytest.importorskip("torch", reason="pip install 'pictus[train]'")


def test_divergence_is_nothing_of_equal_answers_and_log_2_of_two_that_exclude_each_other() -> None:
    sure = torch.tensor([[50.0, -50.0]])
    assert augmix.divergence(sure, sure, sure).tolist() == [pytest.approx(0, abs=1e-6)]
    assert augmix.divergence(sure, -sure).tolist() == [pytest.approx(np.log(2), rel=1e-4)]


def test_divergence_is_the_one_of_scipy() -> None:
    from scipy.spatial.distance import jensenshannon

    first, second = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.3, 0.6])
    found = augmix.divergence(*(torch.from_numpy(np.log(one))[None] for one in (first, second)))
    assert float(found[0]) == pytest.approx(jensenshannon(first, second) ** 2)


def test_another_task_is_refused_before_training() -> None:
    job: Any = SimpleNamespace(recipe=SimpleNamespace(task="multilabel"))
    with pytest.raises(UserError, match="task 'multilabel' gives others") as error:
        augmix.checked(torch.nn.Identity(), job)
    assert "policy=augmix" in str(error.value.fix)
