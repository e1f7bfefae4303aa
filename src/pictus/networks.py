"""Networks by name: small ones of our own, and every classifier of torchvision and timm.

torch is imported where a network is made, so the module class below lives inside a function.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any

from pictus import narrow_networks, network_names, quantised_networks
from pictus.errors import UserError
from pictus.extras import need
from pictus.plain_network import plain_network
from pictus.registry import Registry, unknown

if TYPE_CHECKING:
    from torch import nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of ILSVRC's training pictures, RGB in 0..1: what torchvision's weights were trained with."""

NETWORKS: Registry[Callable[[int], "nn.Module"]] = Registry("network", entry_points="pictus.networks")
"""Name -> function from the number of classes to a network; any input size."""


def make(name: str, n_classes: int, *, size: int = 0, pretrained: bool = False) -> "nn.Module":
    """A network with random weights, or with its publisher's and a new classifier."""
    need("torch", "train")
    whole, is_int8 = quantised_networks.split(name)
    if is_int8:
        return quantised_networks.quantised(make(whole, n_classes, size=size, pretrained=pretrained))
    plain, sparsity = narrow_networks.split(name)
    if sparsity:
        return narrow_networks.narrowed(make(plain, n_classes, size=size, pretrained=pretrained), sparsity)
    family = family_of(name)
    if family == "pictus":
        if pretrained:
            raise UserError(
                f"Network {name!r} is our own and has no published weights.",
                fix="--recipe resnet18 --pretrained, or --set weights=FILE with the weights of an earlier run",
            )
        return NETWORKS.get(name)(n_classes)
    maker = _torchvision if family == "torchvision" else _timm
    if not pretrained:
        return maker(_plain(name), n_classes, size, pretrained=False)
    talk = _Talk(name)
    try:
        with redirect_stderr(talk):
            return maker(_plain(name), n_classes, size, pretrained=True)
    except UserError:
        raise
    except Exception as error:  # every downloader raises errors of its own
        raise UserError(
            f"The pretrained weights of {name!r} could not be fetched{talk.origin} ({type(error).__name__}:"
            f" {_first_line(error)}).",
            fix="connect to the internet, or bring the weights as a file: --set weights=FILE.safetensors",
        ) from error


class _Talk(io.TextIOBase):
    """What a downloader says of addresses and folders: one line of ours in its place."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.origin = ""  # " from ADDRESS" once it is known

    def write(self, text: str) -> int:
        found = re.search(r'Downloading: "(.+?)"', text)
        if found and not self.origin:
            self.origin = f" from {found[1]}"
            logging.getLogger(__name__).warning("fetching the published weights of %s, once", self._name)
        return len(text)


def family_of(name: str) -> str:
    """Whose network it is: pictus, torchvision or timm; a UserError with near names for a network nobody has."""
    name = _wide(name)
    if name in NETWORKS.names():
        return "pictus"
    classifiers = network_names.torchvision_names()
    if _plain(name) in classifiers:
        return "torchvision"
    others = network_names.timm_names()
    if _plain(name).partition(".")[0] in others:  # behind the dot: which of its weights
        return "timm"
    raise unknown("network", name, sorted({*NETWORKS.names(), *classifiers, *others}))


def fixed_size(name: str) -> int:
    """The one input side in px a network is made for, 0 for one that takes any."""
    family = family_of(name)
    if family == "timm":
        settings = need("timm", "train").get_pretrained_cfg(_plain(name))
        return int(settings.input_size[-1]) if settings is not None and settings.fixed_input_size else 0
    return 224 if family == "torchvision" and _plain(name).startswith(("vit_", "maxvit")) else 0


def normalisation(name: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation the network's publisher used; ImageNet's where none is stated."""
    if family_of(name) == "timm":
        settings = need("timm", "train").get_pretrained_cfg(_plain(name))
        if settings is not None:
            return tuple(settings.mean), tuple(settings.std)
    return IMAGENET_MEAN, IMAGENET_STD


def head_of(model: "nn.Module") -> tuple[str, Any]:
    """Name and module of the classifier: the last linear (or 1 × 1 convolution) layer."""
    nn = need("torch", "train").nn
    layers = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1))
    ]
    return layers[-1]


def width_of(model: "nn.Module") -> int:
    """Features the classifier sees."""
    _, head = head_of(model)
    return int(head.in_features if hasattr(head, "in_features") else head.in_channels)


