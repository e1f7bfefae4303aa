"""The verb `dedupe`: which pictures are the same, which one stays, by which evidence."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pictus import engine as engines
from pictus import neighbours, releases
from pictus.clean import duplicates, increments, keepers, relatives, rules
from pictus.clean.duplicates import Ids, Pool
from pictus.clean.relatives import Edge
from pictus.errors import UserError, counted
from pictus.hashes import Rows
from pictus.project import Project, write_bytes
from pictus.records import Duplicate
from pictus.registry import Outcome, step
from pictus.tables import table_of

MANY_DOUBTFUL = 5
LONG_CHAIN = 20_000
ALONE_S = 5.0
"""Estimated seconds of joining up to which this process does it itself: starting others costs about as much."""

_SUBJECT = "duplicates"  # of the event that says how the table came about; `screen` looks for it
_COLUMNS = (
    "image_id", "cause", "width", "height", "sharpness", "grey_frac", "pixel_sha256", "phash", "dhash", "pdq",
    "pdq_quality", "jpeg_quality",
)  # fmt: skip
_AT_ONCE = 100_000
_SHORT = 12


@step("clean dedupe", changes=True)
def dedupe(
    project: Project, *, radius: int = duplicates.RADIUS, keep: tuple[str, ...] = (), engine: str = "local",
    workers: int = 0,
) -> Outcome[Duplicate]:  # fmt: skip
    """Find pictures with equal pixels, near-duplicates and what `clean match` found; say which one stays and why.

    The keeper has the most pixels, then colour, then the most bytes, then was added first, unless --keep
    says otherwise. Only what is new since the last search is compared; the result is that of a whole search.

    radius: how many of the 384 bits of two pictures' hashes may differ; 0 for equal hashes only
    keep: what makes a picture the one to keep, the first counts most: resolution, quality, licence, age
    engine: where to compare, `local` or `ray`
    workers: processes at once, 0 for one per CPU

    Examples:
        pictus clean dedupe
        pictus clean dedupe --radius 60
        pictus clean dedupe --keep licence --keep resolution
        pictus clean dedupe --engine ray
    """
    if not 0 <= radius <= duplicates.HASH_BITS // 3:
        raise UserError(
            f"--radius {radius} is not between 0 and {duplicates.HASH_BITS // 3}: unrelated pictures differ in more.",
            fix=f"pictus clean dedupe --radius {duplicates.RADIUS}",
        )
    asked = keepers.read_keep(keep)
    engines.RUNNERS.get(engine)
    with project.lock("clean"):
        pool, measured, unmeasured = pool_of(project, asked)
        where = Where(project, engine, workers)
        likenesses = project.tables.version("likenesses")
        unmatched = _unmatched(project, pool)
        table, largest = _found(where, pool, _edges(project, pool), {"radius": radius, "keep": asked})
        numbers = {
            "pictures": measured, **_counts(table), "radius": radius, "keep": list(asked), "unmatched": unmatched,
            "largest_chain": largest,
        }  # fmt: skip
        project.journal.log(
            "clean", "duplicates_found", _SUBJECT, **numbers, version=project.tables.version("duplicates"),
            likenesses=likenesses,
        )  # fmt: skip
    return Outcome(
        step="clean dedupe",
        summary={**numbers, "distances": _distances(table)},
        headline=_headline(numbers, radius),
        problems=(
            *_unmeasured(unmeasured), *_not_matched(unmatched), *_long_chain(largest), *_doubtful(table, radius),
            *_across(project, table),
        ),
        next=("pictus clean screen",),
        source=lambda: project.tables.records("duplicates", Duplicate),
    )


class Where(NamedTuple):
    """The project, and the engine with how many processes compute for it."""

    project: Project
    engine: str
    workers: int

    def is_alone(self, seconds: float) -> bool:
        """Whether this process does so much work itself."""
        return self.workers == 1 or (seconds < ALONE_S and self.workers == 0) if self.engine == "local" else False


class Read(NamedTuple):
    """The pictures that can be decoded, how many are measured, and how many are not yet."""

    pool: Pool
    measured: int
    unmeasured: int


def pool_of(project: Project, keep: tuple[str, ...] = ()) -> Read:
    """Every picture that can be decoded, in the order they were added, with the merits that `keep` asks for."""
    import pyarrow.compute as pc  # noqa: PLC0415  0.1 s that --help does not pay

    images = project.tables.read("images", ["image_id", "size", "added_at"])
    checks = project.tables.read("checks", _COLUMNS)
    rows, added = checks, images.num_rows
    if not images.column("image_id").equals(checks.column("image_id")):  # measured later, or in another order
        place = pc.index_in(images.column("image_id"), value_set=checks.column("image_id").combine_chunks())
        has_check = pc.is_valid(place)
        images, rows = images.filter(has_check), checks.take(place.filter(has_check))
    if not rows.num_rows:
        raise UserError("No picture has been measured yet.", fix="pictus clean check")
    measured = rows.num_rows
    is_whole = pc.equal(rows.column("cause"), "")
    if not pc.all(is_whole).as_py():
        images, rows = images.filter(is_whole), rows.filter(is_whole)
    rows = rows.combine_chunks()

    def numbers(name: str) -> Any:  # noqa: ANN401  an array of the column's type
        return rows.column(name).to_numpy()

    ids = Ids(rows.column("image_id").cast(pa.large_string()).combine_chunks())
    merits = keepers.Merits(
        width=numbers("width").astype(np.int64),
        height=numbers("height").astype(np.int64),
        is_grey=numbers("grey_frac") >= rules.GREY_FROM,
        size=images.column("size").to_numpy().astype(np.int64),
        jpeg_quality=numbers("jpeg_quality").astype(np.int64),
        sharpness=numbers("sharpness").astype(np.float64),
        freedom=_freedom(project, ids) if keepers.LICENCE in keep else np.full(len(ids), keepers.UNKNOWN),
        added=_ages(images.column("added_at")) if keepers.AGE in keep else np.zeros(len(ids), dtype=np.int64),
    )
    words = np.column_stack([numbers("phash"), numbers("dhash"), _words(rows.column("pdq"))])
    pixels, quality = _hex_words(rows.column("pixel_sha256")), numbers("pdq_quality").astype(np.int64)
    return Read(Pool(ids, pixels, words, quality, merits), measured, added - measured)


def _words(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """32 bytes each -> u64[N, 4]."""
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype=np.uint8)[chunk.offset * 32 : (chunk.offset + len(chunk)) * 32]
        for chunk in column.chunks
    ]
    return np.concatenate([np.zeros(0, np.uint8), *parts]).view(np.uint64).reshape(-1, 4)


def _hex_words(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """64 hexadecimal digits each -> u64[N, 4]."""
    found = [
        bytes.fromhex("".join(column.slice(start, _AT_ONCE).to_pylist()))
        for start in range(0, len(column), _AT_ONCE)
    ]  # fmt: skip
    return np.frombuffer(b"".join(found), dtype=np.uint64).reshape(-1, 4)


def _ages(times: pa.ChunkedArray) -> Rows:
    """Times as numbers in their order."""
    coded = times.combine_chunks().dictionary_encode()
    place = {text: number for number, text in enumerate(sorted(coded.dictionary.to_pylist()))}
    ages = np.array([place[text] for text in coded.dictionary.to_pylist()], dtype=np.int64)
    found: Rows = ages[coded.indices.to_numpy()]
    return found


def _freedom(project: Project, ids: Ids) -> Rows:
    """How free the freest licence is that a picture's sources state."""
    import pyarrow.compute as pc  # noqa: PLC0415

    sources = project.tables.read("sources", ["image_id", "licence"])
    place = pc.index_in(sources.column("image_id").cast(pa.large_string()), value_set=ids.column)
    licences = sources.column("licence").combine_chunks().dictionary_encode()
    worth = np.array([keepers.freedom([text]) for text in licences.dictionary.to_pylist()], dtype=np.int64)
    is_known = pc.is_valid(place).to_numpy()
    freedom = np.full(len(ids), keepers.UNKNOWN, dtype=np.int64)
    codes = licences.indices.to_numpy()[is_known]
    np.minimum.at(freedom, pc.drop_null(place).to_numpy(), worth[codes])
    return freedom


