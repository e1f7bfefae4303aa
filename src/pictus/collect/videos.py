"""Frames of video files: one every so many seconds, or one for each scene, with the time they were shown at.

A file comes from a stranger: its container is chosen by its first bytes out of three, so that no playlist can name
other files or addresses; sizes, time and frames are capped; damage ends it with a cause, and what was before stays.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.collect.found import Found
from pictus.collect.members import stored
from pictus.errors import PictureError, UserError, clipped, counted
from pictus.extras import need
from pictus.pixels import MAX_PIXELS, Pixels, encode_jpeg

ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
QUALITY = 95
"""Of the JPEG that a frame becomes: its bytes, and so its image_id, are those of this encoder at this quality."""

DEFAULT = "1s"
MAX_FRAMES = 20_000  # of one video: five and a half hours at one a second
MAX_DURATION_S = 12 * 3_600
MAX_WALL_S = 3_600.0  # of work on one video; a film of two hours takes about ten minutes on one core
MAX_BAD_PACKETS = 100
_MAX_SIDE = 65_500  # libjpeg's

SCENE_THRESHOLD = 0.3
"""The `scene` score of FFmpeg's filter `select` (libavfilter/f_select.c), whose manual calls 0.3 to 0.5 sane."""

_SCENE_SIZE = 64, 36
_LONGEST_EVERY_S = 86_400
_EVERY = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m|)")
_UNITS_S = {"ms": Fraction(1, 1000), "s": Fraction(1), "": Fraction(1), "m": Fraction(60)}

Clock = Callable[[], float]


class Frame(NamedTuple):
    """One frame. `at_s`: seconds from the beginning of the video; pixels u8[H, W, 3], upright."""

    at_s: Fraction
    pixels: Pixels


class BadVideoError(PictureError):
    """Why a video ends before its end."""


def is_video(name: str) -> bool:
    """Whether a file's name says it is a video."""
    return name.lower().endswith(ENDINGS)


def interval_s(how: str) -> Fraction | None:
    """"2s", "500ms", "1m", "2" -> seconds; "scene" -> None; UserError for anything else."""
    if how == "scene":
        return None
    match = _EVERY.fullmatch(how or DEFAULT)
    seconds = Fraction(match[1]) * _UNITS_S[match[2]] if match else Fraction(0)
    if not 0 < seconds <= _LONGEST_EVERY_S:
        raise UserError(f"A video cannot be taken every {clipped(how, 40)}.", fix="--source video:2s or video:scene")
    return seconds


def look_in_video(path: Path, how: str, *, with_bytes: bool, clock: Clock = time.monotonic) -> Iterator[Found]:
    """The frames of one video as JPEG, told apart as `clip.mp4#t=12.480`; without bytes the video's name alone."""
    every_s = interval_s(how)
    address, folder, taken = stored(path), path.parent.name, 0
    if not with_bytes:
        yield Found(address, "video", folder, b"")
        return
    try:
        with path.open("rb") as file:
            for frame in frames_of(file, every_s, clock):
                image_bytes = _encoded(frame.pixels)
                taken += 1
                yield Found(f"{address}#t={float(frame.at_s):.3f}", "video", folder, image_bytes)
    except PictureError as error:
        detail = f"{error.detail}; {counted(taken, 'frame')} taken before" if taken else error.detail
        yield Found(address, "video", folder, b"", error.cause, detail[:500])
    except OSError as error:
        yield Found(address, "video", folder, b"", "unreadable", error.strerror or str(error)[:200])


def frames_of(file: BinaryIO, every_s: Fraction | None, clock: Clock) -> Iterator[Frame]:
    """The chosen frames in the order they are shown; a PictureError says why the video ends too early."""
    av = need("av", "video")
    container_format = _format_of(file.read(12))
    file.seek(0)
    choice = _Interval(every_s) if every_s else _Scenes()
    end = _End(clock, clock() + MAX_WALL_S)
    try:
        with av.open(file, format=container_format, options={"protocol_whitelist": "pipe"}) as container:
            stream = container.streams.best("video")
            if stream is None:
                raise BadVideoError("broken-video", "it has no pictures, only sound or text")
            if stream.codec_context is None:
                raise BadVideoError("broken-video", "its codec is not known")
            _check_size(stream.width, stream.height)
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            stream.thread_type = "NONE"  # the same pixels each time, also of a damaged stream
            start: Fraction | None = None
            for frame in _decoded(av, container, stream, end):
                shown = end.shown = Fraction(frame.pts) * frame.time_base
                start = shown if start is None else start
                if choice.takes(frame, shown - start):
                    end.count_frame()
                    yield Frame(shown - start, _pixels(frame))
            end.check(_declared_s(container, stream), start)
    except (av.error.FFmpegError, ValueError, ArithmeticError, MemoryError, LookupError) as error:
        raise BadVideoError("broken-video", (str(error).splitlines() or [type(error).__name__])[0]) from error


