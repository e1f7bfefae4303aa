from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pictus import networks
from pictus.train.loop import optimizers
from pictus.train.loop.optimizers import OPTIMIZERS
from pictus.train.recipes import Recipe

if TYPE_CHECKING:
    import torch
    from torch import nn

RECIPE = Recipe("resnet-w16", lr=0.1, weight_decay=0.5)


def _network() -> "nn.Module":
    import torch

    torch.manual_seed(0)
    return networks.make("resnet-w16", 3)


def _one(name: str, weight: "torch.Tensor", *, is_matrix: bool = True, lr: float = 0.1) -> "torch.optim.Optimizer":
    groups = [{"params": [weight], "weight_decay": 0.5, "lr_scale": 1.0, "is_matrix": is_matrix}]
    return OPTIMIZERS.get(name)(groups, replace(RECIPE, lr=lr))


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_makes_a_loss_smaller(name: str) -> None:
    import torch

    torch.manual_seed(0)
    network = networks.make("resnet-w16", 3)
    recipe = replace(RECIPE, optimizer=name, weight_decay=1e-4, lr={"sgd": 0.05, "muon-normed": 0.05}.get(name, 2e-3))
    optimizer = optimizers.made(network, network, recipe)
    inputs, labels = torch.randn(12, 3, 32, 32), torch.arange(12) % 3
    losses = []
    for _ in range(10):
        network.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(inputs), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0], losses


def test_norms_and_biases_have_no_decay_and_only_matrices_of_the_body_are_muon_s() -> None:
    network = _network()
    of = {
        id(parameter): group
        for group in optimizers.groups(network, network, RECIPE) for parameter in group["params"]
    }  # fmt: skip
    found = {name: of[id(parameter)] for name, parameter in network.named_parameters()}
    assert len(found) == len(of)
    head = networks.head_of(network)[0]
    for name, parameter in network.named_parameters():
        assert found[name]["weight_decay"] == (0.5 if parameter.ndim > 1 else 0.0), name
        assert found[name]["is_matrix"] == (parameter.ndim > 1 and not name.startswith(head)), name


def test_layers_further_down_learn_more_slowly_by_the_decay() -> None:
    network = _network()
    shares = optimizers.lr_shares(network, 0.5)
    stages = networks.stages_of(network)
    assert set(shares) == {name for name, _ in network.named_parameters()}
    assert [shares[stage[0]] for stage in stages] == [0.5 ** (len(stages) - 1 - at) for at in range(len(stages))]
    assert optimizers.lr_shares(network, 1.0) == {}
    optimizer = optimizers.made(network, network, replace(RECIPE, layer_decay=0.5))
    optimizers.set_rate(optimizer, 0.8)
    rates = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    assert rates[id(dict(network.named_parameters())[stages[-1][0]])] == 0.8
    assert min(rates.values()) == pytest.approx(0.8 * 0.5 ** (len(stages) - 1))


def test_what_batch_normalisation_adds_may_learn_faster_than_the_rest() -> None:
    network = networks.make("resnet-w16", 3)
    found = optimizers.groups(network, network, Recipe("resnet-w16", lr_bias=64))
    scales = {id(one): group["lr_scale"] for group in found for one in group["params"]}
    parameters = dict(network.named_parameters())
    assert scales[id(parameters["1.bias"])] == 64
    assert {scales[id(one)] for name, one in parameters.items() if name in ("0.weight", "1.weight", "13.bias")} == {1}


def test_rates_of_their_own_leave_the_decay_of_a_step_alone() -> None:
    network = networks.make("airbench", 3)
    own = Recipe("airbench", weight_decay=0.5, lr_head=0.1, lr_bias=64)
    of = {id(one): group for group in optimizers.groups(network, network, own) for one in group["params"]}
    learned = {name: one for name, one in network.named_parameters() if one.requires_grad}
    decays = {name: of[id(one)]["weight_decay"] * of[id(one)]["lr_scale"] for name, one in learned.items()}
    head = networks.head_of(network)[0]
    assert decays.pop(f"{head}.bias") == 0
    assert set(decays.values()) == {0.5}
    first = dict(network.named_parameters())["0.bias"]  # the whitening layer's
    assert of[id(first)]["lr_scale"] == 64
    alike = optimizers.groups(network, network, replace(own, lr_bias=1.0))
    assert next(group for group in alike if any(one is first for one in group["params"]))["weight_decay"] == 0


def test_a_network_inside_a_student_keeps_its_shares() -> None:
    import torch

    student = torch.nn.ModuleDict({"network": _network(), "projection": torch.nn.Linear(4, 4)})
    groups = optimizers.groups(student, student["network"], replace(RECIPE, layer_decay=0.5))
    assert sum(len(group["params"]) for group in groups) == len(list(student.parameters()))
    of = {id(parameter): group["lr_scale"] for group in groups for parameter in group["params"]}
    assert of[id(student["projection"].weight)] == 1.0
    assert of[id(next(student["network"].parameters()))] < 1.0