def _edges(project: Project, pool: Pool) -> list[Edge]:
    """What `clean match` found, between pictures of the pool."""
    import pyarrow.compute as pc  # noqa: PLC0415

    rows = project.tables.read("likenesses", ["image_id", "other_id", "relation", "similarity", "detail"])
    if not rows.num_rows:
        return []
    ends = [
        pc.fill_null(pc.index_in(rows.column(name).cast(pa.large_string()), value_set=pool.image_ids.column), -1)
        for name in ("image_id", "other_id")
    ]
    columns = [*ends, *(rows.column(name) for name in ("relation", "similarity", "detail"))]
    found = (Edge(*row) for row in zip(*(column.to_pylist() for column in columns), strict=True))
    return [edge for edge in found if min(edge.first, edge.second) >= 0 and edge.relation in relatives.RELATIONS]


def _unmatched(project: Project, pool: Pool) -> int:
    """How many pictures `clean match` has not compared; one of equal pixels speaks for all."""
    import pyarrow.compute as pc  # noqa: PLC0415

    matched = project.tables.read("matched", ["image_id"]).column("image_id").cast(pa.large_string())
    first = duplicates.first_of_equal(pool.pixels)
    is_matched = np.zeros(len(first), dtype=np.bool_)
    is_known = pc.is_in(pool.image_ids.column, value_set=matched.combine_chunks())
    is_matched[first[is_known.to_numpy(zero_copy_only=False)]] = True
    return int((~is_matched[np.unique(first)]).sum())


