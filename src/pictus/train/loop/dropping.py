"""Dropout before the classifier and stochastic depth, for networks made already: neither has weights, so that a
network keeps its names and is read elsewhere without knowing of them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pictus import networks
from pictus.errors import UserError
from pictus.extras import need

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.recipes import Recipe

BRANCH_ENDS = {"BasicBlock": "bn2", "Bottleneck": "bn3", "Residual": "path"}
"""Class of a block without a place for it -> what its residual branch ends in: ResNet's of torchvision, and ours."""


def applied(network: "nn.Module", recipe: "Recipe") -> "nn.Module":
    """The same network with the recipe's rates; -1 leaves its own."""
    if recipe.drop >= 0:
        _drop_features(network, recipe.drop)
    if recipe.drop_path >= 0:
        _drop_branches(network, recipe)
    return network


def branch_left_out(branch: "torch.Tensor", rate: float, *, is_training: bool) -> "torch.Tensor":
    """f32[B, ...]: of each picture the whole branch or nothing, the rest made larger (Huang et al. 2016)."""
    if rate == 0 or not is_training:
        return branch
    mask = branch.new_empty((len(branch), *(1,) * (branch.ndim - 1))).bernoulli_(1 - rate)
    return branch * mask.div_(1 - rate)


def _drop_features(network: "nn.Module", rate: float) -> None:
    """Its own dropout layers where it has some that do something, else one before the classifier (Srivastava et al.
    2014).
    """
    torch = need("torch", "train")
    own = [module for module in network.modules() if isinstance(module, torch.nn.Dropout) and module.p > 0]
    for module in own:
        module.p = rate
    if not own and rate > 0:
        networks.head_of(network)[1].register_forward_pre_hook(partial(_before_head, rate))


def _drop_branches(network: "nn.Module", recipe: "Recipe") -> None:
    """From 0 at the first block in a line to the rate at the last."""
    blocks = [block for block in network.modules() if _places(block)]
    if not blocks:
        raise UserError(
            f"Network {recipe.model!r} has no residual branches that could be left out.",
            fix="leave out drop_path, or choose a residual network: --recipe resnet18",
        )
    for number, block in enumerate(blocks):
        rate = recipe.drop_path * number / max(1, len(blocks) - 1)
        for name in _places(block):
            if name.startswith("drop_path"):
                setattr(block, name, _drop_path(rate))
            elif name == "stochastic_depth":
                block.stochastic_depth.p = rate
            else:
                getattr(block, name).register_forward_hook(partial(_after_branch, rate))


def _places(block: Any) -> list[str]:  # noqa: ANN401  a module's attributes have no narrower type
    """Names of what stands at the end of a block's residual branches: timm's, torchvision's, or of a plain ResNet."""
    found = [name for name in ("drop_path", "drop_path1", "drop_path2", "stochastic_depth") if hasattr(block, name)]
    last = BRANCH_ENDS.get(type(block).__name__, "")
    return found or [name for name in (last,) if name and hasattr(block, name)]


def _before_head(rate: float, head: "nn.Module", given: tuple["torch.Tensor", ...]) -> "torch.Tensor":
    found: torch.Tensor = need("torch", "train").nn.functional.dropout(given[0], rate, head.training)
    return found


def _after_branch(rate: float, module: "nn.Module", _given: object, branch: "torch.Tensor") -> "torch.Tensor":
    return branch_left_out(branch, rate, is_training=module.training)


def _drop_path(rate: float) -> "nn.Module":
    nn = need("torch", "train").nn

    class DropPath(nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, branch: Any) -> Any:  # noqa: ANN401  a torch.Tensor
            return branch_left_out(branch, rate, is_training=self.training)

    return DropPath()
