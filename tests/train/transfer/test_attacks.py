"""Attacked pictures stay within the bound and raise the loss."""

from __future__ import annotations

import torch

from pictus import models
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
