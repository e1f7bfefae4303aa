"""Most of a picture is hidden, and the network is to tell what was there.

Transformers as timm builds them (He et al. 2022, MAE): the patches that are seen, a quarter of them, go through the
network alone; a small decoder gets what comes out, with a learned token at the place of each hidden patch, and answers
with pixels. loss = mean over hidden patches of the squared difference to the patch's pixels, brought to mean 0 and
variance 1 within the patch (their equation in section 3, "normalised pixels").

Other networks that end in a pooled map of features (Xie et al. 2022, SimMIM): hidden patches are grey, one convolution
of 1 x 1 turns the map into pixels. loss = mean absolute difference over hidden pixels (their section 3.4).

What is hidden is a function of (seed, step, picture). Ours and short: tests hold it to numbers worked out by hand.

Legend: B pictures of a piece, N patches, V seen ones, D features, S side in px, P side of a patch in px.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pictus.errors import UserError
from pictus.extras import need
from pictus.train.feed import augment
from pictus.train.loop.precision import precision
from pictus.train.objectives.objective import OBJECTIVES, Objective, Piece
from pictus.train.pretrain import neighbours, students

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.loop.state import Job
    from pictus.train.recipes import Recipe

HIDDEN, HIDDEN_PLAIN = 0.75, 0.6
"""Shares as published, of a transformer's patches and of other networks'."""

DECODER, LAYERS, HEADS = 128, 2, 4
"""Width and depth of the decoder (published: 512 and 8, for a network 30 times as large)."""


def order(keys_B: npt.NDArray[np.uint64], seed: int, step: int, count: int) -> npt.NDArray[np.int64]:
    """A permutation of `count` patches for each picture, i64[B, N]; the first ones are seen."""
    state_B = augment.hashed(keys_B ^ np.uint64(augment.hashed_step(seed, step)))
    numbers_N = augment.hashed(np.arange(1, count + 1, dtype=np.uint64))
    return np.argsort(augment.hashed(state_B[:, None] ^ numbers_N[None]), axis=1, kind="stable")


def patches(views: "torch.Tensor", side: int) -> "torch.Tensor":
    """f32[B, 3, S, S] -> f32[B, N, P * P * 3], row by row."""
    count, channels, height, width = views.shape
    cut = views.reshape(count, channels, height // side, side, width // side, side)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(count, (height // side) * (width // side), side * side * channels)


def normalised(values: "torch.Tensor") -> "torch.Tensor":
    """Each patch brought to mean 0 and variance 1 of its own."""
    mean, variance = values.mean(-1, keepdim=True), values.var(-1, keepdim=True)
    answer: torch.Tensor = (values - mean) / (variance + 1e-6).sqrt()
    return answer


def loss(student: Any, piece: Piece, job: "Job") -> "tuple[torch.Tensor, int]":  # noqa: ANN401  one of the students
    """Of one view; nothing can be right."""
    torch = need("torch", "train")
    views, count = piece.views[0], student.count(piece.views[0].shape[-1])
    keys_B = job.train.keys_N[piece.positions_B]
    order_BN = torch.from_numpy(order(keys_B, job.recipe.seed, piece.step, count)).to(views.device)
    n_seen = max(1, round(count * (1 - student.hidden)))
    with precision(job):
        found = student(views, order_BN, n_seen)
    return found, 0


def student(network: Any, job: "Job") -> "nn.Module":  # noqa: ANN401  any network
    """The network with what tells pixels from its features."""
    if all(hasattr(network, name) for name in ("patch_embed", "blocks", "pos_embed", "norm")):
        return _transformer(network, job.recipe)
    return _plain(network, job)


def _transformer(network: Any, recipe: "Recipe") -> "nn.Module":  # noqa: ANN401  timm's VisionTransformer
    torch = need("torch", "train")
    nn = torch.nn
    side, n_patches, width = network.patch_embed.patch_size[0], network.patch_embed.num_patches, network.embed_dim
    n_prefix = network.num_prefix_tokens

    class Masked(nn.Module):  # type: ignore[misc,name-defined]
        holds_network = True

        def __init__(self) -> None:
            super().__init__()
            self.network, self.hidden = network, recipe.mask or HIDDEN
            self.narrow = nn.Linear(width, DECODER)
            self.token = nn.Parameter(torch.zeros(1, 1, DECODER))
            self.places = nn.Parameter(torch.randn(1, n_patches, DECODER) * 0.02)
            layer = nn.TransformerEncoderLayer(
                DECODER, HEADS, 4 * DECODER, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            self.decoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
            self.answer = nn.Sequential(nn.LayerNorm(DECODER), nn.Linear(DECODER, side * side * 3))

        def count(self, _: int) -> int:
            return int(n_patches)

        def encoded(self, views: Any, seen_BV: Any) -> Any:  # noqa: ANN401  -> f32[B, V, D]
            net = self.network
            found = net.patch_embed(views)
            places = net.pos_embed
            has_all = places.shape[1] == n_patches + n_prefix
            found = found + places[:, n_prefix if has_all else 0 :]
            found = found.gather(1, seen_BV[:, :, None].expand(-1, -1, width))
            before = [one for one in (net.cls_token, getattr(net, "reg_token", None)) if one is not None]
            if before:
                tokens = torch.cat(before, dim=1)
                tokens = tokens + places[:, :n_prefix] if has_all else tokens
                found = torch.cat((tokens.expand(len(found), -1, -1), found), dim=1)
            return net.norm(net.blocks(net.norm_pre(found)))[:, n_prefix:]

        def forward(self, views: Any, order_BN: Any, n_seen: int) -> Any:  # noqa: ANN401  the loss
            known = self.narrow(self.encoded(views, order_BN[:, :n_seen]))
            tokens = self.token.to(known.dtype).expand(len(known), n_patches - n_seen, -1)
            back_BN = order_BN.argsort(1)[:, :, None].expand(-1, -1, DECODER)
            whole = torch.cat((known, tokens), dim=1).gather(1, back_BN) + self.places
            hidden = order_BN[:, n_seen:, None].expand(-1, -1, side * side * 3)
            told = self.answer(self.decoder(whole)).float().gather(1, hidden)
            return (told - normalised(patches(views, side)).gather(1, hidden)).square().mean()

    return Masked()


def _plain(network: Any, job: "Job") -> "nn.Module":  # noqa: ANN401  any network
    torch = need("torch", "train")
    nn, recipe = torch.nn, job.recipe
    pools = [name for name, one in network.named_modules() if isinstance(one, nn.AdaptiveAvgPool2d)]
    if not pools:
        raise UserError(
            f"Objective 'mae' needs a transformer of timm's or a network that ends in average pooling; {recipe.model!r}"
            " is neither.",
            fix="--recipe resnet-w32, or --recipe vit_tiny_patch16_224; or --objective simclr",
        )
    width, low = _map_of(network, pools[-1], recipe.size)

    class Filled(nn.Module):  # type: ignore[misc,name-defined]
        holds_network = True

        def __init__(self) -> None:
            super().__init__()
            self.network, self.hidden = network, recipe.mask or HIDDEN_PLAIN
            self.answer = nn.Conv2d(width, 3 * (recipe.size // low) ** 2, 1)

        def patch(self, size: int) -> int:
            return math.gcd(recipe.patch or size // 4, size)

        def count(self, size: int) -> int:
            return (size // self.patch(size)) ** 2

        def forward(self, views: Any, order_BN: Any, n_seen: int) -> Any:  # noqa: ANN401  the loss
            size = views.shape[-1]
            cells = size // self.patch(size)
            is_hidden = torch.ones_like(order_BN, dtype=views.dtype).scatter(1, order_BN[:, :n_seen], 0)
            is_hidden = is_hidden.reshape(-1, 1, cells, cells).repeat_interleave(self.patch(size), 2)
            is_hidden = is_hidden.repeat_interleave(self.patch(size), 3)
            pool = self.network.get_submodule(pools[-1])
            found = students.entering(self.network, pool, views * (1 - is_hidden))  # 0 is the mean colour
            told = nn.functional.pixel_shuffle(self.answer(found), recipe.size // low).float()
            if told.shape[-1] != size:
                told = nn.functional.interpolate(told, (size, size), mode="bilinear")
            return ((told - views).abs() * is_hidden).sum() / (3 * is_hidden.sum())

    return Filled()


def _map_of(network: Any, pool: str, size: int) -> tuple[int, int]:  # noqa: ANN401  any network
    """Channels and side of the map of features before pooling."""
    torch = need("torch", "train")
    was_training = network.training
    with torch.no_grad():
        found = students.entering(network.eval(), network.get_submodule(pool), torch.zeros(1, 3, size, size))
    network.train(was_training)
    return int(found.shape[1]), int(found.shape[-1])


OBJECTIVES.register("mae")(Objective(loss, student=student, scores=neighbours.scores, is_open=True))
