"""The steps of search: index, query."""

from __future__ import annotations

import difflib
import hashlib
from collections import defaultdict, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pictus import engine as engines
from pictus import models, pixels, shards
from pictus.concepts import Taxonomy, load_taxonomy, plain
from pictus.errors import PictureError, UserError, counted
from pictus.journey import TAXONOMY, first_command
from pictus.progress import Meter
from pictus.project import Project
from pictus.registry import Outcome, step
from pictus.releases import origins
from pictus.search import descriptor
from pictus.search.nearest import Block, Found, nearest, typical
from pictus.tables import one_of

Floats = npt.NDArray[np.float32]
Place = tuple[str, int, int]

CLASSICAL = "classical"
PREFIX = "embeddings_"
COMMIT_ROWS = 2_000
"""Pictures per commit of a run's vectors: one to two minutes of a ResNet-50 on two cores."""
BLOCK_ROWS = 1_024
"""Vectors per block: 1.5 MB at 384 features, which a core keeps near; at 8,192 a million take three times as long."""
MADE_BY = b"made_by"
"""Schema metadata of an index: the digest of what made its vectors."""
IMAGE_COLUMNS = ("image_id", "shard", "offset", "size")
MAX_COUNT = 10_000
CLASSES_NAMED = 10
"""So many classes are named to a person who searched for a word that is none."""
NEAR_FROM = 5_000
"""With more names than this, only those with the same first letter are compared: all would take a second."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One picture found. `score`: cosine similarity, -1..1; for a word without an index, the posterior."""

    image_id: str
    score: float
    concept_id: str
    names: tuple[str, ...]
    address: str


class Maker(NamedTuple):
    """What turns pictures into vectors: a run, or the classical descriptor (None)."""

    name: str
    run: models.Run | None
    argument: str
    """What a person types after --run: the name, or the path of a run that lies elsewhere."""
    mark: str = ""
    """Tells the index of a run elsewhere from that of the project's own run of the same name."""

    @property
    def table(self) -> str:
        return PREFIX + self.name + (f"-{self.mark}" if self.mark else "")

    @property
    def command(self) -> str:
        return f"pictus search index --run {self.argument}"


_CLASSICAL = Maker(CLASSICAL, None, CLASSICAL)


class Search(NamedTuple):
    """Pictures found, how that is said, and what was in the way."""

    found: list[Found]
    said: str
    problems: tuple[str, ...]


@step("search index", changes=True)
def index(
    project: Project, *, run: str = "", engine: Literal["local", "ray"] = "local", workers: int = 0
) -> Outcome[Hit]:
    """Turn every picture into a vector: by a trained run, or by edges and colours when there is none.

    Pictures that have a vector are skipped; a stopped run continues where it was. When the weights
    have changed, the index is made anew.

    run: a run's name; `classical` for edges and colours; the newest finished run when left out.
    engine: where the classical descriptor is computed, `local` or `ray`.
    workers: processes (for a run: decoding threads) at once, 0 for one per CPU.

    Examples:
        pictus search index
        pictus search index --run classical
    """
    if not project.tables.count("images"):
        raise UserError("There are no pictures to index.", fix=first_command(project, "pictures"))
    maker = _named(project, run) if run else next(iter(_makers(project)))
    if maker.run and engine != "local":
        what = f"--engine {engine} computes the classical descriptor only; {maker.name!r} is a training run."
        raise UserError(what, fix=f"{maker.command}    or    pictus search index --run {CLASSICAL} --engine {engine}")
    with project.lock("search"):
        made_by = _digest(maker)
        forgotten = _forget_other(project, maker, made_by)
        missing = project.tables.missing(maker.table, "images", IMAGE_COLUMNS)
        known_unusable = len(_without_vector(project, maker))
        if maker.run is None:
            compute = partial(describe_batch, str(project.shards_dir))
            label = "describing pictures"
            written = engines.run(project, maker.table, missing, compute, engine=engine, workers=workers, label=label)
        else:
            written = _embed(project, maker, missing, made_by, workers)
        total, unusable = project.tables.count(maker.table), _without_vector(project, maker)
        summary = {"index": maker.name, "written": written, "total": total, "unusable": len(unusable)}
        if written or forgotten:
            numbers = {key: value for key, value in summary.items() if key != "index"}
            project.journal.log("search", "pictures_indexed", maker.name, **numbers, forgotten=forgotten)
    called = models.called(maker.run) if maker.run else maker.name
    headline = f"{counted(total, 'picture')} indexed by {called} ({written:,} new)"
    notes = [*models.unfinished(maker.run)] if maker.run else []
    notes += [f"{counted(forgotten, 'vector')} made by earlier weights replaced"] if forgotten else []
    if len(unusable) > known_unusable:  # said when it is found, not each time
        is_dropped = set(unusable) <= _left_out(project)
        advice = ", dropped already" if is_dropped else ": pictus clean"
        notes.append(f"{counted(len(unusable), 'picture')} without a vector (not decodable){advice}")
    following = ("pictus search query --text NAME", "pictus web")
    return Outcome("search index", {**summary, "forgotten": forgotten}, headline, tuple(notes), following)


