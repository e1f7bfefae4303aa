"""A run is held to the weights it began from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch

from pictus import models, networks
from pictus.errors import UserError
from pictus.project import bare
from pictus.train.recipes import find
from pictus.train.transfer import start


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """The folder of a run `first` of two classes, with weights that nobody trained."""
    root = tmp_path / "models" / "first"
    root.mkdir(parents=True)
    seen = {"size": 32, "resize": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
    (root / models.CARD_NAME).write_text(json.dumps({
        "format": 1, "status": "finished", "model": "small-cnn", "classes": ["a", "b"], "class_names": ["a", "b"],
        "preprocessing": seen,
    }))  # fmt: skip
    weights = networks.make("small-cnn", 2, size=32).state_dict()
    (root / models.WEIGHTS_NAME).write_bytes(safetensors.torch.save(weights))
    return root


def test_the_digest_is_found_when_a_run_begins_and_asked_for_when_its_weights_are_read(
    first: Path, tmp_path: Path
) -> None:
    recipe = start.resolved(bare(tmp_path), replace(find("small-cnn"), from_run="first"))
    assert recipe.from_run_sha256 == models.weights_sha256(models.open_run(first))
    assert start.network_from(recipe, ("a", "b"))
    assert start.network_from(replace(recipe, from_run_sha256=""), ("a", "b")), "a run of before found none"
    with (first / models.WEIGHTS_NAME).open("ab") as opened:
        opened.write(b" ")
    with pytest.raises(UserError, match="The weights of 'first' have changed since this run was begun"):
        start.network_from(recipe, ("a", "b"))