def _found(where: Where, pool: Pool, edges: list[Edge], how: dict[str, Any]) -> tuple[pa.Table, int]:
    """The table of duplicates, found by looking at what is new where the last search can be trusted; written.

    And how many different hashes the longest chain of near ones joins.
    """
    project = where.project
    join, grouping = increments.options(how["radius"], how["keep"])
    folder = project.cache_dir / "dedupe"
    state = _state(folder / "state")
    heads = duplicates.heads_of(pool)
    linked = _linked(where, pool.hashes[heads.nodes], how["radius"], increments.known_labels(pool, state, join))
    label = heads.spread(linked)
    version = project.tables.version("duplicates")
    is_known = state is not None and increments.is_same_so_far(pool, edges, state, grouping, version)
    if state is not None and state.join == join and is_known and version:
        earlier = project.tables.read("duplicates")
        new = (state.rows, state.edges)
        table = increments.regrouped(pool, edges, label, earlier=earlier, new=new, how=how)
    else:
        earlier = project.tables.read("duplicates") if version else None
        table = table_of("duplicates", duplicates.find(pool, edges=edges, label=label, **how))
    if earlier is None or not earlier.equals(table):
        project.tables.replace("duplicates", table)
    version = project.tables.version("duplicates")
    write_bytes(folder / "state", increments.encoded(increments.found(pool, edges, (join, grouping), version, linked)))
    return table, int(np.bincount(linked, minlength=1).max())


def _state(path: Path) -> increments.Found | None:
    try:
        return increments.decoded(path.read_bytes())
    except FileNotFoundError:  # the first search
        return None


def _linked(where: Where, words: np.ndarray[Any, np.dtype[np.uint64]], radius: int, before: Rows | None) -> Rows:
    """Which hashes chains of near pairs join. Long work is cut into parts whose results outlive a stopped run."""
    near = neighbours.nearness_of(radius, duplicates.KEY_RADIUS, 2)
    since = 0 if before is None else len(before)
    seconds = neighbours.join_cost_s(len(words), words.shape[1], near, since=since)
    how: dict[str, Any] = {"key_radius": duplicates.KEY_RADIUS, "keys": 2, "before": before}
    if since == len(words) or where.is_alone(seconds):
        with where.project.progress.track("dedupe", None):
            return neighbours.linked(words, radius, **how)
    name = blake2b(words.tobytes() + f"{radius} {since}".encode(), digest_size=16).hexdigest()
    parts = where.project.cache_dir / "dedupe" / name
    parts.mkdir(parents=True, exist_ok=True)
    path = parts / "hashes.npy"
    with path.with_suffix(".tmp").open("wb") as out:
        np.save(out, words, allow_pickle=False)
    path.with_suffix(".tmp").replace(path)
    label = neighbours.linked(words, radius, **how, spread=partial(_spread, where, parts), path=path)
    shutil.rmtree(parts)
    return label


