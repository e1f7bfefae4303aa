"""Frames of videos that the test makes: by interval, by scene, turned, damaged, hostile."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pictus.collect import videos
from pictus.collect.found import Found
from pictus.collect.videos import interval_s, look_in_video
from pictus.errors import UserError
from pictus.pixels import decode

av = pytest.importorskip("av", reason="the extra `video` is not installed")

CODECS = {"mp4": "mpeg4", "mov": "mpeg4", "mkv": "mpeg4", "avi": "mpeg4", "webm": "libvpx", "m4v": "mpeg4"}
COLOURS = ((200, 30, 30), (30, 160, 30), (30, 30, 220))

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make("clip.mp4", seconds=5, rate=10): each colour for two seconds, a white block in the left upper corner."""

    def write(name: str = "clip.mp4", seconds: float = 5, rate: int = 10, width: int = 96, height: int = 64) -> Path:
        ending = name.rpartition(".")[2]
        with av.open(str(tmp_path / name), "w", format="mp4" if ending == "m4v" else None) as container:
            stream = container.add_stream(CODECS[ending], rate=rate)
            stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 2_000_000
            for number in range(int(seconds * rate)):
                pixels = np.full((height, width, 3), COLOURS[number // rate // 2 % 3], np.uint8)
                pixels[:16, :16] = 255
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))
        return tmp_path / name

    return write


def look(path: Path, how: str = "", **options: Any) -> list[Found]:
    return list(look_in_video(path, how, with_bytes=True, **options))


def times(found: list[Found]) -> list[str]:
    return [one.address.rpartition("#t=")[2] for one in found]


@pytest.mark.parametrize("name", [f"clip.{ending}" for ending in CODECS])
def test_a_frame_is_taken_each_second_and_its_time_kept(make: Make, name: str) -> None:
    path = make(name)
    found = look(path)
    assert [one.address for one in found] == [f"{path}#t={second}.000" for second in range(5)]
    assert {(one.kind, one.folder, one.cause) for one in found} == {("video", path.parent.name, "")}
    assert [int(decode(one.image_bytes)[40, 60].argmax()) for one in found] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("how", "seconds"),
    [
        ("2s", ["0.000", "2.000", "4.000"]), ("2", ["0.000", "2.000", "4.000"]), ("1m", ["0.000"]),
        ("1500ms", ["0.000", "1.500", "3.000", "4.500"]), ("0.75s", ["0.000", "0.800", "1.500", "2.300", "3.000",
        "3.800", "4.500"]), ("scene", ["0.000", "2.000", "4.000"]),
    ],
)  # fmt: skip
def test_the_interval_is_said_behind_the_name(make: Make, how: str, seconds: list[str]) -> None:
    assert times(look(make(), how)) == seconds


@pytest.mark.parametrize("how", ["often", "0", "0s", "-1s", "2h", "1e3", "99999999", "scenes", "100000s"])
def test_an_interval_that_is_none_is_told(how: str) -> None:
    with pytest.raises(UserError, match="cannot be taken every") as caught:
        interval_s(how)
    assert "video:scene" in caught.value.fix


def test_the_same_video_gives_the_same_bytes(make: Make) -> None:
    path = make()
    first, second = (
        [hashlib.sha256(one.image_bytes).hexdigest() for one in look(path, "scene")] for _ in range(2)
    )
    assert first == second


def test_frames_faster_than_asked_for_are_each_taken_once(make: Make) -> None:
    assert len(look(make(seconds=1), "1ms")) == 10


def test_a_still_scene_has_one_frame_and_noise_makes_no_scenes(make: Make) -> None:
    assert times(look(make(seconds=1.5), "scene")) == ["0.000"]


def test_a_video_held_upright_comes_upright(make: Make) -> None:
    """As phones write it: the track's matrix says a quarter turn clockwise, so the corner goes to the right."""
    path = make()
    data = bytearray(path.read_bytes())
    unit = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    at = data.index(unit, data.index(b"tkhd"))
    data[at : at + 36] = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0x400000, 0, 0x40000000)
    path.write_bytes(data)
    pixels = decode(look(path)[0].image_bytes)
    assert pixels.shape == (96, 64, 3)
    assert pixels[8, 56].min() > 200
    assert pixels[8, 8].min() < 100


