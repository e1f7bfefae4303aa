"""The verbs `export` and `preview`: what is here as other tools read it, and tasks of files as they will look."""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pictus import pixels, shards
from pictus.annotate.desk.sizes_steps import Sizes
from pictus.annotate.exchange import hints
from pictus.annotate.exchange.formats import hit_pages, hits
from pictus.annotate.exchange.formats.contents import FORMATS, Bad, Export, Mark, Sheet, Task, Vote
from pictus.annotate.exchange.formats.documents import bundle_of
from pictus.annotate.exchange.formats.hit_pages import Cell, PreviewPage
from pictus.annotate.exchange.formats.known import recognised
from pictus.annotate.exchange.formats.outputs import text_file
from pictus.annotate.exchange.output_steps import check_free, digest_of
from pictus.annotate.exchange.own_steps import content_of
from pictus.annotate.exchange.reference_steps import pictures_named
from pictus.annotate.shapes import settled_shapes
from pictus.annotate.shapes.marks import STANDS
from pictus.annotate.tasks import OPEN
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import PictureError, UserError, bad_rows, clipped, counted
from pictus.journey import first_command
from pictus.project import Project
from pictus.registry import Outcome, step
from pictus.tables import one_of

What = Literal["", "votes", "labels", "marks", "shapes", "tasks"]

_THUMBNAILS = 2000
"""So many pictures are put into a preview; of the others their names. 10 MB of HTML."""

_DEEPEST = 3
"""Folders of a picture's address that its name may need to be told from others."""


class Named(NamedTuple):
    """How pictures and concepts are called in files for others."""

    sheets: dict[str, Sheet]  # by image_id, sorted
    concept: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Written:
    """One file or folder of an export."""

    path: str
    format: str
    what: str
    rows: int


@step("annotate export", changes=True)
def export(
    project: Project, out: Path, *, format: str = "", what: What = "", pictures: str = "", seed: int = 0,  # noqa: A002
    force: bool = False,
) -> Outcome[Written]:  # fmt: skip
    """Write answers, shapes or what waits to be asked as another tool reads it.

    `votes` are answers with who gave them, `labels` what was settled; `marks` every shape that somebody drew,
    `shapes` what was settled of them; `tasks` the questions of the queue, with known answers among them for platforms.
    Pictures are called by the shortest end of their address that means no other.

    out: the file to write; a folder for `voc` and `yolo`
    format: csv, label-studio, cvat, coco, voc, yolo, mturk, toloka or hits; when left out, by the ending
    what: `votes`, `labels`, `marks`, `shapes` or `tasks`; when left out, the first that the format and the project have
    pictures: where a platform finds the pictures, served as ADDRESS/<image_id>.<format>; else their own web addresses
    seed: of the order of tasks
    force: replace what is there already, whatever it is; a former output is replaced without, the project's own never

    Examples:
        pictus annotate export votes.csv
        pictus annotate export instances.json --format coco --what shapes
        pictus annotate export batch.csv --format mturk --what tasks --pictures https://pictures.example.org/birds
    """
    taxonomy = load_taxonomy(project)
    chosen = FORMATS.get(format or _by_ending(out))
    wanted = what or _first(project, tuple(chosen.writes))
    writer = chosen.writes.get(wanted)
    if writer is None:
        able = FORMATS.usable()[0].items()
        listed = ", ".join(f"{name} ({', '.join(one.writes)})" for name, one in able if one.writes)
        raise UserError(f"{chosen.name} has no way to hold {wanted}.", fix=f"one of: {listed}")
    if out.is_dir() and chosen.name not in ("voc", "yolo"):
        raise UserError(f"{out} is a folder.", fix=f"name a file: {out}/{wanted}.json")
    outs = [out, *_forms(chosen.name, wanted, out)]
    check_free(project, outs, force=force)
    with project.progress.track(f"writing {wanted} as {chosen.name}", None):
        content, total, problems = _content(project, taxonomy, wanted, pictures, seed)
        if not total:
            raise UserError(f"There are no {wanted} in this project yet.", fix=_how(project, wanted))
        if wanted == "tasks" and not pictures:
            problems += _told(taxonomy, content, by_name=chosen.name in ("csv", "hits"))
        written = writer(content, out)
        done = {"format": chosen.name, "what": wanted, "rows": written, "digests": [digest_of(one) for one in outs],
                "content": content_of(out)}
        project.journal.log("annotate", "exported", out.name, **done)
    if written < total and wanted != "tasks":
        left = counted(total - written, wanted.removesuffix("s"))
        problems.append(f"{left} of {total:,} left out: {chosen.name} has no form for them")
    record = Written(str(out), chosen.name, wanted, written)
    return Outcome(
        step="annotate export",
        summary={
            "path": str(out), "format": chosen.name, "what": wanted, "rows": written, "of": total,
            "forms": [str(form) for form in outs[1:]],
        },
        headline=f"{counted(written, wanted.removesuffix('s'))} written to {out} as {chosen.name}"
        + "".join(f", and the form that shows them: {form}" for form in outs[1:]),
        problems=tuple(problems),
        next=("pictus annotate import RESULTS",) if wanted == "tasks" else (),
        source=lambda: iter((record,)),
    )


