"""The verbs find and coverage: from the query plan to addresses that may be pictures, and which classes starve."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from pictus.clock import now
from pictus.collect.addresses import AllowedHosts, parse_url, without_password
from pictus.collect.commands import Said, typed
from pictus.collect.fetching import agent_of
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import PictureError, UserError, clipped, counted
from pictus.journey import TAXONOMY
from pictus.project import Project
from pictus.records import Candidate, Coverage, LeftOut, Query
from pictus.registry import Outcome, Summary, step
from pictus.tables import Tables

if TYPE_CHECKING:
    from pictus.collect.asking import Asker
    from pictus.collect.finding import Ended
    from pictus.collect.funnel import Help, Means, Rows
    from pictus.collect.ledger import Ledger
    from pictus.collect.searches import Engine

LIMIT = 1_000
"""Candidates of a class from one source: of ImageNet's, about one in ten was right (Deng et al. 2009)."""

SHOWN = 10
"""So many starving classes are named."""

_PLAN = "pictus taxonomy queries"


class _Searched(NamedTuple):
    """One source after its run."""

    ledger: "Ledger"
    ended: "Ended"


@step("collect find", changes=True)
def find(
    project: Project, where: tuple[str, ...], *, concept: tuple[str, ...] = (), limit: int = LIMIT,
    allow_host: tuple[str, ...] = (), contact: str = "", again: bool = False,
) -> Outcome[Candidate]:  # fmt: skip
    """Look for addresses of pictures: in search engines by the query plan, on a web page, through a sitemap.

    where: a search engine (commons, openverse, or a plugin's), or the address of a web page or sitemap
    concept: only these classes (a group: all below it); of a page or sitemap: what its pictures show
    limit: candidates of one class from one source; of a page or sitemap, in all
    allow_host: a host (NAME or NAME:PORT) that may lie in a private network; it is asked without pauses
    contact: a mail or web address that the source's owners can reach you by
    again: ask again also what was finished, for as many new candidates

    Examples:
        pictus collect find commons openverse --contact me@example.org
        pictus collect find commons --concept owl --limit 200 --contact me@example.org
        pictus collect find https://example.org/owls.html --concept owl
        pictus collect find https://example.org/sitemap.xml --limit 5000
    """
    if limit < 1:
        raise UserError(f"--limit {limit} is no number of candidates.", fix=f"--limit {LIMIT}")
    taxonomy = load_taxonomy(project)
    engines, places = _sources(where)
    if engines and not len(taxonomy):
        raise UserError("The taxonomy is empty: there is nothing to search for.", fix=TAXONOMY)
    if not contact and (named := [name for name, engine in engines.items() if engine.needs_contact]):
        raise UserError(
            f"{' and '.join(named)} asks programs to say whom to write to.", fix="--contact you@example.org"
        )
    chosen = _chosen(taxonomy, concept)
    plan, out = _plan(project.tables, taxonomy, chosen) if engines else ({}, [])
    claimed = _claimed(taxonomy, concept) if places else ""
    with project.lock("find"), _asking(agent_of(contact), AllowedHosts.of(allow_host)) as asker:
        before = project.tables.count("candidates")
        searched = {name: _searched(project, engine, name, plan, asker, limit=limit, again=again)
                    for name, engine in engines.items()}  # fmt: skip
        for place in places:
            searched[place] = _searched(project, None, place, {claimed: []}, asker, limit=limit, again=again)
        summary = _summary(searched, out)
        project.journal.log("collect", "candidates_found", ", ".join(searched)[:500], **summary)
    return Outcome(
        step="collect find",
        summary=summary,
        headline=_headline(summary, len(plan)),
        problems=(*_told(searched, summary, limit), *_told_left_out(taxonomy, out)),
        next=_next(project.tables, where, summary, {
            "concept": concept, "limit": None if limit == LIMIT else limit, "allow-host": allow_host,
            "contact": contact,
        }),
        source=lambda: (Candidate(**row) for row in project.tables.read("candidates", offset=before).to_pylist()),
        is_vain=_is_vain(summary),
    )


