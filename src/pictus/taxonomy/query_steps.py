"""taxonomy queries: the plan of what to search for. The tables `queries` and `left_out` are written here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pictus.concepts import Taxonomy
from pictus.errors import UserError, counted
from pictus.project import Project
from pictus.records import LeftOut, Query
from pictus.registry import Outcome, Summary, step
from pictus.tables import Tables, table_of
from pictus.taxonomy import queries as query_rule
from pictus.taxonomy.exclusions import Listed, kept_notes, parse_exclusions, people_of, reasons
from pictus.taxonomy.files import read_packed, text_of
from pictus.taxonomy.languages import LARGEST, parse_words
from pictus.taxonomy.steps import taxonomy_of

SHOWN = 20
"""So many concepts that are left out are named one by one."""

_PLAN = "pictus taxonomy queries"
_Words = dict[str, list[tuple[str, str]]]  # concept_id -> (language, word)


class _Given(NamedTuple):
    """What this run's files say. `listed` is None where no list was given."""

    words: _Words
    languages: frozenset[str]
    listed: list[Listed] | None
    notes: tuple[str, ...]


@step("taxonomy queries", changes=True, shows_records=True)
def queries(
    project: Project, concept: str = "", *, languages: tuple[Path, ...] = (), leave_out: tuple[Path, ...] = (),
    include: tuple[str, ...] = (), take_back: tuple[str, ...] = (), no_list: bool = False,
) -> Outcome[Query]:  # fmt: skip
    """Plan what to search for: synonyms, a parent's word that the gloss has, and words of other languages.

    What is planned is kept, and `pictus collect find` asks it. Persons and named individuals are left out.

    concept: an id or a name (of a group: every class below it); all classes when left out.
    languages: a tab file of the Open Multilingual Wordnet; its words stay until a file of that language comes again.
    leave_out: a CSV of concepts that are unsafe or cannot be pictured (wnid or concept; reason, score or both);
        it replaces the list given before.
    include: search for this concept and those below it although they are persons; for a listed one, name itself.
    take_back: what an earlier --include said of this concept no longer counts.
    no_list: the list of an earlier --leave-out no longer counts.

    Examples:
        pictus taxonomy queries whippet
        pictus taxonomy queries --languages wn-data-fra.tab --leave-out unsafe.csv
        pictus taxonomy queries --include "scuba diver"
        pictus taxonomy queries --take-back "scuba diver"
        pictus taxonomy queries --jsonl > queries.jsonl
    """
    if no_list and leave_out:
        raise UserError("--no-list forgets the list, and --leave-out brings one.", fix="give one of them")
    with project.lock("taxonomy"):
        taxonomy = taxonomy_of(project)
        given = _given(taxonomy, languages, leave_out)
        before = list(project.tables.records("left_out", LeftOut))
        notes = kept_notes(
            before, [] if no_list else given.listed, [taxonomy.resolve(one) for one in include],
            _taken_back(taxonomy, before, take_back),
        )  # fmt: skip
        out = reasons(taxonomy, notes.values())
        plan = _plan(project.tables, taxonomy, given, out)
        is_new = _write(project.tables, plan, [*notes.values(), *(one for one in out.values() if _is_derived(one))])
        wanted = _wanted(taxonomy, concept)
        found = [query for one in wanted for query in plan.get(one, ())]
        summary = _summary(taxonomy, wanted, found, out)
        if is_new:
            project.journal.log("taxonomy", "queries_planned", classes=len(plan), left_out=len(out))
    classes, asked = counted(len(wanted), "class", "classes"), counted(len(found), "query", "queries")
    by_language = ", ".join(f"{code} {count:,}" for code, count in summary["languages"].items() if code)
    return Outcome(
        step="taxonomy queries",
        summary=summary,
        headline=f"{classes}, {asked}; {summary['expanded']:,} with a parent's word"
        + (f"; words of other languages: {by_language}" if by_language else "")
        + (f"; {counted(summary['left_out'], 'class', 'classes')} left out" if summary["left_out"] else ""),
        problems=(
            *given.notes, *told(taxonomy, [out[one] for one in wanted if one in out]),
            *_told_included(taxonomy, notes.values()),
        ),
        next=("pictus collect find commons --contact you@example.org",) if found else (),
        source=lambda: iter(found),
    )


def told(taxonomy: Taxonomy, out: Sequence[LeftOut]) -> tuple[str, ...]:
    """What is left out, and why: lists concept by concept, persons and individuals by their number."""
    lines = []
    for source, what in (("person", "persons"), ("individual", "named individuals")):
        these = [one.concept_id for one in out if one.source == source]
        if these:
            some = ", ".join(taxonomy.name(one) for one in these[:3]) + (" …" if len(these) > 3 else "")  # noqa: PLR2004
            lines.append(
                f"left out as {what}: {counted(len(these), 'class', 'classes')} ({some}); to search for one all the"
                f" same: pictus taxonomy queries --include {these[0]}"
            )
    listed = [one for one in out if one.source in {"list", "above"}]
    lines += [f"left out: {taxonomy.quoted(one.concept_id)}: {one.reason}" for one in listed[:SHOWN]]
    if len(listed) > SHOWN:
        lines.append(f"… and {len(listed) - SHOWN:,} more left out by the list")
    return tuple(lines)


