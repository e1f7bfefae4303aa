"""The verb `clean match`: crops, turned, mirrored and overlaid copies, proved on their pixels."""

from __future__ import annotations

import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pictus import engine as engines
from pictus import shards
from pictus.clean import alignment, features, likeness, lookup
from pictus.clean.dedupe_steps import Where, remembered
from pictus.clean.likeness import AS_IT_IS, MIRRORED, Side
from pictus.errors import UserError, counted
from pictus.extras import need
from pictus.hashes import TURNS, Rows
from pictus.progress import Meter
from pictus.project import Project
from pictus.records import Likeness
from pictus.registry import Outcome, step
from pictus.tables import SCHEMAS, table_of

CHUNK = 20_000
"""Pictures compared with all before them between two commits."""

MEETING_BITS = 48
"""Of 256, at which two codes count as met; at 64 look-ups of unrelated photographs meet three times as often."""
LEAST_MEETINGS = 2
MOST_CANDIDATES = 16
"""Of one picture: those it shares most with."""
MOST_MISSED = 6
"""Candidates of one picture, from the likeliest on, that may fail one after the other before the rest, which share
less, is left. Photographs of one thing all share something: with 285 copies planted among 260 hands before one wall
this halves the proofs and loses 1 copy of 211; planted among 20 photographs of ImageNet it loses none of 338.
"""
TURN_BITS = 31
"""Meta's radius for PDQ."""
LEAST_QUALITY = 50

_PLACE = ("image_id", "shard", "offset", "size")
_PAIRS = 128  # of one task, the last picture's beyond it: about half a second
_VIEWS = 512  # decoded pictures that a process keeps, 64 kB each
_SETTINGS = blake2b(
    repr((MOST_MISSED, *(value for name, value in sorted(vars(alignment).items()) if isinstance(value, float | int))))
    .encode(), digest_size=8,
).hexdigest()  # fmt: skip


class _Held(NamedTuple):
    """What is looked up of all pictures, in the order of the table `features`."""

    image_ids: list[str]
    counts: Rows  # codes of each picture
    codes: np.ndarray[Any, np.dtype[np.uint8]]
    points: list[bytes]
    pdq: np.ndarray[Any, np.dtype[np.uint8]]  # u8[N, 32]
    is_clear: np.ndarray[Any, np.dtype[np.bool_]]  # of PDQ quality enough


class _Proved(NamedTuple):
    """What came of one chunk of pictures."""

    rows: pa.Table  # of `likenesses`
    pairs: int  # looked at


@step("clean match", changes=True)
def match(project: Project, *, engine: str = "local", workers: int = 0) -> Outcome[Likeness]:
    """Find crops, turned, mirrored and overlaid copies by what they show, each proved on its pixels.

    What no hash of the whole picture sees: a tenth or a quarter cut off, a turn, a mirror image, a frame, a
    line of text. `clean dedupe` then takes what is found. Each picture is described once and compared with
    those before it; a stopped run continues where it was.

    engine: where to compute, `local` or `ray`
    workers: processes at once, 0 for one per CPU

    Examples:
        pictus clean match
        pictus clean match --engine ray
    """
    need("cv2", "vision")
    engines.RUNNERS.get(engine)
    with project.lock("clean"):
        rows, unmeasured = _undescribed(project)
        describing = partial(describe_batch, project.shards_dir)
        described = engines.run(project, "features", rows, describing, engine=engine, workers=workers, label="describe")
        done = _begun(project)
        total = project.tables.count("features")
        compared = pairs = 0
        if done < total:
            held = _held(project)
            with project.progress.track("match", total - done) as meter:
                for found in _proved(Where(project, engine, workers), held, range(done, total, CHUNK), meter):
                    until = min(done + compared + CHUNK, total)
                    _commit(project, held.image_ids[done + compared : until], found.rows)
                    compared, pairs = until - done, pairs + found.pairs
                shutil.rmtree(_parts(project).parent, ignore_errors=True)
            _view.cache_clear()
        relations = Counter(project.tables.read("likenesses", ["relation"]).column("relation").to_pylist())
        if compared:
            project.journal.log(
                "clean", "likenesses_found", described=described, compared=compared, candidates=pairs,
                relations=dict(relations), engine=engine,
            )  # fmt: skip
    plain = project.tables.count("features", "cause = '' AND points = X''")
    which = ", ".join(f"{relations[kind]:,} {kind}" for kind in ("turned", "crop", "edit"))
    return Outcome(
        step="clean match",
        summary={
            "pictures": total, "described": described, "compared": compared, "candidates": pairs,
            "likenesses": relations.total(), "relations": dict(relations), "without_features": plain,
        },
        headline=f"{counted(relations.total(), 'likeness', 'likenesses')} ({which}) among {counted(total, 'picture')};"
        f" {compared:,} of them new" + (f"; {plain:,} too small or too plain, left to the hashes" if plain else ""),
        problems=(f"{counted(unmeasured, 'picture')} not measured yet: pictus clean check",) if unmeasured else (),
        next=("pictus clean dedupe",),
        source=lambda: project.tables.records("likenesses", Likeness),
    )  # fmt: skip


