"""What is trained in an epoch, what a frozen batch normalisation does, and that frozen weights cost no gradient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import pictus
from pictus import models, networks, train
from pictus.errors import UserError
from pictus.train import recipes
from pictus.train.loop.parts import Parts, parted, twins
from pictus.train.recipes import Recipe
from pictus.train.transfer import freezing


def test_gradual_unfreezing_adds_a_stage_every_so_many_epochs() -> None:
    recipe = Recipe("resnet-w16", freeze="backbone", unfreeze_every=2)
    assert [freezing.n_trained(recipe, 10, epoch) for epoch in (0, 1, 2, 5, 60)] == [1, 1, 2, 3, 10]
    assert freezing.n_trained(Recipe("resnet-w16", freeze="3"), 10, 99) == 3
    assert freezing.n_trained(Recipe("resnet-w16"), 10, 0) == 10


@pytest.mark.parametrize("value", ["all", "0", "-1", "backbones"])
def test_a_wrong_freeze_is_told(value: str) -> None:
    with pytest.raises(UserError, match="how many stages"):
        recipes.changed(Recipe("resnet-w16"), (f"freeze={value}",))


def test_frozen_stages_get_no_gradient_in_any_part_and_their_statistics_stay() -> None:
    torch.manual_seed(0)
    network = networks.make("resnet-w16", 3)
    freezing.hold(network, Recipe("resnet-w16", freeze="2"), 0)
    stages = networks.stages_of(network)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    inputs = torch.randn(8, 3, 32, 32)

    def compute(model: torch.nn.Module, piece: slice) -> tuple[torch.Tensor, int]:
        return model(inputs[piece]).square().mean(), 0

    with parted(network, 2, 1) as parts:
        parts.gradients(8, compute)
        computed = parts.models
    trained = {name for stage in stages[-2:] for name in stage}
    for model in computed:
        assert {name for name, one in model.named_parameters() if one.grad is not None} == trained
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    last = stages[-2][0].split(".")[0]
    assert changed, "the statistics of the trained stage move"
    assert all(key.startswith(f"{last}.") for key in changed)


def test_what_is_thawed_between_steps_reaches_every_part() -> None:
    network = networks.make("small-cnn", 3)
    recipe = Recipe("small-cnn", freeze="backbone", unfreeze_every=1)
    freezing.hold(network, recipe, 0)
    parts = Parts(twins(network, 2), None)
    # Parts copies the network when it is made; made here with one part only trained, it must follow.
    inputs = torch.randn(8, 3, 64, 64)
    freezing.hold(network, recipe, 1)
    parts.gradients(8, lambda model, piece: (model(inputs[piece]).square().mean(), 0))
    thawed = networks.stages_of(network)[-2][0]
    assert dict(parts.models[1].named_parameters())[thawed].grad is not None


SETTINGS = ("epochs=3", "batch_size=12", "size=32", "ema=0", "freeze=backbone", "unfreeze_every=2", "parts=2")


def test_a_frozen_run_keeps_its_backbone_and_says_so(stripes: pictus.Project) -> None:
    first = train.run(stripes, name="first", set_=("epochs=1", "batch_size=12", "size=32", "parts=2"))
    frozen = ("epochs=2", "batch_size=12", "size=32", "freeze=backbone", "ema=0", "from_run=first", "parts=2")
    train.run(stripes, name="second", set_=frozen)
    assert first.summary["run"] == "first"
    old, new = (models.read_weights(stripes.models_dir / name / models.WEIGHTS_NAME) for name in ("first", "second"))
    head = networks.head_of(networks.make("small-cnn", 3))[0]
    differing = {key for key in old if not torch.equal(old[key], new[key])}
    assert differing == {f"{head}.weight", f"{head}.bias"}
    card = models.open_run(stripes.models_dir / "second").card["transfer"]
    assert card["trained_stages"] == 1
    assert card["trained_parameters"] == sum(old[key].numel() for key in differing)
    assert card["from_run"]["classes_carried_over"] == 3


def test_gradual_unfreezing_ends_with_the_same_bytes_after_a_stop(
    stripes: pictus.Project, trained_twice: Callable[..., tuple[Path, Path]]
) -> None:
    whole, stopped = trained_twice(stripes, SETTINGS, at=9)  # in the third epoch of four steps, after the first thaw
    for name in ("metrics.jsonl", "model.safetensors", "last.safetensors"):
        assert (whole / name).read_bytes() == (stopped / name).read_bytes()
    assert all(one.isfinite().all() for one in models.read_weights(whole / "last.safetensors").values())


def test_the_head_has_a_learning_rate_of_its_own() -> None:
    from pictus.train.loop import optimizers

    network = networks.make("small-cnn", 3)
    groups = optimizers.groups(network, network, Recipe("small-cnn", lr_head=10.0, layer_decay=0.5))
    share = {id(one): group["lr_scale"] for group in groups for one in group["params"]}
    stages = networks.stages_of(network)
    own = dict(network.named_parameters())
    assert [share[id(own[stages[at][0]])] for at in (-1, -2, -3)] == [10.0, 0.5, 0.25]
