"""Ranges around a recipe's own values, and what is typed of them."""

from __future__ import annotations

import pytest

from pictus.errors import UserError
from pictus.train import recipes
from pictus.train.recipes import Recipe
from pictus.train.tuning import space
from pictus.train.tuning.space import Span, Words


@pytest.mark.parametrize("name", recipes.RECIPES.names())
def test_every_end_of_every_range_is_a_setting_that_training_takes(name: str) -> None:
    recipe = recipes.find(name)
    for setting, tried in space.space(recipe).items():
        ends = (tried.low, tried.high) if isinstance(tried, Span) else tried.values
        assert tried.source
        for end in ends:
            assert getattr(recipes.changed(recipe, space.settings({setting: end})), setting) == pytest.approx(end)


def test_ranges_lie_around_the_recipe() -> None:
    found = space.chosen(Recipe("small-cnn", lr=0.4, batch_size=64), " lr,batch-size ")
    assert isinstance(found["lr"], Span)
    assert (found["lr"].low, found["lr"].high) == pytest.approx((0.04, 4.0))
    assert isinstance(found["batch_size"], Words)
    assert found["batch_size"].values == (32, 64, 128)


def test_a_setting_that_cannot_be_tried_is_told_with_near_ones() -> None:
    with pytest.raises(UserError, match="weight_deca"):
        space.chosen(Recipe("small-cnn"), "weight_deca")
    with pytest.raises(UserError, match="names no setting"):
        space.chosen(Recipe("small-cnn"), " , ")


def test_settings_are_typed_as_they_were_tried() -> None:
    found = space.settings({"lr": 0.123456, "policy": "rand", "batch_size": 64})
    line = "pictus train run --recipe small-cnn --set lr=0.1235 --set policy=rand --set batch_size=64"
    assert space.typed("run", "small-cnn", "", found) == line
    assert space.typed("find-lr", "small-cnn", "my 1", ()) == "pictus train find-lr --recipe small-cnn --release 'my 1'"
