from __future__ import annotations

import pytest

from pictus.errors import UserError
from pictus.registry import STEPS, Outcome, Registry, step


def test_a_miss_proposes_the_nearest_name() -> None:
    methods: Registry[int] = Registry("method")
    methods.register("dawid-skene")(1)
    methods.register("majority")(2)
    with pytest.raises(UserError, match="There is no method 'dawid-skne'") as caught:
        methods.get("dawid-skne")
    assert caught.value.fix == "did you mean dawid-skene?"
    with pytest.raises(UserError) as caught:
        methods.get("zzz")
    assert caught.value.fix == "one of: dawid-skene, majority"


def test_a_name_is_registered_once() -> None:
    methods: Registry[int] = Registry("method")
    methods.register("a")(1)
    with pytest.raises(ValueError, match="registered twice"):
        methods.register("a")(2)


def test_an_outcome_reads_its_records_back_each_time() -> None:
    outcome = Outcome("x", {}, source=lambda: iter([1, 2]))
    assert list(outcome) == list(outcome) == [1, 2]


def test_a_step_is_registered_once() -> None:
    name = "test once"
    try:
        step(name, changes=False)(lambda project: Outcome(name, {}))
        with pytest.raises(ValueError, match="registered twice"):
            step(name, changes=False)(lambda project: Outcome(name, {}))
    finally:
        STEPS.pop(name, None)
