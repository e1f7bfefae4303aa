"""`pictus challenge score` and `rank`: prediction files against a release's split or a truth file."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from pictus.challenge.answers import Answers, Guesses, answers_of_release, answers_of_sheet, guesses_of
from pictus.challenge.leaderboard import Score, flat_because, n_counted, score_of
from pictus.challenge.leaderboard import rank as rank_all
from pictus.challenge.sheets import Sheet, parse_predictions, parse_truth
from pictus.concepts import Taxonomy
from pictus.errors import UserError, counted
from pictus.project import Project
from pictus.registry import Outcome, step
from pictus.releases import find_release, split_rows

SplitName = Literal["train", "val", "test", "all"]


@step("challenge score", changes=False, needs_project=False)
def score(
    project: Project, file: Path, *, release: str = "", truth: Path | None = None, split: SplitName = "test"
) -> Outcome[Score]:
    """Score one prediction file: top-1, top-5 and hierarchical error, with intervals.

    file: One line per picture with up to 5 guesses, best first, separated by blanks (class names,
        concept ids or class numbers; a picture's name may come first), or .csv (image_id,guess1..guess5), .npy,
        .npz, or the predictions.parquet of an evaluation. A missing guess is wrong.
    release: Version or folder of the release that has the truth; the newest when empty.
    truth: A file with the truth instead: ILSVRC's devkit file, `name label` lines, .csv, .npy, .npz, .json.
    split: Which pictures of the release.

    Examples:
        pictus challenge score predictions.txt --release 1.0.0
        pictus challenge score predictions.txt --truth ILSVRC2012_validation_ground_truth.txt
    """
    answers = _answers(project, release, truth, split)
    submissions = _submissions((file,), answers)
    if len(submissions) > 1:
        raise UserError(f"{file} holds {len(submissions)} models.", fix=f"pictus challenge rank {file}")
    found, n = score_of(submissions[0], answers), n_counted(answers)
    why_flat = flat_because(submissions[0], answers)
    return Outcome(
        "challenge score",
        {**asdict(found), "n": n, "truth": answers.where},
        f"{found.name}: {_shares(found)} on {counted(n, 'picture')}"
        + (f"; no hierarchical error: {why_flat}" if why_flat else ""),
        problems=submissions[0].problems,
        source=lambda: iter([found]),
    )


@step("challenge rank", changes=False, needs_project=False)
def rank(
    project: Project, files: tuple[Path, ...], *, release: str = "", truth: Path | None = None,
    split: SplitName = "test", by: Literal["top1", "top5"] = "top1",
) -> Outcome[Score]:  # fmt: skip
    """Rank prediction files: a leaderboard with intervals, where ties share a rank.

    files: Prediction files as for `pictus challenge score`; an .npz may hold many models.
    release: Version or folder of the release that has the truth; the newest when empty.
    truth: A file with the truth instead.
    split: Which pictures of the release.
    by: What ranks; ILSVRC ranked by top5.

    Examples:
        pictus challenge rank team-*.txt --release 1.0.0
        pictus challenge rank models.npz --truth models.npz --by top5
    """
    answers = _answers(project, release, truth, split)
    submissions = _submissions(files, answers)
    scores = rank_all(submissions, answers, by)
    groups = len({one.rank for one in scores})
    first, n = scores[0], n_counted(answers)
    tied = ", ".join(one.name for one in scores[1:] if one.rank == 1)
    return Outcome(
        "challenge rank",
        {"models": len(scores), "groups": groups, "n": n, "by": by, "truth": answers.where,
         "scores": [asdict(one) for one in scores]},
        f"{first.name}{f' (tied with {tied})' if tied else ''}: {_shares(first)};"
        f" {counted(len(scores), 'model')} in {counted(groups, 'tie group')} on {counted(n, 'picture')}",
        problems=tuple(problem for one in submissions for problem in one.problems),
        source=lambda: iter(scores),
    )  # fmt: skip


def _answers(project: Project, release: str, truth: Path | None, split: SplitName) -> Answers:
    if truth is not None and release:
        raise UserError("--truth and --release both say what is true.", fix="give one of them")
    if truth is not None:
        found_truth = answers_of_sheet(parse_truth(_read(truth), truth))
        if not n_counted(found_truth):
            raise UserError(f"{truth} has no picture that counts: none has a label.", fix="name another file")
        return found_truth
    found = find_release(project, release)
    rows = split_rows(found, split)
    names = zip(rows.column("image_id").to_pylist(), rows.column("key").to_pylist(), strict=True)
    where = f"release {found.version} {split}"
    labels = rows.column("label").to_pylist()
    return answers_of_release(where, found.classes, labels, names, Taxonomy.of(found.concepts))


def _submissions(files: tuple[Path, ...], answers: Answers) -> list[Guesses]:
    """Every model of every file, under names of their own."""
    if not files:
        raise UserError("There is nothing to rank.", fix="pictus challenge rank FILE FILE …")
    pictures = frozenset(answers.rows)
    sheets = [(path, sheet) for path in files for sheet in parse_predictions(_read(path), path, pictures)]
    count = Counter(sheet.name for _, sheet in sheets)
    named = [
        replace(sheet, name=_long_name(path, sheet)) if count[sheet.name] > 1 else sheet for path, sheet in sheets
    ]
    twice = [name for name, times in Counter(sheet.name for sheet in named).items() if times > 1]
    if twice:
        raise UserError(f"{', '.join(twice)} is given twice.", fix="name each file once")
    return [guesses_of(sheet, answers) for sheet in named]


def _long_name(path: Path, sheet: Sheet) -> str:
    return str(path) if sheet.name == path.stem else f"{path}:{sheet.name}"


def _read(path: Path) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", fix="check the name and the folder") from None


def _shares(one: Score) -> str:
    text = (
        f"top-1 {one.top1:.1%} ({one.top1_low * 100:.1f}-{one.top1_high * 100:.1f}),"
        f" top-5 {one.top5:.1%} ({one.top5_low * 100:.1f}-{one.top5_high * 100:.1f})"
    ).replace("%", " %")
    if one.hierarchical_error is None:
        return text
    between = f"{one.hierarchical_low:.3f}-{one.hierarchical_high:.3f}"
    return f"{text}, hierarchical error {one.hierarchical_error:.3f} ({between})"