def _spread(
    where: Where, parts: Path, compute: neighbours.Compute, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    waiting = list(batches)
    with where.project.progress.track("dedupe", len(waiting)) as meter:
        compute = partial(remembered, parts, compute)
        for result in engines.spread(compute, iter(waiting), engine=where.engine, workers=where.workers):
            meter.advance()
            yield result


def remembered(parts: Path, compute: neighbours.Compute, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What a worker runs: the result of a part, read back where an earlier run has left it whole."""
    path = parts / blake2b(batch.serialize(), digest_size=16).hexdigest()
    kept = increments.unsealed(path.read_bytes()) if path.is_file() else None
    if kept is not None:
        with pa.ipc.open_stream(kept) as stream:
            return stream.read_next_batch()
    found = compute(batch)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.schema) as stream:
        stream.write_batch(found)
    write_bytes(path, increments.sealed(sink.getvalue().to_pybytes()))
    return found


def _counts(table: pa.Table) -> dict[str, Any]:
    """How many groups and duplicates, and by which evidence."""
    keeper = table.column("is_keeper").to_pylist()
    found = Counter(
        relation for relation, is_keeper in zip(table.column("relation").to_pylist(), keeper, strict=True)
        if not is_keeper
    )  # fmt: skip
    return {
        "groups": sum(keeper), "duplicates": found.total(), "same_pixels": found[relatives.PIXELS],
        "near": found[relatives.NEAR], "relations": {name: found[name] for name in relatives.RELATIONS},
    }  # fmt: skip


def _headline(numbers: dict[str, Any], radius: int) -> str:
    made = [
        f"{count:,} {words}" for name, words in
        ((relatives.TURNED, "turned or mirrored"), (relatives.EDIT, "edited"), (relatives.CROP, "cropped"))
        if (count := numbers["relations"][name])
    ]  # fmt: skip
    if numbers["relations"][relatives.COLLAGE]:
        made.append(counted(numbers["relations"][relatives.COLLAGE], "collage"))
    return (
        f"{counted(numbers['duplicates'], 'duplicate')} in {counted(numbers['groups'], 'group')}:"
        f" {numbers['same_pixels']:,} with the same pixels, {numbers['near']:,} near (at most {radius} of"
        f" {duplicates.HASH_BITS} bits)" + "".join(f", {words}" for words in made)
    )


def _near_distances(table: pa.Table) -> list[int]:
    columns = (table.column(name).to_pylist() for name in ("relation", "is_keeper", "distance"))
    return [far for relation, is_keeper, far in zip(*columns, strict=True) if relation == "near" and not is_keeper]


def _distances(table: pa.Table) -> dict[str, int]:
    """How many near-duplicates lie at which distance, by tens of bits: for the picture of the radius."""
    tens = Counter(far // 10 * 10 for far in _near_distances(table))
    return {f"{ten}-{ten + 9}": tens[ten] for ten in sorted(tens)}


def _unmeasured(count: int) -> tuple[str, ...]:
    return (f"{counted(count, 'picture')} not measured yet: pictus clean check",) if count else ()


def _not_matched(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    return (f"{counted(count, 'picture')} not compared for crops, turned and edited copies: pictus clean match",)


def _long_chain(largest: int) -> tuple[str, ...]:
    """A word when one chain of look-alikes is so long that a smaller radius should cut it."""
    if largest < LONG_CHAIN:
        return ()
    words = f"one chain of look-alikes joins {largest:,} different pictures; grouping it takes their number squared"
    return (f"{words}. What is it (pictus web, Clean)? Shorter: pictus clean dedupe --radius {duplicates.RADIUS // 2}",)


def _doubtful(table: pa.Table, radius: int) -> tuple[str, ...]:
    """A word when the near ones crowd under the radius: copies lie far below it, look-alikes close to it."""
    near = _near_distances(table)
    close = sum(distance > 0.75 * radius for distance in near)
    if close < MANY_DOUBTFUL or close < len(near) / 3:
        return ()
    words = f"{close:,} of {len(near):,} near ones differ in over {0.75 * radius:.0f} bits: they may only look alike"
    return (f"{words}. Look at them (pictus web, Clean), or: pictus clean dedupe --radius {radius * 3 // 4}",)


def _across(project: Project, table: pa.Table) -> tuple[str, ...]:
    """A word for each draw or release that has pictures of one group in several splits."""
    group_of = dict(zip(table.column("image_id").to_pylist(), table.column("group_id").to_pylist(), strict=True))
    drawn: dict[str, list[tuple[str, str]]] = {}

    def draw(name: str, rows: pa.Table, ids: str) -> None:
        columns = (rows.column(column).to_pylist() for column in (ids, "split"))
        drawn[name] = list(zip(*columns, strict=True))

    if group_of:
        draw("the last draw of splits", project.tables.read("splits", ["image_id", "split"]), "image_id")
    problems = []
    for version in releases.versions(project.releases_dir) if group_of else ():
        try:
            # as found: in the release a picture whose place was taken out has another image_id
            draw(f"release {version}", releases.find_release(project, version).pictures, "origin_id")
        except UserError as error:
            problems.append(f"release {version} was not looked at: {error.what}")
    for name, rows in drawn.items():
        splits: dict[str, dict[str, list[str]]] = {}
        for image_id, split in rows:
            if split and image_id in group_of:
                splits.setdefault(group_of[image_id], {}).setdefault(split, []).append(image_id)
        torn = [parts for parts in splits.values() if len(parts) > 1]
        if torn:
            one = " and ".join(f"{ids[0][:_SHORT]} ({split})" for split, ids in sorted(torn[0].items()))
            words = f"{counted(len(torn), 'group')} of the same picture {'lies' if len(torn) == 1 else 'lie'}"
            problems.append(f"{words} in several splits of {name}, e.g. {one}: pictus release split")
    return tuple(problems)
