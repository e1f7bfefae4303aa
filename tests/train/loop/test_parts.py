from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pictus import networks
from pictus.models import lanes
from pictus.train.loop.parts import Parts, chosen, draws_random_numbers, parted, twins

if TYPE_CHECKING:
    import torch
    from torch import nn


def _network() -> "nn.Module":
    import torch

    torch.manual_seed(0)
    return networks.make("resnet-w16", 5).to(memory_format=torch.channels_last)


def _data() -> tuple["torch.Tensor", "torch.Tensor"]:
    import torch

    torch.manual_seed(1)
    return torch.randn(48, 3, 32, 32).contiguous(memory_format=torch.channels_last), torch.randint(0, 5, (48,))


def _gradients(network: "nn.Module", count: int, n_lanes: int) -> tuple[float, int, list["torch.Tensor"]]:
    import torch

    inputs, labels = _data()

    def compute(part: "nn.Module", piece: slice) -> tuple["torch.Tensor", int]:
        logits = part(inputs[piece])
        return torch.nn.functional.cross_entropy(logits, labels[piece]), int((logits.argmax(1) == labels[piece]).sum())

    with lanes(n_lanes) as pool:
        result = Parts(twins(network, count), pool if n_lanes else None).gradients(48, compute)
    return result.loss, result.n_right, [parameter.grad.clone() for parameter in network.parameters()]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_parts_give_the_gradient_of_the_whole_batch(count: int) -> None:
    import torch

    def plain() -> "nn.Module":  # without normalisation no picture sees another
        torch.manual_seed(0)
        layers = (torch.nn.Conv2d(3, 8, 3, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
        return torch.nn.Sequential(*layers, torch.nn.Linear(32, 5))

    whole, parted = _gradients(plain(), 1, 1), _gradients(plain(), count, 2)
    assert parted[0] == pytest.approx(whole[0], rel=1e-6)
    assert parted[1] == whole[1]
    for ours, theirs in zip(parted[2], whole[2], strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-6)


def test_bits_do_not_depend_on_how_many_parts_run_at_once() -> None:
    import torch

    def found(n_lanes: int) -> list["torch.Tensor"]:
        network = _network()
        gradients = _gradients(network, 3, n_lanes)[2]
        return [*gradients, *(buffer.clone() for buffer in network.buffers())]

    expected = found(1)
    for n_lanes in (2, 3):
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(found(n_lanes), expected, strict=True))


def test_running_statistics_are_the_mean_over_the_parts() -> None:
    import torch

    inputs, _ = _data()
    network = _network()
    stem = network[0](inputs).detach()
    _gradients(network, 2, 2)
    # Momentum 0.1 from 0: a tenth of each half's mean, averaged = a tenth of the whole batch's mean.
    assert torch.allclose(network[1].running_mean, 0.1 * stem.mean((0, 2, 3)), atol=1e-6)
    variance = (stem[:24].var((0, 2, 3)) + stem[24:].var((0, 2, 3))) / 2
    assert torch.allclose(network[1].running_var, 0.9 + 0.1 * variance, atol=1e-5)


def test_parts_share_weights_and_nothing_else() -> None:
    import torch

    network = _network()
    parts = Parts(twins(network, 3), None)
    with torch.no_grad():
        next(network.parameters()).fill_(7)
    for twin in parts.models[1:]:
        assert float(next(twin.parameters()).detach().mean()) == 7
        assert next(twin.buffers()).data_ptr() != next(network.buffers()).data_ptr()


@pytest.mark.parametrize("n_pictures", [2, 3, 5, 9])
def test_fewer_pictures_than_parts_train_as_one_part_does(n_pictures: int) -> None:
    import torch

    inputs, labels = (values[:n_pictures] for values in _data())

    def after(count: int) -> tuple[float, list["torch.Tensor"]]:
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 5))

        def compute(part: "nn.Module", piece: slice) -> tuple["torch.Tensor", int]:
            return torch.nn.functional.cross_entropy(part(inputs[piece]), labels[piece]), piece.stop - piece.start

        result = Parts(twins(network, count), None).gradients(n_pictures, compute)
        assert (result.n_right, result.n_seen) == (n_pictures, n_pictures)
        return result.loss, [parameter.grad for parameter in network.parameters() if parameter.grad is not None]

    (loss, whole), (parted_loss, parted) = after(1), after(8)
    assert parted_loss == pytest.approx(loss, rel=1e-6)
    assert len(parted) == len(whole) == 2
    for ours, theirs in zip(parted, whole, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-6)


