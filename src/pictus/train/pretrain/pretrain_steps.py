"""The verb: pretrain."""

from __future__ import annotations

from dataclasses import replace

from pictus.errors import UserError, counted
from pictus.project import Project
from pictus.registry import Outcome, step, unknown
from pictus.train import steps
from pictus.train.kept.logbook import Epoch

_ALL = ("crop=resized", "smoothing=0", "erase=0", "policy=none", "optimizer=adamw", "weight_decay=0.0001",
        "lr_bias=1", "lr_head=1", "alternate=false", "warmup=0.1", "ema=0.995", "grow=1")  # fmt: skip
_PAIRS = ("min_area=0.2", "lr=0.001", "epochs=100")
_COLOURS = ("colour=0.4", "saturation=0.4", "hue=0.1", "grey=0.2")

WAYS: dict[str, tuple[str, ...]] = {
    "simclr": (*_ALL, *_COLOURS, *_PAIRS, "batch_size=256"),
    "dcl": (*_ALL, *_COLOURS, *_PAIRS, "batch_size=128"),
    "dino": (*_ALL, *_COLOURS, "view=1", "min_area=0.25", "solarise=0.1", "lr=0.0005", "batch_size=128", "epochs=100"),
    "mae": (*_ALL, "view=1", "colour=0", "min_area=0.2", "lr=0.0005", "batch_size=128", "epochs=100"),
}
"""Objective -> settings, before what is asked for. Blur, published at 0.5 for 224 px, is left out: it takes what little
32 px show. Rates that a recipe has for parts of its network are for its own optimizer, and not for this one.

simclr and dcl take the share of the input side that the recipe trains at (`view`): resnet-w32's 0.75 costs half, and
things in a crop of a part of the picture then have about the size that whole pictures show them in (Touvron et al.
2019, "Fixing the train-test resolution discrepancy"). dcl's batch is half of simclr's: twice the steps, and it needs
fewer others to compare with.
"""


@step("train pretrain", changes=True, needs_project=False)
def pretrain(
    project: Project, *, release: str = "", objective: str = "simclr", recipe: str = "resnet-w32", name: str = "",
    pool: bool = False, set_: tuple[str, ...] = (),
) -> Outcome[Epoch]:  # fmt: skip
    """Teach a network from pictures alone: no label is learned from. Probe it, or begin from it, afterwards.

    After each epoch labels serve for one figure: how often the 20 nearest training pictures vote right on val.

    release: version, or a release folder; the newest when left out
    objective: simclr (two views are alike), dcl (so too, in small batches), dino (small crops say what large ones do),
        mae (what is hidden is told)
    recipe: small-cnn, resnet-w32, airbench, resnet18, any of torchvision or timm
    name: of the run; objective, recipe and version when left out
    pool: all clean pictures of the project as well, but for those of val and test and their duplicates
    set: NAME=VALUE, any other setting: epochs, minutes, batch_size, lr, seed … (repeatable)

    Examples:
        pictus train pretrain --release 1.0.0
        pictus train pretrain --objective dino --recipe resnet18 --pool --set epochs=50
        pictus train pretrain --objective mae --recipe vit_tiny_patch16_224 --set size=64
    """
    if objective not in WAYS:
        raise unknown("objective", objective, list(WAYS))
    if wrong := [one for one in set_ if one.partition("=")[0].strip() in ("objective", "pool")]:
        raise UserError(f"{', '.join(wrong)}: these have options of their own.", fix="--objective simclr --pool")
    settings = (f"objective={objective}", *WAYS[objective], *(("pool=project",) if pool else ()), *set_)
    outcome = steps.run(project, release=release, recipe=recipe, name=name, set_=settings)
    found = outcome.summary
    headline = (
        f"{found['run']}: {objective}, {counted(found['epochs'], 'epoch')}, {found['wall_s']:,.0f} s;"
        f" neighbours are right on {found['val_top1']:.1%} of val"
    )
    following = (
        f"pictus train probe --network {found['run']}",
        f"pictus train run --recipe {recipe} --set from_run={found['run']}",
    )
    return replace(outcome, step="train pretrain", headline=headline, next=following)
