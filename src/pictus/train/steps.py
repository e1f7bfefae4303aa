"""The verbs: run, resume, list."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pictus import models, networks, stores
from pictus.clock import now
from pictus.engine import RUNNERS, cpu_count
from pictus.errors import UserError, counted
from pictus.extras import need
from pictus.journey import first_command
from pictus.models import Preprocessing, Run
from pictus.project import Project, safe_name
from pictus.registry import Outcome, step
from pictus.releases import SPLITS, Release, class_names, split_rows
from pictus.tasks import TASKS
from pictus.train import recipes, targets
from pictus.train.devices import cluster, launch, seats, sharding
from pictus.train.feed import packs, remote
from pictus.train.feed.loader import Pictures, packed
from pictus.train.kept import card as cards
from pictus.train.kept import checkpoint, logbook
from pictus.train.kept.card import Asked, Card, RunRow
from pictus.train.kept.logbook import Epoch
from pictus.train.loop import dropping, energy, environment, precision, probe, training
from pictus.train.loop.parts import chosen, draws_random_numbers
from pictus.train.loop.signals import stop_asked
from pictus.train.loop.state import Job, State, fresh, restored
from pictus.train.objectives import OBJECTIVES
from pictus.train.pretrain import pool
from pictus.train.recipes import Facts, Recipe
from pictus.train.transfer import adapters, freezing, start
from pictus.train.tuning import automatic
from pictus.train.watching import loggers, words

BEST_OF = 5
"""The guesses that top-5 counts."""

MOST_NAMED = 10
"""Classes that a message names."""

MOST_RESUMED = 3
"""So many unfinished runs are told how to go on with."""

MOST_UNREADABLE = 20
"""So many unreadable pictures are named on the card; all are counted."""


@step("train run", changes=True, needs_project=False)
def run(
    project: Project, *, release: str = "", recipe: str = "small-cnn", name: str = "", epochs: int = 0,
    pretrained: bool = False, set_: tuple[str, ...] = (), engine: Literal["local", "ray"] = "local",
) -> Outcome[Epoch]:  # fmt: skip
    """Train a recogniser on a release. The same command after a kill continues the run it had begun.

    release: version, release folder, or address of one in a store (s3://…); the newest when left out
    recipe: auto (chosen from pictures and machine), small-cnn, resnet-w32, airbench, resnet18, any of torchvision, timm
    name: of the run; recipe and version when left out
    epochs: passes over the training pictures; the recipe's when left out
    pretrained: start from the publisher's ImageNet weights (needs the internet once)
    set: NAME=VALUE, any other setting: minutes, lr, size, seed … (repeatable; `pictus train settings` lists all)
    engine: where its processes run, `local` or `ray`

    Examples:
        pictus train run --recipe auto
        pictus train run --release 1.0.0 --recipe small-cnn
        pictus train run --recipe resnet-w32 --set minutes=10 --set seed=7
        pictus train run --recipe resnet18 --pretrained --name birds-2
        pictus train run --release /data/releases/1.0.0 --recipe resnet18 --set weights=resnet18.safetensors
    """
    settings = (f"epochs={epochs}", *set_) if epochs else set_
    if recipe != automatic.NAME:  # before torch is imported: a slip of the pen is told at once
        recipes.changed(recipes.find(recipe), settings)
    _begun(engine)
    opened = stores.found(project, release)
    _check_splits(opened)
    if is_auto := recipe == automatic.NAME:
        found = automatic.asked(project, opened, name, settings, pretrained=pretrained)
        logging.getLogger(__name__).warning("auto: %s", "\n".join(found.why))
    wanted = recipes.changed(found.recipe if is_auto else recipes.find(recipe, pretrained=pretrained), settings)
    loggers.check(wanted.log)
    wanted = launch.settled(_resolved(project, opened, wanted))
    asked = Asked(recipe, wanted)
    root, remark = _folder(project, opened, asked, name)
    remarks = tuple(one for one in (remark, _empty_classes(opened)) if one)
    for one in remarks:  # said now, since training takes long, and again with the result
        logging.getLogger(__name__).warning("%s", one)
    with replace(project, root=root).lock("train"):
        if (root / models.CARD_NAME).exists():
            if not _is_unfinished_same(root, opened, asked):
                raise _taken(root.name)
            return _continued(project, root, opened, engine=engine)
        here = opened.root.relative_to(project.root) if project.root in opened.root.parents else opened.root
        path = stores.address_of(opened) or str(here)
        card = cards.new_card(root.name, asked, opened, release_path=path, started_at=now())
        card |= automatic.told(found, settings) if is_auto else {}
        try:
            job, card = _started(project, root, opened, asked.recipe, card, engine=engine)
            state = fresh(job)
            if probe.is_long(job.recipe, len(job.train)) and (busy := environment.taken(job.recipe.threads)):
                logging.getLogger(__name__).warning("%s", busy)
        except BaseException:
            _freed(root)
            raise
        cards.write(root, card)
        _log(project, "run_started", root.name, release=opened.version, recipe=recipe)
        return _trained(project, job, state, card, remarks, engine=engine)


@step("train resume", changes=True, needs_project=False)
def resume(
    project: Project, run: str = "", *, processes: int = 0, engine: Literal["local", "ray"] = "local"
) -> Outcome[Epoch]:
    """Continue a run that was stopped or killed; on the same machine with the same bits as if it never had been.

    run: name or folder of the run; the newest unfinished one when left out
    processes: that share every batch from here on; as many as before when left out
    engine: where they run, `local` or `ray`

    Examples:
        pictus train resume
        pictus train resume small-cnn-1.0.0
    """
    _begun(engine)
    found = models.find_run(project, run) if run else _newest_unfinished(project)
    if found.is_finished:
        outcome = _outcome(found.root, found.card, (), "was finished already")
    else:
        opened = remote.of_run(project, found)
        with replace(project, root=found.root).lock("train"):
            outcome = _continued(project, found.root, opened, processes, engine)
    return replace(outcome, step="train resume")


@step("train list", changes=False, needs_project=False)
def list_(project: Project) -> Outcome[RunRow]:
    """Every run: whether it is running, finished or can be resumed, its recipe, release and best validation score.

    Examples:
        pictus train list
    """
    found, broken = models.opened_runs(project)
    status = {run.name: cards.status(run) for run in found}
    counts = Counter(status.values())
    told = [f"{counts[one]} {one}" for one in (cards.RUNNING, cards.UNFINISHED) if counts[one]]
    headline = ", ".join((counted(len(found), "run"), *told)) if found or broken else "no run yet"
    headline += f", {len(broken)} that cannot be read" if broken else ""
    stopped = [name for name, one in status.items() if one == cards.UNFINISHED][-MOST_RESUMED:]
    following = tuple(f"pictus train resume {name}" for name in stopped[::-1])
    if not following:
        following = ("pictus evaluate run",) if counts[cards.FINISHED] else (first_command(project, "run"),)
        following = () if counts[cards.RUNNING] else following
    summary = {"runs": len(found), "running": counts[cards.RUNNING], "unfinished": counts[cards.UNFINISHED]}
    problems = tuple(f"{error.what} {error.fix}" for error in broken)
    return Outcome("train list", summary, headline, problems, following, lambda: cards.rows(found))


def _started(
    project: Project, root: Path, release: Release, recipe: Recipe, card: Card, *, engine: str = "local"
) -> tuple[Job, Card]:
    """Every choice made and written on the card: from here on the run can be repeated."""
    own = (cluster if engine == "ray" else seats).equipment(recipe.processes)
    keeps_memory = environment.keep_memory()
    rows = split_rows(pool.arranged(project, release, recipe), "train")
    sides = np.minimum(rows.column("width").to_numpy(), rows.column("height").to_numpy())
    disk_bytes = shutil.disk_usage(root).free // 2
    facts = Facts(rows.num_rows, int(np.median(sides)), environment.pack_bytes(), own.has_fast_bf16, disk_bytes)
    resolved = recipes.resolve(recipe, facts)
    preprocessing = cards.preprocessing_of(resolved, *networks.normalisation(recipe.model))
    job = _job(project, root, release, resolved, preprocessing, engine=engine)
    precision.check(resolved, own.device)
    network = dropping.applied(networks.make(resolved.model, job.n_classes, size=resolved.size), resolved)
    is_random = recipe.shard or draws_random_numbers(network, resolved.size)  # shares cannot be computed in parts
    parts, threads = chosen(
        resolved.batch_size // recipe.processes, recipes.view_px(resolved), own.cores,
        is_random=is_random or recipe.compile, device=own.device,
    )  # fmt: skip
    resolved, timed = replace(resolved, parts=recipe.parts or parts, threads=recipe.threads or threads), None
    if engine != "ray":  # what is timed here says nothing of other machines
        machine = probe.Machine(own.cores, own.device, is_random)
        resolved, timed = probe.settled(recipe, resolved, network, machine, len(job.train))
    card = card | {
        "recipe": asdict(resolved),
        "preprocessing": asdict(preprocessing),
        "pictures": {"train": len(job.train), "val": len(job.val)},
        "pack": job.train.supply.facts if job.train.supply else None,
        "stem": networks.stem_told(resolved.model, resolved.size),
        **({"is_classifier": False} if job.objective.scores else {}),
        "environment": environment.describe(resolved) | {"keeps_memory": keeps_memory, "probe": timed},
        "transfer": freezing.told(adapters.put_in(network, resolved.lora, resolved.lora_on), resolved)
        | start.told(resolved, release.classes),
    }
    return replace(job, recipe=resolved), card


def prepared(project: Project, root: Path, release: Release, recipe: Recipe) -> Job:
    """What a run would train on, every choice made, for steps that keep no run; what it needs is put into `root`."""
    _check_splits(release)
    return _started(project, root, release, _resolved(project, release, recipe), {})[0]


def _resolved(project: Project, release: Release, recipe: Recipe) -> Recipe:
    """With the places and digests of the runs and files that it names; what is not there is told now."""
    if recipe.weights:
        recipe = replace(recipe, weights=str(_existing(Path(recipe.weights).expanduser())))
    return targets.resolved(pool.resolved(project, release, start.resolved(project, recipe)))


def of_run(project: Project, root: Path, release: Release) -> Job:
    """What a run that was begun trains on, for a further process of it."""
    found = models.open_run(root)
    return _job(project, root, release, _recorded_recipe(root.name, dict(found.card)), found.preprocessing)


def _continued(
    project: Project, root: Path, release: Release, processes: int = 0, engine: str = "local"
) -> Outcome[Epoch]:
    """From the newest whole checkpoint, or from the start when the run was killed before its first."""
    card = dict(models.open_run(root).card)
    environment.keep_memory()
    recipe, moved = launch.moved(_recorded_recipe(root.name, card), processes)
    job = _job(project, root, release, recipe, models.open_run(root).preprocessing, engine=engine)
    if engine != "ray":
        precision.check(recipe, job.device)
    notes = environment.changes(card["environment"], environment.describe(recipe))
    found = checkpoint.load(root / training.CHECKPOINTS)
    state = restored(job, found) if found else fresh(job)
    notes += found.problems if found else ()
    notes += (*packs.changes(card.get("pack"), job.train.supply), *moved)
    if moved:
        card |= {"recipe": asdict(recipe)}
        cards.write(root, card)
    _log(project, "run_resumed", root.name, step=state.counters.step)
    return _trained(project, job, state, card, tuple(notes), engine=engine)


def _recorded_recipe(name: str, card: Card) -> Recipe:
    try:
        return Recipe(**card["recipe"])
    except TypeError as error:
        raise UserError(
            f"Run {name!r} was begun by Pictus {card['environment']['pictus']}, whose recipes have other settings"
            f" ({error}).",
            fix="finish it with that version, or train again under another --name",
        ) from error


def _trained(
    project: Project, job: Job, state: State, card: Card, notes: Sequence[str], *, engine: str
) -> Outcome[Epoch]:
    """Train to the end and close the card."""
    name = job.root.name
    total = None if job.recipe.minutes else job.most_steps
    with stop_asked() as wants_stop, project.progress.track(f"train {name}", total) as meter:
        meter.advance(state.counters.step)
        (cluster.fit if engine == "ray" else training.fit)(job, state, meter, wants_stop)
    card = card | {
        "parameters": sum(parameter.numel() for parameter in state.model.parameters()),
        "results": cards.results(
            state.counters, n_train=len(job.train), steps_per_epoch=job.steps_per_epoch,
            batch_size=job.recipe.batch_size,
        ),
        "energy": energy.told(state.counters.joules, job.cores),
        **adapters.told(job.root),
    }  # fmt: skip
    if state.counters.accumulate:
        card["environment"] = card["environment"] | {"accumulate": state.counters.accumulate}
        notes = (*notes, f"memory ran out: batches were computed in {state.counters.accumulate} pieces")
    if not state.counters.has_ended:
        cards.write(job.root, card)
        raise KeyboardInterrupt
    if done := state.counters.step % job.steps_per_epoch:
        took = (state.counters.elapsed_s, job.recipe.minutes * 60)
        notes = (*notes, words.cut_short(done, job.steps_per_epoch, took))
    if slower := automatic.disappointed(card):
        card, notes = card | {"why": [*card["why"], slower]}, (*notes, slower)
    unreadable = job.train.unreadable | job.val.unreadable
    card |= {"status": "finished", "finished_at": now(), "n_unreadable": len(unreadable),
             "unreadable": dict(list(unreadable.items())[:MOST_UNREADABLE])}  # fmt: skip
    cards.write(job.root, card)
    shutil.rmtree(job.root / training.CHECKPOINTS)
    if unreadable:
        causes = ", ".join(sorted(set(unreadable.values())))
        notes = (*notes, f"{counted(len(unreadable), 'picture')} left out, not decodable: {causes}")
    _log(project, "run_finished", name, **card["results"])
    return _outcome(job.root, card, notes, "")


def _outcome(root: Path, card: Card, notes: Sequence[str], remark: str) -> Outcome[Epoch]:
    found = card["results"]
    headline = (
        f"{root.name}{' ' + remark if remark else ''}: {card['recipe_name']}, {counted(found['epochs'], 'epoch')},"
        f" {found['wall_s']:,.0f} s; {_scores(card)} (epoch {found['best_epoch']})"
    )
    summary = {"run": root.name, "path": str(root), "release": card["release"]["version"], **found}
    following = (f"pictus evaluate run --run {root.name}", f"pictus serve start --run {root.name}")
    return Outcome(
        "train run", summary, headline, tuple(notes), following, source=partial(logbook.epochs, root)
    )  # fmt: skip


def _scores(card: Card) -> str:
    """`validation top-1 73.1%, top-5 92.0%`; of a run without labels how its neighbours vote."""
    found = card["results"]
    if card.get("is_classifier") is False:
        return f"neighbours vote right on {found['val_top1']:.1%} of val"
    has_top5 = len(card["classes"]) > BEST_OF  # of so few classes, five guesses always hold the right one
    first = f"mAP {found['val_map']:.1%}, " if found.get("val_map") is not None else ""
    return f"validation {first}top-1 {found['val_top1']:.1%}" + (f", top-5 {found['val_top5']:.1%}" if has_top5 else "")


def _job(
    project: Project, root: Path, release: Release, recipe: Recipe, preprocessing: Preprocessing, *,
    engine: str = "local",
) -> Job:  # fmt: skip
    pack = partial(packed, short_side=recipe.pack, may_grow=recipe.crop == "padded")
    memory = environment.pack_bytes()
    task = TASKS.get(recipe.task)
    shown = pool.arranged(project, release, recipe)
    train = Pictures(
        shown, "train", pack, memory * 3 // 4, targets.of_training(shown, recipe),
        targets.weights_of(shown, recipe), how=pool.sampled(shown, recipe),
        supply=pool.supplied(project, shown, recipe) or packs.supplied(project, root, release, recipe),
    )  # fmt: skip
    shelf = stores.shelf_of(release, recipe.cache_gb)
    if not train.supply:
        train.supply = remote.supplied(shown, "train", shelf)
        train.how = replace(train.how, windows=remote.windows_of(shown, recipe))
    seen = partial(models.prepare, preprocessing=preprocessing)
    val = Pictures(
        release, "val", seen, memory // 4, task.targets(release, "val"), supply=remote.supplied(release, "val", shelf)
    )
    seats.check(recipe.processes, recipe.batch_size, stores.address_of(release))
    sharding.check(recipe)
    device = "cpu" if engine == "ray" else seats.device(recipe.processes)  # its processes compute elsewhere
    return Job(root, recipe, preprocessing, train, val, len(release.classes), cpu_count(), device)


def _folder(project: Project, release: Release, asked: Asked, name: str) -> tuple[Path, str]:
    """The folder of a new run, or of the unfinished one the same command began; why it is not the plain name's."""
    way = f"{asked.recipe.objective}-" if OBJECTIVES.get(asked.recipe.objective).scores else ""  # no classifier yet
    base = safe_name(name or f"{way}{asked.recipe_name}-{release.version}", "run name")
    number, remark = 1, ""
    while True:
        root = project.models_dir / (base if number == 1 else f"{base}-{number}")
        root.mkdir(parents=True, exist_ok=True)
        if not (root / models.CARD_NAME).exists():
            _check_empty(root)
            return root, f"{root.name} is a new run: {remark}" if remark else ""
        if _is_unfinished_same(root, release, asked):
            return root, ""
        if name:
            raise _taken(name)
        remark = _why_another(root, release, asked)
        number += 1


def _check_empty(root: Path) -> None:
    """A folder without a card is a run's only when it holds no more than a run killed before its card leaves."""
    names = sorted(path.name for path in root.iterdir())
    foreign = [name for name in names if name != "locks" and not name.startswith(f".{models.CARD_NAME}.")]
    if foreign:
        shown = ", ".join(foreign[:3]) + (", …" if len(foreign) > 3 else "")  # noqa: PLR2004  a line's worth
        raise UserError(
            f"{root} holds files, but no run: {shown}. A run is not begun among them.",
            fix="choose another --name, or move the folder away",
        )


def _freed(root: Path) -> None:
    """Nothing was trained yet: the name stays free. Only what beginning a run made is removed."""
    (root / "locks" / "train.lock").unlink(missing_ok=True)
    for folder in (root / "locks", root):
        with suppress(OSError):  # something else lies in it: that is not ours to remove
            folder.rmdir()


def _taken(name: str) -> UserError:
    return UserError(
        f"There is a run {name!r} already, finished or with other settings.",
        fix=f"choose another --name, or: pictus train resume {name}",
    )


def _why_another(root: Path, release: Release, asked: Asked) -> str:
    """Why a command does not go on with the run in `root`, and how to."""
    found = models.open_run(root)
    if found.is_finished:
        return f"{root.name} is finished"
    if found.card["release"]["digest"] != release.digest:
        why = f"was begun on release {found.card['release']['version']}"
    else:
        before, wanted = _asked(found), asdict(asked.recipe)
        other = [f"{key} {before.get(key)} then, {wanted[key]} now" for key in wanted if before.get(key) != wanted[key]]
        why = f"was begun with other settings ({', '.join(other[:3])})"
    return f"{root.name} {why} and is unfinished; resume it with pictus train resume {root.name}"


def _is_unfinished_same(root: Path, release: Release, asked: Asked) -> bool:
    found = models.open_run(root)
    is_same = _asked(found) == asdict(asked.recipe) and found.card["release"]["digest"] == release.digest
    return is_same and not found.is_finished


def _asked(found: Run) -> dict[str, Any]:
    """What a run was asked for; settings younger than it have the meaning they always had."""
    before: dict[str, Any] = found.card["asked"]
    return asdict(Recipe(before["model"])) | before


def _newest_unfinished(project: Project) -> Run:
    unfinished = [run for run in models.runs(project) if not run.is_finished]
    if not unfinished:
        raise UserError(f"There is no unfinished run in {project.models_dir}.", fix=first_command(project, "run"))
    return unfinished[-1]


def _check_splits(release: Release) -> None:
    """Pictures to learn from and to validate on, of two classes at least."""
    found = Counter(release.pictures.column("split").to_pylist())
    counts = {split: found[split] for split in SPLITS}
    for split in ("train", "val"):
        if not counts[split]:
            raise UserError(
                f"Release {release.version} has no picture in split {split!r} ({counts}).",
                fix="pictus release split --train 0.8 --val 0.1 --test 0.1, then cut another version",
            )
    labels = set(split_rows(release, "train").column("label").to_pylist())
    if len(labels) < 2:  # noqa: PLR2004
        raise UserError(
            f"Release {release.version} has training pictures of one class only: there is nothing to tell apart.",
            fix="add pictures of another concept and cut another version",
        )


def _empty_classes(release: Release) -> str:
    """Classes without a training picture by name: nobody can learn them. "" where each has one."""
    known = set(split_rows(release, "train").column("label").to_pylist())
    empty = [name for label, name in enumerate(class_names(release)) if label not in known]
    if not empty:
        return ""
    shown = ", ".join(empty[:MOST_NAMED]) + (f" and {len(empty) - MOST_NAMED:,} more" if empty[MOST_NAMED:] else "")
    return f"{counted(len(empty), 'class', 'classes')} without a training picture will never be guessed: {shown}"


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"There is no weights file {path}.", fix="--set weights=FILE.safetensors")
    return path.resolve()


def _begun(engine: str) -> None:
    """The engine and the packages are there; of several processes that torchrun started, the first alone goes on."""
    RUNNERS.get(engine)
    for module in ("torch", "safetensors"):
        need(module, "train")
    launch.followed()


def _log(project: Project, event: str, subject: str, **data: Any) -> None:  # noqa: ANN401  JSON values
    if project.exists:
        project.journal.log("train", event, subject, **data)
