from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pictus import pixels
from pictus.releases import Release, open_release
from pictus.tasks import TASKS
from pictus.train.feed import augment, loader
from pictus.train.feed.sampling import Sampling
from pictus.train.recipes import Recipe

MakeRelease = Callable[..., Path]

RECIPE = Recipe("small-cnn", size=32)
VIEW = partial(augment.augmented, recipe=RECIPE, fill=(120, 110, 100))


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, make_release: MakeRelease) -> Release:
    return open_release(make_release(tmp_path_factory.mktemp("loader")))


def _pictures(release: Release, memory_bytes: int = 2**20) -> loader.Pictures:
    labels = TASKS.get("classification").targets(release, "train")
    packed = partial(loader.packed, short_side=-1, may_grow=False)
    return loader.Pictures(release, "train", packed, memory_bytes, labels)


def _hashes(pictures: loader.Pictures, first: int, last: int, threads: int, seed: int = 0) -> list[str]:
    portions = loader.portions_of_epochs(seed, len(pictures), 10, first, last)
    with loader.batches(pictures, portions, VIEW, seed=seed, threads=threads) as stream:
        return [
            hashlib.sha256(batch.views[0].tobytes() + batch.targets.tobytes() + batch.draws[0].tobytes()).hexdigest()
            for batch in stream
        ]


def test_batches_are_identical_at_any_number_of_threads_and_any_memory(release: Release) -> None:
    expected = _hashes(_pictures(release), 0, 12, threads=1)
    assert len(set(expected)) == 12
    for threads in (2, 4):
        assert _hashes(_pictures(release), 0, 12, threads) == expected
    assert _hashes(_pictures(release, memory_bytes=0), 0, 12, threads=2) == expected
    assert _hashes(_pictures(release), 0, 12, threads=2, seed=1) != expected


@pytest.mark.parametrize("step", [1, 3, 4, 7, 8])
def test_batches_after_a_resume_are_those_that_were_left(release: Release, step: int) -> None:
    pictures = _pictures(release)  # 48 pictures, 4 steps an epoch: mid-epoch and at its end
    assert _hashes(pictures, step, 12, threads=2) == _hashes(pictures, 0, 12, threads=2)[step:]


def test_an_epoch_shows_no_picture_twice_and_labels_belong_to_their_pictures(release: Release) -> None:
    pictures = _pictures(release)
    truth = dict(
        zip(release.pictures.column("image_id").to_pylist(), release.pictures.column("label").to_pylist(), strict=True)
    )
    seen = [portion.positions for portion in loader.portions_of_epochs(3, len(pictures), 10, 4, 8)]
    positions = np.concatenate(seen).tolist()
    assert len(set(positions)) == 40
    with loader.batches(pictures, iter([loader.Portion(0, seen[0])]), VIEW, seed=0, threads=1) as stream:
        labels = next(stream).targets.tolist()
    assert labels == [truth[pictures.image_ids[position]] for position in seen[0]]


def test_validation_shows_every_picture_once_in_order(release: Release) -> None:
    portions = list(loader.portions_in_order(np.arange(25), 10))
    assert np.concatenate([portion.positions for portion in portions]).tolist() == list(range(25))


def test_an_undecodable_picture_is_left_out_and_recorded(tmp_path: Path, make_release: MakeRelease) -> None:
    pictures = _pictures(open_release(make_release(tmp_path, broken=1)))
    portion = loader.Portion(0, np.arange(len(pictures)))
    with loader.batches(pictures, [portion], VIEW, seed=0, threads=2) as stream:
        batch = next(stream)
    assert len(batch) == len(batch.views[0]) == len(batch.targets) == len(batch.draws[0]) == 48 - 3
    assert sorted(pictures.unreadable.values()) == ["truncated"] * 3


def test_a_batch_without_a_single_picture_is_empty_and_says_which(tmp_path: Path, make_release: MakeRelease) -> None:
    pictures = _pictures(open_release(make_release(tmp_path, train=4, broken=4)))
    portions = [loader.Portion(0, np.arange(5)), loader.Portion(0, np.arange(5, 12))]
    with loader.batches(pictures, portions, VIEW, seed=0, threads=1) as stream:
        batches = list(stream)
    assert [(len(batch.views[0]), len(batch.targets), len(batch.draws[0])) for batch in batches] == [(0, 0, 0)] * 2
    assert sorted(pictures.unreadable) == sorted(pictures.image_ids)
    said = pictures.too_few()
    assert said.what == (
        "Too few pictures of split 'train' can be decoded: 12 of 12 cannot"
        f" (first {next(iter(pictures.unreadable))[:12]}: truncated)."
    )
    assert said.fix == "pictus release verify 1.0.0"


def test_memory_is_bounded(release: Release) -> None:
    one = 36 * 44 * 3
    pictures = _pictures(release, memory_bytes=5 * one + 7)
    _hashes(pictures, 0, 4, threads=2)
    assert sum(kept is not None for kept in pictures._kept) == 5


def test_pictures_are_packed_to_a_short_side(make_jpeg: Callable[..., bytes]) -> None:
    large, small = make_jpeg(300, 200), make_jpeg(30, 20)
    assert loader.packed(large, 64, may_grow=False).shape == (64, 96, 3)
    assert loader.packed(small, 64, may_grow=False).shape == (20, 30, 3)
    assert loader.packed(small, 64, may_grow=True).shape == (64, 96, 3)
    assert np.array_equal(loader.packed(large, -1, may_grow=False), pixels.decode(large))


def test_threads_end_with_their_loader_and_leave_torch_alone(release: Release) -> None:
    import torch

    before = torch.get_num_threads()
    inside: list[int] = []

    def view(picture: loader.Pixels, row: augment.Draws) -> loader.Pixels:
        inside.append(torch.get_num_threads())
        return VIEW(picture, row)

    portions = loader.portions_of_epochs(0, 48, 10, 0, 10**6)
    with loader.batches(_pictures(release), portions, view, seed=0, threads=3) as stream:
        next(stream)
        assert torch.get_num_threads() == before
    assert set(inside) == {1}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane")]


def test_a_picture_shown_again_is_decoded_once_a_batch_and_cropped_anew(release: Release) -> None:
    pictures, n_decoded = _pictures(release, memory_bytes=0), 0
    decode = pictures.decode

    def counting(image_bytes: bytes) -> loader.Pixels:
        nonlocal n_decoded
        n_decoded += 1
        return decode(image_bytes)

    pictures.decode = counting
    portions = loader.portions_of_epochs(0, 48, 12, 0, 1, how=Sampling(repeats=3))
    with loader.batches(pictures, portions, VIEW, seed=0, threads=1) as stream:
        batch = next(stream)
    assert n_decoded == len(set(batch.positions.tolist())) == 4
    assert len({view.tobytes() for view in batch.views[0]}) == 12
    with loader.batches(pictures, [loader.Portion(0, batch.positions[:4])], VIEW, seed=0, threads=1) as stream:
        assert np.array_equal(next(stream).views[0], batch.views[0][:4])  # the first turn is what it always was