def describe_batch(shards_dir: Path, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What the engine runs on every worker: (image_id, shard, offset, size) rows -> rows of `features`."""
    places = zip(*(batch.column(name).to_pylist() for name in _PLACE), strict=True)
    pictures = ((image_id, shards.read(shards_dir, shard, offset, size)) for image_id, shard, offset, size in places)
    return table_of("features", features.describe(pictures)).combine_chunks().to_batches()[0]


def prove_batch(shards_dir: Path, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Candidate pairs -> rows of `likenesses`, only for those whose pixels prove it."""
    need("cv2", "vision").setNumThreads(1)  # there are as many processes as CPUs

    def side(row: dict[str, Any], name: str) -> Side:
        image_id, *place = (row[f"{name}_{column}"] for column in ("id", *_PLACE[1:]))
        return Side(image_id, _view(shards_dir, image_id, *place).luma)

    found = []
    for _, rows in groupby(batch.to_pylist(), itemgetter("image_id")):
        missed = Counter[int]()
        found += [proof for row in rows if (proof := _first_proof(row, partial(side, row), missed))]
    table = table_of("likenesses", found)
    return pa.RecordBatch.from_arrays([column.combine_chunks() for column in table.columns], schema=table.schema)


@lru_cache(maxsize=_VIEWS)
def _view(shards_dir: Path, _image_id: str, shard: str, offset: int, size: int) -> features.View:
    return features.view(shards.read(shards_dir, shard, offset, size))


def _first_proof(row: dict[str, Any], side: Callable[[str], Side], missed: Counter[int]) -> Likeness | None:
    """The pair by the first of its ways that its pixels prove. Pictures are decoded only when their points fit.

    missed: of each way the candidates of this picture that failed since one did not; counted on.
    """
    for way in row["ways"]:
        if missed[way] >= MOST_MISSED:
            continue
        found = None
        if way in (AS_IT_IS, MIRRORED):
            image = "mirrored" if way == MIRRORED else "image"
            packed = [row[f"{name}_{kind}"] for name in (image, "other") for kind in ("points", "codes")]
            one, other = (
                (likeness.points_of(points), likeness.codes_of(codes)) for points, codes in (packed[:2], packed[2:])
            )
            fit = alignment.fit(*one, *other)
            found = likeness.part(side("image"), side("other"), way, fit) if fit else None
        else:
            found = likeness.whole_turn(side("image"), side("other"), way)
        missed[way] = 0 if found else missed[way] + 1
        if found:
            return found
    return None


def _undescribed(project: Project) -> tuple[pa.Table, int]:
    """Where the pictures lie that have no features yet, and how many are not measured.

    Left out: what cannot be decoded, and every picture with the pixels of an earlier one: what holds of that one
    holds of it.
    """
    import pyarrow.compute as pc  # noqa: PLC0415  0.1 s that --help does not pay

    checks = project.tables.read("checks", ["image_id", "cause", "pixel_sha256"])
    if not checks.num_rows:
        raise UserError("No picture has been measured yet.", fix="pictus clean check")
    images = project.tables.read("images", _PLACE)
    place = pc.index_in(images.column("image_id"), value_set=checks.column("image_id").combine_chunks())
    unmeasured = place.null_count
    images, place = images.filter(pc.is_valid(place)), pc.drop_null(place)
    cause, pixels = (checks.column(name).take(place).to_pylist() for name in ("cause", "pixel_sha256"))
    first: set[str] = set()
    chosen = []
    for row, (why, same) in enumerate(zip(cause, pixels, strict=True)):
        if not why and same not in first:
            first.add(same)
            chosen.append(row)
    images = images.take(pa.array(chosen, pa.int64()))
    described = project.tables.read("features", ["image_id"]).column("image_id").combine_chunks()
    return images.filter(pc.invert(pc.is_in(images.column("image_id"), value_set=described))), unmeasured


def _begun(project: Project) -> int:
    """How many pictures, from the first of `features` on, were compared before.

    0 after `features` was made anew, and when `likenesses`, which is written first, was taken away.
    """
    before = project.tables.read("matched").column("image_id").to_pylist()
    described = project.tables.read("features", ["image_id"], limit=max(1, len(before))).column("image_id")
    if before and (before != described.to_pylist() or not project.tables.exists("likenesses")):
        for name in ("likenesses", "matched"):  # in this order: `matched` is what says that likenesses are old
            project.tables.drop(name)
        return 0
    return len(before)


def _held(project: Project) -> _Held:
    ids: list[str] = []
    points: list[bytes] = []
    pdq, clear = [], []
    for batch in project.tables.batches("features", ["image_id", "points"]):
        ids += batch.column("image_id").to_pylist()
        points += batch.column("points").to_pylist()
    counts = np.array([len(packed) // 4 for packed in points], dtype=np.int64)
    codes = np.empty((int(counts.sum()), features.CODE_BYTES), dtype=np.uint8)  # 3 kB a picture: held once
    filled = 0
    for batch in project.tables.batches("features", ["codes", "turns", "quality"]):
        some = likeness.codes_of(b"".join(batch.column("codes").to_pylist()))
        codes[filled : filled + len(some)] = some
        filled += len(some)
        turns = batch.column("turns").to_pylist()
        plain = [row[: features.CODE_BYTES].ljust(features.CODE_BYTES, b"\0") for row in turns]
        pdq.append(likeness.codes_of(b"".join(plain)))
        clear.append(batch.column("quality").to_numpy() >= LEAST_QUALITY)
    return _Held(ids, counts, codes, points, np.concatenate(pdq), np.concatenate(clear))


def _candidates(project: Project, held: _Held, start: int, until: int) -> pa.Table:
    """Pairs worth a proof, each of a picture of start .. until and one before it, with all that the proof needs.

    All of one picture stand together, what it shares most with first.
    """
    columns = ["image_id", "mirrored_points", "mirrored_codes", "turns"]
    new = project.tables.read("features", columns, limit=until - start, offset=start)
    if new.column("image_id").to_pylist() != held.image_ids[start:until]:
        raise UserError("The table features changed while it was read.", fix="pictus clean match")
    mirrored = [new.column(name).to_pylist() for name in ("mirrored_points", "mirrored_codes")]
    owner = np.repeat(np.arange(len(held.counts)), held.counts)
    first, last = np.searchsorted(owner, [start, until])
    all_codes = lookup.Codes(owner, held.codes)
    asked = {
        AS_IT_IS: lookup.Codes(owner[first:last], held.codes[first:last]),
        MIRRORED: lookup.Codes(
            start + np.repeat(np.arange(until - start), [len(packed) // features.CODE_BYTES for packed in mirrored[1]]),
            likeness.codes_of(b"".join(mirrored[1])),
        ),
    }
    met = {
        way: lookup.meetings(
            all_codes, codes, key_bytes=4, radius=MEETING_BITS, least=LEAST_MEETINGS, most=MOST_CANDIDATES
        )
        for way, codes in asked.items()
    }
    met |= _turned(held, new.column("turns").to_pylist(), start)
    ways: dict[tuple[int, int], list[int]] = {}
    best: dict[tuple[int, int], int] = {}  # its place among the candidates of a picture, in the way where it is first
    for way in sorted(met):
        asked_A = met[way].asked
        places = np.arange(len(asked_A)) - np.searchsorted(asked_A, asked_A)
        for *both, place in zip(asked_A.tolist(), met[way].held.tolist(), places.tolist(), strict=True):
            pair = both[0], both[1]
            ways.setdefault(pair, []).append(way)
            best[pair] = min(best.get(pair, place), place)
    order = sorted(ways, key=lambda pair: (pair[0], best[pair], -pair[1]))
    return _pair_table(project, held, {pair: ways[pair] for pair in order}, (start, *mirrored))


def _turned(held: _Held, turns: list[bytes], start: int) -> dict[int, lookup.Votes]:
    """Whole pictures that are another one turned, by their PDQ hashes: way -> pairs."""
    clear = np.flatnonzero(held.is_clear)
    plain = lookup.Codes(clear, held.pdq[clear])
    rows = clear[(clear >= start) & (clear < start + len(turns))]
    if not len(rows):
        return {}
    each = np.stack([np.frombuffer(turns[row - start], np.uint8).reshape(len(TURNS), -1) for row in rows])
    return {
        way: lookup.meetings(
            plain, lookup.Codes(rows, np.ascontiguousarray(each[:, way])), key_bytes=3, radius=TURN_BITS, least=1,
            most=MOST_CANDIDATES,
        )
        for way in range(1, len(TURNS))
    }  # fmt: skip


def _pair_table(
    project: Project,
    held: _Held,
    ways: dict[tuple[int, int], list[int]],
    mirrored: tuple[int, list[bytes], list[bytes]],
) -> pa.Table:
    """One row for each pair: where both pictures lie, their points and codes, the ways in which they met."""
    import pyarrow.compute as pc  # noqa: PLC0415

    start, *packed = mirrored
    images = project.tables.read("images", _PLACE)
    known = images.column("image_id").combine_chunks()
    ends = np.cumsum(held.counts)
    columns: dict[str, Any] = {"ways": pa.array(ways.values(), pa.list_(pa.int32()))}
    for at, name in enumerate(("image", "other")):
        rows = [pair[at] for pair in ways]
        ids = pa.array([held.image_ids[row] for row in rows], pa.string())
        places = images.take(pc.index_in(ids, value_set=known))
        codes = [held.codes[ends[row] - held.counts[row] : ends[row]].tobytes() for row in rows]
        columns |= {f"{name}_id": ids, **{f"{name}_{column}": places.column(column) for column in _PLACE[1:]}}
        columns |= {f"{name}_points": pa.array([held.points[row] for row in rows], pa.binary())}
        columns |= {f"{name}_codes": pa.array(codes, pa.binary())}
    for kind, values in zip(("points", "codes"), packed, strict=True):
        found = [values[pair[0] - start] if MIRRORED in way else b"" for pair, way in ways.items()]
        columns[f"mirrored_{kind}"] = pa.array(found, pa.binary())
    return pa.table(columns)


def _cut(candidates: pa.Table) -> list[pa.RecordBatch]:
    """Tasks of about _PAIRS rows, each picture's in one."""
    names = np.array(candidates.column("image_id").to_pylist(), dtype=object)
    ends = [*(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
    whole, start = candidates.combine_chunks(), 0
    found = []
    for end in ends:
        if end - start >= _PAIRS or end == len(names):
            found += whole.slice(start, end - start).combine_chunks().to_batches()  # of 2 GB there are several chunks
            start = end
    return found or [pa.RecordBatch.from_pylist([], schema=candidates.schema)]


def _proved(where: Where, held: _Held, starts: range, meter: Meter) -> Iterator[_Proved]:
    """Of each chunk of pictures the pairs that are proved, in their order. One runner for all chunks.

    A part that is done lies in the project's cache, so that a stopped run does not prove it again.
    """
    project = where.project
    parts = _parts(project)
    parts.mkdir(parents=True, exist_ok=True)
    counts: deque[tuple[deque[int], int]] = deque()  # of each chunk that was begun: the pairs of its parts, and of all

    def batches() -> Iterator[pa.RecordBatch]:
        for start in starts:
            candidates = _candidates(project, held, start, min(start + CHUNK, starts.stop))
            cut = _cut(candidates)
            counts.append((deque(batch.num_rows for batch in cut), candidates.num_rows))
            yield from cut

    compute = partial(remembered, parts, partial(prove_batch, project.shards_dir))
    rows, seen, told = [], 0, 0
    at = starts.start
    meter.say("looking for pairs")
    for result in engines.spread(compute, batches(), engine=where.engine, workers=where.workers):
        rows.append(result)
        left, pairs = counts[0]
        seen += left.popleft()
        size = min(CHUNK, starts.stop - at)
        share = size * seen // pairs if pairs else size
        meter.say(f"{seen:,} of {counted(pairs, 'pair')} looked at")
        meter.advance(share - told)
        told = share
        if not left:
            counts.popleft()
            yield _Proved(pa.Table.from_batches(rows), pairs)
            rows, seen, told, at = [], 0, 0, at + size


def _parts(project: Project) -> Path:
    """By what proves a pair: proofs by other numbers are none."""
    return project.cache_dir / "match" / _SETTINGS


def _commit(project: Project, image_ids: list[str], found: pa.Table) -> None:
    """First what was found, then for which pictures: after a kill between the two the rows are written again."""
    project.tables.upsert("likenesses", found, key=("image_id", "other_id"))
    project.tables.append("matched", pa.table({"image_id": image_ids}, schema=SCHEMAS["matched"]))
    for name in ("likenesses", "matched"):
        project.tables.compact(name)
