"""A plain network in the spirit of airbench (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU"): a first
layer that whitens, three groups of two convolutions, no shortcuts; or of three, with a shortcut (its section on 96 %).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pictus.extras import need

if TYPE_CHECKING:
    from torch import nn

WHITENING_PX = 2
"""Side of the first kernels: patches of 2 x 2 px and 3 colours have 12 components, each is there with both signs."""

LEAST_PX = 16
"""Of a side, times the first layer's stride: three halvings, and a pixel is left."""

WIDTHS = (64, 256, 256)
"""Of the three groups, airbench94's."""

DIM = 1 / 9
"""Logits begin small (section 3.1): the classifier's first weights times this, and with it its learning rate times the
square (`lr_head`), which is the same as a scale behind it."""


def plain_network(
    n_classes: int, *, stride: int = 1, widths: tuple[int, ...] = WIDTHS, deep: bool = False
) -> "nn.Module":
    """f32[B, 3, S, S] -> f32[B, K], S from 16 px on (32 with stride 2). Until `whiten` its first layer is random.

    stride: of the first layer; 2 for pictures of 64 px, which then cost what 32 px cost.
    deep: three convolutions a group, the last two beside a shortcut (airbench96).
    """
    nn = need("torch", "train").nn
    first = nn.Conv2d(3, 2 * 3 * WHITENING_PX**2, WHITENING_PX, stride)
    first.weight.requires_grad_(requires_grad=False)
    first.is_whitening = True
    layers: list[Any] = [first, nn.GELU()]
    wide_before = first.out_channels
    for wide in widths:
        layers += [_identical(wide_before, wide), nn.MaxPool2d(2), _norm(wide), nn.GELU()]
        more = [_identical(wide, wide), _norm(wide)]
        if deep:
            more = [_shortcut(*more, nn.GELU(), _identical(wide, wide), _norm(wide))]
        layers += [*more, nn.GELU()]
        wide_before = wide
    head = nn.Linear(wide_before, n_classes)
    with need("torch", "train").no_grad():
        head.weight.mul_(DIM)
        head.bias.zero_()
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), head)


def whitening_layer(network: "nn.Module") -> "nn.Conv2d | None":
    """The layer that wants to be made from the training pictures; None in a network without one."""
    nn = need("torch", "train").nn
    found = (one for one in network.modules() if isinstance(one, nn.Conv2d) and getattr(one, "is_whitening", False))
    return next(found, None)


def least_px(network: "nn.Module") -> int:
    """Smallest side of pictures that a plain network can be shown; 0: it is none."""
    first = whitening_layer(network)
    return LEAST_PX * first.stride[0] if first is not None else 0


def _identical(wide_in: int, wide_out: int) -> "nn.Conv2d":
    """A 3 x 3 convolution that begins by handing its input on (Dirac), what it has more at random."""
    nn = need("torch", "train").nn
    made = nn.Conv2d(wide_in, wide_out, 3, padding=1, bias=False)
    nn.init.dirac_(made.weight[: min(wide_in, wide_out)].detach())
    return made


def _norm(wide: int) -> Any:  # noqa: ANN401  nn.BatchNorm2d
    """Batch normalisation that shifts and does not scale; `lr_bias` is for its shifts."""
    made = need("torch", "train").nn.BatchNorm2d(wide, momentum=0.4)
    made.weight.requires_grad_(requires_grad=False)
    return made


def _shortcut(*layers: Any) -> Any:  # noqa: ANN401  nn.Module
    """What goes in, added to what comes out of the layers."""
    nn = need("torch", "train").nn

    class Shortcut(nn.Sequential):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:  # noqa: ANN401  a torch.Tensor
            return x + super().forward(x)

    return Shortcut(*layers)
