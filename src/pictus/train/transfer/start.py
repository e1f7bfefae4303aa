"""Weights of one of our own runs to begin from; classes are matched by concept id, not by place.

Legend: K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pictus import models, networks
from pictus.errors import UserError
from pictus.train.transfer import adapters

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.project import Project
    from pictus.train.recipes import Recipe


def resolved(project: "Project", recipe: "Recipe") -> "Recipe":
    """The recipe with the folders and digests of the runs it names, so that it can be repeated; all errors now."""
    if recipe.from_run:
        run = models.find_run(project, recipe.from_run)
        digest = models.weights_sha256(run)
        if recipe.pretrained or (recipe.weights and not adapters.is_alone(Path(recipe.weights))):
            raise UserError(
                "A run begins from one place: from_run, weights and pretrained are three.",
                fix="leave out all but one; weights may be the adapters of a run that began from the same place",
            )
        if run.model_name != recipe.model:
            raise UserError(
                f"Run {run.name!r} is of network {run.model_name!r}, the recipe's is {recipe.model!r}.",
                fix=f"--recipe {run.card.get('recipe_name') or run.model_name}, or another run",
            )
        recipe = replace(
            recipe, from_run=str(run.root), from_run_sha256=digest, size=recipe.size or run.preprocessing.size
        )
    if recipe.teacher:
        run = models.find_run(project, recipe.teacher)
        recipe = replace(recipe, teacher=str(run.root), teacher_sha256=models.weights_sha256(run))
    return recipe


def network_from(recipe: "Recipe", classes: Sequence[str]) -> "nn.Module":
    """The recipe's network with the weights of its run `from_run`, which must not have changed. Rows of the head for
    classes both know are carried over; those of others are new.
    """
    run = models.open_run(recipe.from_run)
    if recipe.from_run_sha256 and models.weights_sha256(run) != recipe.from_run_sha256:
        raise UserError(
            f"The weights of {run.name!r} have changed since this run was begun from them.",
            fix="put them back, or train again under another --name",
        )
    network = networks.make(recipe.model, len(classes), size=recipe.size)
    path = run.root / models.WEIGHTS_NAME
    tensors = models.read_weights(path)
    head, layer = networks.head_of(network)
    places = shared_places(run.classes, classes)
    for key in (f"{head}.weight", f"{head}.bias"):
        if key in tensors and len(tensors[key]) == len(run.classes):
            tensors[key] = _carried(tensors[key], getattr(layer, key.rpartition(".")[2]).detach(), places)
    models.load_strictly(network, tensors, path)
    return network


def shared_places(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """(place among the old classes, place among the new) of each class both know."""
    known = {concept_id: place for place, concept_id in enumerate(old)}
    return [(known[concept_id], place) for place, concept_id in enumerate(new) if concept_id in known]


def told(recipe: "Recipe", classes: Sequence[str]) -> dict[str, Any]:
    """What the run card says of where a run began."""
    facts: dict[str, Any] = {}
    if recipe.from_run:
        run = models.open_run(recipe.from_run)
        facts["from_run"] = {
            "run": run.name, "path": str(Path(recipe.from_run)), "weights_sha256": models.weights_sha256(run),
            "release": run.card.get("release", {}), "classes_carried_over": len(shared_places(run.classes, classes)),
        }  # fmt: skip
    if recipe.teacher:
        run = models.open_run(recipe.teacher)
        facts["teacher"] = {
            "run": run.name, "path": str(Path(recipe.teacher)), "weights_sha256": recipe.teacher_sha256,
            "classes_known": len(shared_places(run.classes, classes)),
        }  # fmt: skip
    return facts


def _carried(old: "torch.Tensor", new: "torch.Tensor", places: Sequence[tuple[int, int]]) -> "torch.Tensor":
    mixed = new.clone()
    for before, now in places:
        mixed[now] = old[before]
    return mixed