def test_lion_moves_by_the_sign() -> None:
    import torch

    weight = torch.tensor([[1.0, 2.0]], requires_grad=True)
    optimizer = _one("lion", weight)
    weight.grad = torch.tensor([[3.0, -4.0]])
    optimizer.step()
    # w (1 - 0.1 0.5) - 0.1 sign(0.9 0 + 0.1 g); mean = 0.01 g
    assert weight.tolist() == [pytest.approx([0.85, 2.0])]
    assert optimizer.state[weight]["mean"].tolist() == [pytest.approx([0.03, -0.04])]
    weight.grad = torch.tensor([[-0.2, 0.0]])  # 0.9 0.03 - 0.1 0.2 > 0: the mean of before decides
    optimizer.step()
    assert weight.tolist() == [pytest.approx([0.85 * 0.95 - 0.1, 2.0 * 0.95 + 0.1])]


@pytest.mark.parametrize("shape", [(8, 8), (20, 6), (6, 20)])
def test_newton_schulz_keeps_directions_and_levels_their_sizes(shape: tuple[int, int]) -> None:
    import torch

    torch.manual_seed(0)
    matrix = torch.randn(shape)
    found = optimizers.orthogonal(matrix)
    sizes = torch.linalg.svdvals(found)
    assert 0.6 < float(sizes.min()) <= float(sizes.max()) < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(found.flatten(), (left @ right).flatten(), dim=0) > 0.97


def test_muon_s_adam_is_torch_s() -> None:
    import torch

    ours = torch.tensor([[1.0, -2.0]], requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    optimizer = _one("muon", ours, is_matrix=False, lr=0.01)
    reference = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.5)
    for number in range(5):
        ours.grad = torch.tensor([[0.3 * number - 0.5, 1.0]])
        theirs.grad = ours.grad.clone()
        optimizer.step()
        reference.step()
    assert torch.allclose(ours, theirs, rtol=1e-5)


def test_a_kernel_s_muon_step_has_the_size_of_adam_s() -> None:
    import torch

    torch.manual_seed(0)
    weight = torch.zeros(64, 32, 3, 3, requires_grad=True)
    optimizer = _one("muon", weight, lr=1.0)
    weight.grad = torch.randn(64, 32, 3, 3)
    optimizer.step()
    assert 0.15 < float(weight.detach().square().mean().sqrt()) < 0.25


def test_a_normed_kernel_keeps_its_norm_and_is_turned_by_the_rate() -> None:
    import torch

    torch.manual_seed(0)
    weight = torch.randn(64, 32, 3, 3, requires_grad=True)
    before, direction = weight.detach().clone(), torch.randn(64, 32, 3, 3)
    optimizer = _one("muon-normed", weight, lr=0.1)
    for _ in range(5):
        weight.grad = direction
        moved_from = weight.detach().clone()
        optimizer.step()
        step = weight.detach() - moved_from * before.norm() / moved_from.norm()
        assert 0.07 < float(step.norm() / before.norm()) < 0.13
    assert float(weight.detach().norm() / before.norm()) == pytest.approx(1, abs=0.03)
    aligned = torch.nn.functional.cosine_similarity(weight.detach().flatten(), direction.flatten(), dim=0)
    assert float(aligned) < -0.3


def test_a_normed_kernel_of_zeros_begins_all_the_same() -> None:
    import torch

    weight = torch.zeros(4, 9, requires_grad=True)
    optimizer = _one("muon-normed", weight, lr=0.1)
    weight.grad = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    assert 0.1 < float(weight.detach().norm()) < 0.3


def test_beside_normed_kernels_the_rest_moves_as_torch_s_sgd() -> None:
    import torch

    ours = torch.tensor([1.0, -2.0], requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    groups = [{"params": [ours], "weight_decay": 0.0, "lr_scale": 1.0, "is_matrix": False}]
    optimizer = OPTIMIZERS.get("muon-normed")(groups, RECIPE)
    reference = torch.optim.SGD([theirs], lr=RECIPE.lr, momentum=optimizers.OTHERS_MOMENTUM, nesterov=True)
    for number in range(5):
        ours.grad = torch.tensor([0.3 * number - 0.5, 1.0])
        theirs.grad = ours.grad.clone()
        optimizer.step()
        reference.step()
    assert torch.allclose(ours, theirs, rtol=1e-5)


def test_frozen_weights_stay() -> None:
    for name in OPTIMIZERS.names():
        network = _network()
        before = {key: value.clone() for key, value in network.state_dict().items()}
        optimizers.made(network, network, replace(RECIPE, optimizer=name)).step()
        assert all(bool((value == before[key]).all()) for key, value in network.state_dict().items()), name
