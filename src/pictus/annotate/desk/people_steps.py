"""The steps about people: invite, readmit, people, pause; and reopen, which takes back what they said of a concept."""

from __future__ import annotations

import secrets
import shlex
from dataclasses import replace

from pictus.annotate.desk import resume_steps, session_steps, work_steps
from pictus.annotate.desk.moments import DAY_S, later
from pictus.annotate.desk.people import TOKEN_BYTES, Invitation, Worker
from pictus.annotate.queues import effort, effort_steps
from pictus.annotate.tasks import ROLES
from pictus.clock import now
from pictus.concepts import load_taxonomy
from pictus.errors import NotThereError, UserError, counted
from pictus.project import Project
from pictus.registry import Outcome, step

MOST_LINKS = 10_000
MOST_DAYS = 3650

_LINK = "/join/"
"""What stands between the address of the desk and the token."""


@step("annotate invite", changes=True, shows_records=True)
def invite(
    project: Project, *, many: int = 1, role: str = "annotator", days: float = 14.0, quota: int = 0, uses: int = 1,
    note: str = "",
) -> Outcome[Invitation]:  # fmt: skip
    """Make links by which people come in to annotate.

    Each link is told once, here: only its sha256 is kept. With --uses N one link is good for a crowd: everybody
    chooses a name of their own.

    many: links to make
    role: what they may do: `annotator` answers, `reviewer` also judges others' work, `owner` all
    days: how long the links can be used
    quota: questions each person may answer in all; 0 for no limit
    uses: people that may come in by each link; one person may come in as often, under other names
    note: what you want to remember of these links

    Examples:
        pictus annotate invite
        pictus annotate invite --many 12 --quota 500 --note "course of spring"
        pictus annotate invite --uses 200 --days 2
    """
    _check(many, role, days, quota, uses)
    at = now()
    expires = later(at, days * DAY_S)
    made = [Invitation(secrets.token_urlsafe(TOKEN_BYTES), role, uses, quota, expires, note[:200]) for _ in range(many)]
    with project.journal.transaction() as connection:
        for one in made:
            session_steps.invite(connection, one, at)
        session_steps.note(connection, at, "people_invited", "", links=many, role=role, uses=uses, quota=quota,
                           expires_at=expires, note=note[:200])  # fmt: skip
    links = "\n".join(f"  {_LINK}{one.token}" for one in made)
    each = f", each for {counted(uses, 'person', 'people')}" if uses > 1 else ""
    return Outcome(
        step="annotate invite",
        summary={"links": [f"{_LINK}{one.token}" for one in made], "role": role, "uses": uses, "quota": quota,
                 "expires_at": expires},
        headline=f"{counted(many, 'link')} for {role}s until {expires}{each}; put the desk's address before:\n{links}",
        problems=("these links are not shown again: whoever has one can come in",),
        next=("pictus annotate serve",),
        source=lambda: iter(made),
    )  # fmt: skip


@step("annotate readmit", changes=True, shows_records=True)
def readmit(project: Project, name: str, *, days: float = 2.0) -> Outcome[Invitation]:
    """Make a link for somebody who lost theirs: it signs in as the same person, once.

    Wherever they are signed in now, they are not any more: whoever holds the old sign-in is out.

    name: their name, as `annotate people` shows it
    days: how long the link can be used

    Examples:
        pictus annotate readmit ada
    """
    _check(1, ROLES[0], days, 0, 1)
    at = now()
    with project.journal.transaction() as connection:
        person = session_steps.named(connection, name)
        if person is None:
            raise NotThereError(f"Nobody is called {name!r}.", fix="pictus annotate people")
        expires = later(at, days * DAY_S)
        made = Invitation(secrets.token_urlsafe(TOKEN_BYTES), person.role, 1, person.quota, expires, f"for {name}")
        session_steps.leave_everywhere(connection, name)
        session_steps.invite(connection, made, at, name)
        session_steps.note(connection, at, "person_readmitted", name, expires_at=expires)
    return Outcome(
        step="annotate readmit",
        summary={"link": f"{_LINK}{made.token}", "name": name, "expires_at": expires},
        headline=f"a link for {name} until {expires}; put the desk's address before:\n  {_LINK}{made.token}",
        problems=("this link is not shown again: whoever has it comes in as this person",),
        source=lambda: iter((made,)),
    )


