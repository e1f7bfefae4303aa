"""What models say of the pictures in a project: P(yes) of pairs, vectors to tell what is unlike, cases of production.

Read, in this order: the newest evaluation of each finished run on pictures it did not learn from (the best five
guesses of each), then the table `relevance`, where P(own concept) = (1 - margin) / 2 among it and the nearest other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pictus import models
from pictus.annotate.exchange.reference_steps import pictures_named
from pictus.annotate.queues import priorities
from pictus.annotate.queues.evidence import World
from pictus.annotate.queues.priorities import Bools, Floats, Ints
from pictus.errors import UserError, counted
from pictus.project import Project

PRODUCTION = "predictions"
"""Folder of the project for what served models said: .jsonl (as `serve predict --jsonl` writes it) or .parquet.

A picture is named by `image_id` or by `path`, the end of an address it was found at. With `wanted` it is a case however
sure the first guess is (`train active` writes so).
"""

HARD = 0.8
"""A prediction of production with a first guess less probable than this is a hard case."""

LIKELY = 0.5
"""A guess at least so probable for a picture without a claim is worth a question of its own."""

_PREFIX, _CLASSICAL = "embeddings_", "classical"


class Scores(NamedTuple):
    """P(yes) of pairs, keys ascending; `wanted`: pairs that only the model names and that are worth asking."""

    keys: Ints
    probability: Floats
    wanted: Ints


def read(project: Project, world: World) -> Scores:
    """Every P(yes) there is; of several for one pair that of the newest run."""
    keys: list[Ints] = []
    shares: list[Floats] = []
    for path in evaluations(project):
        found = _of_evaluation(predicted(project, path), world)
        keys.append(found[0])
        shares.append(found[1])
    guessed = np.concatenate([np.zeros(0, np.int64), *keys])
    probable = np.concatenate([np.zeros(0), *shares])
    wanted = guessed[probable >= LIKELY]
    more_keys, more_shares = _of_relevance(project, world)
    every, first = np.unique(np.concatenate([guessed, more_keys]), return_index=True)
    keep = every >= 0
    return Scores(every[keep], np.concatenate([probable, more_shares])[first][keep], wanted[wanted >= 0])


def evaluations(project: Project) -> list[Path]:
    """Predictions of finished runs on pictures they did not learn from, the newest run first."""
    newest_first = reversed(models.by_finish(models.runs(project, skip_broken=True)))
    return [path for run in newest_first for path in evaluations_of(run)]


def evaluations_of(run: models.Run) -> list[Path]:
    """The same of one run."""
    paths = sorted(run.root.glob("evaluations/*/predictions.parquet"))
    return [path for path in paths if path.parent.name.endswith(("-val", "-test"))]


def predicted(project: Project, path: Path) -> pa.Table:
    """One evaluation's rows: image_id, concept_id, guesses, probabilities, true_probability, cause.

    Pictures that were changed for the release (a face blurred) stand under the image_id they have in the project.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = ["image_id", "concept_id", "guesses", "probabilities", "true_probability", "cause"]
    try:
        rows = pq.read_table(path, columns=columns).replace_schema_metadata(None).select(columns)
    except (pa.ArrowException, OSError, KeyError) as error:
        what = f"{path} cannot be read: {str(error).splitlines()[0][:200]}."
        raise UserError(what, fix=f"pictus evaluate run --run {path.parents[2].name}") from error
    released = project.releases_dir / path.parent.name.rpartition("-")[0] / "pictures.parquet"
    if not released.is_file() or "origin_id" not in pq.read_schema(released).names:
        return rows
    changed = pq.read_table(released, columns=["image_id", "origin_id"], filters=[("changes", "!=", "")])
    at = pc.index_in(rows.column("image_id"), value_set=changed.column("image_id").combine_chunks())
    before = changed.column("origin_id").take(at.combine_chunks())
    return rows.set_column(0, "image_id", pc.coalesce(before, rows.column("image_id")))


def _of_evaluation(rows: pa.Table, world: World) -> tuple[Ints, Floats]:
    guesses, shares = rows.column("guesses").combine_chunks(), rows.column("probabilities").combine_chunks()
    parents = pc.list_parent_indices(guesses)
    images = rows.column("image_id").combine_chunks().take(parents)
    keys = world.keys(images, pc.list_flatten(guesses))
    return keys, np.asarray(pc.list_flatten(shares).to_numpy(zero_copy_only=False), np.float64)


def _of_relevance(project: Project, world: World) -> tuple[Ints, Floats]:
    rows = project.tables.read("relevance", ["image_id", "concept_id", "suspect_id", "margin"])
    margin = np.asarray(rows.column("margin").to_numpy(), np.float64)
    own = world.keys(rows.column("image_id"), rows.column("concept_id"))
    other = world.keys(rows.column("image_id"), rows.column("suspect_id"))
    return np.concatenate([own, other]), np.concatenate([(1 - margin) / 2, (1 + margin) / 2])