def _decoded(av: Any, container: Any, stream: Any, end: "_End") -> Iterator[Any]:  # noqa: ANN401  PyAV has no types here
    """Every frame that has a time; packets that cannot be decoded are counted."""
    for packet in container.demux(stream):
        end.check_time()
        try:
            frames = packet.decode()
        except av.error.InvalidDataError as error:
            end.count_bad(str(error))
            continue
        for frame in frames:
            _check_size(frame.width, frame.height)  # a stream may grow while it lasts
            if frame.pts is not None and frame.time_base:
                yield frame


class _End:
    """Why a video may have to end: the caps, and what is damaged."""

    def __init__(self, clock: Clock, deadline: float) -> None:
        self._clock = clock
        self._deadline = deadline
        self._bad = 0
        self._frames = 0
        self.shown = Fraction(0)

    def check_time(self) -> None:
        if self._clock() > self._deadline:
            raise BadVideoError("too-long", f"it takes longer than {MAX_WALL_S:,.0f} s to decode")
        if self.shown > MAX_DURATION_S:
            raise BadVideoError("too-long", f"it lasts longer than {MAX_DURATION_S:,} s")

    def count_frame(self) -> None:
        self._frames += 1
        if self._frames > MAX_FRAMES:
            raise BadVideoError("too-long", f"more than {MAX_FRAMES:,} frames are chosen")

    def count_bad(self, why: str) -> None:
        self._bad += 1
        if self._bad > MAX_BAD_PACKETS:
            raise BadVideoError("broken-video", f"over {MAX_BAD_PACKETS} pieces cannot be decoded: {why[:200]}")

    def check(self, declared_s: Fraction | None, start: Fraction | None) -> None:
        """Once everything is read: whether that was all of it."""
        if self._bad:
            raise BadVideoError("broken-video", f"{counted(self._bad, 'piece')} cannot be decoded")
        if start is None:
            raise BadVideoError("broken-video", "it has no frames")
        lasted = self.shown - start
        if declared_s and lasted < declared_s - max(Fraction(1), declared_s / 20):
            raise BadVideoError("broken-video", f"it ends at {float(lasted):.1f} s of {float(declared_s):.1f} s")


class _Interval:
    """The first frame at or after each multiple of the interval."""

    def __init__(self, every_s: Fraction) -> None:
        self._every_s = every_s
        self._next = 0

    def takes(self, _frame: Any, at_s: Fraction) -> bool:  # noqa: ANN401
        if at_s < self._next * self._every_s:
            return False
        self._next = at_s // self._every_s + 1
        return True


class _Scenes:
    """The first frame, and each that differs from the one before it more than frames have lately."""

    def __init__(self) -> None:
        self._before: NDArray[np.int16] | None = None
        self._difference = 0.0

    def takes(self, frame: Any, _at_s: Fraction) -> bool:  # noqa: ANN401
        width, height = _SCENE_SIZE
        small = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
        colours_HW3 = small.to_ndarray().astype(np.int16)
        before, self._before = self._before, colours_HW3
        if before is None:
            return True
        difference = float(np.abs(colours_HW3 - before).mean())
        jump, self._difference = abs(difference - self._difference), difference
        return min(difference, jump) / 100 > SCENE_THRESHOLD


def _check_size(width: int, height: int) -> None:
    if max(width, height) > _MAX_SIDE:
        raise BadVideoError("too-many-pixels", f"frames of {width:,} × {height:,} px, at most {_MAX_SIDE:,} on a side")
    if width * height > MAX_PIXELS:
        raise BadVideoError("too-many-pixels", f"frames of {width:,} × {height:,} px, at most {MAX_PIXELS:,}")


def _encoded(pixels: Pixels) -> bytes:
    try:
        return encode_jpeg(pixels, QUALITY)
    except ValueError as error:  # what no JPEG holds
        raise BadVideoError("broken-video", f"a frame cannot be a JPEG: {error}") from error


def _format_of(start: bytes) -> str:
    """FFmpeg's name of the container; nothing else is ever tried on the file."""
    if start[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}:
        return "mov"
    if start.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "avi"
    raise BadVideoError("not-a-video", f"it begins with {start[:8]!r}")


def _declared_s(container: Any, stream: Any) -> Fraction | None:  # noqa: ANN401
    """How long the file says its pictures last; None where only the whole, with its sound, is known."""
    if stream.duration and stream.time_base:
        return Fraction(stream.duration) * Fraction(stream.time_base)
    is_alone = len(container.streams) == 1
    return Fraction(container.duration, 1_000_000) if container.duration and is_alone else None


def _pixels(frame: Any) -> Pixels:  # noqa: ANN401
    """u8[H, W, 3], turned as the file says (its display matrix; counterclockwise)."""
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
