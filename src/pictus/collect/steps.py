"""The verbs: add, fetch, status."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa

from pictus import engine as engines
from pictus.clock import now
from pictus.collect import causes, cluster, drift, fetching
from pictus.collect.addresses import AllowedHosts, parse_url, without_password
from pictus.collect.claims import Claims, Survey, concepts_of, surveyed
from pictus.collect.commands import Said, typed
from pictus.collect.fetching import Plan, Run, agent_of, candidates, limits_of, planned
from pictus.collect.intake import Claim, Counts, Intake
from pictus.collect.list_files import read_list
from pictus.collect.lists import Wanted, wanted_of
from pictus.collect.sources import Chosen, Found, chosen
from pictus.concepts import load_taxonomy
from pictus.errors import PictureError, UserError, clipped, counted
from pictus.journey import first_command
from pictus.progress import Meter
from pictus.project import Project
from pictus.records import Attempt, Picture
from pictus.registry import Outcome, Summary, step
from pictus.tables import Tables

RATE = 5.0
"""Requests per second to one host."""

_CONCEPTS_SHOWN = 40
_FAILURES_SHOWN = 5
_DETAILED = 3  # of a run in which everything failed
_DETAIL = 100  # signs of a failure's detail
_REMARKS_SHOWN = 5
_REMARKS_COUNTED = 100  # different ones


@step("collect add", changes=True)
def add(
    project: Project, places: tuple[str | Path, ...], *, source: str = "", by_folder: bool = False, concept: str = "",
    licence: str = "", author: str = "",
) -> Outcome[Picture]:  # fmt: skip
    """Take in pictures from folders, archives, single files, Parquet tables, videos and object stores.

    places: folders, archives (tar, tar.gz, tar.xz, tar.bz2, zip), pictures, .parquet, videos, s3://BUCKET/PREFIX
    source: how to read all these places, when not as what they are; video:2s takes a frame every two seconds
        (1s when left out), video:scene one for each scene, parquet:COLUMN the pictures of that column
    by_folder: the folder a picture lies in names its concept
    concept: the concept of all these pictures
    licence: their licence, for example CC-BY-4.0
    author: who made them

    Examples:
        pictus collect add photos --by-folder
        pictus collect add holiday.zip one.jpg --concept whippet --licence CC0-1.0
        pictus collect add train-00000-of-00005.parquet s3://my-bucket/photos
        pictus collect add clip.mp4 --source video:scene
    """
    if by_folder and concept:
        raise UserError("--by-folder and --concept both name the concept.", fix="give one of them")
    if not places or not all(str(place).strip() for place in places):
        what = "An empty path was given (a variable without a value?)." if places else "No place was given."
        raise UserError(what, fix="pictus collect add FOLDER")
    given, taxonomy = chosen((str(place) for place in places), source), load_taxonomy(project)
    common = Claim(taxonomy.resolve(concept) if concept else "", "", licence, author)
    survey = _surveyed(given, by_folder=by_folder)
    folders, loose = concepts_of(survey.folders, taxonomy, [one.place for one in given]) if by_folder else ({}, 0)
    claims = Claims(common, folders, taxonomy)
    is_counted = all(one.source.is_counted for one in given)
    with (
        project.lock("collect"),
        project.progress.track("adding pictures", survey.total if is_counted else None) as meter,
    ):
        before = project.tables.count("images")
        with Intake(project.tables, project.shards_dir, now()) as intake:
            taken = _taken(intake, given, claims, meter)
            counts, seen, remarks, empty = intake.counts, taken.seen, taken.remarks, taken.empty
        if len(empty) == len(given):
            raise _without_pictures(given, remarks)
        summary = _summary(counts, seen)
        named = ", ".join(without_password(one.place) for one in given)
        project.journal.log("collect", "pictures_added", named[:500], **summary)
    told = [f"there is no picture in {place}" for place in empty]
    told += [f"{counted(loose, 'picture')} beside the class folders taken without a claim"] if loose else []
    is_vain = seen.total() == summary["failed"]
    told += taken.details if is_vain else []
    told += [f"{count:,} × {remark}" for remark, count in remarks.most_common(_REMARKS_SHOWN)]
    return Outcome(
        step="collect add",
        summary=summary,
        headline=_headline(counts, summary["failed"]),
        problems=(*told, *claims.problems(), *causes.told(summary["causes"])),
        next=() if is_vain else ("pictus clean check",),
        source=lambda: _pictures_after(project.tables, before),
        is_vain=is_vain,
    )


@step("collect fetch", changes=True)
def fetch(
    project: Project, list_path: Path | None = None, *, allow_host: tuple[str, ...] = (), rate: float = RATE,
    contact: str = "", retry: bool = False, refresh: bool = False, resize: int = 0,
    engine: Literal["local", "ray"] = "local",
) -> Outcome[Attempt]:  # fmt: skip
    """Fetch pictures from a list of addresses, politely; every failure is recorded with its cause.

    Without a list, what `collect find` found is fetched.

    list_path: CSV, TSV, JSON Lines (also .gz) or Parquet with a column url; also concept, licence, author, query
    allow_host: a host (NAME or NAME:PORT) that may lie in a private network
    rate: requests per second to one host; 0 for no limit
    contact: a mail or web address that the hosts' owners can reach you by
    retry: ask again also for what failed for good
    refresh: ask again also for what was fetched: it may have changed, be gone, or no longer be allowed
    resize: keep larger pictures as JPEGs with this many pixels on the short side; 0 keeps the bytes as they come
    engine: where to ask from, `local` or `ray`; every host is asked from one place at a time

    Examples:
        pictus collect fetch urls.csv --contact me@example.org
        pictus collect fetch --resize 256
        pictus collect fetch urls.parquet --retry
        pictus collect fetch urls.parquet --refresh
        pictus collect fetch urls.parquet --engine ray
        pictus collect fetch intranet.csv --allow-host pictures.local:8080 --rate 0
    """
    way = _way(allow_host, contact, rate, resize)
    engines.RUNNERS.get(engine)
    asks_again = partial(_asks_again, retry=retry, refresh=refresh, names_host=bool(allow_host))
    given: dict[str, Said] = {
        "contact": contact, "rate": None if rate == RATE else rate, "allow-host": allow_host,
        "resize": resize or None, "engine": None if engine == "local" else engine,
    }  # fmt: skip
    wanted, repeats = _wanted(project, list_path)
    with project.lock("collect"):
        before = project.tables.count("fetches")
        with Intake(project.tables, project.shards_dir, now()) as intake:
            plan = planned(project.tables, wanted, intake, asks_again)
            with project.progress.track("fetching pictures", len(plan.jobs)) as meter:
                run = Run(intake, meter, plan, resize if engine == "local" else 0)
                _ask(run, plan, way, engine)
        seen = run.seen + plan.seen
        summary: Summary = {"listed": len(wanted), "skipped": plan.skipped, **_summary(intake.counts, seen)}
        summary |= {"refreshed": drift.counts(run.drift)} if run.drift else {}
        project.journal.log("collect", "pictures_fetched", str(list_path or "candidates"), **summary, engine=engine)
    has_pictures = bool(project.tables.count("images"))
    is_vain = _is_vain(seen, plan.skipped, has_pictures=has_pictures)
    again = typed("pictus collect fetch", [list_path] if list_path else (), given)
    return Outcome(
        step="collect fetch",
        summary=summary,
        headline=_headline(intake.counts, summary["failed"], plan.skipped, run.drift[drift.UNCHANGED]),
        problems=(*drift.told(run.drift), *causes.told(seen), *_why_vain(seen, is_vain=is_vain), *repeats),
        next=_after_fetch(seen, again, may_clean=has_pictures and not is_vain),
        source=lambda: _attempts_after(project.tables, before),
        is_vain=is_vain,
    )


def _after_fetch(seen: Counter[str], again: str, *, may_clean: bool) -> tuple[str, ...]:
    """What to type next: the same once more where that may help, then what comes after."""
    may_help = any(cause not in causes.GOOD and not causes.is_final(cause) for cause in seen)
    return (*((again,) if may_help else ()), *(("pictus clean check",) if may_clean else ()))


def _is_vain(seen: Counter[str], skipped: int, *, has_pictures: bool) -> bool:
    """Whether all that was asked now failed and nothing of the list came in, now or by an earlier run."""
    if any(seen[cause] for cause in causes.GOOD):
        return False
    return bool(seen or skipped) and not (has_pictures and skipped)


def _why_vain(seen: Mapping[str, int], *, is_vain: bool) -> tuple[str, ...]:
    """What the causes alone do not say. When no host at all could be reached, the fault is nearer than theirs."""
    if is_vain and not seen:
        return ("all of it failed for good before: pictus collect status tells why, --retry asks again",)
    is_alone = bool(seen) and seen.keys() <= {"dns", "unreachable"}
    return ("no host could be reached at all: is there a network?",) if is_alone else ()


def _asks_again(cause: str, has_given: bool, *, retry: bool, refresh: bool, names_host: bool) -> bool:
    """Whether an address is asked again, by the cause of its latest attempt and whether it ever gave a picture."""
    if cause in causes.GOOD or (refresh and has_given):
        return refresh
    return retry or not causes.is_final(cause) or (cause == "private-address" and names_host)


def _way(allow_host: tuple[str, ...], contact: str, rate: float, resize: int) -> cluster.Way:
    agent, allowed = agent_of(contact), AllowedHosts.of(allow_host)
    if not 0 <= rate < math.inf:  # nan is neither
        raise UserError(f"--rate {rate:g} is no number of requests.", fix="--rate 5, or --rate 0 for no limit")
    if resize < 0:
        raise UserError(f"--resize {resize} is negative.", fix="--resize 256, or leave it out to keep the bytes")
    return cluster.Way(agent, allowed, limits_of(rate), resize, fetching.open_network)


def _ask(run: Run, plan: Plan, way: cluster.Way, engine: str) -> None:
    if engine == "local":
        asyncio.run(run.fetch(way.agent, way.allowed, way.limits))
        return
    with closing(cluster.fetched(plan.jobs, way, engines.cpu_count())) as batches:
        run.take(batches)


def _wanted(project: Project, list_path: Path | None) -> tuple[list[Wanted], tuple[str, ...]]:
    """The addresses of a list, or of the candidates found, each once -> (wanted, what to tell of repeated ones)."""
    if list_path is None:
        return candidates(project.tables)
    wanted, repeated = wanted_of(read_list(list_path), load_taxonomy(project).resolve, str(list_path))
    if not wanted:
        return wanted, (f"{list_path} lists no address",)
    told = f"{counted(repeated, 'row repeats', 'rows repeat')} an address: its first row counts"
    return wanted, (told,) if repeated else ()


@step("collect status", changes=False)
def status(project: Project) -> Outcome[Attempt]:
    """What has been collected: pictures per concept and per kind of source, failures by cause.

    Examples:
        pictus collect status
        pictus collect status --json
    """
    tables, taxonomy = project.tables, load_taxonomy(project)
    images = tables.read("images", ["size", "format"])
    sources = tables.read("sources", ["image_id", "concept_id", "kind"])
    failed = _failures(tables)
    by_concept = _distinct(sources, "concept_id")
    unclaimed = by_concept.pop("", 0)
    by_cause = causes.counted(attempt.cause for attempt in failed)
    summary: Summary = {
        "pictures": images.num_rows,
        "bytes": sum(images.column("size").to_pylist()),
        "sources": sources.num_rows,
        "kinds": _distinct(sources, "kind"),
        "formats": causes.counted(images.column("format").to_pylist()),
        "concepts": by_concept,
        "names": {concept: taxonomy.name(concept) for concept in by_concept if concept in taxonomy},
        "unclaimed": unclaimed,
        "failed": len(failed),
        "causes": by_cause,
    }
    of_concepts = f" of {counted(len(by_concept), 'concept')}" if by_concept else ""
    size = _megabytes(summary["bytes"])
    first = f"{counted(images.num_rows, 'picture')}{of_concepts} ({size}), {counted(len(failed), 'failure')}."
    return Outcome(
        step="collect status",
        summary=summary,
        headline=_drawn(first, summary, failed),
        problems=causes.told(by_cause),
        next=("pictus clean check",) if images.num_rows else (first_command(project, "pictures"),),
        source=lambda: iter(failed),
    )


def _drawn(first: str, summary: Summary, failed: Sequence[Attempt]) -> str:
    """The counts as text: pictures of each concept and of each kind of source, then the last few failures."""
    names, by_concept = summary["names"], summary["concepts"]
    most = sorted(by_concept, key=lambda concept: (-by_concept[concept], concept))
    rows = [(by_concept[one], f"{names.get(one, 'not in the taxonomy')}  {one}") for one in most[:_CONCEPTS_SHOWN]]
    rest = most[_CONCEPTS_SHOWN:]
    parts = [first]
    if rows or summary["unclaimed"]:
        rows += [(sum(by_concept[one] for one in rest), f"in {len(rest):,} more, see --json")] if rest else []
        rows += [(summary["unclaimed"], "without a concept")] if summary["unclaimed"] else []
        parts += ["", "pictures of each concept", *_counts(rows)]
    if summary["kinds"]:
        parts += ["", "pictures of each kind of source", *_counts((n, kind) for kind, n in summary["kinds"].items())]
    if failed:
        of = f", of {len(failed):,}; --jsonl gives all" if len(failed) > _FAILURES_SHOWN else ""
        parts += ["", f"the last failures{of}"]
        parts += [
            f"  {one.cause}  {one.address if one.address.isprintable() else clipped(one.address, 300)}"
            + (f"  {clipped(one.detail, _DETAIL)}" if one.detail else "")
            for one in failed[-_FAILURES_SHOWN:]
        ]
    return "\n".join(parts)


def _counts(rows: Iterable[tuple[int, str]]) -> Iterator[str]:
    """Lines of a number and what it counts, the numbers under each other."""
    found = [(f"{count:,}", what) for count, what in rows]
    width = max((len(count) for count, _ in found), default=0)
    return (f"  {count:>{width}}  {what}" for count, what in found)


def _failures(tables: Tables) -> list[Attempt]:
    """The addresses whose latest attempt failed, in the order of those attempts."""
    latest: dict[str, Attempt] = {}
    for attempt in tables.records("fetches", Attempt):
        latest.pop(attempt.address, None)
        if attempt.cause not in causes.GOOD:
            latest[attempt.address] = attempt
    return list(latest.values())


def _surveyed(given: Sequence[Chosen], *, by_folder: bool) -> Survey:
    """A look at names alone, before anything is changed: at all of them where that is cheap or the claims need it.

    Elsewhere at the first of each place, so that one that cannot be read at all is told now.
    """
    whole = by_folder or all(one.source.is_counted for one in given)
    looks = (one.look_in(with_bytes=False) for one in given)
    survey = surveyed(found for look in looks for found in (look if whole else islice(look, 1)))
    if whole and not survey.total:
        raise _without_pictures(given, survey.remarks)
    return survey


def _without_pictures(given: Sequence[Chosen], remarks: Counter[str]) -> UserError:
    where = ", ".join(one.place for one in given)
    told = "".join(f" {count:,} × {remark}." for remark, count in remarks.most_common(_REMARKS_SHOWN))
    return UserError(f"There is no picture in {where}.{told}", fix="pictus collect add FOLDER-WITH-PICTURES")


class _Taken(NamedTuple):
    """What came of one run: how often each cause and each remark, places with nothing in them, the first failures."""

    seen: Counter[str]
    remarks: Counter[str]
    empty: list[str]
    details: list[str]


def _taken(intake: Intake, given: Sequence[Chosen], claims: Claims, meter: Meter) -> _Taken:
    """Take everything in."""
    seen, remarks, empty, details = taken = _Taken(Counter(), Counter(), [], [])
    for one in given:
        seen_before = seen.total()
        for found in one.look_in(with_bytes=True):
            if found.remark and (len(remarks) < _REMARKS_COUNTED or found.remark in remarks):
                remarks[found.remark] += 1
            if found.remark and not found.cause and not found.image_bytes:
                continue
            cause, detail = _take_file(intake, found, claims.of(found))
            seen[cause] += 1
            if detail and len(details) < _DETAILED:
                details.append(f"{without_password(found.address)}: {clipped(detail, 300)[1:-1]}")
            meter.advance()
            if intake.is_full:
                intake.commit()
        if seen.total() == seen_before:
            empty.append(one.place)
    return taken


def _take_file(intake: Intake, found: Found, claim: Claim) -> tuple[str, str]:
    """Take one file in -> its cause, and what of it failed."""
    cause, detail, image_id = found.cause, found.detail, ""
    if not cause:
        try:
            image_id = intake.take(found.image_bytes, found.address, found.kind, claim)
            cause = "ok"
            if found.said.url:
                _note_origin(intake, image_id, found, claim)
        except PictureError as error:
            cause, detail = error.cause, error.detail
    intake.note_file(
        Attempt(
            found.address, found.kind, cause, detail, image_id, claim.concept_id, 0, 1, len(found.image_bytes), 0.0,
            "", "", now(),
        )
    )  # fmt: skip
    return cause, detail


def _note_origin(intake: Intake, image_id: str, found: Found, claim: Claim) -> None:
    """The address that a place says a picture was fetched from is a second source of it; it is not asked."""
    try:
        parse_url(found.said.url)
    except PictureError:
        return  # what cannot be asked is not worth keeping, and may be there to harm who clicks it
    intake.claim(image_id, without_password(found.said.url), found.kind, claim, is_counted=False)


def _summary(counts: Counts, seen: Counter[str]) -> Summary:
    failed = sum(count for cause, count in seen.items() if cause not in causes.GOOD)
    return {
        "found": seen.total(),
        "added": counts.added,
        "bytes_added": counts.bytes_added,
        "again": counts.again,
        "known": counts.known,
        "changed": counts.changed,
        "failed": failed,
        "causes": causes.counted(seen.elements()),
    }


def _headline(counts: Counts, failed: int, skipped: int = 0, unchanged: int = 0) -> str:
    parts = [f"{counted(counts.added, 'picture')} added ({_megabytes(counts.bytes_added)})"]
    parts += [f"{counts.again:,} known before, found at another place"] if counts.again else []
    parts += [f"{counts.changed:,} with new claims"] if counts.changed else []
    parts += [f"{counted(skipped, 'address', 'addresses')} done before"] if skipped else []
    parts += [f"{counts.known:,} known already"] if counts.known and not (skipped or unchanged) else []
    parts += [f"{unchanged:,} unchanged"] if unchanged else []
    parts += [f"{failed:,} failed"] if failed else []
    return ", ".join(parts) + "."


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _distinct(sources: pa.Table, column: str) -> dict[str, int]:
    """Value of a column -> how many different pictures have it, by value."""
    found = sources.group_by(column).aggregate([("image_id", "count_distinct")])
    pairs = zip(found.column(column).to_pylist(), found.column("image_id_count_distinct").to_pylist(), strict=True)
    return dict(sorted(pairs))


def _pictures_after(tables: Tables, before: int) -> Iterator[Picture]:
    for row in tables.read("images", offset=before).to_pylist():
        yield Picture(**row)


def _attempts_after(tables: Tables, before: int) -> Iterator[Attempt]:
    for row in tables.read("fetches", offset=before).to_pylist():
        yield Attempt(**row)