def test_running_statistics_leave_out_parts_without_pictures() -> None:
    import torch

    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
    parts = Parts(twins(network, 4), None)

    def compute(part: "nn.Module", piece: slice) -> tuple["torch.Tensor", int]:
        return part(torch.full((piece.stop - piece.start, 3, 4, 4), 10.0)).sum(), 1

    parts.gradients(4, compute)
    for model in parts.models:  # momentum 0.1 from 0: 1, and not the mean with the parts that stayed at 0
        assert model[0].running_mean.tolist() == pytest.approx([1.0] * 3)


def test_no_part_is_a_single_picture() -> None:
    import torch

    pieces: list[int] = []

    def compute(part: "nn.Module", piece: slice) -> tuple["torch.Tensor", int]:
        pieces.append(piece.stop - piece.start)
        return part(torch.ones(pieces[-1], 3, 32, 32)).sum(), 0

    parts = Parts(twins(torch.nn.Conv2d(3, 2, 3), 4), None)
    for n_pictures in (2, 3, 5, 7, 8, 11):
        parts.gradients(n_pictures, compute)
    assert pieces == [2, 3, 2, 3, 2, 2, 3, 2, 2, 2, 2, 2, 3, 3, 3]


def test_parts_follow_cores_batch_and_network() -> None:
    def of(batch: int, cores: int, *, side: int = 224, is_random: bool = False, device: str = "cpu") -> tuple[int, int]:
        return chosen(batch, side, cores, is_random=is_random, device=device)

    assert of(128, 1) == (1, 1)
    assert of(128, 2) == (2, 1)
    assert of(128, 3) == (2, 1)
    assert of(128, 64) == (4, 16)
    assert of(32, 4) == (2, 2)
    assert of(8, 4) == (1, 4)
    assert of(8, 4, side=64) == (1, 1), "threads would wait for each other longer than they compute"
    assert of(128, 4, side=64) == (4, 1)
    assert of(128, 4, is_random=True) == (1, 4)
    assert of(128, 4, device="cuda") == (1, 4)


def test_dropout_is_noticed() -> None:
    assert draws_random_numbers(networks.make("mobilenet_v3_small", 5), 32)
    assert not draws_random_numbers(networks.make("resnet-w16", 5), 32)


def test_a_batch_in_pieces_gives_the_gradient_of_the_whole_one() -> None:
    import torch

    inputs, labels = _data()

    def found(count: int, **given: float) -> tuple[float, list["torch.Tensor"], list[int]]:
        torch.manual_seed(0)
        network, sizes = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 5)), list[int]()

        def compute(part: "nn.Module", piece: slice) -> tuple["torch.Tensor", int]:
            sizes.append(piece.stop - piece.start)
            return torch.nn.functional.cross_entropy(part(inputs[piece]), labels[piece]), 1

        result = Parts(twins(network, count), None).gradients(48, compute, **given)  # type: ignore[arg-type]
        return result.loss, [parameter.grad for parameter in network.parameters() if parameter.grad is not None], sizes

    whole = found(1)
    cases = ((1, {"pieces": 3}, [16] * 3), (2, {"pieces": 2}, [12] * 4), (1, {"pieces": 99}, [2] * 24),
             (1, {"scale": 1024.0}, [48]), (2, {"pieces": 5, "scale": 8.0}, [4, 5, 5, 5, 5] * 2))  # fmt: skip
    for count, given, sizes in cases:
        other = found(count, **given)
        assert other[2] == sizes
        assert other[0] == pytest.approx(whole[0], rel=1e-6)
        for ours, theirs in zip(other[1], whole[1], strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-6)


def test_a_batch_that_failed_leaves_statistics_as_they_were() -> None:
    import torch

    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
    with lanes(2) as pool:
        parts = Parts(twins(network, 2), pool)

        def compute(part: "nn.Module", piece: slice) -> tuple["torch.Tensor", int]:
            found = part(torch.full((piece.stop - piece.start, 3, 4, 4), 10.0)).sum()
            if piece.start > 0:
                raise MemoryError
            return found, 1

        with pytest.raises(MemoryError):
            parts.gradients(8, compute)
    for model in parts.models:
        assert model[0].running_mean.tolist() == [0.0] * 3
        assert all(parameter.grad is None for parameter in model.parameters())


def test_a_compiled_network_keeps_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    network, compiled = _network(), list[object]()
    names = list(network.state_dict())

    def compile_(self: object) -> None:
        compiled.append(self)

    monkeypatch.setattr(torch.nn.Module, "compile", compile_)
    with parted(network, 1, 1, is_compiled=True):
        assert compiled == [network]
    with parted(network, 1, 1):
        assert len(compiled) == 1
    assert list(network.state_dict()) == names
