"""What a run takes over from the one it follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictus import models
from pictus.train.fitting import successor


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
