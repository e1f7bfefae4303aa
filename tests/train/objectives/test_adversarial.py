"""Attacked pictures stay within the bound, raise the loss, and training on them is exact."""

from __future__ import annotations

import pytest
import torch

import pictus
from pictus import models, train
from pictus.train.loop import training
from pictus.train.transfer.attacks import Bound, attacked

SEEN = models.Preprocessing(8, 8)


def test_an_attack_raises_the_loss_within_its_bound() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3))
    pixels = torch.randint(0, 256, (6, 8, 8, 3), dtype=torch.uint8)
    inputs, labels = models.normalised(pixels, SEEN), torch.tensor([0, 1, 2, 0, 1, 2])

    def losses(x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.nn.functional.cross_entropy(network(x), labels, reduction="none")
        return found

    changed = attacked(losses, inputs, Bound(4.0, 5), SEEN, 7)
    std, mean = (torch.tensor(values)[:, None, None] for values in (SEEN.std, SEEN.mean))
    colours = (changed * std + mean) * 255
    assert float((colours - pixels.permute(0, 3, 1, 2)).abs().max()) <= 4.001
    assert -0.01 <= float(colours.min()) <= float(colours.max()) <= 255.01
    assert bool((losses(changed) > losses(inputs)).all())
    assert torch.equal(changed, attacked(losses, inputs, Bound(4.0, 5), SEEN, 7))
    assert not torch.equal(changed, attacked(losses, inputs, Bound(4.0, 1), SEEN, 8))


def test_a_run_against_attacks_ends_with_the_same_bytes_after_a_stop(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("epochs=2", "batch_size=12", "size=32", "objective=adversarial", "attack_steps=1", "parts=2")
    train.run(stripes, name="whole", set_=settings)
    before, count = training.advance, 0

    def stopping(*given: object) -> object:
        nonlocal count
        count += 1
        if count == 6:
            raise KeyboardInterrupt
        return before(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "advance", stopping)
    with pytest.raises(KeyboardInterrupt):
        train.run(stripes, name="cut", set_=settings)
    train.resume(stripes, "cut")
    for name in ("metrics.jsonl", "model.safetensors"):
        assert (stripes.models_dir / "whole" / name).read_bytes() == (stripes.models_dir / "cut" / name).read_bytes()