@step("collect coverage", changes=False)
def coverage(project: Project, *, wanted: int = 0) -> Outcome[Coverage]:
    """How far each class is, from queries to labels; which starve, and what would feed them.

    wanted: pictures that a class needs (kept ones, once pictures were screened);
        half the median class when left out, and at least 20

    Examples:
        pictus collect coverage
        pictus collect coverage --wanted 500 --jsonl
    """
    if wanted < 0:
        raise UserError(f"--wanted {wanted} is negative.", fix="--wanted 500")
    from pictus.collect.funnel import FEWEST, coverage_of, help_for  # noqa: PLC0415  brings pyarrow.compute

    taxonomy = load_taxonomy(project)
    if not taxonomy.classes:
        raise UserError("The taxonomy has no class.", fix=TAXONOMY)
    tables = project.tables
    out = tables.ids("left_out", "concept_id") - tables.ids("queries", "concept_id")
    names = {concept_id: taxonomy.name(concept_id) for concept_id in taxonomy.classes}
    report = coverage_of(names, _rows(tables), wanted, frozenset(out))
    starving = [one for one in report.classes if one.is_starving]
    means = _means(tables, report.unasked)
    summary: Summary = {
        "classes": len(names), "starving": len(starving), "wanted": report.wanted, "basis": report.basis,
        **report.totals, "unclaimed": report.unclaimed, "left_out": len(out & names.keys()),
    }  # fmt: skip
    what = {"kept": "kept pictures", "fetched": "pictures", "candidates": "candidates"}[report.basis]
    problems = [
        f"{taxonomy.quoted(one.concept_id)}: {counted(one.candidates, 'candidate')}, {one.fetched:,} fetched,"
        f" {one.kept:,} kept    fix: {help_for(one, means).typed}"
        for one in starving[:SHOWN]
    ]
    if len(starving) > SHOWN:
        problems.append(f"… and {len(starving) - SHOWN:,} more starve: pictus collect coverage --jsonl")
    return Outcome(
        step="collect coverage",
        summary=summary,
        headline=f"{len(starving):,} of {counted(len(names), 'class', 'classes')}"
        f" {'starves' if len(starving) == 1 else 'starve'}: fewer than {report.wanted:,} {what}"
        + ("" if wanted else f" (half the median class, at least {FEWEST})")
        + f". {_funnel(summary)}",
        problems=tuple(problems),
        next=_feeding(starving, means),
        source=lambda: iter(report.classes),
    )


def _sources(where: Sequence[str]) -> "tuple[dict[str, Engine], list[str]]":
    """What was named: search engines with their endpoints, and addresses in their one spelling."""
    from pictus.collect import commons, openverse  # noqa: F401, PLC0415  they register themselves
    from pictus.collect.searches import SEARCHES  # noqa: PLC0415  brings protego

    engines: dict[str, Engine] = {}
    places: list[str] = []
    for name in where:
        if "://" in name:
            try:
                places.append(parse_url(name).text)
            except PictureError as error:
                what = f"{clipped(without_password(name), 200)} cannot be asked for: {error.detail}."
                raise UserError(what, fix="pictus collect find https://host/path") from error
        elif "/" in name or ("." in name and name not in SEARCHES.names()):
            raise UserError(f"{clipped(name)} is no address and no search engine.", fix=f"https://{name[:100]}")
        else:
            engine = SEARCHES.get(name)
            engines[name] = engine._replace(endpoint=_endpoint(name) or engine.endpoint)
    return engines, list(dict.fromkeys(places))


def _endpoint(name: str) -> str:
    """The address of an engine's mirror that the environment names, "" for none."""
    variable = f"PICTUS_{name.upper().replace('-', '_')}_URL"
    said = os.environ.get(variable, "")
    try:
        return said if not said or parse_url(said) else ""
    except PictureError as error:
        what = f"{variable} is {clipped(without_password(said), 200)}, which cannot be asked: {error.detail}."
        raise UserError(what, fix=f"export {variable}=https://host/path    or    unset {variable}") from error


@contextmanager
def _asking(agent: str, allowed: AllowedHosts) -> "Iterator[Asker]":
    """The polite getter over the real network, for one run."""
    import httpx  # noqa: PLC0415  0.2 s that --help does not pay

    from pictus.collect.asking import Asker  # noqa: PLC0415
    from pictus.collect.network import PinnedNetwork, connect, system_resolver  # noqa: PLC0415

    names = ThreadPoolExecutor(2, thread_name_prefix="names")
    network = PinnedNetwork(system_resolver(names), connect, allowed)
    asker = Asker(
        network, httpx.create_ssl_context(), agent=agent, clock=time.monotonic, sleep=time.sleep, own=allowed
    )
    try:
        yield asker
    finally:
        asker.close()
        names.shutdown(wait=False, cancel_futures=True)


def _chosen(taxonomy: Taxonomy, concepts: Sequence[str]) -> tuple[str, ...]:
    """The classes meant: those named and those below the groups named, all when none is."""
    tops = [taxonomy.resolve(one) for one in concepts]
    if not tops:
        return taxonomy.classes
    wanted = {one for top in tops for one in (top, *taxonomy.descendants(top))}
    return tuple(one for one in taxonomy.classes if one in wanted)


