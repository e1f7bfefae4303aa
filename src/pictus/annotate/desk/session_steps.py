"""Links, sessions and people in the database. Every function works in a transaction that the caller opened."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from pictus.annotate.desk.bulk_steps import told
from pictus.annotate.desk.moments import DAY_S, later
from pictus.annotate.desk.names import alike, clean_name
from pictus.annotate.desk.people import LINK, LINK_SIGNS, SESSION, SESSION_S, TOKEN_BYTES, Invitation, hashed
from pictus.annotate.desk.voices_steps import Voices
from pictus.annotate.tasks import OPEN, Person
from pictus.errors import UserError

ACTIVE, PAUSED = "active", "paused"

LEAST_OTHERS = 0.2
"""Of the people at work who came by links that let several in: fewer could not answer all that others do."""
WEEK_S = 7 * DAY_S
"""Who handed in a page within it is at work."""

_LIVE = "token_hash = :hash AND kind = 'link' AND uses_left > 0 AND expires_at > :at"
"""A link that can be used."""


def note(connection: sa.Connection, at: str, event: str, subject: str, **data: Any) -> None:  # noqa: ANN401  JSON values
    """An event of the journal, within this transaction: it is there exactly when what it tells of is."""
    connection.execute(
        sa.text(
            "INSERT INTO events (at, stage, event, subject, data) VALUES (:at, 'annotate', :event, :subject, :data)"
        ),
        {"at": at, "event": event, "subject": subject, "data": json.dumps(data)},
    )


def invite(connection: sa.Connection, invitation: Invitation, at: str, name: str = "") -> None:
    """Keep the hash of a link. `name`: it signs in this person, who is there already."""
    _put_token(connection, LINK, invitation, at, name)


def join(connection: sa.Connection, token: str, name: str, at: str, *, voices: Voices) -> str:
    """Make the person, and a session -> its token; and use the link up by one. UserError undoes all of it.

    The link comes last: whoever else comes by it waits at its row. Of two who come at once for the last use, one gets
    it: the count falls in one statement.
    """
    given = {"hash": hashed(token), "at": at}
    link = told(connection, f"SELECT name, role, quota, token_hash FROM tokens WHERE {_LIVE}", given).first()  # noqa: S608  ours
    if link is None:
        raise _dead_link()
    who = link.name
    if not who:  # else it is a new way in for somebody who is there already
        newcomer = Newcomer(clean_name(name), link.role, link.quota, link.token_hash)
        add_person(connection, newcomer, at, voices=voices)
        who = newcomer.name
    made = session(connection, who, at)
    if not told(connection, f"UPDATE tokens SET uses_left = uses_left - 1 WHERE {_LIVE}", given).rowcount:  # noqa: S608
        raise _dead_link()
    return made


def _dead_link() -> UserError:
    what = "This link is not valid: it has been used, has expired, or was never made."
    return UserError(what, fix="ask whoever gave it to you for a new one")


class Newcomer(NamedTuple):
    """Somebody who is to be added. `invitation`: a link's hash, or what stands for having come without one."""

    name: str
    role: str
    quota: int
    invitation: str


def add_person(connection: sa.Connection, newcomer: Newcomer, at: str, *, voices: Voices) -> None:
    """A new annotator; UserError when somebody is called so, votes or shapes stand under this name already, or the
    name looks like such a one.
    """
    name, role, quota, invitation = newcomer
    voices.read(connection)
    compared = alike(name)
    done = None if compared in voices else connection.execute(
        sa.text(
            "INSERT INTO annotators (name, role, state, reason, quota, invitation, made_at, alike)"
            " VALUES (:name, :role, 'active', '', :quota, :invitation, :at, :alike) ON CONFLICT DO NOTHING"
        ),
        {"name": name, "role": role, "quota": quota, "invitation": invitation, "at": at, "alike": compared},
    )  # fmt: skip
    if done is None or not done.rowcount:
        what = f"The name {name!r} is taken, or looks like one that is."
        raise UserError(what, fix="choose another; if it is yours, ask for a link to it")
    note(connection, at, "person_joined", name, role=role, invitation=invitation[:LINK_SIGNS])