def _taken_back(taxonomy: Taxonomy, notes: Iterable[LeftOut], names: Iterable[str]) -> set[str]:
    """The concepts whose inclusion is taken back; UserError for one that was not included."""
    included = [note.concept_id for note in notes if note.source == "included"]
    found = {name if name in included else taxonomy.resolve(name) for name in names}
    if unknown := sorted(found - set(included)):
        listed = ", ".join(map(_quoted(taxonomy), included[:SHOWN])) or "none"
        what = f"{_quoted(taxonomy)(unknown[0])} was not included; included are: {listed}."
        raise UserError(what, fix=f"pictus taxonomy queries --take-back {included[0]}" if included else _PLAN)
    return found


def _told_included(taxonomy: Taxonomy, notes: Iterable[LeftOut]) -> Iterator[str]:
    included = [note.concept_id for note in notes if note.source == "included"]
    if included:
        some = ", ".join(map(_quoted(taxonomy), included[:3])) + (" …" if len(included) > 3 else "")  # noqa: PLR2004
        yield (
            f"included because --include said so: {some}; to take one back: {_PLAN} --take-back {included[0]}"
        )
    if not people_of(taxonomy) and not any(note.source == "wordnet" for note in notes):
        yield (
            "persons are not known here: no concept 'person' stands above the classes; name those that are persons"
            f" in a list, {_PLAN} --leave-out LIST.csv"
        )


def _quoted(taxonomy: Taxonomy) -> Callable[[str], str]:
    """How a concept is named, also one that is no longer there."""
    return lambda concept_id: taxonomy.quoted(concept_id) if concept_id in taxonomy else concept_id


def _is_derived(note: LeftOut) -> bool:
    return note.source in {"person", "above"}


def _given(taxonomy: Taxonomy, languages: Iterable[Path], leave_out: Iterable[Path]) -> _Given:
    words: _Words = {}
    codes: set[str] = set()
    notes: list[str] = []
    for path in (path.expanduser() for path in languages):
        text = text_of(read_packed(path, "--languages a tab file", LARGEST), path)
        parsed = parse_words(text.split("\n"), taxonomy.concepts.keys(), str(path))
        for (concept_id, code), found in parsed.words.items():
            codes.add(code)
            words.setdefault(concept_id, []).extend((code, word) for word in found)
        if not parsed.words:
            notes.append(f"{path} has no word for a concept of this taxonomy: they are matched by wnid (n02084071)")
    listed: list[Listed] | None = None
    for path in (path.expanduser() for path in leave_out):
        text = text_of(read_packed(path, "--leave-out a CSV", LARGEST), path)
        rows, elsewhere = parse_exclusions(text, taxonomy.resolve, str(path))
        listed = [*(listed or ()), *rows]
        if elsewhere:
            notes.append(f"{path}: {counted(elsewhere, 'row')} of concepts that are not in this taxonomy")
    return _Given(words, frozenset(codes), listed, tuple(notes))


def _plan(
    tables: Tables, taxonomy: Taxonomy, given: _Given, out: Mapping[str, LeftOut]
) -> dict[str, tuple[Query, ...]]:  # fmt: skip
    """Class -> its queries. Words of languages that this run brings no file of are taken over from the last plan."""
    words: _Words = {}
    for row in tables.records("queries", Query, "language != ''"):
        if row.language not in given.languages:
            words.setdefault(row.concept_id, []).append((row.language, row.query))
    plan = {}
    for one in taxonomy.classes:
        spoken = [*words.get(one, ()), *given.words.get(one, ())]
        if one not in out:
            plan[one] = (*query_rule.queries(taxonomy, one), *query_rule.in_languages(taxonomy.get(one), spoken))
    return plan


def _write(tables: Tables, plan: Mapping[str, Sequence[Query]], notes: Sequence[LeftOut]) -> bool:
    """Both tables, each only where it changes: to look at a plan costs nothing."""
    rows = {
        "queries": table_of("queries", [query for found in plan.values() for query in found]),
        "left_out": table_of("left_out", sorted(notes, key=lambda note: (note.concept_id, note.source))),
    }
    changed = [name for name, table in rows.items() if not tables.read(name).equals(table)]
    for name in changed:
        tables.replace(name, rows[name])
    return bool(changed)


def _wanted(taxonomy: Taxonomy, concept: str) -> tuple[str, ...]:
    if not concept:
        return taxonomy.classes
    top = taxonomy.resolve(concept)
    below = taxonomy.descendants(top)
    return (top,) if taxonomy.get(top).is_class else tuple(one for one in taxonomy.classes if one in below)


def _summary(
    taxonomy: Taxonomy, wanted: Sequence[str], found: Sequence[Query], out: Mapping[str, LeftOut]
) -> Summary:  # fmt: skip
    asked = [one for one in wanted if one not in out]
    return {
        "classes": len(wanted),
        "queries": len(found),
        "expanded": len({query.concept_id for query in found if query.because}),
        "with_parent_word": sum(
            1 for one in asked if next(query_rule.parent_words(taxonomy, taxonomy.get(one)), None)
        ),
        "languages": dict(sorted(Counter(query.language for query in found if query.language).items())),
        "left_out": len(wanted) - len(asked),
        "reasons": dict(sorted(Counter(out[one].source for one in wanted if one in out).items())),
    }  # fmt: skip
