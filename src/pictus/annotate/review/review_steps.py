"""The verbs of reviewers: rule, take-back, history."""

from __future__ import annotations

import json
import secrets
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import sqlalchemy as sa

from pictus.annotate.desk.session_steps import note, paused_names
from pictus.annotate.exchange.reference_steps import pictures_named
from pictus.annotate.review import rulings
from pictus.annotate.review.rulings import IS, IS_NOT, WITHDRAWN, Decision, Ruling, reassigned
from pictus.clock import now
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import NotThereError, UserError, bad_rows, clipped, counted
from pictus.project import Project
from pictus.records import Label
from pictus.registry import Outcome, step
from pictus.tables import equals, one_of

__all__ = [
    "MOST_REASON", "Decision", "Done", "decide", "entries", "history", "reassigned", "rule", "rulings_since",
    "take_back", "withdraw",
]  # fmt: skip

MOST_PICTURES = 10_000
"""Of one act: what comes from a slip of the hand should end somewhere."""
MOST_REASON = 500
PREFIX = 6
"""Fewest digits that stand for an image_id."""
OWNER = "owner"
"""Who decides on the command line, where nobody is named."""

_CHUNK = 500  # databases bound how many values a statement has
_COLUMNS = ", ".join(one.name for one in fields(Ruling))


