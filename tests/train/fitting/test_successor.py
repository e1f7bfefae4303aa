"""What a run takes over from the one it follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

import pictus
from pictus import models
from pictus.errors import UserError
from pictus.train.fitting import successor
from pictus.train.fitting.successor import Successor


@pytest.mark.parametrize(("asked", "taken"), [
    ({"flip": 0.25, "epochs": 30, "lora": 4, "weights": "old.safetensors"}, ("flip=0.25",)),
    ({"flip": 0.5, "unknown": 1}, ()),
])  # fmt: skip
def test_settings_of_a_run_go_over_but_not_how_long_and_from_where_it_was_trained(
    asked: dict[str, object], taken: tuple[str, ...]
) -> None:
    seen = models.Preprocessing(48, 48)
    run = models.Run(Path("wide"), "wide", "small-cnn", ("a", "b"), ("a", "b"), seen, {"asked": asked | {"lr": 0.5}})
    found = successor.settings_of(run, "small-cnn@0.5", Path("narrow.safetensors"))
    assert found == (*taken, "lr=0.05", "size=48", "weights=narrow.safetensors")


def test_a_run_of_the_name_that_began_elsewhere_is_told_with_what_the_step_can_do(
    project: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project.models_dir / "wide-int8-2"
    root.mkdir(parents=True)
    (root / models.CARD_NAME).write_text("{}")
    seen, before = models.Preprocessing(48, 48), {"asked": {"weights": "/there/wide-1.safetensors"}}
    run = models.Run(root, root.name, "small-cnn@int8", ("a", "b"), ("a", "b"), seen, before)
    monkeypatch.setattr(models, "open_run", lambda _: run)
    wanted, release = Successor(root.name, run.model_name, Path("wide-2.safetensors"), 2), cast("Any", None)
    with pytest.raises(UserError, match="began from other weights, or on another release") as told:
        successor.trained(project, run, release, wanted)
    assert "--epochs 3" in told.value.fix
    assert "--name" not in told.value.fix
