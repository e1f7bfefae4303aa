from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest

from pictus import train
from pictus.errors import UserError
from pictus.project import bare
from pictus.train import recipes
from pictus.train.meanings import FOUND, MEANINGS
from pictus.train.recipes import Recipe

DOCS = Path(__file__).parent.parent.parent / "docs" / "train.md"


def test_every_setting_has_one_meaning_and_one_place() -> None:
    named = Counter(name for meanings in MEANINGS.values() for name in meanings)
    wanted = {field.name for field in fields(Recipe)} - set(FOUND)
    assert set(named) == wanted, "a setting of recipes.py and its line in meanings.py come together"
    assert max(named.values()) == 1
    assert all(0 < len(means) <= 90 for meanings in MEANINGS.values() for means in meanings.values())


def test_the_headings_are_those_of_the_page_in_its_order() -> None:
    known = re.findall(r"^## (.+)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    places = [known.index(heading) for heading in MEANINGS]
    assert places == sorted(places)


def test_settings_are_listed_with_the_recipe_s_values(tmp_path: Path) -> None:
    outcome = train.settings(bare(tmp_path), recipe="airbench")
    found = {row.name: row for row in outcome}
    assert len(found) == outcome.summary["settings"] == len(fields(Recipe)) - len(FOUND)
    assert (found["batch_size"].value, found["clip"].value, found["mirror"].value) == ("1024", "0", "true")
    assert found["warmup"].allowed == "0 to 0.9"
    assert "distil" in found["objective"].allowed
    assert "\n\nAugmentation\n" in outcome.headline, "drawn under headings, all of them"
    typed = [f"{row.name}={row.value}" for row in outcome if row.value and row.name not in ("size", "lr_head")]
    assert recipes.changed(recipes.find("airbench"), typed) == recipes.find("airbench")


def test_settings_are_found_by_a_word_of_name_or_meaning(tmp_path: Path) -> None:
    outcome = train.settings(bare(tmp_path), find="mix")
    assert {row.name for row in outcome} >= {"mixup", "cutmix", "mix_until"}
    assert outcome.summary["settings"] < 8
    assert outcome.next == ("pictus train run --recipe small-cnn --set mixup=…",), "by name first"
    assert train.settings(bare(tmp_path), find="mirror").next[0].endswith("--set mirror=true"), "not what it is already"
    assert train.settings(bare(tmp_path), find="policy").next[0].endswith("--set policy=rand")
    assert train.settings(bare(tmp_path)).next[0].endswith("--set lr=…")
    assert [row.name for row in train.settings(bare(tmp_path), find="weight-decay")] == ["weight_decay"]
    with pytest.raises(UserError, match="No setting is called or means 'zebra'"):
        train.settings(bare(tmp_path), find="zebra")


def test_of_auto_the_values_it_begins_from_are_shown(tmp_path: Path) -> None:
    outcome = train.settings(bare(tmp_path), recipe="auto")
    assert next(row.value for row in outcome if row.name == "minutes") == "4.5", "its own"
    assert outcome.problems == ("auto sets some of them by the pictures and the machine; these are small-cnn's",)


def test_a_wrong_setting_is_told_before_a_release_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1 wrong setting:\n.*did you mean lr"):
        train.run(bare(tmp_path), release="nowhere", set_=("learning_rate=0.1",))
