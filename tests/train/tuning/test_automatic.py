"""The recipe `auto`: what is chosen from facts, in words, and that a killed run goes on by it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count

import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.releases import find_release
from pictus.train.tuning import automatic
from pictus.train.tuning.automatic import Data, Machine

HANDS = Data(700, tuple("0123456789"), 60, 80, 100, 0.0)
LAPTOP = Machine(2, "cpu", True, {("airbench-s2", 64): 100.0, ("airbench-s2", 48): 200.0, ("small-cnn", 64): 400.0})


def test_the_strongest_network_that_sees_the_pictures_often_enough_is_taken() -> None:
    # 4,000 pictures are wanted 12 times: 48,000; in 8 minutes airbench-s2 shows 38,400 of 64 px, 76,800 of 48 px
    many = replace(HANDS, n_train=4000)
    taken = {minutes: automatic.choice(many, LAPTOP, minutes=minutes).recipe for minutes in (8, 20)}
    assert {minutes: (one.model, one.size) for minutes, one in taken.items()} == {
        8: ("airbench-s2", 48), 20: ("airbench-s2", 64),
    }  # fmt: skip
    slow = replace(LAPTOP, pictures_per_s={key: rate / 100 for key, rate in LAPTOP.pictures_per_s.items()})
    assert automatic.choice(many, slow).recipe.model == "small-cnn"


def test_small_pictures_are_for_the_network_made_for_them_with_its_own_settings() -> None:
    machine = replace(LAPTOP, pictures_per_s={("airbench", 32): 700.0, ("small-cnn", 32): 3000.0})
    found = automatic.choice(replace(HANDS, n_train=49_000, short_side=32, names=("cat", "dog")), machine, minutes=30)
    assert (found.recipe.model, found.recipe.alternate, found.recipe.mirror) == ("airbench-deep", True, True)
    assert found.recipe.epochs == round(700 * 1800 * 0.8 / 49_000)
    digits = automatic.choice(replace(HANDS, n_train=49_000, short_side=32), machine, minutes=30).recipe
    assert (digits.flip, digits.mirror) == (0.0, False), "an answer from a mirror image it never saw is refused"


def test_few_pictures_are_for_the_smallest_network() -> None:
    found = automatic.choice(HANDS, LAPTOP)
    assert (found.recipe.model, found.recipe.size, found.recipe.minutes) == ("small-cnn", 64, automatic.MINUTES)
    assert found.recipe.epochs == round(400 * 270 * 0.8 / 700)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (tuple("0123456789"), "0"), (("turn_left", "turn_right"), "turn_left"), (("letter-a", "owl"), "letter-a"),
        (("owl", "wren"), ""), (("brighton", "wordless"), ""),
    ],
)  # fmt: skip
def test_pictures_whose_names_speak_of_a_direction_are_not_mirrored(names: tuple[str, ...], told: str) -> None:
    assert automatic.has_direction(names) == told
    found = automatic.choice(replace(HANDS, names=names), LAPTOP)
    assert found.recipe.flip == (0.0 if told else 0.5)
    assert any("mirror" in sentence for sentence in found.why)


def test_uneven_classes_are_balanced_and_grey_pictures_get_other_colours() -> None:
    found = automatic.choice(replace(HANDS, fewest=4, most=200, grey=1.0), LAPTOP).recipe
    assert (found.balance, found.colour) == (0.5, 0.3)
    assert automatic.choice(HANDS, LAPTOP).recipe.balance == 0


def test_every_side_is_measured_until_the_time_is_up() -> None:
    ticks = count()
    found = automatic.measured((32,), clock=lambda: float(next(ticks)))  # a second at each look
    assert list(found.pictures_per_s) == [("small-cnn", 32)]
    assert found.pictures_per_s["small-cnn", 32] == 2 * automatic.PROBED_BATCH


def test_a_run_says_why_and_the_same_command_goes_on_after_a_kill(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("epochs=1", "size=32", "batch_size=12", "minutes=0")
    outcome = train.run(stripes, recipe="auto", name="a", set_=asked)
    card = models.find_run(stripes, "a").card
    assert outcome.summary["run"] == "a"
    assert card["recipe_name"] == "auto"
    assert "48 training pictures of 3 classes" in card["why"][0]
    path = stripes.models_dir / "a" / "run.json"
    path.write_text(json.dumps(card | {"status": "running"}))
    monkeypatch.setattr(automatic, "measured", None)  # not another look at the clock
    assert automatic.asked(stripes, find_release(stripes), "a", asked, pretrained=False).why == tuple(card["why"])


def _card(pictures_per_s: float, **other: object) -> dict[str, object]:
    recipe = {"model": "small-cnn", "size": 64, "minutes": 4.5, "epochs": 120, "batch_size": 32}
    return {
        "recipe": recipe | other, "chosen": recipe, "expected_pictures_per_s": 200.0, "pictures": {"train": 700},
        "results": {"pictures_per_s": pictures_per_s, "steps": 44, "epochs": 2},
    }  # fmt: skip


def test_a_run_that_the_machine_had_little_time_for_says_so() -> None:
    told = automatic.disappointed(_card(5.9))
    assert told.startswith("It learned from 5.9 pictures/s, where 200 were measured at the start")
    assert "Each picture was seen 2 times in 4.5 minutes" in told
    assert automatic.disappointed(_card(150.0)) == ""
    assert automatic.disappointed(_card(5.9, size=128)) == "", "the user's own size: nothing was expected of it"
    assert automatic.disappointed(_card(5.9, minutes=0)) == ""
    assert automatic.disappointed({"recipe": {"minutes": 5, "model": "m", "size": 1}, "results": {}}) == ""


def test_one_minute_is_one() -> None:
    assert "in 1 minute from each picture" in automatic.choice(HANDS, LAPTOP, minutes=1).why[1]


def test_auto_with_published_weights_is_told_what_to_type(stripes: pictus.Project) -> None:
    with pytest.raises(UserError, match="from scratch"):
        train.run(stripes, recipe="auto", pretrained=True)
