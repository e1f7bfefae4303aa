"""The step of `clean` that tells how well pictures fit their concept. It gives scores; it never drops a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pictus import models
from pictus.clean import relevance_scores as scores
from pictus.concepts import Taxonomy, concept_of, load_taxonomy
from pictus.errors import UserError, counted
from pictus.journey import train_command
from pictus.progress import Meter
from pictus.project import Project
from pictus.records import Relevance
from pictus.registry import Outcome, step
from pictus.tables import SCHEMAS

PREFIX, CLASSICAL = "embeddings_", "classical"
SHOWN = 3
OUTLIER_FROM = 0.999
"""One in a thousand of a well-behaved concept lies so far out."""

TELLING = 0.5
"""Share of pictures whose own concept must win the vote for a suspect to be one."""


class _Pool(NamedTuple):
    """One row for each picture and concept: ids and concept numbers i64[N], unit vectors f32[N, D]."""

    image_ids: list[str]
    concept_ids: list[str]
    concepts: scores.Rows
    vectors: scores.Floats
    unindexed: int


@step("clean relevance", changes=True)
def relevance(
    project: Project, *, run: str = "", twins: float = scores.TWINS, neighbours: int = scores.NEIGHBOURS, seed: int = 0
) -> Outcome[Relevance]:
    """Score how well every picture fits its concept: outliers, wrong concepts, semantic twins. Nothing is dropped.

    The concept is the settled label, else what was claimed. Dropped pictures are left out.

    run: whose vectors to use; the newest finished run that has an index when left out, else `classical`.
    twins: cosine from which two pictures are each other's twin, -1 to 1.
    neighbours: how many of the nearest speak for a picture.
    seed: another seed draws other clusters to look for twins in.

    Examples:
        pictus clean relevance
        pictus clean relevance --run first --twins 0.98
    """
    if not -1 <= twins <= 1 or not 1 <= neighbours <= 1000:  # noqa: PLR2004  more are no neighbours
        raise UserError(
            f"--twins {twins:g} is not between -1 and 1, or --neighbours {neighbours} not between 1 and 1,000.",
            fix=f"pictus clean relevance --twins {scores.TWINS} --neighbours {scores.NEIGHBOURS}",
        )
    with project.lock("clean-relevance"):
        model = _model(project, run)
        pool = _pool(project, model)
        with project.progress.track("relevance", None) as meter:
            table = _scored(pool, model, neighbours=neighbours, threshold=twins, seed=seed, meter=meter)
        if not project.tables.exists("relevance") or not project.tables.read("relevance").equals(table):
            project.tables.replace("relevance", table)
        summary = {
            "model": model, "rows": table.num_rows, "concepts": len(pool.concept_ids and set(pool.concepts.tolist())),
            "agreement": round(float((table.column("margin").to_numpy() < 0).mean()), 4),
            "outliers": int((table.column("outlier").to_numpy() >= OUTLIER_FROM).sum()),
            "suspects": int((table.column("margin").to_numpy() > 0).sum()),
            "twins": sum(bool(twin) for twin in table.column("twin_id").to_pylist()),
            "threshold": twins, "neighbours": neighbours, "seed": seed,
        }  # fmt: skip
        project.journal.log("clean", "relevance_scored", model, **summary)
    taxonomy = load_taxonomy(project)
    notes = _notes(project, pool, model, summary["agreement"])
    headline = (
        f"{counted(summary['rows'], 'picture')} of {counted(summary['concepts'], 'concept')} scored by {model}: "
        f"{counted(summary['outliers'], 'outlier')} from {OUTLIER_FROM:g}, {counted(summary['suspects'], 'suspect')} "
        f"of another concept, {counted(summary['twins'], 'twin')} from {twins:g}. Nothing was dropped."
    )
    lines = [headline, *_most_suspicious(table, taxonomy)]
    following = ("pictus web", "pictus clean relevance --jsonl", "pictus annotate import corrected.csv")
    return Outcome(
        "clean relevance", summary, "\n".join(lines), notes, following,
        lambda: project.tables.records("relevance", Relevance),
    )  # fmt: skip


def _scored(pool: _Pool, model: str, *, neighbours: int, threshold: float, seed: int, meter: Meter) -> pa.Table:
    """The table `relevance`: in the order of the pool."""
    meter.say("outliers")
    there = scores.space(pool.vectors, pool.concepts)
    even = scores.whitened(pool.vectors, there)
    outlier = scores.outliers(even, pool.concepts, neighbours)
    meter.say("neighbours")
    found = scores.nearest(even, max(1, min(neighbours, len(even) - 1)), seed=seed)
    del even
    other = scores.suspects(found, pool.vectors, pool.concepts, there)
    meter.say("twins")
    twin = scores.twins(pool.vectors, threshold, seed=seed)
    names = [pool.concept_ids[number] for number in pool.concepts.tolist()]
    suspects = [
        pool.concept_ids[number] if number >= 0 and margin > 0 else ""
        for number, margin in zip(other.concepts.tolist(), other.margins.tolist(), strict=True)
    ]
    columns = {
        "image_id": pool.image_ids, "concept_id": names, "outlier": outlier, "suspect_id": suspects,
        "margin": other.margins, "twin_id": [pool.image_ids[row] if row >= 0 else "" for row in twin.rows.tolist()],
        "similarity": twin.cosines.astype(np.float64).clip(-1, 1), "model": [model] * len(names),
    }  # fmt: skip
    return pa.table(columns, schema=SCHEMAS["relevance"])


def _model(project: Project, run: str) -> str:
    """The index to read: the named one; the newest finished run's that has one; the classical one."""
    tables = project.tables
    if run and not tables.exists(PREFIX + run):
        has = [name.removeprefix(PREFIX) for name in tables.names() if name.startswith(PREFIX)]
        there = f"    or, as indexed already: {', '.join(has)}" if has else ""
        raise UserError(f"There is no index {run!r}.", fix=f"pictus search index --run {run}{there}")
    finished = [one.root.name for one in reversed(models.by_finish(models.runs(project, skip_broken=True)))]
    found = next((name for name in (run, *finished, CLASSICAL) if name and tables.exists(PREFIX + name)), "")
    if not found:
        raise UserError(
            "The pictures have no vectors yet, so that nothing can be said of how alike they are.",
            fix="pictus search index    (no model is needed: without one it describes edges and colours)",
        )
    return found