@step("annotate preview", changes=True)
def preview(project: Project, file: Path, out: Path, *, force: bool = False) -> Outcome[Written]:
    """Show the pages of a file of tasks (ImageNet-V2's HITs) as they are, with which pictures are controls.

    For the owner: one HTML file, with the pictures that are in the project and placeholders for others.

    file: the tasks, .json or .json.xz
    out: the HTML file to write
    force: replace what is there already, whatever it is; a former output is replaced without, the project's own never

    Examples:
        pictus annotate preview hits_submitted.json.xz pages.html
    """
    check_free(project, (out,), force=force)
    bundle = bundle_of(file)
    known = recognised(bundle)
    if known is None or known.name != "hits":
        raise UserError(f"{file.name} holds no pages with controls.", fix='JSON with "wnid" and "images_all"')
    found = list(hits.hits(bundle))
    bad = [f"{place}: {one.what}" for place, one in found if isinstance(one, Bad)]
    if bad:
        raise bad_rows(file.name, bad, fix="correct the pages")
    pages = [one for _, one in found if isinstance(one, hits.Hit)]
    texts = {picture for page in pages for picture in page.pictures}
    here = pictures_named(project, texts).image_ids
    shown = _thumbnails(project, list(dict.fromkeys(here.values()))[:_THUMBNAILS])
    taxonomy = load_taxonomy(project)
    views = [
        PreviewPage(
            page.uuid, *_called(taxonomy, page.wnid),
            tuple(Cell(name, shown.get(here.get(name, ""), ""), page.known.get(name, "")) for name in page.pictures),
        )
        for page in pages
    ]  # fmt: skip
    with text_file(out) as writer:
        writer.write(hit_pages.preview(file.name, views))
    project.journal.log("annotate", "previewed", out.name, digests=[digest_of(out)])
    n_controls = sum(len(page.known) for page in pages)
    summary = {"pages": len(pages), "pictures": len(texts), "here": len(here), "controls": n_controls}
    record = Written(str(out), "html", "preview", len(pages))
    return Outcome(
        step="annotate preview", summary={**summary, "path": str(out)},
        headline=f"{counted(len(pages), 'page')} of {counted(len(texts), 'picture')}, {len(here):,} of them in the "
        f"project, {counted(n_controls, 'control')}: {out}",
        next=(f"pictus annotate import {file} --skip-unknown",) if here else (), source=lambda: iter((record,)),
    )  # fmt: skip


def _forms(chosen: str, what: str, out: Path) -> list[Path]:
    """The files that a writer puts beside its own."""
    return [out.with_suffix(".html")] if (chosen, what) == ("mturk", "tasks") else []


def _by_ending(out: Path) -> str:
    ending = out.suffix.lower()
    found = {".csv": "csv", ".tsv": "csv", ".xml": "cvat"}.get(ending)
    if not found:
        names = [name for name, one in FORMATS.usable()[0].items() if one.writes]
        raise UserError(f"The ending of {out.name} does not say which format.", fix=f"--format {' | '.join(names)}")
    return found


def _first(project: Project, able: tuple[str, ...]) -> str:
    """The first thing that a format can hold and the project has; else just the first."""
    with project.journal.reading() as connection:
        has_marks, has_tasks = (
            connection.execute(sa.text(query)).first() is not None
            for query in ("SELECT 1 FROM marks LIMIT 1", "SELECT 1 FROM questions LIMIT 1")
        )
    has = {"votes": bool(project.journal.vote_count()), "labels": bool(project.tables.count("labels")),
           "marks": has_marks, "shapes": settled_shapes.are_there(project.tables), "tasks": has_tasks}  # fmt: skip
    if not able:
        return "anything: it is only read"
    return next((what for what in able if has[what]), able[0])


def _how(project: Project, what: str) -> str:
    if what == "votes":
        return first_command(project, "votes")
    if what == "labels":
        return first_command(project, "labels")
    if what == "shapes":
        return "pictus annotate shapes"
    return "pictus annotate plan" if what == "tasks" else "pictus annotate serve    or    pictus annotate import FILE"