@step("search query", changes=False)
def query(
    project: Project, *, image: Path | None = None, text: str = "", like: str = "", run: str = "", count: int = 12
) -> Outcome[Hit]:
    """Find pictures like a picture, or of a concept. Dropped pictures and duplicates are left out.

    image: a picture file to search with.
    text: a concept's id or name, or words that one begins with; pictures of everything below it are found.
    like: the image_id of a picture in the project, or its beginning.
    run: which index to use; the newest finished run's when left out, else the classical one.
    count: how many to find.

    Examples:
        pictus search query --image strange.jpg
        pictus search query --text owl --count 24
    """
    if sum(map(bool, (image, text.strip(), like.strip()))) != 1:
        raise UserError("A search takes one of --image, --text and --like.", fix="pictus search query --text owl")
    if not 1 <= count <= MAX_COUNT:
        raise UserError(f"--count {count} is not between 1 and {MAX_COUNT:,}.", fix="pictus search query --count 12 …")
    taxonomy = load_taxonomy(project)
    maker = _indexed(project, run)
    if text.strip():
        answer = _by_text(project, taxonomy, text.strip(), maker, count)
    elif maker is None:
        has_pictures = project.tables.count("images")
        fix = "pictus search index" if has_pictures else first_command(project, "pictures")
        raise UserError("The pictures are not indexed yet.", fix=fix)
    else:
        answer = _by_picture(project, maker, image, like, count)
    hits = _hits(project, taxonomy, answer.found)
    problems = (*answer.problems, *_unindexed(project, maker))
    return Outcome("search query", {"found": len(hits)}, answer.said, problems, source=lambda: iter(hits))