def production(project: Project, world: World) -> tuple[Ints, tuple[str, ...]]:
    """Pairs that served models were unsure of, by the folder `predictions`; and what to say where there is none."""
    folder = project.root / PRODUCTION
    files = sorted((*folder.glob("*.jsonl"), *folder.glob("*.parquet"))) if folder.is_dir() else []
    if not files:
        return np.zeros(0, np.int64), ()
    named: list[str] = []
    concepts: list[str] = []
    broken = 0
    for path in files:
        for row in _predicted(path):
            try:
                guess, share = row["guesses"][0], float(row["probabilities"][0])
                name = str(row.get("image_id") or row["path"])
            except (KeyError, IndexError, TypeError, ValueError):  # counted, and told below
                broken += 1
                continue
            if share < HARD or row.get("wanted"):
                named.append(name)
                concepts.append(str(guess))
    meant = pictures_named(project, named, among=world.images.to_pylist()).image_ids
    images = [meant.get(name, "") for name in named]
    keys = np.unique(world.keys(pa.array(images, pa.string()), pa.array(concepts, pa.string())))
    keys = keys[keys >= 0]
    notes = [f"{counted(keys.size, 'hard case', 'hard cases')} of {counted(len(files), 'file')} in {folder}"]
    if keys.size < len(set(zip(named, concepts, strict=True))):
        notes.append("the others are of pictures or concepts that are not in the project: pictus collect add them")
    if broken:
        notes.append(f"{counted(broken, 'line')} there without guesses and image_id passed over")
    return keys, tuple(notes)


def _predicted(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415

        try:
            rows = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            what = f"{path} cannot be read as Parquet: {str(error).splitlines()[0][:200]}."
            raise UserError(what, fix="write it again, or move it away") from error
        for batch in rows.to_batches(max_chunksize=10_000):
            yield from batch.to_pylist()
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:  # no JSON: passed over with those that name no picture
                row = {}
            yield row if isinstance(row, dict) else {}


def novelty(
    project: Project, world: World, concept_R: Ints, image_R: Ints, is_accepted_R: Bools
) -> Floats:
    """How unlike the others of its concept every candidate is, f64[R]; 0 without vectors. Rows sorted by concept."""
    novel_R = np.zeros(concept_R.size)
    vectors, has_one = _vectors(project, world)
    if vectors is None:
        return novel_R
    numbers, starts = np.unique(concept_R, return_index=True)
    for start, end in zip(starts, np.append(starts[1:], concept_R.size)[: numbers.size], strict=True):
        rows = np.arange(start, end)
        rows = rows[has_one[image_R[rows]]]
        is_accepted = is_accepted_R[rows].astype(bool)
        accepted, fresh = rows[is_accepted], rows[~is_accepted]
        if fresh.size:
            covered = accepted[np.linspace(0, accepted.size - 1, min(accepted.size, priorities.COVERED)).astype(int)]
            novel_R[fresh] = priorities.novelty(
                vectors[image_R[fresh]].astype(np.float32), vectors[image_R[covered]].astype(np.float32)
            )
    return novel_R


def _vectors(project: Project, world: World) -> tuple[Any, Bools]:
    """One short vector for each picture, f16[N, D], and which have one: of an index, else the hash of its look."""
    tables, has_one = project.tables, np.zeros(len(world.images), np.bool_)
    finished = [run.root.name for run in reversed(models.by_finish(models.runs(project, skip_broken=True)))]
    name = next((one for one in (*finished, _CLASSICAL) if tables.exists(_PREFIX + one)), "")
    if name:
        vectors, project_DF = None, None
        for batch, number in _numbered(project, world, _PREFIX + name, "embedding"):
            is_usable = batch.column("embedding").is_valid()
            usable, at = batch.filter(is_usable), number[np.asarray(is_usable.to_numpy(zero_copy_only=False))]
            if not at.size:
                continue
            flat = usable.column("embedding").flatten().to_numpy().reshape(at.size, -1).astype(np.float32)
            if vectors is None or project_DF is None:
                project_DF = priorities.projection(flat.shape[1])
                vectors = np.zeros((len(world.images), project_DF.shape[1]), np.float16)
            vectors[at[at >= 0]] = (flat[at >= 0] @ project_DF).astype(np.float16)
            has_one[at[at >= 0]] = True
        return vectors, has_one
    if not tables.exists("checks"):
        return None, has_one
    vectors = np.zeros((len(world.images), 64), np.float16)
    for batch, at in _numbered(project, world, "checks", "cause", "phash"):
        good = (at >= 0) & np.asarray(pc.equal(batch.column("cause"), "").to_numpy(zero_copy_only=False))
        vectors[at[good]] = priorities.bits_of(batch.column("phash").to_numpy()[good]).astype(np.float16)
        has_one[at[good]] = True
    return vectors, has_one


def _numbered(
    project: Project, world: World, table: str, *columns: str
) -> Iterator[tuple[pa.RecordBatch, Ints]]:  # fmt: skip
    """A table in batches, each with its pictures' numbers. They are looked up at once: one index of the pictures."""
    number = world.image_numbers(project.tables.read(table, ["image_id"]).column("image_id"))
    start = 0
    for batch in project.tables.batches(table, columns):
        if start + batch.num_rows > number.size:  # rows that came in meanwhile
            return
        yield batch, number[start : start + batch.num_rows]
        start += batch.num_rows
