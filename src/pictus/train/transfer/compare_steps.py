"""The verbs that ask a finished run about pictures in other ways: forgetting, robustness."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from markupsafe import Markup

from pictus import finite, models, pixels, reports, stats, stores
from pictus.errors import PictureError, UserError, counted
from pictus.extras import need
from pictus.models import Pixels, Run
from pictus.project import Project, write_text
from pictus.registry import Outcome, step
from pictus.releases import SPLITS, Release, split_rows
from pictus.train.feed import remote
from pictus.train.transfer import features
from pictus.train.transfer import forgetting as memory
from pictus.train.transfer.attacks import Bound, attacked
from pictus.train.transfer.forgetting import ForgettingRow, Guesses
from pictus.train.watching import beside

SHOWN = 48
"""Forgotten pictures on the page."""

SIDE = 128
BATCH = 50
"""Pictures attacked at once."""


@dataclass(frozen=True, slots=True)
class RobustnessRow:
    """Top-1 in 0..1 with its 95 % interval (Wilson) on pictures as they are, or changed for the worst."""

    pictures_are: str  # clean | attacked
    bound: float  # of 255
    steps: int
    pictures: int
    top1: float
    low: float
    high: float


@step("train forgetting", changes=True, needs_project=False, shows_records=True)
def forgetting(project: Project, run: str = "", *, before: str = "", split: str = "") -> Outcome[ForgettingRow]:
    """What a run has forgotten of the run it began from: both on both releases, a table and a page of pictures.

    Classes are matched by concept id: common ones, those only the later run knows, those only the earlier one does.

    run: the later run, by name or folder; the newest when left out
    before: the earlier run; the one the later began from when left out
    split: train, val or test; test where the release has one, else val

    Examples:
        pictus train run --release 2.0.0 --set from_run=a --name b
        pictus train forgetting b
    """
    new = models.find_run(project, run)
    old = models.find_run(project, before) if before else _begun_from(new)
    releases = {found.root: found for found in (remote.of_run(project, old), remote.of_run(project, new))}
    rows: list[ForgettingRow] = []
    lost: list[tuple[Release, tuple[str, str, str]]] = []
    for release in releases.values():
        part = _split(release, split)
        found = _guessed(release, part, old, new)
        rows += memory.rows(f"{release.version} {part}", found, old.classes, new.classes)
        lost += [(release, one) for one in memory.lost(found) if one[1] in new.classes]
    path = new.root / "forgetting.html"
    write_text(path, _page(old, new, rows, lost))
    told = "; ".join(
        f"{row.classes} classes of {row.release} {row.before:.1%} before, {row.after:.1%} after"
        for row in rows if row.before is not None and row.after is not None
    )  # fmt: skip
    summary = {"run": new.name, "before": old.name, "report": str(path), "lost": sum(row.lost for row in rows),
               "won": sum(row.won for row in rows)}  # fmt: skip
    headline = f"{new.name} after {old.name}: top-1 on {told or 'no class that both know'}"
    return Outcome(
        "train forgetting", summary, headline, models.unfinished(new), (f"look at {path}",), source=lambda: iter(rows)
    )


# It writes a line for the run's card, and is minutes of work that not every visitor may ask for, of any folder.
@step("train robustness", changes=True, needs_project=False, shows_records=True)
def robustness(
    project: Project, run: str = "", *, split: str = "", bound: float = 4.0, steps: int = 20, limit: int = 500
) -> Outcome[RobustnessRow]:
    """Top-1 of a run on pictures as they are and on the same changed for the worst within a bound (Madry et al. 2018).

    The attack knows the network, so the figure is an upper limit: a better attack may find more.

    run: by name or folder; the newest when left out
    split: train, val or test; test where the release has one, else val
    bound: how much every colour may change, of 255
    steps: of the attack
    limit: pictures that are attacked, the first of the split

    Examples:
        pictus train robustness
        pictus train robustness b --bound 2 --steps 50
    """
    if not 0 < bound <= 64 or not 1 <= steps <= 1000 or limit < 1:  # noqa: PLR2004
        raise UserError(
            f"--bound {bound:g}, --steps {steps}, --limit {limit}: a bound above 0 up to 64, 1 to 1,000 steps and a"
            " limit of 1 or more are wanted.",
            fix="--bound 4 --steps 20 --limit 500",
        )
    found = models.find_run(project, run)
    release = remote.of_run(project, found)
    part = _split(release, split)
    rows = split_rows(release, part).slice(0, limit).to_pylist()
    counts = {"clean": 0, "attacked": 0}
    network = models.load_run(found)
    with project.progress.track(f"robustness of {found.name}", len(rows)) as meter, ThreadPoolExecutor() as pool:
        pictures = _in_batches(pool, release, found, rows)
        for number, batch in enumerate(pictures):
            for name, right in _right(network, found, batch, Bound(bound, steps), number):
                counts[name] += right
            meter.advance(len(batch[0]))
    made = [
        RobustnessRow(name, bound if name == "attacked" else 0.0, steps if name == "attacked" else 0, len(rows),
                      *stats.wilson(count, len(rows)))
        for name, count in counts.items()
    ]  # fmt: skip
    if found.is_finished:  # one that goes on has other weights then
        beside.keep(found.root, beside.ROBUSTNESS, part, made)
    clean, robust = made
    headline = (
        f"{found.name} on {counted(len(rows), 'picture')} of {part}: top-1 {clean.top1:.1%} as they are,"
        f" {robust.top1:.1%} ({robust.low:.1%} to {robust.high:.1%}) attacked within {bound:g} of 255"
    )
    summary = {"run": found.name, "split": part, "clean": clean.top1, "attacked": robust.top1}
    return Outcome("train robustness", summary, headline, models.unfinished(found), source=lambda: iter(made))


def _begun_from(run: Run) -> Run:
    stated = (run.card.get("transfer") or {}).get("from_run") or {}
    if not stated.get("path"):
        raise UserError(
            f"Run {run.name!r} did not begin from another run.", fix=f"pictus train forgetting {run.name} --before RUN"
        )
    return models.open_run(stated["path"])


def _split(release: Release, asked: str) -> str:
    if asked and asked not in SPLITS:
        raise UserError(f"There is no split {asked!r}.", fix=f"one of: {', '.join(SPLITS)}")
    return asked or features.judged_on(release)


def _guessed(release: Release, split: str, old: Run, new: Run) -> Guesses:
    rows = split_rows(release, split).to_pylist()
    guesses = (features.guesses(models.load_run(run), run, release, rows) for run in (old, new))
    return Guesses([row["image_id"] for row in rows], [row["concept_id"] for row in rows], *guesses)


def _in_batches(
    pool: ThreadPoolExecutor, release: Release, run: Run, rows: list[dict[str, Any]]
) -> Iterator[tuple[list[Pixels | None], list[str]]]:
    read = partial(features.prepared, stores.reader_of(release, run.card), run)
    found = models.in_order(pool, read, rows, ahead=2 * BATCH)
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        yield [next(found) for _ in part], [row["concept_id"] for row in part]


def _right(
    network: Any, run: Run, batch: tuple[list[Pixels | None], list[str]], bound: Bound, seed: int  # noqa: ANN401
) -> Iterator[tuple[str, int]]:
    """How many are right as they are, and attacked; what cannot be decoded or is of no known class never is."""
    torch = need("torch", "train")
    place = {concept_id: at for at, concept_id in enumerate(run.classes)}
    good = [
        (one, place[concept_id]) for one, concept_id in zip(*batch, strict=True)
        if one is not None and concept_id in place
    ]  # fmt: skip
    if not good:
        return
    device = next(network.parameters()).device
    inputs = models.normalised(torch.from_numpy(np.stack([one for one, _ in good])).to(device), run.preprocessing)
    labels = torch.tensor([label for _, label in good], device=device)

    def losses(changed: Any) -> Any:  # noqa: ANN401  tensors
        return torch.nn.functional.cross_entropy(network(changed).float(), labels, reduction="none")

    changed = attacked(losses, inputs, bound, run.preprocessing, seed)
    with torch.inference_mode():
        answers = [network(x).float() for x in (inputs, changed)]
    for logits in answers:
        finite.check(logits.cpu().numpy(), run.name, network)
    is_right, is_robust = (logits.argmax(1) == labels for logits in answers)
    yield "clean", int(is_right.sum())
    yield "attacked", int((is_right & is_robust).sum())  # what is wrong as it is, no attack is needed for


def _page(old: Run, new: Run, rows: list[ForgettingRow], lost: list[tuple[Release, tuple[str, str, str]]]) -> str:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    lines = [
        (row.release, row.classes, f"{row.pictures:,}", share(row.before), share(row.after),
         "-" if row.change is None else f"{row.change:+.1%} ({row.low:+.1%} to {row.high:+.1%})",
         f"{row.lost:,}", f"{row.won:,}")
        for row in rows
    ]  # fmt: skip
    heads = ("release", "classes", "pictures", old.name, new.name, "change, 95 % interval", "lost", "won")
    names = dict(zip(old.classes, old.class_names, strict=True)) | dict(zip(new.classes, new.class_names, strict=True))
    once = {one[0]: (release, one) for release, one in lost}
    readers = {release.root: stores.picker_of(release) for release, _ in once.values()}
    shown = []
    for release, (image_id, concept_id, guess) in list(once.values())[:SHOWN]:
        jpeg = _thumbnail(readers[release.root], release, image_id)
        if jpeg:
            shown.append((jpeg, f"{names[concept_id]}, now {names.get(guess, 'unread')}"))
    more = f", {len(shown)} of them below" if len(once) > len(shown) else ""
    said = f"{counted(len(once), 'picture')} that {old.name} knew and {new.name} does not{more}."
    body = Markup("{}<p>{}</p>{}").format(reports.table(heads, lines, range(2, len(heads))), said, reports.wall(shown))
    command = f"pictus train forgetting {new.name} --before {old.name}"
    return reports.page(f"What {new.name} has forgotten of {old.name}", body, command)


def _thumbnail(reader: stores.Reader, release: Release, image_id: str) -> bytes:
    import pyarrow.compute as pc  # noqa: PLC0415  0.1 s that --help does not pay

    row = release.pictures.filter(pc.equal(release.pictures.column("image_id"), image_id)).slice(0, 1).to_pylist()[0]
    try:
        picture = pixels.decode_scaled(reader.read(row["shard"], row["offset"], row["size"]), SIDE)
    except PictureError:
        return b""  # nothing can be shown of it
    scale = SIDE / min(picture.shape[:2])
    small = pixels.resize(picture, max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return pixels.encode_jpeg(small, 80)