def stages_of(model: "nn.Module") -> tuple[tuple[str, ...], ...]:
    """Parameter names in groups, from the stem to the head: what is frozen, thawed and slowed down together.

    The last group is the layer `head_of` finds. Before it each part of the network that follows another one is a
    stage: ResNet's layer1 … layer4, a transformer's blocks, the convolutions of a plain network. Normalisation belongs
    to the stage before it, positions and tokens to the stem.
    """
    head = head_of(model)[0]
    units = [(name, part) for name, part in model.named_children() if _counted(part)]
    while len([name for name, part in units if not _is_norm(part) and name != head]) < _FEWEST_STAGES:
        longest = max((unit for unit in units if _is_chain(unit[1])), key=lambda unit: _counted(unit[1]), default=None)
        if longest is None:
            break
        at = units.index(longest)
        inner = [(f"{longest[0]}.{name}", part) for name, part in longest[1].named_children() if _counted(part)]
        units[at : at + 1] = inner
    names = dict(model.named_parameters())
    of_head = [name for name in names if name.startswith(f"{head}.")]
    groups: list[list[str]] = []
    for unit, _ in units:
        own = [name for name in names if name.startswith(f"{unit}.") and name not in of_head]
        if own and groups and all(names[name].ndim <= 1 for name in own):
            groups[-1] += own
        elif own:
            groups.append(own)
    placed = {name for group in (*groups, of_head) for name in group}
    loose = [name for name in names if name not in placed]
    groups = [[*loose, *groups[0]], *groups[1:]] if groups else [loose] if loose else []
    return tuple(tuple(group) for group in (*groups, of_head))


_FEWEST_STAGES = 4
"""A network that seems to have fewer is looked into: torchvision's VGG is `features` and `classifier`."""


def _counted(part: "nn.Module") -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def _is_norm(part: "nn.Module") -> bool:
    """Whether all its parameters are vectors: scales and shifts."""
    return all(parameter.ndim <= 1 for parameter in part.parameters())


def _is_chain(part: "nn.Module") -> bool:
    """Whether its parts follow one another: a sequence, or a shell around one that holds most of it."""
    nn = need("torch", "train").nn
    kinds = (nn.Sequential, nn.ModuleList)
    inner = [one for one in part.children() if _counted(one)]
    if isinstance(part, kinds):
        return bool(inner)
    return any(isinstance(one, kinds) and 2 * _counted(one) > _counted(part) for one in inner)


def _torchvision(name: str, n_classes: int, size: int, *, pretrained: bool) -> "nn.Module":
    models = need("torchvision", "train").models
    options: dict[str, Any] = {} if pretrained else {"num_classes": n_classes}
    if name.startswith("vit_") and size:
        options["image_size"] = size
    if name.startswith("maxvit") and size:
        options["input_size"] = (size, size)
    if name in ("googlenet", "inception_v3") and not pretrained:
        options["init_weights"] = True
    model = models.get_model(name, weights="DEFAULT" if pretrained else None, **options)
    _shrink_stem(model, name, size)
    if getattr(model, "aux_logits", False):  # GoogLeNet's and Inception's helpers: one output is enough
        model.aux_logits = False
        for part in ("aux1", "aux2", "AuxLogits"):
            if hasattr(model, part):
                setattr(model, part, None)
    if pretrained:
        _renew_head(model, n_classes)
    return model


def stem_told(name: str, size: int) -> str:
    """How the stem of a network differs from its publisher's for pictures of `size` px; "" where it does not.

    Only strides change, so published weights still fit.
    """
    plain = _plain(name)
    if plain == "alexnet" and 0 < size < ALEXNET_PX:
        return f"the first convolution moves by {_alexnet_stride(size)} px instead of 4"
    if plain == "inception_v3" and 0 < size < INCEPTION_PX:
        pooled = "" if size >= INCEPTION_POOLED_PX else ", and the first pooling is left out"
        return "the first convolution moves by 1 px instead of 2" + pooled
    return ""


ALEXNET_PX, INCEPTION_PX = 63, 75
"""The least side that leaves a pixel at the end, by the arithmetic of their kernels and strides; below it torchvision's
own fail in the middle."""

INCEPTION_POOLED_PX = 39
"""The least side Inception takes with a first convolution that moves by 1 px; below it the first pooling goes, too."""

FEWEST_PX = 21
"""Below this the two fail whatever their stem."""


def _alexnet_stride(size: int) -> int:
    return 2 if size >= 35 else 1  # noqa: PLR2004  the pools want 15 px of (size - 7) / stride + 1


def _shrink_stem(model: "nn.Module", name: str, size: int) -> None:
    if not stem_told(name, size):
        return
    if size < FEWEST_PX:
        raise UserError(f"{name} takes pictures of {FEWEST_PX} px and more.", fix=f"--set size={FEWEST_PX + 3}")
    if _plain(name) == "alexnet":
        model.features[0].stride = (_alexnet_stride(size),) * 2
        return
    model.Conv2d_1a_3x3.conv.stride = (1, 1)
    if size < INCEPTION_POOLED_PX:
        model.maxpool1 = need("torch", "train").nn.Identity()