def secret_of(connection: sa.Connection, seed: int) -> bytes:
    """What only the project knows, b"" while there is none; with a seed that is not 0, what follows from the seed."""
    if seed:
        return hashed(f"pictus desk {seed}").encode()
    found = connection.execute(sa.text("SELECT value FROM secrets WHERE name = 'desk'")).scalar()
    return str(found or "").encode()


def make_secret(connection: sa.Connection) -> None:
    """Choose the project's secret, at random and once."""
    made = "INSERT INTO secrets (name, value) VALUES ('desk', :value) ON CONFLICT DO NOTHING"
    connection.execute(sa.text(made), {"value": secrets.token_hex(TOKEN_BYTES)})


def session(connection: sa.Connection, name: str, at: str) -> str:
    """Sign somebody in for 30 days -> the token that says so."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    _put_token(connection, SESSION, Invitation(token, "", 0, 0, later(at, SESSION_S), ""), at, name)
    connection.execute(sa.text("DELETE FROM tokens WHERE kind = 'session' AND expires_at < :at"), {"at": at})
    return token


def _put_token(connection: sa.Connection, kind: str, made: Invitation, at: str, name: str) -> None:
    connection.execute(
        sa.text(
            "INSERT INTO tokens (token_hash, kind, name, role, uses_left, quota, note, made_at, expires_at)"
            " VALUES (:hash, :kind, :name, :role, :uses, :quota, :note, :at, :expires)"
        ),
        {"hash": hashed(made.token), "kind": kind, "name": name, "role": made.role, "uses": made.uses,
         "quota": made.quota, "note": made.note, "at": at, "expires": made.expires_at},
    )  # fmt: skip


def person_of(connection: sa.Connection, token: str, at: str) -> Person | None:
    """Who a session's token stands for."""
    query = (
        "SELECT a.name, a.role, a.state, a.reason, a.quota FROM tokens t JOIN annotators a ON a.name = t.name"
        " WHERE t.token_hash = :hash AND t.kind = 'session' AND t.expires_at > :at"
    )
    row = told(connection, query, {"hash": hashed(token), "at": at}).first()
    return Person(*row) if row else None


def leave(connection: sa.Connection, token: str) -> None:
    """End a session."""
    connection.execute(
        sa.text("DELETE FROM tokens WHERE token_hash = :hash AND kind = 'session'"), {"hash": hashed(token)}
    )


def leave_everywhere(connection: sa.Connection, name: str) -> None:
    """End all sessions of somebody."""
    connection.execute(sa.text("DELETE FROM tokens WHERE name = :name AND kind = 'session'"), {"name": name})


def named(connection: sa.Connection, name: str) -> Person | None:
    """The person of this name as they stand now."""
    row = connection.execute(
        sa.text("SELECT name, role, state, reason, quota FROM annotators WHERE name = :name"), {"name": name}
    ).first()
    return Person(*row) if row else None


def invitation_of(connection: sa.Connection, name: str) -> str:
    """What somebody came in by: a link's hash, or KIOSK."""
    query = sa.text("SELECT invitation FROM annotators WHERE name = :name")
    return str(connection.execute(query, {"name": name}).scalar() or "")


def pause(connection: sa.Connection, name: str, reason: str, at: str) -> None:
    """Nothing more is asked of this person; what they answered on open questions is asked once more of others."""
    connection.execute(
        sa.text("UPDATE annotators SET state = 'paused', reason = :reason WHERE name = :name"),
        {"name": name, "reason": reason},
    )
    answered = count_again(connection, name)
    note(connection, at, "person_paused", name, reason=reason, asked_again=sum(s == OPEN for s in answered.values()))


def resume(connection: sa.Connection, name: str, at: str) -> list[int]:
    """They may go on, and what they said counts again; what they are judged by begins anew -> open questions that
    they have answered.
    """
    connection.execute(
        sa.text("UPDATE annotators SET state = 'active', reason = '', resumed_at = :at WHERE name = :name"),
        {"name": name, "at": at},
    )
    note(connection, at, "person_resumed", name)
    return [question for question, state in count_again(connection, name).items() if state == OPEN]