def _claimed(taxonomy: Taxonomy, concepts: Sequence[str]) -> str:
    if len(concepts) > 1:
        raise UserError("The pictures of a page or sitemap can claim one concept.", fix="give --concept once")
    return taxonomy.resolve(concepts[0]) if concepts else ""


def _plan(
    tables: Tables, taxonomy: Taxonomy, chosen: Sequence[str]
) -> tuple[dict[str, list[Query]], list[LeftOut]]:  # fmt: skip
    """The planned queries of the classes, and which of them are left out, and why."""
    if not tables.exists("queries"):
        raise UserError("It is not planned yet what to search for.", fix=_PLAN)
    plan: dict[str, list[Query]] = {concept_id: [] for concept_id in chosen}
    for query in tables.records("queries", Query):
        if query.concept_id in plan:
            plan[query.concept_id].append(query)
    bare = {concept_id for concept_id, queries in plan.items() if not queries}
    out = {one.concept_id: one for one in tables.records("left_out", LeftOut) if one.concept_id in bare}
    missing = sorted(bare - out.keys())
    if missing:
        some = ", ".join(taxonomy.quoted(one) for one in missing[:3]) + (" …" if len(missing) > 3 else "")  # noqa: PLR2004
        raise UserError(f"{counted(len(missing), 'class', 'classes')} came after the plan: {some}.", fix=_PLAN)
    if not plan.keys() - bare:
        told = "; ".join(f"{taxonomy.quoted(one.concept_id)}: {one.reason}" for one in list(out.values())[:3])
        first = next(iter(out), "CONCEPT")
        raise UserError(f"Nothing is left to search for: {told or 'no class'}.", fix=f"{_PLAN} --include {first}")
    return {one: queries for one, queries in plan.items() if queries}, list(out.values())


def _searched(
    project: Project, engine: "Engine | None", name: str, plan: Mapping[str, Sequence[Query]], asker: "Asker", *,
    limit: int, again: bool,
) -> _Searched:  # fmt: skip
    """One source, asked to its end or its limit. Without an engine, `name` is the address of a page or sitemap."""
    from pictus.collect.finding import Run, ask_engine, read_site  # noqa: PLC0415  brings protego and pyarrow
    from pictus.collect.ledger import Ledger  # noqa: PLC0415

    ledger = Ledger(project.tables, name, clock=time.monotonic, now=now)
    if again:
        ledger.forget(list(plan))
    with project.progress.track(f"searching {name}", len(plan) if engine else None) as meter:
        run = Run(limit, ledger, asker, meter)
        if engine is None:
            return _Searched(ledger, read_site(name, next(iter(plan)), run))
        if not asker.is_own(engine.endpoint):
            asker.slow_down(engine.endpoint, engine.interval_s)
        return _Searched(ledger, ask_engine(engine, plan, run))


def _summary(searched: Mapping[str, _Searched], out: Sequence[LeftOut]) -> Summary:
    from pictus.collect.searches import is_done  # noqa: PLC0415

    ledgers = [one.ledger for one in searched.values()]
    ended = [one.ended for one in searched.values()]
    seen = sum((ledger.causes for ledger in ledgers), Counter[str]())
    return {
        "found": sum(ledger.found for ledger in ledgers),
        "known": sum(ledger.known for ledger in ledgers),
        "unusable": sum(ledger.unusable for ledger in ledgers),
        "asked": sum(one.asked for one in ended),
        "skipped": sum(one.skipped for one in ended),
        "not_asked": sum(one.not_asked for one in ended),
        "failed": sum(count for cause, count in seen.items() if not is_done(cause)),
        "causes": dict(seen.most_common()),
        "sources": {name: one.ledger.found for name, one in searched.items()},
        "left_out": len(out),
    }


def _is_vain(summary: Summary) -> bool:
    """Whether all that was asked failed and nothing was found."""
    from pictus.collect.searches import DONE  # noqa: PLC0415

    said = summary["causes"]
    return bool(said) and not (said.keys() & DONE.keys() or summary["found"] + summary["known"] + summary["skipped"])