def describe_batch(folder: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """One row for each picture: its descriptor, null for one that cannot be decoded."""
    vectors = np.zeros((batch.num_rows, descriptor.SIZE), np.float32)
    for row, place in enumerate(_places(batch)):
        try:
            vectors[row] = descriptor.describe(shards.read(Path(folder), *place))
        except PictureError:
            continue  # the cause stands in the table `checks`
    return embedding_batch(batch.column("image_id"), vectors, descriptor.VERSION)


def _embed(project: Project, maker: Maker, missing: pa.Table, made_by: str, workers: int) -> int:
    run = maker.run
    assert run is not None
    network = models.load_run(run)
    if _digest(maker) != made_by:
        raise UserError(f"The weights of {maker.name!r} changed while they were read.", fix=maker.command)
    with project.progress.track(f"embedding by {maker.name}", missing.num_rows) as meter:
        for start in range(0, missing.num_rows, COMMIT_ROWS):
            rows = missing.slice(start, COMMIT_ROWS).combine_chunks()
            usable: list[int] = []
            prepared = _prepared(project.shards_dir, rows, run.preprocessing, workers or engines.cpu_count())
            features = models.embed_pixels(network, run, _usable(prepared, usable, meter))
            if len(features) and not np.isfinite(features).any():
                what = f"The vectors of run {maker.name!r} are not numbers: its training diverged."
                raise UserError(what, fix="pictus train run with a smaller learning rate")
            vectors = np.zeros((rows.num_rows, features.shape[1]), np.float32)
            vectors[usable] = features
            project.tables.append(maker.table, embedding_batch(rows.column("image_id"), vectors, made_by))
    return int(missing.num_rows)


def _prepared(
    folder: Path, rows: pa.Table, preprocessing: models.Preprocessing, threads: int
) -> Iterator[models.Pixels | None]:  # fmt: skip
    """Every picture in order, None for one that cannot be decoded; a few are decoded ahead."""

    def one(place: Place) -> models.Pixels | None:
        try:
            return models.prepare(shards.read(folder, *place), preprocessing)
        except PictureError:
            return None

    waiting: deque[Future[models.Pixels | None]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for place in _places(rows):
            waiting.append(pool.submit(one, place))
            if len(waiting) > 8 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _usable(
    pictures: Iterator[models.Pixels | None], usable: list[int], meter: Meter
) -> Iterator[models.Pixels]:  # fmt: skip
    """The pictures there are; `usable` receives the row of each."""
    for row, picture in enumerate(pictures):
        meter.advance()
        if picture is not None:
            usable.append(row)
            yield picture


def _places(rows: pa.Table | pa.RecordBatch) -> Iterator[Place]:
    columns = (rows.column(name).to_pylist() for name in ("shard", "offset", "size"))
    yield from zip(*columns, strict=True)


def embedding_batch(ids: pa.Array, vectors: Floats, made_by: str) -> pa.RecordBatch:
    """Vectors scaled to length 1; null for one without a direction (zeros, or not a number)."""
    ids = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    has_none = ~((lengths > 0) & np.isfinite(lengths))
    unit = np.where(has_none, 0, vectors / np.where(has_none, 1, lengths)).astype(np.float32)
    size = vectors.shape[1]
    column = pa.FixedSizeListArray.from_arrays(pa.array(unit.ravel()), size, mask=pa.array(has_none.ravel()))
    fields = [pa.field("image_id", pa.string(), nullable=False), pa.field("embedding", pa.list_(pa.float32(), size))]
    return pa.RecordBatch.from_arrays([ids, column], schema=pa.schema(fields, {MADE_BY: made_by.encode()}))


def blocks(project: Project, maker: Maker) -> Iterator[Block]:
    for batch in project.tables.batches(maker.table, ("image_id", "embedding"), rows=BLOCK_ROWS):
        whole = batch.filter(batch.column("embedding").is_valid()) if batch.column("embedding").null_count else batch
        if whole.num_rows:
            vectors = whole.column("embedding").flatten().to_numpy(zero_copy_only=False)
            yield Block(whole.column("image_id"), vectors.reshape(whole.num_rows, -1))


def _by_picture(project: Project, maker: Maker, image: Path | None, like: str, count: int) -> Search:
    excluded = _left_out(project)
    if image is None:
        image_id, asked = _stored(project, maker, like)
        excluded.add(image_id)
        what = image_id[:12]
    else:
        asked, what = _asked(project, maker, image), image.name
    found = nearest(asked, blocks(project, maker), count, excluded=excluded)
    return Search(found, f"{counted(len(found), 'picture')} most like {what}, by {maker.name}", ())


def _stored(project: Project, maker: Maker, like: str) -> tuple[str, Floats]:
    """The id and vector of an indexed picture by its id or the beginning of it."""
    digits = _hex(like)
    where = f"starts_with(image_id, '{digits}')"
    rows = project.tables.read(maker.table, where=where, limit=2)
    if not rows.num_rows and (origin := origins(project, digits)):  # a picture that was changed for a release
        rows = project.tables.read(maker.table, where=one_of("image_id", sorted(origin)), limit=2)
    if rows.num_rows != 1:
        what = "is not in the index" if not rows.num_rows else "is the beginning of several pictures in the index"
        raise UserError(f"{like!r} {what} {maker.name!r}.", fix="give more digits" if rows.num_rows else maker.command)
    image_id, vector = rows.column("image_id")[0].as_py(), rows.column("embedding")[0].as_py()
    if vector is None:
        raise UserError(f"The picture {image_id} has no vector: it cannot be decoded.", fix=f"pictus show {image_id}")
    return image_id, np.asarray(vector, np.float32)


def _asked(project: Project, maker: Maker, image: Path) -> Floats:
    """The vector of a picture file, made as the index was."""
    if _made_by(project, maker) != _digest(maker):
        raise UserError(f"The weights of {maker.name!r} have changed since its index was made.", fix=maker.command)
    try:
        with image.open("rb") as opened:
            image_bytes = opened.read(pixels.MAX_BYTES + 1)
        if maker.run is None:
            return descriptor.describe(image_bytes)
        vector: Floats = models.embed(models.load_run(maker.run), maker.run, [image_bytes])[0]
    except PictureError as error:
        raise UserError(f"{image} cannot be searched with: {error}.", fix="give a JPEG, PNG or WebP file") from error
    except OSError as error:
        raise UserError(f"{image} cannot be read: {error.strerror}.", fix="give the path of a picture file") from error
    return vector


def _by_text(project: Project, taxonomy: Taxonomy, text: str, maker: Maker | None, count: int) -> Search:
    concepts = _concepts_named(taxonomy, text)
    below = {inner for concept in concepts for inner in (concept, *taxonomy.descendants(concept))}
    chances = _labelled(project, below)
    for image_id in _left_out(project) & chances.keys():
        del chances[image_id]
    nearest_first = typical(partial(blocks, project, maker), chances.keys(), count) if maker and chances else None
    if maker and nearest_first is not None:
        found, how = nearest_first, f"most typical first, by {maker.name}"
    else:
        ranked = sorted(chances, key=lambda image_id: (-chances[image_id], image_id))
        found = [Found(image_id, chances[image_id]) for image_id in ranked[:count]]
        how = "surest labels first"
    shown = ", ".join(taxonomy.name(concept) for concept in concepts[:3]) + (", …" if len(concepts) > 3 else "")  # noqa: PLR2004
    problems: tuple[str, ...] = ()
    if not project.tables.count("labels"):
        problems = (f"no labels are settled yet: {first_command(project, 'labels')}",)
    return Search(found, f"{counted(len(chances), 'picture')} of {shown}; {len(found):,} shown, {how}", problems)


def _concepts_named(taxonomy: Taxonomy, text: str) -> list[str]:
    """Exact names or ids first; else every concept one of whose words begins with the text."""
    exact = list(taxonomy.find(text))
    if exact:
        return exact
    wanted = f" {plain(text)}"
    found = [node.concept_id for node in taxonomy if any(wanted in f" {plain(name)}" for name in node.names)]
    if not found:
        raise _unknown(taxonomy, text)
    return found


def _unknown(taxonomy: Taxonomy, text: str) -> UserError:
    """The names near a word that nobody has, and some classes there are."""
    if not len(taxonomy):
        return UserError(f"There is no concept {text!r}: the project has none yet.", fix=TAXONOMY)
    wanted = plain(text)
    names = {plain(name) for node in taxonomy for name in node.names}
    if len(names) > NEAR_FROM:
        names = {name for name in names if name[:1] == wanted[:1]}
    near = difflib.get_close_matches(wanted, sorted(names), n=3, cutoff=0.7)
    chosen = sorted(map(taxonomy.name, taxonomy.classes or taxonomy.concepts))
    listed = ", ".join(chosen[:CLASSES_NAMED]) + (", …" if len(chosen) > CLASSES_NAMED else "")
    meant = f"did you mean {' or '.join(near)}?    " if near else ""
    return UserError(f"There is no concept {text!r}.", fix=f"{meant}your classes: {listed}")


def _without_vector(project: Project, maker: Maker) -> list[str]:
    if not project.tables.exists(maker.table):
        return []
    rows = project.tables.read(maker.table, ["image_id"], where="embedding IS NULL")
    return [str(image_id) for image_id in rows.column("image_id").to_pylist()]


def _labelled(project: Project, concepts: set[str]) -> dict[str, float]:
    """Posterior of every picture accepted as one of the concepts."""
    import pyarrow.compute as pc  # noqa: PLC0415  0.1 s that --help does not pay

    rows = project.tables.read("labels", ["image_id", "concept_id", "posterior"], where="status = 'accepted'")
    rows = rows.filter(pc.is_in(rows.column("concept_id"), value_set=pa.array(sorted(concepts), pa.string())))
    return dict(zip(rows.column("image_id").to_pylist(), rows.column("posterior").to_pylist(), strict=True))


def _left_out(project: Project) -> set[str]:
    """Dropped pictures, and duplicates that no screen has judged yet."""
    import pyarrow.compute as pc  # noqa: PLC0415

    verdicts = project.tables.read("verdicts", ["image_id", "verdict"])
    dropped = verdicts.filter(pc.equal(verdicts.column("verdict"), "drop")).column("image_id")
    copies = project.tables.read("duplicates", ["image_id"], where="NOT is_keeper").column("image_id")
    judged = pc.is_in(copies, value_set=verdicts.column("image_id").combine_chunks())
    return {*dropped.to_pylist(), *copies.filter(pc.invert(judged)).to_pylist()}


def _hits(project: Project, taxonomy: Taxonomy, found: list[Found]) -> list[Hit]:
    where = one_of("image_id", [entry.image_id for entry in found])
    labels = project.tables.read("labels", ["image_id", "concept_id"], where=f"status = 'accepted' AND {where}")
    label = dict(zip(labels.column("image_id").to_pylist(), labels.column("concept_id").to_pylist(), strict=True))
    sources: defaultdict[str, str] = defaultdict(str)
    for row in project.tables.read("sources", ["image_id", "address"], where=where).to_pylist():
        sources.setdefault(row["image_id"], row["address"])
    hits = []
    for image_id, score in found:
        concept = label.get(image_id, "")
        names = taxonomy.get(concept).names if concept in taxonomy else ()
        hits.append(Hit(image_id, score, concept, names, sources[image_id]))
    return hits


def _makers(project: Project) -> list[Maker]:
    """Every finished run, the newest first, and the classical descriptor last."""
    finished = [run for run in models.by_finish(models.runs(project)) if run.root.name != CLASSICAL]
    return [*(Maker(run.root.name, run, run.root.name) for run in reversed(finished)), _CLASSICAL]


def _named(project: Project, run: str) -> Maker:
    if run == CLASSICAL:
        return _CLASSICAL
    found = models.find_run(project, run)
    is_own = found.root.parent == project.models_dir.resolve()
    mark = "" if is_own else hashlib.sha256(str(found.root).encode()).hexdigest()[:8]
    return Maker(found.root.name, found, run, mark)


def _indexed(project: Project, run: str) -> Maker | None:
    """The index to use: the named one, else that of the newest finished run that has one, else the classical one."""
    makers = [_named(project, run)] if run else _makers(project)
    chosen = next((maker for maker in makers if project.tables.exists(maker.table)), None)
    if run and chosen is None:
        raise UserError(f"There is no index {makers[0].name!r}.", fix=makers[0].command)
    return chosen


def _unindexed(project: Project, maker: Maker | None) -> tuple[str, ...]:
    if maker is None:
        return ()
    missing = project.tables.count("images") - project.tables.count(maker.table)
    return (f"{counted(missing, 'picture')} not in the index {maker.name!r}: {maker.command}",) if missing > 0 else ()


def _forget_other(project: Project, maker: Maker, made_by: str) -> int:
    """Drop an index that other weights made (half old, half new would lie) -> its rows."""
    if not project.tables.exists(maker.table) or _made_by(project, maker) == made_by:
        return 0
    rows = project.tables.count(maker.table)
    project.tables.drop(maker.table)
    return rows


def _made_by(project: Project, maker: Maker) -> str:
    metadata = project.tables.read(maker.table, ["image_id"], limit=1).schema.metadata or {}
    return str(metadata.get(MADE_BY, b"").decode())


def _digest(maker: Maker) -> str:
    """What the vectors depend on: the weights' bytes, or the descriptor's version."""
    if maker.run is None:
        return descriptor.VERSION
    return models.weights_sha256(maker.run)


def _hex(text: str) -> str:
    digits = text.strip().lower()
    if not digits or any(character not in "0123456789abcdef" for character in digits):
        raise UserError(f"{text!r} is not an image_id (64 hex digits) or its beginning.", fix="pictus web shows them")
    return digits