def count_again(connection: sa.Connection, name: str) -> dict[int, str]:
    """Count who answered the questions this person did, without those who are paused -> the state of each, by number.

    Their rows stay locked. Reckoned anew, never added to: however often somebody is paused, `wanted` less `votes` is
    what is still to be asked.
    """
    query = (
        "SELECT question_id, state FROM questions WHERE question_id IN"
        " (SELECT question_id FROM answers WHERE annotator = :name AND role = 'ask') ORDER BY question_id"
    )
    locks = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
    found = {row.question_id: row.state for row in told(connection, query + locks, {"name": name})}
    update = (
        "UPDATE questions SET votes = (SELECT COUNT(DISTINCT a.annotator) FROM answers a"
        " WHERE a.question_id = questions.question_id AND a.role = 'ask'"
        " AND a.annotator NOT IN (SELECT name FROM annotators WHERE state = 'paused')) WHERE question_id IN :ids"
    )
    ids = list(found)
    for start in range(0, len(ids), 1000):  # databases bound how many values a statement has
        told(connection, update, {"ids": ids[start : start + 1000]})
    return found


def people_expected(connection: sa.Connection, at: str) -> int:
    """Who may be asked, and who may still come by a link; links for owners are not counted."""
    here = connection.execute(sa.text("SELECT COUNT(*) FROM annotators WHERE state = 'active'")).scalar_one()
    query = sa.text(
        "SELECT COALESCE(SUM(uses_left), 0) FROM tokens WHERE kind = 'link' AND name = '' AND role <> 'owner'"
        " AND expires_at > :at"
    )
    return int(here) + int(connection.execute(query, {"at": at}).scalar_one())


class Crowds(NamedTuple):
    """Who came by which link that lets several in, and how many of each are at work."""

    link_of: Mapping[str, str]
    at_work: Mapping[str, int]


def crowds(connection: sa.Connection, at: str) -> Crowds:
    """The links that let several in: by such a one somebody may come under many names."""
    query = sa.text(
        "SELECT a.name, a.invitation, a.state, t.uses_left, (SELECT 1 FROM pages p WHERE p.annotator = a.name"
        " AND p.state = 'submitted' AND p.leased_at > :since LIMIT 1) AS works FROM annotators a"
        " JOIN tokens t ON t.token_hash = a.invitation AND t.kind = 'link'"
    )
    people = list(connection.execute(query, {"since": later(at, -WEEK_S)}))
    came = Counter(row.invitation for row in people)
    link_of = {row.name: row.invitation for row in people if came[row.invitation] + row.uses_left > 1}
    at_work = Counter(link_of[row.name] for row in people if row.name in link_of and row.works and row.state == ACTIVE)
    return Crowds(link_of, at_work)


def has_crowds(connection: sa.Connection) -> bool:
    """Whether people came by more than one link that lets several in: where not, `crowds` says nothing."""
    query = (
        "SELECT 1 FROM annotators a JOIN tokens t ON t.token_hash = a.invitation AND t.kind = 'link'"
        " GROUP BY t.token_hash, t.uses_left HAVING COUNT(*) + t.uses_left > 1 LIMIT 2"
    )
    return len(told(connection, query, {}).all()) > 1


def is_one_crowd(there: Crowds, names: Iterable[str]) -> bool:
    """Whether all of these came by one such link, while enough people of others are at work to be asked too."""
    links = {there.link_of.get(name, "") for name in names}
    if len(links) != 1 or links == {""}:
        return False
    total = sum(there.at_work.values())
    others = total - there.at_work.get(links.pop(), 0)
    return others > 0 and others >= LEAST_OTHERS * total


def paused_names(connection: sa.Connection) -> frozenset[str]:
    """Whose votes do not count for now."""
    return frozenset(connection.execute(sa.text("SELECT name FROM annotators WHERE state = 'paused'")).scalars())