def _content(
    project: Project, taxonomy: Taxonomy, what: str, base: str, seed: int
) -> tuple[Export, int, list[str]]:
    """Everything a writer needs, how many rows there are, and what to tell."""
    if what in ("votes", "labels"):
        table = _votes(project) if what == "votes" else _labels(project)
        named = _named(project, taxonomy, set(table.column("image_id").to_pylist()), base)
        table = table.filter(pc.is_in(table.column("image_id"), value_set=pa.array(list(named.sheets), pa.string())))
        concepts = {*pc.unique(table.column("question")).to_pylist(), *pc.unique(table.column("answer")).to_pylist()}
        used = tuple(sorted({named.concept(one) for one in concepts} - {"", "yes", "no", "unsure"}))
        votes = functools.partial(_vote_rows, table, named)
        return Export(project.name, used, named.sheets.values, votes=votes), table.num_rows, []
    if what in ("marks", "shapes"):
        images, concepts, total = _marked(project, what)
        named = _named(project, taxonomy, images, base)
        used = tuple(sorted({named.concept(one) for one in concepts}))
        marks = functools.partial(_mark_rows, project, what, named)
        return Export(project.name, used, named.sheets.values, marks=marks), total, []
    rows = _questions(project)
    named = _named(project, taxonomy, {row.image_id for row in rows}, base)
    sheets = named.sheets
    if base:  # there every picture is called by its id, and so it is here
        sheets = {key: replace(one, name=one.address.rpartition("/")[2]) for key, one in sheets.items()}
    tasks = [
        Task(sheets[row.image_id], "grid", row.concept_id, *_called(taxonomy, row.concept_id), row.known)
        for row in rows if row.image_id in sheets
    ]  # fmt: skip
    asked = sum(not task.known for task in tasks)
    unserved = sum("://" not in task.sheet.address for task in tasks)
    problems = [f"{counted(unserved, 'picture')} without a web address: serve them and say where with --pictures"]
    content = Export(project.name, (), sheets.values, tasks=lambda: tasks, seed=seed)
    return content, asked, problems if unserved else []


def _told(taxonomy: Taxonomy, content: Export, *, by_name: bool) -> list[str]:
    """What is to be said of pictures that are called by what they show."""
    sheets = {task.sheet.image_id: task.sheet for task in content.tasks()}.values()
    found = hints.telling((one.name if by_name else one.address for one in sheets), taxonomy)
    if not found:
        return []
    some = f"{counted(len(found), 'picture')} whose name tells the answer to whoever works, as {clipped(found[0])}"
    return [f"{some}: with --pictures ADDRESS, where you serve them, they are called by their ids alone"]


def _votes(project: Project) -> pa.Table:
    rows = project.journal.votes().select(["image_id", "annotator", "question", "answer"])
    order = [(name, "ascending") for name in ("image_id", "question", "annotator")]
    return rows.sort_by(order).combine_chunks()


def _labels(project: Project) -> pa.Table:
    rows = project.tables.read("labels", ["image_id", "concept_id"], where="status = 'accepted'").sort_by("image_id")
    empty = pa.repeat(pa.scalar("", pa.string()), rows.num_rows)
    return pa.table({"image_id": rows.column("image_id"), "annotator": empty, "question": empty,
                     "answer": rows.column("concept_id")})  # fmt: skip


def _vote_rows(table: pa.Table, named: Named) -> Iterator[Vote]:
    for batch in table.to_batches(max_chunksize=10_000):
        for image_id, who, question, answer in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            said = answer if question else named.concept(answer)
            yield Vote(named.sheets[image_id], who, named.concept(question) if question else "", said)


_STANDING = (
    " FROM marks m WHERE m.mark_id NOT IN (SELECT r.replaces FROM marks r WHERE r.replaces > 0)"  # noqa: S608  ours
    f" AND m.kind IN ('box', 'mask', 'points'){STANDS}"
)


def _marked(project: Project, what: str) -> tuple[set[str], set[str], int]:
    """Pictures, concepts and number of the shapes."""
    if what == "shapes":
        return settled_shapes.summed(project.tables)
    query = f"SELECT m.image_id, m.concept_id, COUNT(*) AS many{_STANDING} GROUP BY m.image_id, m.concept_id"
    with project.journal.reading() as connection:
        rows = connection.execute(sa.text(query)).all()
    return {row.image_id for row in rows}, {row.concept_id for row in rows}, sum(row.many for row in rows)