def _headline(summary: Summary, classes: int) -> str:
    of = f" for {counted(classes, 'class', 'classes')}" if classes else ""
    parts = [f"{counted(summary['found'], 'new candidate')}{of}"]
    parts += [f"{summary['asked']:,} asked"] if summary["asked"] else []
    parts += [f"{summary['skipped']:,} done before"] if summary["skipped"] else []
    parts += [f"{summary['known']:,} known before"] if summary["known"] else []
    parts += [f"{summary['failed']:,} failed"] if summary["failed"] else []
    parts += [f"{summary['not_asked']:,} not asked yet"] if summary["not_asked"] else []
    return ", ".join(parts) + "."


def _told(searched: Mapping[str, _Searched], summary: Summary, limit: int) -> Iterator[str]:
    from pictus.collect.searches import advice  # noqa: PLC0415

    for name, one in searched.items():
        if one.ended.why:
            yield f"{name} was given up for this run, {one.ended.why}"
    for cause, count in summary["causes"].items():
        if cause == "limit":
            yield f"{count:,} × limit: {limit:,} candidates were reached; for more: --limit {limit * 10}"
        elif cause != "ok":
            yield f"{count:,} × {cause}: {advice(cause)}"
    if summary["skipped"] and not summary["asked"]:
        yield "all of it was finished by an earlier run: more candidates with a greater --limit, new ones with --again"
    if summary["unusable"]:
        yield f"{counted(summary['unusable'], 'address', 'addresses')} could not be fetched by anybody, and were left"


def _told_left_out(taxonomy: Taxonomy, out: Sequence[LeftOut]) -> Iterator[str]:
    for one in out[:SHOWN]:
        yield f"not searched for: {taxonomy.quoted(one.concept_id)}: {one.reason}"
    if len(out) > SHOWN:
        yield f"… and {len(out) - SHOWN:,} more not searched for: {_PLAN}"


def _next(
    tables: Tables, where: Sequence[str], summary: Summary, given: Mapping[str, Said]
) -> tuple[str, ...]:  # fmt: skip
    from pictus.collect.searches import is_done  # noqa: PLC0415

    is_vain = _is_vain(summary)
    may_help = {cause for cause in summary["causes"] if not is_done(cause)} - {"private-address", "not-asked"}
    again = (typed("pictus collect find", where, given),) if may_help or (summary["not_asked"] and not is_vain) else ()
    if is_vain:
        return again
    who = {name: given[name] for name in ("allow-host", "contact")}
    fetch = (typed("pictus collect fetch", (), who),) if tables.count("candidates") else ()
    return (*again, *fetch, "pictus collect coverage")


def _rows(tables: Tables) -> "Rows":
    from pictus.collect.funnel import Rows  # noqa: PLC0415

    return Rows(
        searches=tables.read("searches", ["concept_id", "cause"]),
        candidates=tables.read("candidates", ["address", "concept_id"]),
        sources=tables.read("sources", ["image_id", "concept_id"]),
        fetches=tables.read("fetches", ["address", "concept_id", "cause"]),
        verdicts=tables.read("verdicts", ["image_id", "verdict"]),
        labels=tables.read("labels", ["image_id", "concept_id", "status"]),
    )


def _means(tables: Tables, unasked: Mapping[str, int]) -> "Means":
    from pictus.collect import commons, openverse  # noqa: F401, PLC0415  they register themselves
    from pictus.collect.funnel import Means  # noqa: PLC0415
    from pictus.collect.searches import SEARCHES  # noqa: PLC0415

    plan = tables.read("queries", ["concept_id", "language"])
    asked = [name for name in SEARCHES.names() if name in tables.ids("searches", "source")]
    return Means(
        planned=Counter(plan["concept_id"].to_pylist()),
        unasked=unasked,
        engines=SEARCHES.names(),
        asked=asked or SEARCHES.names()[:1],
        has_languages=any(plan["language"].to_pylist()),
        limit=LIMIT,
    )


def _feeding(starving: Sequence[Coverage], means: "Means") -> tuple[str, ...]:
    """The commands that feed most: one for all classes where several need the same."""
    from pictus.collect.funnel import help_for  # noqa: PLC0415

    ways: dict[str, list[Help]] = {}
    for one in starving:
        way = help_for(one, means)
        ways.setdefault(way.command, []).append(way)
    found = []
    for same in sorted(ways.values(), key=len, reverse=True)[:3]:
        way = same[0]
        command = way.command if len(same) > 1 else way.typed
        found.append(f"{command} --contact you@example.org" if way.says_who else command)
    return tuple(found)


def _funnel(summary: Summary) -> str:
    stages = ("candidates", "fetched", "kept", "labelled")
    told = ", ".join(f"{summary[stage]:,} {stage}" for stage in stages)
    return told + (f"; {counted(summary['unclaimed'], 'picture')} of no class" if summary["unclaimed"] else "")
