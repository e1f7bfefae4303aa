"""Weights in shares (`shard=true`): each process keeps its share of every weight and of what the optimizer remembers
of it, and borrows the rest a block at a time (ZeRO stage 3: Rajbhandari et al. 2020; torch's fully_shard).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pictus.errors import UserError
from pictus.extras import need
from pictus.train.devices.seats import Seat
from pictus.train.loop import optimizers
from pictus.train.loop.state import restored, snapshot
from pictus.train.objectives import network_of

if TYPE_CHECKING:
    from torch import nn

    from pictus.train.loop.state import Job, State
    from pictus.train.recipes import Recipe

LEAST_NUMBERS = 10_000
"""A block of fewer weights is borrowed together with what is around it: each loan is a meeting."""


def check(recipe: "Recipe") -> None:
    """A UserError for what cannot be done on shares of weights, or was never tried."""
    if not recipe.shard or recipe.processes == 1:
        return
    wrong = {
        f"objective={recipe.objective}": recipe.objective != "labels",
        f"freeze={recipe.freeze}": recipe.freeze != "none",
        f"lora={recipe.lora}": recipe.lora > 0,
        f"optimizer={recipe.optimizer}": "muon" in recipe.optimizer,  # it makes whole matrices orthogonal
        "compile=true": recipe.compile,
        f"parts={recipe.parts}": recipe.parts > 1,
    }
    found = [name for name, is_wrong in wrong.items() if is_wrong]
    if found:
        raise UserError(
            f"Weights in shares (shard=true) do not go with {', '.join(found)}.",
            fix="leave out shard, which is for networks that do not fit on one device, or leave out the others",
        )


class Shards:
    """The shares of one process. `state` becomes one of shares, in place; in all processes at once."""

    def __init__(self, job: "Job", state: "State", seat: Seat) -> None:
        self._job, self._state, self._seat = job, state, seat
        mesh = need("torch.distributed.device_mesh", "train").init_device_mesh(
            job.device.partition(":")[0], (seat.world,)
        )
        before = {name: state.optimizer.state.get(one, {}) for name, one in state.model.named_parameters()}
        for network in (state.model, state.averaged):
            if network is not None:
                _shard(network, mesh, job.recipe)
        state.optimizer = optimizers.made(state.model, network_of(state.model), job.recipe)
        for name, parameter in state.model.named_parameters():
            own = state.optimizer.state[parameter] if before[name] else {}
            for slot, value in before[name].items():
                own[slot] = _share_of(value, parameter) if value.shape == parameter.shape else value

    def gather(self) -> None:
        """What the others do while rank 0 brings the shares together."""
        for tensor in snapshot(self._state).tensors.values():
            whole(tensor)

    def together(self) -> "State":
        """The run as one process would have it, with the same counters. In rank 0, while all others `gather`."""
        found = snapshot(self._state)
        tensors = {name: whole(tensor).cpu() for name, tensor in found.tensors.items()}
        state = restored(self._job, replace(found, tensors=tensors))
        state.counters = self._state.counters
        return state


def whole(tensor: Any) -> Any:  # noqa: ANN401  a torch.Tensor, maybe of the kind that has shares
    """A tensor without shares; of one that has some, all processes ask at once."""
    with need("torch", "train").no_grad():
        return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def blocks(network: "nn.Module") -> "Iterator[nn.Module]":
    """What is borrowed at a time: each link of a network's chains, be it a transformer's block, a residual block or a
    large layer; what is left over goes with the network itself.
    """
    nn = need("torch", "train").nn
    for child in network.children():
        if isinstance(network, (nn.Sequential, nn.ModuleList)) and not isinstance(child, nn.Sequential):
            if sum(parameter.numel() for parameter in child.parameters()) >= LEAST_NUMBERS:
                yield child
        else:
            yield from blocks(child)


def _shard(network: "nn.Module", mesh: Any, recipe: "Recipe") -> None:  # noqa: ANN401  a torch DeviceMesh
    torch = need("torch", "train")
    fsdp = need("torch.distributed.fsdp", "train")
    network.to(memory_format=torch.contiguous_format)  # a share is some rows of a kernel, which must lie together
    for part in (*blocks(network), network):
        fsdp.fully_shard(part, mesh=mesh, mp_policy=_policy(part, recipe))
        part.set_gradient_divide_factor(1.0)  # losses are weighted by the number of pictures already
        part.set_force_sum_reduction_for_comms(True)


def _policy(part: "nn.Module", recipe: "Recipe") -> Any:  # noqa: ANN401  torch's MixedPrecisionPolicy
    """Weights are lent in bf16 where they are multiplied in it, and gradients added up in f32. Batch normalisation
    wants its own in f32; autocast sees to the numbers that go in.
    """
    torch = need("torch", "train")
    normalising = torch.nn.modules.batchnorm._BatchNorm  # noqa: SLF001  of any number of dimensions
    is_short = recipe.precision == "bf16" and not any(isinstance(one, normalising) for one in part.modules())
    return need("torch.distributed.fsdp", "train").MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if is_short else None, reduce_dtype=torch.float32, cast_forward_inputs=False
    )


def _share_of(tensor: Any, parameter: Any) -> Any:  # noqa: ANN401  torch tensors
    """This process's share of what all have whole, shared as the parameter is."""
    distribute = need("torch.distributed.tensor", "train").distribute_tensor
    return distribute(tensor.contiguous(), parameter.device_mesh, parameter.placements, src_data_rank=None)