def _timm(name: str, n_classes: int, size: int, *, pretrained: bool) -> "nn.Module":
    timm = need("timm", "train")
    settings = timm.get_pretrained_cfg(name)
    if pretrained and (settings is None or not settings.has_weights):
        raise UserError(f"timm has no pretrained weights for {name!r}.", fix="leave out --pretrained")
    options = {"img_size": size} if size and settings is not None and settings.fixed_input_size else {}
    return timm.create_model(name, pretrained=pretrained, num_classes=n_classes, **options)


def _renew_head(model: "nn.Module", n_classes: int) -> None:
    """Put a new classifier in the place of the published one."""
    nn = need("torch", "train").nn
    name, old = head_of(model)
    width = width_of(model)
    new = nn.Linear(width, n_classes) if isinstance(old, nn.Linear) else nn.Conv2d(width, n_classes, 1)
    parent, _, last = name.rpartition(".")
    owner = model.get_submodule(parent)
    setattr(owner, last, new)


def _plain(name: str) -> str:
    """The two libraries write underscores; people may type hyphens."""
    return _wide(name).replace("-", "_")


def _wide(name: str) -> str:
    """Narrow networks and those of 8 bits are of the kind of the one they come from."""
    return narrow_networks.split(quantised_networks.split(name)[0])[0]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]


@NETWORKS.register("small-cnn")
def small_cnn(n_classes: int) -> "nn.Module":
    """For a first model in a minute or two on a laptop; made for 64 to 128 px."""
    nn = need("torch", "train").nn
    layers = [*_convolution(3, 32, 3, 2), nn.MaxPool2d(2)]
    wide_before = 32
    for wide in (64, 128, 256):
        layers += [*_convolution(wide_before, wide), nn.MaxPool2d(2), _residual(wide, wide, 1)]
        wide_before = wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide_before, n_classes))


def residual_network(n_classes: int, width: int) -> "nn.Module":
    """ResNet-18's layout (He et al. 2015, table 1) of any width, with a stem for small pictures: one
    3 × 3 convolution of stride 2 instead of 7 × 7 and pooling, so that 64 px leave 4 × 4 at the end.
    """
    nn = need("torch", "train").nn
    layers = [*_convolution(3, width, 3, 2)]
    wide_before = width
    for stage in range(4):
        wide = width * 2**stage
        layers += [_residual(wide_before, wide, 1 if stage == 0 else 2), _residual(wide, wide, 1)]
        wide_before = wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide_before, n_classes))


@NETWORKS.register("resnet-w16")
def _w16(n_classes: int) -> "nn.Module":
    return residual_network(n_classes, 16)


@NETWORKS.register("resnet-w32")
def _w32(n_classes: int) -> "nn.Module":
    return residual_network(n_classes, 32)


@NETWORKS.register("resnet-w64")
def _w64(n_classes: int) -> "nn.Module":
    return residual_network(n_classes, 64)


@NETWORKS.register("airbench")
def _airbench(n_classes: int) -> "nn.Module":
    return plain_network(n_classes)


@NETWORKS.register("airbench-deep")
def _airbench_deep(n_classes: int) -> "nn.Module":
    return plain_network(n_classes, deep=True)


@NETWORKS.register("airbench-s2")
def _airbench_s2(n_classes: int) -> "nn.Module":
    return plain_network(n_classes, stride=2)


def _convolution(wide_in: int, wide_out: int, side: int = 3, stride: int = 1) -> list["nn.Module"]:
    nn = need("torch", "train").nn
    plain = nn.Conv2d(wide_in, wide_out, side, stride, padding=side // 2, bias=False)
    nn.init.kaiming_normal_(plain.weight, mode="fan_out", nonlinearity="relu")
    return [plain, nn.BatchNorm2d(wide_out), nn.ReLU()]


def _residual(wide_in: int, wide_out: int, stride: int) -> "nn.Module":
    """Two 3 × 3 convolutions and a shortcut; the second normalisation starts at 0 (Goyal et al. 2017)."""
    nn = need("torch", "train").nn

    class Residual(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.path = nn.Sequential(
                *_convolution(wide_in, wide_out, 3, stride), *_convolution(wide_out, wide_out)[:2]
            )
            is_same = stride == 1 and wide_in == wide_out
            self.shortcut = nn.Identity() if is_same else nn.Sequential(*_convolution(wide_in, wide_out, 1, stride)[:2])
            nn.init.zeros_(self.path[-1].weight)

        def forward(self, x: Any) -> Any:  # noqa: ANN401  a torch.Tensor
            return nn.functional.relu(self.path(x) + self.shortcut(x))

    return Residual()