def test_names_alone_need_no_decoding(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video")
    assert [one.address for one in look_in_video(path, "", with_bytes=False)] == [str(path)]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x", b"\0\0\0\x20ftyp", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile x\n",
        b"\xff\xd8\xff\xe0 a picture", b"\x1aE\xdf\xa3" + b"\xff" * 500, b"RIFF\xff\xff\xff\xffAVI LIST" + b"\0" * 300,
        b"\0\0\0\x20ftypisom" + b"\xff" * 3_000, b"\0\0\0\x08moov" * 400,
    ],
)  # fmt: skip
def test_what_is_no_video_is_a_cause(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "clip.mp4").write_bytes(data)
    (found,) = look(tmp_path / "clip.mp4")
    assert found.cause in {"not-a-video", "broken-video"}
    assert found.detail


@pytest.mark.parametrize("name", ["clip.mkv", "clip.avi", "clip.mp4", "clip.webm"])
def test_a_video_that_was_cut_gives_what_is_there_and_says_so(make: Make, name: str) -> None:
    path = make(name, seconds=12)
    whole = look(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    *frames, end = look(path)
    assert (end.cause, end.address) == ("broken-video", str(path))
    assert len(frames) < len(whole)
    assert [one.image_bytes for one in frames[:-1]] == [one.image_bytes for one in whole[: max(0, len(frames) - 1)]]


def test_damage_in_the_middle_is_told_and_the_rest_taken(make: Make) -> None:
    path = make("clip.avi", seconds=12)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = b"\0" * 40
    path.write_bytes(data)
    found = look(path)
    assert len(found) >= 11


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_never_ends_the_run(make: Make, seed: int) -> None:
    path = make(f"clip.{tuple(CODECS)[seed % 5]}", seconds=3)
    generator = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    for at in generator.integers(0, len(data), 40):
        data[at] = int(generator.integers(256))
    path.write_bytes(data)
    for one in look(path):
        assert one.cause in {"", "broken-video", "not-a-video", "too-many-pixels", "too-long"}


def test_caps_end_a_video_with_a_cause(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make()
    with monkeypatch.context() as patch:
        patch.setattr(videos, "MAX_FRAMES", 3)
        *frames, end = look(path)
        assert (len(frames), end.cause, end.detail) == (
            3, "too-long", "more than 3 frames are chosen; 3 frames taken before"
        )  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(videos, "MAX_DURATION_S", 2)
        *frames, end = look(path)
        assert (len(frames), end.cause) == (3, "too-long")
    ticks = iter(range(0, 10**6, 200))
    *frames, end = look(path, clock=lambda: float(next(ticks)))
    assert end.cause == "too-long"
    assert "to decode" in end.detail
    with monkeypatch.context() as patch:
        patch.setattr(videos, "MAX_PIXELS", 1_000)
        (end,) = look(path)
        assert (end.cause, end.detail) == ("too-many-pixels", "frames of 96 × 64 px, at most 1,000")


def test_a_sound_without_pictures_is_told(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (found,) = look(tmp_path / "sound.mp4")
    assert (found.cause, "only sound" in found.detail) == ("broken-video", True)


def test_a_codec_that_nobody_knows_is_told(make: Make) -> None:
    path = make("clip.mkv")
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4", b"V_NONE4"))
    assert [(one.cause, one.detail) for one in look(path)] == [("broken-video", "its codec is not known")]


def test_a_file_that_is_gone_is_a_cause(tmp_path: Path) -> None:
    assert [one.cause for one in look(tmp_path / "gone.mp4")] == ["unreadable"]


def test_a_frame_that_no_jpeg_can_hold_is_a_cause(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder's error ended the whole run."""
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=1)
        stream.width, stream.height, stream.pix_fmt = 65_600, 16, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 65_600, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (end,) = look(path)
    assert end.cause == "too-many-pixels"
    assert "65,500 on a side" in end.detail

    def refuse(*_: object) -> bytes:
        raise ValueError("no such picture")

    monkeypatch.setattr(videos, "encode_jpeg", refuse)
    (end,) = look(make())
    assert (end.cause, end.detail) == ("broken-video", "a frame cannot be a JPEG: no such picture")
