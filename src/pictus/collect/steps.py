"""The verbs: add, fetch, status."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from pictus import archives
from pictus.clock import now
from pictus.collect import causes
from pictus.collect.addresses import AllowedHosts
from pictus.collect.fetching import Run, agent_of, limits_of, listed, planned
from pictus.collect.intake import Claim, Counts, Intake
from pictus.collect.lists import in_one_line, wanted_of
from pictus.collect.places import Found, look_in
from pictus.concepts import load_taxonomy
from pictus.errors import PictureError, UserError, counted
from pictus.journey import first_command
from pictus.project import Project
from pictus.records import Attempt, Picture
from pictus.registry import Outcome, Summary, step
from pictus.tables import Tables


@step("collect add", changes=True)
def add(
    project: Project, paths: tuple[Path, ...], *, by_folder: bool = False, concept: str = "", licence: str = "",
    author: str = "",
) -> Outcome[Picture]:  # fmt: skip
    """Take in pictures from folders, archives (tar, tar.gz, tar.xz, tar.bz2, zip) and single files.

    paths: folders, archives or pictures
    by_folder: the folder a picture lies in names its concept
    concept: the concept of all these pictures
    licence: their licence, for example CC-BY-4.0
    author: who made them

    Examples:
        pictus collect add photos --by-folder
        pictus collect add holiday.zip one.jpg --concept whippet --licence CC0-1.0
    """
    given = _existing(paths)
    if by_folder and concept:
        raise UserError("--by-folder and --concept both name the concept.", fix="give one of them")
    claim = Claim(load_taxonomy(project).resolve(concept) if concept else "", "", licence, author)
    claims, total = _surveyed(project, given, claim, by_folder=by_folder)
    seen, empty = Counter[str](), []
    with project.lock("collect"), project.progress.track("adding pictures", total) as meter:
        before = project.tables.count("images")
        with Intake(project.tables, project.shards_dir, now()) as intake:
            for path in given:
                seen_before = seen.total()
                for found in look_in(path, with_bytes=True):
                    seen[_take_file(intake, found, claims.get(found.folder, claim))] += 1
                    meter.advance()
                    if intake.is_full:
                        intake.commit()
                if seen.total() == seen_before:
                    empty.append(path)
            counts = intake.counts
        if len(empty) == len(given):
            raise _without_pictures(given)
        summary = _summary(counts, seen)
        project.journal.log("collect", "pictures_added", ", ".join(str(path) for path in given)[:500], **summary)
    return Outcome(
        step="collect add",
        summary=summary,
        headline=_headline(counts, summary["failed"]),
        problems=(*(f"there is no picture in {path}" for path in empty), *causes.told(summary["causes"])),
        next=("pictus clean check",) if project.tables.count("images") else (),
        source=lambda: _pictures_after(project.tables, before),
    )


@step("collect fetch", changes=True)
def fetch(
    project: Project, list_path: Path, *, allow_host: tuple[str, ...] = (), rate: float = 5.0, contact: str = "",
    retry: bool = False, refresh: bool = False,
) -> Outcome[Attempt]:  # fmt: skip
    """Fetch pictures from a list of addresses, politely; every failure is recorded with its cause.

    list_path: CSV, TSV or Parquet with a column url; also concept, licence, author, query
    allow_host: a host (NAME or NAME:PORT) that may lie in a private network
    rate: requests per second to one host; 0 for no limit
    contact: a mail or web address that the hosts' owners can reach you by
    retry: ask again also for what failed for good
    refresh: ask again also for what was fetched, in case it changed

    Examples:
        pictus collect fetch urls.csv --contact me@example.org
        pictus collect fetch urls.parquet --retry
        pictus collect fetch intranet.csv --allow-host pictures.local:8080 --rate 0
    """
    agent, allowed = agent_of(contact), AllowedHosts.of(allow_host)
    if rate < 0:
        raise UserError(f"--rate {rate:g} is negative.", fix="--rate 5, or --rate 0 for no limit")

    def asks_again(cause: str) -> bool:
        if cause in causes.GOOD:
            return refresh
        return retry or not causes.is_final(cause) or (cause == "private-address" and bool(allow_host))

    rows = listed(list_path)
    wanted, repeated = wanted_of(rows, load_taxonomy(project).resolve, str(list_path))
    with project.lock("collect"):
        before = project.tables.count("fetches")
        with Intake(project.tables, project.shards_dir, now()) as intake:
            plan = planned(project.tables, wanted, intake, asks_again)
            with project.progress.track("fetching pictures", len(plan.jobs)) as meter:
                run = Run(intake, meter, plan)
                asyncio.run(run.fetch(agent, allowed, limits_of(rate)))
        seen = run.seen + plan.seen
        summary: Summary = {"listed": len(wanted), "skipped": plan.skipped, **_summary(intake.counts, seen)}
        project.journal.log("collect", "pictures_fetched", str(list_path), **summary)
    told = causes.told(summary["causes"])
    if repeated:
        told += (f"{counted(repeated, 'row repeats', 'rows repeat')} an address: its first row counts",)
    may_help = any(cause not in causes.GOOD and not causes.is_final(cause) for cause in seen)
    return Outcome(
        step="collect fetch",
        summary=summary,
        headline=_headline(intake.counts, summary["failed"], plan.skipped),
        problems=told,
        next=(
            *((f"pictus collect fetch {list_path}",) if may_help else ()),
            *(("pictus clean check",) if project.tables.count("images") else ()),
        ),
        source=lambda: _attempts_after(project.tables, before),
    )


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
    return Outcome(
        step="collect status",
        summary=summary,
        headline=f"{counted(images.num_rows, 'picture')}{of_concepts} ({size}), {counted(len(failed), 'failure')}.",
        problems=causes.told(by_cause),
        next=("pictus clean check",) if images.num_rows else (first_command(project, "pictures"),),
        source=lambda: iter(failed),
    )


def _failures(tables: Tables) -> list[Attempt]:
    """The addresses whose latest attempt failed, in the order of those attempts."""
    latest: dict[str, Attempt] = {}
    for attempt in tables.records("fetches", Attempt):
        latest.pop(attempt.address, None)
        if attempt.cause not in causes.GOOD:
            latest[attempt.address] = attempt
    return list(latest.values())


def _existing(paths: Iterable[Path]) -> list[Path]:
    """The paths made absolute, each once; all that do not exist in one UserError."""
    given = list(dict.fromkeys(Path(path).expanduser().resolve() for path in paths))
    missing = [str(path) for path in given if not path.exists()]
    if missing:
        raise UserError(f"There is no file or folder {', '.join(missing)}.", fix="check the spelling")
    if not given:
        raise UserError("No path was given.", fix="pictus collect add FOLDER")
    return given


def _surveyed(
    project: Project, given: Sequence[Path], common: Claim, *, by_folder: bool
) -> tuple[dict[str, Claim], int | None]:  # fmt: skip
    """A look at names alone, before anything is changed -> (folder name -> claim, how many pictures).

    Without --by-folder the members of archives need not be known before they are read, and are not counted.
    """
    total, folders = 0, Counter[str]()
    is_counted = True
    for path in given:
        if archives.is_archive(path.name) and not by_folder and not path.is_dir():
            is_counted = False
            continue
        for found in look_in(path, with_bytes=False):
            total += 1
            folders[found.folder] += not found.cause
    if is_counted and not total:
        raise _without_pictures(given)
    return (_claims_of(project, folders, common) if by_folder else {}), total if is_counted else None


def _without_pictures(given: Sequence[Path]) -> UserError:
    where = ", ".join(str(path) for path in given)
    return UserError(f"There is no picture in {where}.", fix="pictus collect add FOLDER-WITH-PICTURES")


def _claims_of(project: Project, folders: Counter[str], common: Claim) -> dict[str, Claim]:
    taxonomy = load_taxonomy(project)
    claims: dict[str, Claim] = {}
    problems: list[str] = []
    for folder, pictures in sorted(folders.items()):
        if not pictures:
            continue
        try:
            claims[folder] = common._replace(concept_id=taxonomy.resolve(folder))
        except UserError as error:
            problems.append(f"{folder} ({counted(pictures, 'picture')}): {in_one_line(error)}")
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems[:20])
        more = f"\n  … and {len(problems) - 20:,} more" if len(problems) > 20 else ""  # noqa: PLR2004  a screenful
        raise UserError(
            f"The taxonomy does not know {counted(len(problems), 'folder name')}; nothing was added.\n{listed}{more}",
            fix="pictus taxonomy import --folders DIR    or    pictus taxonomy add NAME --parent CONCEPT",
        )
    return claims


def _take_file(intake: Intake, found: Found, claim: Claim) -> str:
    """Take one file in -> its cause."""
    cause, detail, image_id = found.cause, found.detail, ""
    if not cause:
        try:
            image_id = intake.take(found.image_bytes, found.address, found.kind, claim)
            cause = "ok"
        except PictureError as error:
            cause, detail = error.cause, error.detail
    intake.note_file(
        Attempt(
            found.address, found.kind, cause, detail, image_id, claim.concept_id, 0, 1, len(found.image_bytes), 0.0,
            "", "", now(),
        )
    )  # fmt: skip
    return cause


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


def _headline(counts: Counts, failed: int, skipped: int = 0) -> str:
    parts = [f"{counted(counts.added, 'picture')} added ({_megabytes(counts.bytes_added)})"]
    parts += [f"{counts.again:,} known before, found at another place"] if counts.again else []
    parts += [f"{counts.changed:,} with new claims"] if counts.changed else []
    parts += [f"{counted(skipped, 'address', 'addresses')} done before"] if skipped else []
    parts += [f"{counts.known:,} known already"] if counts.known and not skipped else []
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