@step("annotate people", changes=False)
def people(project: Project, *, pay: str = "") -> Outcome[Worker]:
    """Who annotates: pages, questions, time, accuracy on known answers, and who is paused; what is left to do.

    pay: what an hour is paid, to tell what each has earned and the rest costs: 15, or with a currency as you type it

    Examples:
        pictus annotate people
        pictus annotate people --pay "15 EUR"
        pictus annotate people --jsonl
    """
    paid = effort.pay_of(pay)
    with project.journal.reading() as connection:
        found = work_steps.workers(connection)
    if paid:
        found = [replace(one, earned=round(paid.of(one.seconds), 4)) for one in found]
    works = effort_steps.works(project)
    paused = [one for one in found if one.state == session_steps.PAUSED]
    appeals = [
        f"{event.subject} asks to go on: {str(event.data.get('text', ''))[:300]!r}"
        for event in project.journal.events(event="appeal_made")
        if event.subject in {one.name for one in paused}
    ]
    seconds, questions = sum(one.seconds for one in found), sum(one.questions for one in found)
    left = effort.left_s(works)
    earned = f", {paid.words(paid.of(seconds))} earned" if paid else ""
    headline = (
        f"{counted(len(found), 'person', 'people')}, {len(paused)} paused; {counted(questions, 'question')}"
        + (f" in {effort.lasting(seconds)}" if seconds else "") + earned
    )  # fmt: skip
    return Outcome(
        step="annotate people",
        summary={"people": len(found), "paused": [one.name for one in paused], "questions": questions,
                 "hours": round(seconds / 3600, 2), "hours_left": None if left is None else round(left / 3600, 2),
                 "earned": round(paid.of(seconds), 2) if paid else None,
                 "cost_left": round(paid.of(left), 2) if paid and left is not None else None},
        headline="\n".join((headline, *effort.words(works, paid))),
        problems=(*(f"{one.name} is paused: {one.reason}" for one in paused), *appeals),
        next=(f"pictus annotate pause {shlex.quote(paused[0].name)} --resume",) if paused else
             (() if found else ("pictus annotate invite",)),
        source=lambda: iter(found),
    )  # fmt: skip


@step("annotate pause", changes=True)
def pause(project: Project, name: str, *, reason: str = "", resume: bool = False) -> Outcome[Worker]:
    """Pause somebody, or let them go on: nothing more is asked of who is paused.

    What they answered stays in the journal; on questions still open it does not count, and others are asked. The
    desk does the same by itself where answers show that somebody does not look. Reviewers and owners are signed out
    everywhere as well: `annotate readmit` lets them in again.

    name: their name, as `annotate people` shows it
    reason: why, in words they will read
    resume: let them go on; from then on they are judged anew

    Examples:
        pictus annotate pause bob --reason "please read the definition of wren again"
        pictus annotate pause bob --resume
    """
    if bool(reason) == resume:
        fix = f"pictus annotate pause {shlex.quote(name)} --reason WHY    or    --resume"
        raise UserError("Say why, or --resume.", fix=fix)
    at, taxonomy = now(), load_taxonomy(project)  # read before others have to wait
    with project.journal.transaction() as connection:
        person = session_steps.named(connection, name)
        if person is None:
            raise NotThereError(f"Nobody is called {name!r}.", fix="pictus annotate people")
        state = session_steps.ACTIVE if resume else session_steps.PAUSED
        is_same = person.state == state
        if not is_same and resume:
            resume_steps.let_go_on(connection, taxonomy, name, at)
        elif not is_same:
            session_steps.pause(connection, name, reason[:500], at)
            if person.role != ROLES[0]:  # an annotator still reads why, and may write to the owner
                session_steps.leave_everywhere(connection, name)
        found = [one for one in work_steps.workers(connection) if one.name == name]
    told = "can go on" if resume else "is paused"
    return Outcome(
        step="annotate pause",
        summary={"name": name, "state": state, "changed": not is_same},
        headline=f"{name} {told}" + (" already" if is_same else ""),
        next=("pictus annotate people",),
        source=lambda: iter(found),
    )


@step("annotate reopen", changes=True)
def reopen(project: Project, concept: str) -> Outcome[Worker]:
    """Ask again about a concept that people said cannot be pictured.

    concept: its id or name

    Examples:
        pictus annotate reopen owl
    """
    taxonomy = load_taxonomy(project)
    concept_id = taxonomy.resolve(concept)
    with project.journal.transaction() as connection:
        heaps = work_steps.reopen(connection, concept_id, now())
    name = taxonomy.name(concept_id)
    return Outcome(
        step="annotate reopen",
        summary={"concept_id": concept_id, "heaps": heaps},
        headline=f"{name} is asked about again" if heaps else f"{name} was not put aside",
        next=("pictus annotate queue",),
    )


def _check(many: int, role: str, days: float, quota: int, uses: int) -> None:
    if role not in ROLES:
        raise UserError(f"There is no role {role!r}.", fix=f"one of: {', '.join(ROLES)}")
    bounds = (("--many", many, 1, MOST_LINKS), ("--days", days, 0.01, MOST_DAYS), ("--quota", quota, 0, 10**9),
              ("--uses", uses, 1, 10**6))  # fmt: skip
    for flag, value, least, most in bounds:
        if not least <= value <= most:
            raise UserError(f"{flag} {value} is not between {least} and {most:,}.", fix=f"{flag} {least}")