def _pool(project: Project, model: str) -> _Pool:
    """Every picture that is not dropped, has a concept and a vector; pictures of several claims stand under the first.

    Sorted by image_id, so that the rows do not depend on the order in which pictures came.
    """
    columns = (column.to_pylist() for column in concept_of(project).columns)
    own = dict(zip(*columns, strict=True))
    if not own:
        raise UserError(
            "No picture has a concept yet: neither a settled label nor a claim.",
            fix="pictus collect add FOLDER --by-folder    or    pictus annotate import labels.csv",
        )
    dropped = project.tables.read("verdicts", ["image_id"], where="verdict = 'drop'").column("image_id")
    wanted = own.keys() - set(dropped.to_pylist())
    ids: list[str] = []
    parts: list[scores.Floats] = []
    for batch_ids, vectors in _vectors(project, model):
        rows = [row for row, image_id in enumerate(batch_ids) if image_id in wanted]
        ids += [batch_ids[row] for row in rows]
        parts.append(vectors[rows])
    if not ids:
        raise UserError(
            f"The index {model!r} has no picture with a concept.", fix=f"pictus search index --run {model}"
        )
    order = sorted(range(len(ids)), key=ids.__getitem__)
    place = np.empty(len(ids), np.int64)
    place[order] = np.arange(len(ids))
    vectors, at = np.empty((len(ids), parts[0].shape[1]), np.float32), 0
    parts.reverse()
    while parts:  # each part goes as soon as it is in its place: the vectors are held twice for a moment, not thrice
        part = parts.pop()
        vectors[place[at : at + len(part)]] = part
        at += len(part)
    ids = [ids[row] for row in order]
    concept_ids = sorted({own[image_id] for image_id in ids})
    number = {concept_id: at for at, concept_id in enumerate(concept_ids)}
    concepts = np.array([number[own[image_id]] for image_id in ids], np.int64)
    return _Pool(ids, concept_ids, concepts, vectors, len(wanted) - len(ids))


def _vectors(project: Project, model: str) -> Iterator[tuple[list[str], scores.Floats]]:
    """The index in batches; pictures without a vector (not decodable) are left out."""
    for batch in project.tables.batches(PREFIX + model, ["image_id", "embedding"]):
        column = batch.column("embedding")
        usable = column.is_valid()
        listed = batch.column("image_id").filter(usable).to_pylist()
        flat = column.filter(usable)
        if listed:
            yield listed, flat.flatten().to_numpy().reshape(len(listed), -1).astype(np.float32)


def _notes(project: Project, pool: _Pool, model: str, agreement: float) -> tuple[str, ...]:
    notes = []
    if agreement < TELLING and len(pool.concept_ids) > 1:
        share = f"{100 * agreement:.0f} %"
        notes.append(
            f"the neighbours agree with the concept of {share} of the pictures only: these vectors hardly tell the "
            "concepts apart, and their suspects say little"
        )
    if pool.unindexed:
        words = counted(pool.unindexed, "picture")
        notes.append(f"{words} without a vector of {model!r} left out: pictus search index --run {model}")
    if len(pool.concept_ids) == 1:
        notes.append("all pictures are of one concept: none can be suspected of another")
    if model == CLASSICAL:
        notes.append(f"edges and colours only tell gross mistakes; a trained run tells more: {train_command()}")
    if not project.tables.exists("verdicts"):
        notes.append("bad pictures and duplicates are still among them: pictus clean")
    return tuple(notes)


def _most_suspicious(table: pa.Table, taxonomy: Taxonomy) -> Iterator[str]:
    """The few worst of each kind, in words."""

    def name(concept_id: str) -> str:
        return taxonomy.name(concept_id) if concept_id in taxonomy else concept_id

    def worst(by: str, least: float) -> list[Mapping[str, Any]]:
        rows = table.sort_by([(by, "descending"), ("image_id", "ascending")]).slice(0, SHOWN).to_pylist()
        return [row for row in rows if row[by] > least]

    for row in worst("outlier", OUTLIER_FROM):
        yield f"  outlier   {row['image_id'][:12]}  {row['outlier']:.5f} among {name(row['concept_id'])}"
    for row in worst("margin", 0):
        yield (
            f"  suspect   {row['image_id'][:12]}  {name(row['concept_id'])}, looks like {name(row['suspect_id'])} "
            f"(margin {row['margin']:.2f})"
        )
    for row in worst("similarity", 0):
        if row["twin_id"]:
            yield f"  twin      {row['image_id'][:12]}  of {row['twin_id'][:12]} (cosine {row['similarity']:.3f})"
