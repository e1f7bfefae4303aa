"""Batches of a split: the same pixels at any number of threads and after any resume.

Order is a function of (seed, epoch), randomness of (seed, epoch, picture); threads only decide who
computes what. simplejpeg, torch's resize, Pillow and `pread` release the GIL, so threads scale
like processes, without a fork, shared memory or copies.

Legend: N pictures of the split, B pictures of a batch, S side in px.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus import pixels
from pictus.errors import PictureError, UserError
from pictus.models import in_order, lanes
from pictus.releases import PictureReader, Release, split_rows
from pictus.stores import AWAITED
from pictus.tasks import Targets
from pictus.train.feed import augment, sampling
from pictus.train.feed.sampling import Positions, Sampling

Pixels = npt.NDArray[np.uint8]

AHEAD = 2
"""Batches prepared beyond one for each thread."""

FORESEEN = AWAITED // 2
"""Batches whose pictures are announced before they are read: of 128 pictures of 100 KB they are 0.8 GB."""


@dataclass(frozen=True)
class Batch:
    """`views`: u8[B, S, S, 3] each, with a row of uniform numbers for each picture f64[B, D]; `targets`: the task's
    rows; `positions`: i64[B], in the split. Unreadable pictures are left out: where all are, B = 0.
    """

    views: tuple[Pixels, ...]
    draws: tuple[augment.Draws, ...]
    targets: Targets
    positions: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    def part(self, piece: slice) -> "Batch":
        """Some pictures of it."""
        views, draws = tuple(one[piece] for one in self.views), tuple(one[piece] for one in self.draws)
        return Batch(views, draws, self.targets[piece], self.positions[piece])


class Portion(NamedTuple):
    """What one batch is made of: the epoch (for its randomness), positions in the split, i64[B], and where one of them
    comes up again in the epoch, how often it did before, i64[B].
    """

    epoch: int
    positions: npt.NDArray[np.int64]
    turns: npt.NDArray[np.int64] | None = None


class Supply(NamedTuple):
    """`read`: position in the split -> bytes, for any number of threads; `facts`: what a run card says of them.
    `reading`: around all reads; what it yields ends those that still wait, and they raise.
    """

    read: Callable[[int], bytes]
    facts: dict[str, Any]
    announce: Callable[[Positions], None] | None = None  # positions that will be read soon
    reading: Callable[[], AbstractContextManager[Callable[[], None]]] | None = None


@dataclass
class Pictures:
    """One split of a release with a bounded memory of decoded pictures. `decode` turns bytes into
    pixels without any randomness, so that what it returns may be kept.
    """

    release: Release
    split: str
    decode: Callable[[bytes], Pixels]
    memory_bytes: int
    targets_N: Targets  # the task's, a row to each picture
    weights_N: npt.NDArray[np.float32] | None = None  # of each picture in the loss
    how: Sampling = sampling.PLAIN  # how often each is shown
    supply: Supply | None = None  # where bytes come from, if not from the release's own shards
    unreadable: dict[str, str] = field(default_factory=dict)  # image_id -> cause

    def __post_init__(self) -> None:
        rows = split_rows(self.release, self.split)
        self.image_ids: list[str] = rows.column("image_id").to_pylist()
        self.keys_N = np.array([int(image_id[:16], 16) for image_id in self.image_ids], dtype=np.uint64)
        places = (rows.column(name).to_pylist() for name in ("shard", "offset", "size"))
        self._places = list(zip(*places, strict=True))
        self._reader = PictureReader(self.release)
        self._kept: list[Pixels | None] = [None] * len(self)
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.image_ids)

    def get(self, position: int) -> Pixels | None:
        """Decoded pixels, from memory where they are; None for a picture that cannot be decoded (recorded)."""
        found = self._kept[position]
        if found is not None:
            return found
        image_id = self.image_ids[position]
        try:
            found = self.decode(self._bytes(position))
        except PictureError as error:
            self.unreadable[image_id] = error.cause
            return None
        with self._lock:
            if self._kept[position] is None and self._kept_bytes + found.nbytes <= self.memory_bytes:
                self._kept_bytes += found.nbytes
                self._kept[position] = found
        return found

    def _bytes(self, position: int) -> bytes:
        return self.supply.read(position) if self.supply else self._reader.read(*self._places[position])

    def too_few(self) -> UserError:
        """What to say when a whole pass found nothing to work with."""
        first = "".join(f" (first {image_id[:12]}: {cause})" for image_id, cause in list(self.unreadable.items())[:1])
        return UserError(
            f"Too few pictures of split {self.split!r} can be decoded: {len(self.unreadable):,} of {len(self):,}"
            f" cannot{first}.",
            fix=f"pictus release verify {self.release.version}",
        )


View = Callable[[Pixels, augment.Draws], Pixels]


@contextmanager
def batches(
    pictures: Pictures, portions: Iterable[Portion], views: View | tuple[View, ...], *, seed: int, threads: int
) -> Iterator[Iterator[Batch]]:  # fmt: skip
    """Batches in the order of `portions`, some ahead of the caller. `views`: (pixels, draws) -> u8[S, S, 3], each made
    once of every picture, with draws of its own.
    """
    made = partial(_made, pictures, views=views if isinstance(views, tuple) else (views,), seed=seed)
    if pictures.supply and pictures.supply.announce:
        portions = _announced(portions, pictures.supply.announce)
    reading = pictures.supply.reading if pictures.supply else None
    with reading() if reading else nullcontext(_nothing) as leave, lanes(threads) as pool:
        try:
            yield in_order(pool, made, portions, ahead=threads + AHEAD)
        finally:
            leave()  # nobody wants what the lanes still wait for


def packed(image_bytes: bytes, short_side: int, *, may_grow: bool) -> Pixels:
    """Decode, and shrink to `short_side` px (-1: never) whatever is larger; with `may_grow` enlarge what is smaller."""
    if short_side < 0:
        return pixels.decode(image_bytes)
    found = pixels.decode_scaled(image_bytes, 2 * short_side)
    height, width = found.shape[:2]
    scale = short_side / min(height, width)
    if scale >= 1 and not may_grow:
        return found
    return pixels.resize(found, max(1, round(width * scale)), max(1, round(height * scale)))


def portions_of_epochs(
    seed: int, count: int, batch_size: int, first_step: int, last_step: int, *, how: Sampling = sampling.PLAIN,
    rank: int = 0, world: int = 1,
) -> Iterator[Portion]:  # fmt: skip
    """The portions of steps first..last-1 of training: whole batches of each epoch's permutation, or of what `how`
    draws instead. Of `world` processes each gets its share of every batch; put together in the order of `rank` they
    are the batches of one process.
    """
    per_epoch = steps_per_epoch(count, batch_size)
    shown = sampling.Shown(np.zeros(0, np.int64), np.zeros(0, np.int64))
    for step in range(first_step, last_step):
        epoch, within = divmod(step, per_epoch)
        if within == 0 or step == first_step:
            shown = sampling.shown(seed, epoch, count, batch_size, how)
        batch = slice(within * batch_size, (within + 1) * batch_size)
        yield Portion(epoch, *(sampling.share(every[batch], rank, world) for every in shown))


def portions_in_order(positions: Positions, batch_size: int) -> Iterator[Portion]:
    """Every one of these pictures once, in this order: for validation."""
    for start in range(0, len(positions), batch_size):
        yield Portion(0, positions[start : start + batch_size])


def as_it_is(pixels: Pixels, _: augment.Draws) -> Pixels:
    """The view of a picture that was prepared when it was decoded."""
    return pixels


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Whole batches of one epoch; the rest of the permutation waits for another epoch."""
    return max(1, count // batch_size)


def _made(pictures: Pictures, portion: Portion, views: tuple[View, ...], seed: int) -> Batch:
    draws_VBD = _draws(pictures, portion, seed, len(views))
    made: tuple[Pixels, ...] = ()
    places: list[int] = []
    again = _again(portion)
    held: dict[int, Pixels | None] = {}  # decoded once where a batch shows it more than once
    for place, position in enumerate(portion.positions.tolist()):
        picture = held[position] if position in held else pictures.get(position)
        if position in again:
            held[position] = picture
        if picture is not None:
            shown = [view(picture, draws_BD[place]) for view, draws_BD in zip(views, draws_VBD, strict=True)]
            made = made or tuple(np.empty((len(portion.positions), *one.shape), np.uint8) for one in shown)
            for whole, one in zip(made, shown, strict=True):
                whole[len(places)] = one
            places.append(place)
    made = made or tuple(np.zeros((0, 0, 0, 3), np.uint8) for _ in views)
    positions = portion.positions[places]
    return Batch(
        tuple(whole[: len(places)] for whole in made), tuple(draws_BD[places] for draws_BD in draws_VBD),
        pictures.targets_N[positions], positions,
    )  # fmt: skip


def _announced(portions: Iterable[Portion], announce: Callable[[Positions], None]) -> Iterator[Portion]:
    """The same portions; what is in each was announced some batches before."""
    waiting: deque[Portion] = deque()
    for portion in portions:
        announce(portion.positions)
        waiting.append(portion)
        if len(waiting) > FORESEEN:
            yield waiting.popleft()
    yield from waiting


def _nothing() -> None:
    """Reading from a disk need not be ended."""


def _draws(pictures: Pictures, portion: Portion, seed: int, views: int) -> tuple[augment.Draws, ...]:
    """A row of uniform numbers for each picture, f64[B, D] a view; a picture's later turns get others."""
    keys_B = pictures.keys_N[portion.positions]
    if portion.turns is None or not portion.turns.any():
        return tuple(augment.draws(seed, portion.epoch, keys_B, number) for number in range(views))
    found = tuple(np.empty((len(keys_B), augment.N_DRAWS)) for _ in range(views))
    for turn in np.unique(portion.turns).tolist():
        is_it = portion.turns == turn
        for number, rows_BD in enumerate(found):
            rows_BD[is_it] = augment.draws(seed, portion.epoch, keys_B[is_it], turn * views + number)
    return found


def _again(portion: Portion) -> set[int]:
    """Positions that come up more than once in the batch."""
    if portion.turns is None or not portion.turns.any():
        return set()
    values, counts = np.unique(portion.positions, return_counts=True)
    return set(values[counts > 1].tolist())
