"""Votes of files and folders into the journal: only what is new in them, and never a change of what is there."""

from __future__ import annotations

import pyarrow as pa

from pictus.annotate.exchange.entries import VOTE_COLUMNS, without_known
from pictus.clock import now
from pictus.project import Project


def store_votes(project: Project, votes: pa.Table) -> tuple[tuple[str, ...], int]:
    """Add what is not the current vote already -> (the sources it was stored under, votes added).

    votes: image_id, annotator, question, answer, source; the latest of each annotator on a question.
    """
    fresh = without_known(votes, project.journal.votes()) if project.journal.vote_count() else votes
    named = {str(name): "" for name in fresh.column("source").unique().to_pylist()}
    for name in named:
        taken = project.journal.vote_sources(name)
        # Votes are never changed: a file taken in again after others overruled it is a new source.
        numbered = (name, *(f"{name} #{number}" for number in range(2, len(taken) + 3)))
        named[name] = next(one for one in numbered if one not in taken)
    if not named:
        return (), 0
    code = fresh.column("source").combine_chunks().dictionary_encode()
    stored = pa.array([named[name] for name in code.dictionary.to_pylist()], pa.string()).take(code.indices)
    fresh = fresh.set_column(fresh.column_names.index("source"), "source", stored)
    fresh = fresh.append_column("voted_at", pa.repeat(pa.scalar(now(), pa.string()), fresh.num_rows))
    added, _ = project.journal.add_vote_table(fresh.select(VOTE_COLUMNS))
    return tuple(named.values()), added


def from_source(votes: pa.Table, source: str) -> pa.Table:
    """The same votes with the column `source`."""
    return votes.append_column("source", pa.repeat(pa.scalar(source, pa.string()), votes.num_rows))
