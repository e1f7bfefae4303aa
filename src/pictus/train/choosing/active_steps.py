"""The verb that begins a round of active learning: what to ask people next, for one run's sake."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pictus import models, networks
from pictus.errors import UserError, counted
from pictus.extras import need
from pictus.journey import first_command
from pictus.models import Run
from pictus.project import Project, write_bytes
from pictus.registry import Outcome, step
from pictus.shards import ShardReader
from pictus.tasks import TASKS
from pictus.train.choosing import rounds
from pictus.train.choosing.rounds import Floats, Ints
from pictus.train.feed import remote
from pictus.train.pretrain import pool
from pictus.train.transfer import features

if TYPE_CHECKING:
    from torch import nn

    from pictus.releases import Release

WANTED = "predictions/active.parquet"
"""Of the project: what `annotate plan` asks first. A later round takes its place."""

WORTH = 0.2
"""A guess at least so probable is a question of its own beside the first guess."""

COMMITTEE = 3
"""Runs at most that are asked whether they disagree."""

SOURCE = "source:"
"""How votes begin that no person cast."""


@dataclass(frozen=True, slots=True)
class ChosenRow:
    """One picture, the most wanted first. `score`: what it was chosen by, in 0..1 (of core-set the uncertainty)."""

    image_id: str
    score: float
    guesses: tuple[str, ...]  # concept ids that are asked about, the most probable first
    probabilities: tuple[float, ...]


class _Asked(NamedTuple):
    rows: pa.Table  # of the pool that can be decoded
    features_ND: Floats  # in a file
    shares: Callable[[Floats], Floats]  # of features of some pictures: f32[B, K]
    is_several: bool  # labels to a picture
    n_unreadable: int

    def answers(self, block: slice) -> Floats:
        """What is asked: the shares f32[B, K], or of several labels to a picture f32[B, K, 2]."""
        found = self.shares(self.features_ND[block])
        return rounds.yes_no(found) if self.is_several else found


# It changes nothing that people made; the file it writes only says what to ask first.
@step("train active", changes=True)
def active(
    project: Project, *, run: str = "", budget: int = 200,
    by: Literal["mixed", "uncertainty", "core-set", "disagreement"] = "mixed",
) -> Outcome[ChosenRow]:  # fmt: skip
    """Choose the pictures without a label that a run would learn most from, for people to be asked about first.

    The pool is every clean picture of the project that is in no split of the run's release, is no duplicate of val and
    test, and that nobody has answered yet. Nothing is labelled by it: `annotate plan` puts the questions first.

    run: by name or folder; the newest when left out
    budget: pictures to ask about
    by: mixed (unsure of, and unlike each other), uncertainty, core-set (unlike all that is labelled), disagreement of
        the newest runs of the same classes

    Examples:
        pictus train active --budget 200
        pictus train active --run small-cnn-1.0.0 --by core-set
    """
    if budget < 1:
        raise UserError(f"--budget {budget}: 1 or more pictures are wanted.", fix="--budget 200")
    found = models.find_run(project, run)
    release = remote.of_run(project, found)
    committee = _committee(project, found) if by == "disagreement" else ()
    rows = _unanswered(project, pool.unlabelled(project, release))
    if not rows.num_rows:
        raise UserError(
            "There is no clean picture left that is not in the release and that nobody has answered.",
            fix=first_command(project, "pictures"),
        )
    asked = _asked(project, found, rows)
    if not asked.rows.num_rows:
        raise UserError(f"None of the {rows.num_rows:,} pictures can be decoded.", fix="pictus clean check")
    score_N = _scores([asked, *(_asked(project, one, asked.rows) for one in committee)])
    known_MD = _labelled(project, found, release) if by in ("core-set", "mixed") else asked.features_ND[:0]
    chosen = _chosen(by, budget, asked, score_N, known_MD)
    picked = [_row(asked, found, score_N, at) for at in chosen.tolist()]
    _write(project, found, picked, by)
    project.journal.log("train", "pictures_chosen", found.name, by=by, budget=budget, chosen=len(picked))
    summary = {"run": found.name, "by": by, "budget": budget, "chosen": len(picked), "pool": asked.rows.num_rows,
               "file": str(project.root / WANTED)}  # fmt: skip
    questions = sum(len(row.guesses) for row in picked)
    headline = (
        f"{counted(len(picked), 'picture')} of {asked.rows.num_rows:,} chosen by {by} for {found.name}"
        f" ({counted(questions, 'question')}). Plan them, let people answer, settle, cut a release, go on training"
    )
    notes = list(models.unfinished(found))
    if asked.n_unreadable:
        notes.append(f"{counted(asked.n_unreadable, 'picture')} passed over, not decodable")
    return Outcome("train active", summary, headline, tuple(notes), following(found, release), lambda: iter(picked))


def following(run: Run, release: "Release") -> tuple[str, ...]:
    """The rest of the round, one command after the other."""
    major, _, rest = release.version.partition(".")
    after = f"{int(major) + 1}.0.0" if major.isdigit() and rest else f"{release.version}-2"
    recipe = run.card.get("recipe_name") or run.model_name
    again = f"pictus train run --release {after} --recipe {shlex.quote(recipe)} --set from_run={shlex.quote(run.name)}"
    return (
        "pictus annotate plan", "pictus annotate serve", "pictus annotate settle", "pictus release split",
        f"pictus release cut {after}", again,
    )  # fmt: skip


def _chosen(by: str, budget: int, asked: _Asked, score_N: Floats, known_MD: Floats) -> Ints:
    if by == "core-set":
        return rounds.centres(asked.features_ND, known_MD, budget)
    if by == "mixed":
        return rounds.mixed(score_N, asked.features_ND, known_MD, budget)
    return rounds.most(score_N, budget)


def _labelled(project: Project, run: Run, release: "Release") -> Floats:
    """What the run's last layer sees of the pictures it learned from, f32[M, D]; kept, as `train probe` keeps them."""
    source = features.source_of(project, str(run.root))
    folder = features.kept_at(project, source, release)
    return features.of_split(folder, source, release, "train", project.progress).values_ND


