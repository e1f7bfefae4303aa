from __future__ import annotations

import pytest

from pictus.errors import UserError
from pictus.train.loop import precision
from pictus.train.loop.state import Counters
from pictus.train.recipes import Recipe


def test_the_scale_halves_where_numbers_run_over_and_doubles_after_many_that_do_not() -> None:
    counters = Counters()
    precision.rescaled(counters, is_finite=False)
    assert (counters.loss_scale, counters.good_steps) == (32_768, 0)
    for _ in range(precision.GROWTH_STEPS - 1):
        precision.rescaled(counters, is_finite=True)
    assert counters.loss_scale == 32_768
    precision.rescaled(counters, is_finite=True)
    assert (counters.loss_scale, counters.good_steps) == (65_536, 0)


def test_fp16_is_refused_without_a_gpu() -> None:
    with pytest.raises(UserError, match="fp16 is for GPUs"):
        precision.check(Recipe("small-cnn", precision="fp16"), "cpu")
    precision.check(Recipe("small-cnn", precision="fp16"), "cuda")
    precision.check(Recipe("small-cnn", precision="bf16"), "cpu")


def test_names_are_number_types() -> None:
    import torch

    of = {name: precision.autocast("cpu", name) for name in ("bf16", "fp16", "fp32")}
    weights = torch.ones(2, 2)
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)):
        with of[name]:
            assert (weights @ weights).dtype == dtype
