"""Weights in shares: the loss of whole ones with half the weights, and files that one process can go on from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.train import recipes
from pictus.train.devices import group, sharding
from pictus.train.loop.state import Counters

TINY = ("size=32", "batch_size=8", "threads=1", "precision=fp32", "lr=0.01", "log=none")
SHARED = (*TINY, "processes=2", "shard=true")


def test_shares_learn_as_whole_weights_do_with_half_of_them_and_resume_with_the_same_bits(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = group.Spread.begun
    held: list[float] = []

    def stopping(self: group.Spread, n_seen: int, counters: Counters) -> bool:
        weights = list(self.model.parameters())
        own = sum(one.to_local().numel() for one in weights)
        held.append(own / sum(one.numel() for one in weights))
        if counters.step == 8 and len(held) == 9:
            raise KeyboardInterrupt
        return step(self, n_seen, counters)

    train.run(stripes, name="parts", epochs=2, set_=(*TINY, "parts=2"))
    train.run(stripes, name="whole", epochs=2, set_=SHARED)
    monkeypatch.setattr(group.Spread, "begun", stopping)
    with pytest.raises(KeyboardInterrupt):
        train.run(stripes, name="stopped", epochs=2, set_=SHARED)
    train.resume(stripes, "stopped")
    assert (min(held), max(held)) == pytest.approx((0.5, 0.5), abs=0.01)
    parts, whole, stopped = (stripes.models_dir / name for name in ("parts", "whole", "stopped"))
    assert _losses(whole) == pytest.approx(_losses(parts), rel=1e-3)
    for name in ("metrics.jsonl", "model.safetensors", "last.safetensors"):
        assert (whole / name).read_bytes() == (stopped / name).read_bytes(), name
    assert models.load_run(models.find_run(stripes, "whole"))


def test_a_network_is_borrowed_by_its_blocks() -> None:
    torch = pytest.importorskip("torch")
    big, small = torch.nn.Linear(200, 200), torch.nn.Linear(2, 2)
    inner = torch.nn.Sequential(big, small)
    network = torch.nn.Module()
    network.layer1, network.head = torch.nn.Sequential(inner), small
    assert list(sharding.blocks(network)) == [big]


@pytest.mark.parametrize("setting", ["lora=4", "freeze=backbone", "optimizer=muon", "objective=simclr", "compile=true"])
def test_what_shares_cannot_do_is_told(setting: str) -> None:
    recipe = recipes.changed(recipes.find("small-cnn"), (*SHARED, setting))
    with pytest.raises(UserError, match=setting):
        sharding.check(recipe)


@pytest.mark.parametrize("more", [(), ("lora=4",)])
def test_shares_of_one_process_are_refused_whatever_else_is_set(more: tuple[str, ...]) -> None:
    facts = recipes.Facts(10_000, 300, 2**31, has_fast_bf16=False)
    recipe = recipes.changed(recipes.find("small-cnn"), ("shard=true", *more))
    with pytest.raises(UserError, match="shares of several processes, and there is one"):
        recipes.resolve(recipe, facts)
    assert recipes.resolve(recipes.changed(recipe, ("processes=2",)), facts).shard


def _losses(root: Path) -> list[float]:
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    return [float(line["loss"]) for line in lines if line["kind"] == "step"]
