"""From a release to a recogniser: recipes, a loader, one loop, exact resume."""

from __future__ import annotations

from pictus.train.choosing.active_steps import active
from pictus.train.feed.augment_steps import views
from pictus.train.feed.pack_steps import pack
from pictus.train.fitting.prune_steps import prune
from pictus.train.fitting.quantise_steps import quantise
from pictus.train.pretrain.pretrain_steps import pretrain
from pictus.train.settings_steps import settings
from pictus.train.steps import list_, resume, run
from pictus.train.transfer.compare_steps import forgetting, robustness
from pictus.train.transfer.probe_steps import few_shot, probe
from pictus.train.tuning.rate_steps import find_lr
from pictus.train.tuning.tune_steps import tune
from pictus.train.watching.card_steps import card
from pictus.train.watching.compare_steps import compare

__all__ = [
    "active", "card", "compare", "few_shot", "find_lr", "forgetting", "list_", "pack", "pretrain", "probe", "prune",
    "quantise", "resume", "robustness", "run", "settings", "tune", "views",
]  # fmt: skip