class Done(NamedTuple):
    """What an act did. `overruled`: rulings of others that counted until then, or that count since."""

    batch: str
    rows: int
    pictures: int
    overruled: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was said of a picture. `counts`: whether it still does."""

    at: str
    who: str
    what: str
    why: str
    concept_id: str
    counts: bool


@step("annotate rule", changes=True, shows_records=True)
def rule(
    project: Project, images: tuple[str, ...], *, concept: str, reason: str, not_: bool = False,
    instead_of: str = "", reviewer: str = OWNER,
) -> Outcome[Ruling]:  # fmt: skip
    """Decide over votes what pictures show, or do not show.

    A ruling counts at once on the pages of review, and from the next `annotate settle` on in the labels. Nothing that
    people answered is changed, and `annotate take-back BATCH` undoes all of it at once.

    images: image_ids, their first digits, addresses, or the ends of addresses
    concept: what they show, by id or name
    reason: why, for those who come later
    not_: they do not show it
    instead_of: a concept that they are no longer
    reviewer: who decides

    Examples:
        pictus annotate rule 3f2a91 owl/7.jpg --concept owl --reason "wings are seen"
        pictus annotate rule owl/7.jpg --concept owl --not --reason "a statue"
        pictus annotate rule owl/7.jpg --concept wren --instead-of owl --reason "too small for an owl"
    """
    if not_ and instead_of:
        raise UserError("--not says what they are not; --instead-of what they are.", fix="leave one of them out")
    taxonomy = load_taxonomy(project)
    concept_id, old = taxonomy.resolve(concept), taxonomy.resolve(instead_of) if instead_of else ""
    image_ids = pictures_meant(project, images)
    wanted = [Decision(one, concept_id, IS_NOT) for one in image_ids] if not_ else reassigned(
        [(one, old) for one in image_ids], concept_id
    )  # fmt: skip
    done = decide(project, reviewer, wanted, reason)
    said = f"{counted(done.pictures, 'picture')}: {'not ' if not_ else ''}{taxonomy.name(concept_id)}"
    said += f" instead of {taxonomy.name(old)}" if old else ""
    return _outcome(project, "annotate rule", done, said + (
        f"; {counted(done.overruled, 'earlier ruling')} no longer counts" if done.overruled else ""
    ))  # fmt: skip


@step("annotate take-back", changes=True, shows_records=True)
def take_back(project: Project, batch: str, *, reviewer: str = OWNER) -> Outcome[Ruling]:
    """Take back everything that was ruled in one act. What stood before it stands again.

    Pictures that somebody ruled on since are left as they are. Nothing is deleted: `annotate history` shows both the
    ruling and its withdrawal, and taking back the withdrawal puts the ruling in force again.

    batch: as `annotate rule` and `annotate history` show it
    reviewer: who takes it back

    Examples:
        pictus annotate take-back 5d0c9e1f4a
    """
    done = withdraw(project, reviewer, batch)
    said = f"taken back on {counted(done.pictures, 'picture')}" + (
        f"; {counted(done.overruled, 'ruling')} left alone that somebody replaced since" if done.overruled else ""
    )
    return _outcome(project, "annotate take-back", done, said)


@step("annotate history", changes=False)
def history(project: Project, image: str) -> Outcome[Entry]:
    """What was said of one picture's label, by whom and when: votes, rulings, withdrawals, what was settled.

    Answers that somebody replaced, and rulings that were replaced or withdrawn, are shown as such.

    image: an image_id, its first digits, an address, or the end of one

    Examples:
        pictus annotate history 3f2a91
    """
    image_id = pictures_meant(project, (image,))[0]
    found = entries(project, load_taxonomy(project), image_id)
    lines = [
        f"  {one.at}  {one.who}: {one.what}" + (f" ({one.why})" if one.why else "")
        + ("" if one.counts else "  [no longer counts]") for one in found
    ]  # fmt: skip
    said = counted(len(found), "entry", "entries")
    return Outcome(
        "annotate history", {"image_id": image_id, "entries": len(found), "counting": sum(one.counts for one in found)},
        "\n".join([f"{image_id[:16]}: {said}", *lines]), next=(f"pictus show {image_id[:12]}",),
        source=lambda: iter(found),
    )  # fmt: skip


def decide(project: Project, reviewer: str, wanted: Iterable[Decision], reason: str) -> Done:
    """Keep rulings as one batch, all or none; UserError where a picture or concept is not in the project."""
    reason = " ".join(reason.split())
    if not 1 <= len(reason) <= MOST_REASON:
        raise UserError(f"A reason has 1 to {MOST_REASON} signs; this has {len(reason):,}.", fix='--reason "why"')
    if not reviewer.strip():
        raise UserError("Who decides is missing.", fix="--reviewer NAME")
    found = rulings.checked(wanted)
    image_ids = list(dict.fromkeys(one.image_id for one in found))
    if not 1 <= len(image_ids) <= MOST_PICTURES:
        raise UserError(f"At once 1 to {MOST_PICTURES:,} pictures are ruled on, not {len(image_ids):,}.")
    taxonomy = load_taxonomy(project)
    for concept_id in {one.concept_id for one in found}:
        taxonomy.get(concept_id)
    there = set(project.tables.read("images", ["image_id"], where=one_of("image_id", image_ids)).column(0).to_pylist())
    if gone := [one for one in image_ids if one not in there]:
        raise NotThereError(f"{counted(len(gone), 'picture is', 'pictures are')} not in the project: {gone[0][:80]}.")
    at, batch = now(), secrets.token_hex(5)
    with project.journal.transaction() as connection:
        stood = rulings.standing(_rulings_on(connection, image_ids))
        note(connection, at, "pictures_ruled", batch, by=reviewer, reason=reason, pictures=len(image_ids),
             **_place(connection, len(found)))  # fmt: skip
        _put(connection, [(one, reason) for one in found], (reviewer, batch, at))
    overruled = sum(one.ruling != stood[one[:2]].ruling for one in found if one[:2] in stood)
    return Done(batch, len(found), len(image_ids), overruled)


def withdraw(project: Project, reviewer: str, batch: str) -> Done:
    """Take a batch back as a batch of its own."""
    at, fresh = now(), secrets.token_hex(5)
    with project.journal.transaction() as connection:
        image_ids = _pictures_of(connection, batch)
        if not image_ids:
            raise NotThereError(f"Nothing was ruled as batch {clipped(batch)}.", fix="pictus annotate history IMAGE")
        found = rulings.reversal(batch, _rulings_on(connection, image_ids))
        gone = [(Decision(*pair, WITHDRAWN), f"{batch} taken back") for pair in found.withdrawn]
        again = [
            (Decision(one.image_id, one.concept_id, one.ruling), f"again: {one.reason}"[:MOST_REASON])
            for one in found.restored
        ]
        pictures = len({image_id for image_id, _ in found.withdrawn})
        if not pictures:
            what = f"All of {batch} was taken back or replaced since."
            raise UserError(what, fix="pictus annotate history IMAGE")
        note(connection, at, "rulings_withdrawn", fresh, by=reviewer, batch=batch, pictures=pictures,
             left=found.overruled, **_place(connection, len(gone + again)))  # fmt: skip
        _put(connection, gone + again, (reviewer, fresh, at))
    return Done(fresh, len(gone), pictures, found.overruled)


def rulings_since(connection: sa.Connection, last: int) -> list[Ruling]:
    """All that was ruled after one row, oldest first."""
    query = sa.text(f"SELECT {_COLUMNS} FROM rulings WHERE ruling_id > :last ORDER BY ruling_id")  # noqa: S608  our names
    return [Ruling(*row) for row in connection.execute(query, {"last": last}).all()]


def entries(project: Project, taxonomy: Taxonomy, image_id: str) -> list[Entry]:
    """What was said of one picture, oldest first."""
    with project.journal.reading() as connection:
        ruled = _rulings_on(connection, [image_id])
        audited = connection.execute(
            sa.text(
                "SELECT answered_at, annotator, answer, concept_id FROM answers WHERE kind = 'audit' AND question_id IN"
                " (SELECT question_id FROM questions WHERE image_id = :image) ORDER BY answer_id"
            ),
            {"image": image_id},
        ).all()
        paused = paused_names(connection)
    found = [*_votes(project, taxonomy, image_id, paused), *_ruled(taxonomy, ruled)]
    found += [
        Entry(at, who, f"audit: {answer} for {taxonomy.called(concept)}", "", concept, counts=True)
        for at, who, answer, concept in audited
    ]
    for label in project.tables.records("labels", Label, equals("image_id", image_id)):
        how = f"P = {label.posterior:.3f} from {counted(label.n_votes, 'vote')} by {label.method}"
        what = f"{label.status} as {taxonomy.called(label.concept_id)}"
        found.append(Entry(label.settled_at, "settle", what, how, label.concept_id, counts=True))
    return sorted(found, key=lambda one: one.at)


def _votes(project: Project, taxonomy: Taxonomy, image_id: str, paused: Container[str]) -> list[Entry]:
    cast = project.journal.history(image_id)
    last = {(vote.annotator, vote.question): place for place, vote in enumerate(cast)}
    found = []
    for place, vote in enumerate(cast):
        is_last = last[vote.annotator, vote.question] == place
        why = "" if is_last else "replaced by a later answer"
        if is_last and vote.annotator in paused:
            why = "paused"
        what = f"{vote.answer} to {taxonomy.called(vote.question)}" if vote.question else taxonomy.called(vote.answer)
        concept = vote.question or vote.answer
        found.append(Entry(vote.voted_at, vote.annotator, what, why, concept, counts=not why))
    return found


def _ruled(taxonomy: Taxonomy, ruled: Sequence[Ruling]) -> list[Entry]:
    last = {one.pair: one.ruling_id for one in ruled}
    words = {IS: "ruled:", IS_NOT: "ruled: not", WITHDRAWN: "withdrawn: the ruling on"}
    return [
        Entry(
            one.ruled_at, one.reviewer, f"{words.get(one.ruling, one.ruling)} {taxonomy.called(one.concept_id)}",
            f"{one.reason}, batch {one.batch}" if one.ruling != WITHDRAWN else one.reason, one.concept_id,
            counts=last[one.pair] == one.ruling_id,
        )
        for one in ruled
    ]  # fmt: skip


def _rulings_on(connection: sa.Connection, image_ids: Sequence[str]) -> list[Ruling]:
    query = sa.text(
        f"SELECT {_COLUMNS} FROM rulings WHERE image_id IN :images ORDER BY ruling_id"  # noqa: S608  our names
    ).bindparams(sa.bindparam("images", expanding=True))
    found: list[Ruling] = []
    for start in range(0, len(image_ids), _CHUNK):
        part = list(image_ids[start : start + _CHUNK])
        found += [Ruling(*row) for row in connection.execute(query, {"images": part})]
    return sorted(found)


def _place(connection: sa.Connection, rows: int) -> dict[str, int]:
    """Where a batch will stand: kept with its event, so that its rows are found without an index of batches."""
    last = connection.execute(sa.text("SELECT COALESCE(MAX(ruling_id), 0) FROM rulings")).scalar_one()
    return {"after": int(last), "rulings": rows}


def _pictures_of(connection: sa.Connection, batch: str) -> list[str]:
    """The pictures of one batch, sorted; none where there is no such batch."""
    event = connection.execute(
        sa.text(
            "SELECT data FROM events WHERE subject = :batch AND event IN ('pictures_ruled', 'rulings_withdrawn')"
            " ORDER BY event_id LIMIT 1"
        ),
        {"batch": batch},
    ).first()
    place = json.loads(event.data) if event else {"after": 0, "rulings": 2**31}
    query = sa.text(
        "SELECT image_id FROM rulings WHERE ruling_id > :after AND batch = :batch ORDER BY ruling_id LIMIT :rulings"
    )
    rows = connection.execute(query, {"after": place["after"], "batch": batch, "rulings": place["rulings"]})
    return sorted(set(rows.scalars()))


def _put(
    connection: sa.Connection, decided: Sequence[tuple[Decision, str]], act: tuple[str, str, str]
) -> None:  # fmt: skip
    """`decided`: with the reason of each; `act`: who, the batch, when."""
    reviewer, batch, at = act
    rows = [
        {"image": one.image_id, "concept": one.concept_id, "ruling": one.ruling, "reviewer": reviewer,
         "reason": reason, "batch": batch, "at": at} for one, reason in decided
    ]  # fmt: skip
    if rows:
        connection.execute(
            sa.text(
                "INSERT INTO rulings (image_id, concept_id, ruling, reviewer, reason, batch, ruled_at)"
                " VALUES (:image, :concept, :ruling, :reviewer, :reason, :batch, :at)"
            ),
            rows,
        )


def _outcome(project: Project, name: str, done: Done, headline: str) -> Outcome[Ruling]:
    def rows() -> Any:  # noqa: ANN401  an iterator of Ruling
        with project.journal.reading() as connection:
            query = sa.text(f"SELECT {_COLUMNS} FROM rulings WHERE batch = :batch ORDER BY ruling_id")  # noqa: S608
            return iter([Ruling(*row) for row in connection.execute(query, {"batch": done.batch})])

    return Outcome(
        name, done._asdict(), f"{headline}; batch {done.batch}",
        next=("pictus annotate settle", f"pictus annotate take-back {done.batch}"), source=rows,
    )  # fmt: skip


def pictures_meant(project: Project, texts: Sequence[str]) -> list[str]:
    """The pictures that texts mean, each once; all that mean none, or several, in one error."""
    found: dict[str, str] = {}
    bad: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        digits = text.strip().lower()
        if PREFIX <= len(digits) <= 64 and all(sign in "0123456789abcdef" for sign in digits):  # noqa: PLR2004  sha256
            ids = project.tables.read("images", ["image_id"], where=f"starts_with(image_id, '{digits}')").column(0)
            if len(ids) == 1:
                found[text] = str(ids[0])
            elif len(ids) > 1:
                bad[text] = f"{counted(len(ids), 'picture')} begin with {digits}"
    if left := [text for text in dict.fromkeys(texts) if text not in found and text not in bad]:
        meant = pictures_named(project, left)
        found |= meant.image_ids
        bad |= meant.problems
    if bad:
        fix = "type more of the address, or the image_id: pictus web shows every picture"
        raise bad_rows("pictures", [bad[text] for text in dict.fromkeys(texts) if text in bad], fix=fix)
    return list(dict.fromkeys(found[text] for text in texts))