def _mark_rows(project: Project, what: str, named: Named) -> Iterator[Mark]:
    if what == "shapes":
        for one in settled_shapes.settled(project.tables):
            if one.image_id in named.sheets:
                yield Mark(named.sheets[one.image_id], one.by, named.concept(one.concept_id), one.kind, one.shape)
        return
    query = f"SELECT m.image_id, m.annotator, m.concept_id, m.kind, m.shape{_STANDING} ORDER BY m.image_id, m.mark_id"
    streams = sa.text(query).execution_options(stream_results=True, max_row_buffer=10_000)
    with project.journal.reading() as connection:
        for image_id, who, concept_id, kind, shape in connection.execute(streams):
            sheet = named.sheets.get(image_id)
            if sheet is not None:
                yield Mark(sheet, who, named.concept(concept_id), kind, json.loads(shape))


def _questions(project: Project) -> list[Any]:
    query = sa.text(
        "SELECT image_id, concept_id, known FROM questions WHERE kind = 'grid' AND (known <> '' OR state = :open)"
        " ORDER BY concept_id, priority DESC, question_id"
    )
    with project.journal.reading() as connection:
        return list(connection.execute(query, {"open": OPEN}).all())


def _named(project: Project, taxonomy: Taxonomy, wanted: set[str], base: str) -> Named:
    sizes = Sizes(project)
    rows = project.tables.read("sources", ["image_id", "address"])
    pairs = list(zip(rows.column("image_id").to_pylist(), rows.column("address").to_pylist(), strict=True))
    names = _names(pairs, wanted)
    kinds = project.tables.read("images", ["image_id", "format"])
    formats = dict(zip(kinds.column("image_id").to_pylist(), kinds.column("format").to_pylist(), strict=True))
    addresses: dict[str, str] = {}
    for image_id, address in pairs:
        if image_id in wanted and (image_id not in addresses or ("://" in address > "://" in addresses[image_id])):
            addresses[image_id] = address
    sheets = {}
    for image_id in sorted(wanted & formats.keys()):
        own = f"{image_id}.{shards.extension_of(formats[image_id])}"
        name = names.get(image_id, own)
        address = f"{base.rstrip('/')}/{own}" if base else addresses.get(image_id, name)
        sheets[image_id] = Sheet(image_id, name, address if "://" in address else name, *sizes.of(image_id))
    return Named(sheets, functools.cache(functools.partial(_concept_name, taxonomy)))


def _names(pairs: Iterable[tuple[str, str]], wanted: AbstractSet[str]) -> dict[str, str]:
    """image_id -> the shortest end of one of its addresses that means no other picture.

    One depth after the other: at a million pictures all ends at once would fill the memory.
    """
    bare = ((image_id, re.split(r"[?#]", one)[0] if "://" in one else one) for image_id, one in pairs)
    paths = [(image_id, one.replace("\\", "/").replace("!/", "/")) for image_id, one in bare]
    found: dict[str, str] = {}
    for depth in range(1, _DEEPEST + 1):
        owners: dict[str, str] = {}
        ends = []
        for image_id, path in paths:
            end = "/".join([part for part in path.rsplit("/", depth + 1)[-depth:] if part])
            owners[end] = image_id if owners.get(end, image_id) == image_id else ""
            if image_id in wanted and image_id not in found:
                ends.append((image_id, end))
        for image_id, end in ends:
            if owners[end] == image_id:
                found[image_id] = min(found.get(image_id, end), end)
    return found


def _concept_name(taxonomy: Taxonomy, concept_id: str) -> str:
    """A name that means this concept alone, else its id."""
    if concept_id not in taxonomy:
        return concept_id
    name = taxonomy.name(concept_id)
    return name if taxonomy.find(name) == (concept_id,) else concept_id


def _called(taxonomy: Taxonomy, concept_id: str) -> tuple[str, str]:
    """Name and gloss."""
    if concept_id not in taxonomy:
        return concept_id, ""
    return taxonomy.name(concept_id), taxonomy.get(concept_id).gloss


def _thumbnails(project: Project, image_ids: list[str]) -> dict[str, str]:
    """data: addresses of small JPEGs; nothing for a picture that cannot be decoded."""
    found: dict[str, str] = {}
    reader = shards.ShardReader(project.shards_dir)
    for row in project.tables.read("images", where=one_of("image_id", image_ids)).to_pylist() if image_ids else ():
        try:
            small = pixels.thumbnail(reader.read(row["shard"], row["offset"], row["size"]), 160)
        except PictureError:  # a placeholder stands for it
            continue
        found[row["image_id"]] = f"data:image/jpeg;base64,{base64.b64encode(small).decode('ascii')}"
    return found
