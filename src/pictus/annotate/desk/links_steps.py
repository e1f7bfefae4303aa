"""The steps about links by which people come in: links, revoke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from pictus.annotate.desk import session_steps
from pictus.annotate.desk.people import LINK_SIGNS, hashed
from pictus.clock import now
from pictus.errors import NotThereError, UserError, counted
from pictus.project import Project
from pictus.registry import Outcome, step


@dataclass(frozen=True, slots=True)
class Link:
    """A link that was made. The link itself is not kept; `link` is the beginning of its hash."""

    link: str
    role: str
    uses_left: int
    quota: int
    people: int  # who came in by it
    note: str
    made_at: str
    expires_at: str


class Lead(NamedTuple):
    """What a link leads to. `role`: "" where nobody comes in by it any more; `name`: whom it is for, "" for anybody."""

    role: str
    name: str


def lead_of(project: Project, token: str) -> Lead:
    """What those become who come in by a link; one that was never made leads nowhere."""
    query = sa.text(
        "SELECT COALESCE(a.role, t.role) AS role, t.name FROM tokens t LEFT JOIN annotators a ON a.name = t.name"
        " WHERE t.token_hash = :hash AND t.kind = 'link' AND t.uses_left > 0 AND t.expires_at > :at"
    )
    with project.journal.reading() as connection:
        row = connection.execute(query, {"hash": hashed(token), "at": now()}).first()
    return Lead(row.role, row.name) if row else Lead("", "")


def crowd_of(project: Project, name: str) -> str:
    """The hash of the link somebody came by, where it lets several in: one may have many names by it; else the name."""
    query = sa.text(
        "SELECT t.token_hash, t.uses_left"
        " + (SELECT COUNT(*) FROM annotators o WHERE o.invitation = t.token_hash) AS uses FROM annotators a"
        " JOIN tokens t ON t.token_hash = a.invitation AND t.kind = 'link' WHERE a.name = :name"
    )
    with project.journal.reading() as connection:
        row = connection.execute(query, {"name": name}).first()
    return str(row.token_hash) if row and row.uses > 1 else name


@step("annotate links", changes=False)
def links(project: Project) -> Outcome[Link]:
    """The links by which people can still come in, and who came in by each.

    Examples:
        pictus annotate links
        pictus annotate links --jsonl
    """
    at = now()
    query = sa.text(
        "SELECT t.token_hash, t.role, t.uses_left, t.quota, COUNT(a.name) AS people, t.note, t.made_at, t.expires_at"
        " FROM tokens t LEFT JOIN annotators a ON a.invitation = t.token_hash"
        " WHERE t.kind = 'link' AND t.uses_left > 0 AND t.expires_at > :at"
        " GROUP BY t.token_hash, t.role, t.uses_left, t.quota, t.note, t.made_at, t.expires_at"
        " ORDER BY t.made_at DESC, t.token_hash"
    )
    with project.journal.reading() as connection:
        rows = connection.execute(query, {"at": at}).all()
    found = [Link(row.token_hash[:LINK_SIGNS], *row[1:]) for row in rows]
    places = sum(one.uses_left for one in found)
    return Outcome(
        "annotate links", {"links": len(found), "places": places},
        f"{counted(len(found), 'link')} can still be used, by {counted(places, 'more person', 'more people')}",
        next=() if found else ("pictus annotate invite",), source=lambda: iter(found),
    )  # fmt: skip


@step("annotate revoke", changes=True)
def revoke(project: Project, link: str) -> Outcome[Link]:
    """Make a link useless: nobody more comes in by it. Who came in by it before stays; pause them where that is meant.

    link: its name, as `annotate links` shows it; `all` for every link

    Examples:
        pictus annotate revoke 3f9a2c118be0
        pictus annotate revoke all
    """
    if link != "all" and not (4 <= len(link) <= 64 and all(sign in "0123456789abcdef" for sign in link)):  # noqa: PLR2004  of a sha256
        raise UserError(f"{link[:80]!r} is no link's name.", fix="pictus annotate links")
    at = now()
    where = "kind = 'link' AND uses_left > 0 AND expires_at > :at"
    pattern = "%" if link == "all" else f"{link}%"
    with project.journal.transaction() as connection:
        done = connection.execute(
            sa.text(f"UPDATE tokens SET uses_left = 0 WHERE {where} AND token_hash LIKE :pattern"),  # noqa: S608  our words
            {"at": at, "pattern": pattern},
        ).rowcount
        if not done and link != "all":
            raise NotThereError(f"No link {link!r} can be used any more.", fix="pictus annotate links")
        session_steps.note(connection, at, "links_revoked", link, links=done)
    headline = f"{counted(done, 'link')} revoked"
    return Outcome("annotate revoke", {"revoked": done}, headline, next=("pictus annotate links",))