def _committee(project: Project, run: Run) -> tuple[Run, ...]:
    """The newest other finished runs of the same classes."""
    others = [
        one for one in reversed(models.by_finish(models.runs(project, skip_broken=True)))
        if one.root != run.root and one.classes == run.classes and _task_of(one) == _task_of(run)
    ][: COMMITTEE - 1]  # fmt: skip
    if not others:
        raise UserError(
            f"No other finished run knows the classes of {run.name}: nobody can disagree with it.",
            fix="--by mixed, or train another: pictus train run --set seed=1",
        )
    return tuple(others)


def _unanswered(project: Project, rows: pa.Table) -> pa.Table:
    votes = project.journal.votes()
    said = votes.filter(pc.invert(pc.starts_with(votes.column("annotator"), SOURCE))).column("image_id").unique()
    return rows.filter(pc.invert(pc.is_in(rows.column("image_id"), value_set=said.cast(pa.string()))))


def _asked(project: Project, run: Run, rows: pa.Table) -> _Asked:
    """What a run says of pictures of the project, and what its last layer sees of them."""
    network = models.load_run(run)
    embed = partial(models.embed_pixels, network, run)
    reader, folder = ShardReader(project.shards_dir), project.models_dir
    is_there_N, end = np.zeros(rows.num_rows, np.bool_), 0
    features_ND: Floats = np.zeros((0, 0), np.float32)
    with project.progress.track(f"asking {run.name}", rows.num_rows) as meter:
        for start in range(0, rows.num_rows, rounds.BLOCK):
            block = rows.slice(start, rounds.BLOCK).to_pylist()
            found, is_there = features.of_readable(reader, run, block, embed)
            features_ND = features_ND if start else features.scratch(folder, (rows.num_rows, found.shape[1]))
            features_ND[end : end + len(found)] = found
            is_there_N[start : start + len(block)] = is_there
            end += len(found)
            meter.advance(len(block))
    return _Asked(
        rows.filter(pa.array(is_there_N)), features_ND[:end], partial(_shares, network, run),
        _task_of(run) == "multilabel", len(is_there_N) - end,
    )  # fmt: skip


def _shares(network: "nn.Module", run: Run, features_BD: Floats) -> Floats:
    """f32[B, K], what the network's last layer makes of features."""
    torch = need("torch", "train")
    head = networks.head_of(network)[1]
    with torch.inference_mode():
        inputs = torch.from_numpy(np.ascontiguousarray(features_BD)).to(head.weight.device)
        bias = head.bias if head.bias is not None else 0
        logits_BK: Floats = (inputs @ head.weight.flatten(1).T + bias).float().cpu().numpy()
    return TASKS.get(_task_of(run)).decode(logits_BK)


def _scores(asked: list[_Asked]) -> Floats:
    """How unsure one is, or how far several lie apart: f32[N] in 0..1."""
    many, found = asked[0].rows.num_rows, []
    for start in range(0, many, rounds.BLOCK):
        answers = [one.answers(slice(start, start + rounds.BLOCK)) for one in asked]
        found.append(rounds.uncertainty(answers[0]) if len(asked) == 1 else rounds.disagreement(np.stack(answers)))
    return np.concatenate([np.zeros(0, np.float32), *found])


def _task_of(run: Run) -> str:
    return str((run.card.get("recipe") or {}).get("task", "classification"))


def _row(asked: _Asked, run: Run, score_N: Floats, at: int) -> ChosenRow:
    shares_K = asked.shares(asked.features_ND[at : at + 1])[0]
    best = np.argsort(-shares_K, kind="stable")
    worth = [int(one) for number, one in enumerate(best) if number == 0 or shares_K[one] >= WORTH]
    return ChosenRow(
        asked.rows.column("image_id")[at].as_py(), round(float(score_N[at]), 6),
        tuple(run.classes[one] for one in worth), tuple(round(float(shares_K[one]), 6) for one in worth),
    )  # fmt: skip


def _write(project: Project, run: Run, picked: list[ChosenRow], by: str) -> None:
    """A row to each question, as served models write them; `wanted` says that it is to be asked however sure it is."""
    rows = [
        {"image_id": row.image_id, "guesses": [guess], "probabilities": [share], "wanted": True, "run": run.name,
         "by": by, "score": row.score}
        for row in picked for guess, share in zip(row.guesses, row.probabilities, strict=True)
    ]  # fmt: skip
    made = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), made)
    path = project.root / WANTED
    path.parent.mkdir(exist_ok=True)
    write_bytes(path, made.getvalue())
