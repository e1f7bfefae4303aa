from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.web.test_runs import EVIL, make_run

import pictus
from pictus import models, train
from pictus.train import recipes
from pictus.web import run_settings
from pictus.web.run_settings import Settings, is_same
from pictus.web.server import build_app


def of_run(project: pictus.Project, recipe: str = "small-cnn", *, asked: dict[str, Any], **resolved: Any) -> Settings:
    root = make_run(project, "young", epochs=1)
    card = json.loads((root / "run.json").read_text()) | {"recipe_name": recipe}
    (root / "run.json").write_text(json.dumps(card | {"asked": asked, "recipe": asked | resolved}))
    return run_settings.settings(project, models.open_run(root), {"young", "first"})


def test_what_was_asked_for_comes_first_then_what_was_chosen(project: pictus.Project) -> None:
    usual = asdict(recipes.find("small-cnn"))
    asked = usual | {"lr": 0.1, "from_run": "/far/away/models/first", "teacher": "/far/away/models/gone"}
    shown = of_run(project, asked=asked, size=64, batch_size=32)
    assert [(one.name, one.value, one.usual, one.run) for one in shown.asked] == [
        ("lr", "0.1", "0.2", ""), ("from_run", "first", "", "first"), ("teacher", "gone", "", ""),
    ]  # fmt: skip
    assert [(one.name, one.value) for one in shown.chosen] == [("batch_size", "32"), ("size", "64")]
    assert sum(map(len, shown.groups.values())) == len(usual)
    assert run_settings.OTHERS in shown.groups, "digests, which nobody sets"
    assert next(one.means for one in shown.groups["Recipes"] if one.name == "lr").startswith("learning rate")


def test_what_auto_chose_nobody_asked_for(project: pictus.Project) -> None:
    chosen = asdict(recipes.find("small-cnn")) | {"lr": 0.3, "epochs": 40, "flip": 0.0, "minutes": 9.0}
    of_run(project, "auto", asked=chosen | {"epochs": 7, "flip": 0.5})
    path = project.models_dir / "young" / "run.json"
    typed = {"why_settings": ["epochs=7", " flip =0.5", "minutes=9"]}  # auto plans for 9
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chosen": chosen} | typed))
    shown = run_settings.settings(project, models.open_run(path.parent), set())
    assert shown.recipe == "auto"
    assert sorted((one.name, one.value, one.usual) for one in shown.asked) == [
        ("epochs", "7", "40"), ("flip", "0.5", "0"), ("minutes", "9", "4.5"),
    ]  # fmt: skip
    assert [one.name for one in shown.chosen] == ["lr"]
    strange: tuple[object, ...] = (7, {}, [[], None])  # of a card that somebody else wrote
    for wrong in strange:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"why_settings": wrong}))
        assert run_settings.settings(project, models.open_run(path.parent), set()).asked, wrong


def test_a_recipe_that_nobody_knows_is_shown_beside_a_known_one(project: pictus.Project) -> None:
    shown = of_run(project, "made-up", asked={"lr": 0.2})
    assert (shown.recipe, shown.asked) == ("small-cnn", [])


def test_a_page_shows_no_place_on_the_machine_and_folds_what_is_usual(project: pictus.Project) -> None:
    of_run(project, asked={"from_run": "/far/away/models/first", "weights": "/far/w.safetensors", "policy": EVIL})
    with TestClient(build_app(project), base_url="http://127.0.0.1") as browser:
        page = browser.get("/runs/young").text
    assert "/far" not in page
    assert "w.safetensors" in page
    assert EVIL not in page
    assert page.index(">weights<") < page.index("<details")


@pytest.mark.parametrize(
    ("value", "written", "same"),
    [(0.2, "0.2", True), (20, "20.0", True), (True, "true", True), (False, "true", False), ("sgd", "sgd", True),
     (0.2, "sgd", False), (None, "", False), ("", "", True), (10**400, "1", False), (float("nan"), "1", False)],
)  # fmt: skip
def test_a_value_of_a_card_is_what_a_person_types(value: object, written: str, same: bool) -> None:
    assert is_same(value, written) is same


def test_every_setting_of_every_recipe_is_as_usual_where_nothing_was_asked(project: pictus.Project) -> None:
    for name in recipes.RECIPES.names():
        usual = asdict(recipes.find(name))
        wrong = [row.name for row in train.settings(project, recipe=name) if not is_same(usual[row.name], row.value)]
        assert wrong == [], name
