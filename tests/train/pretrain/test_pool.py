"""Which labels are told, which pictures of the project come beside them, and that both stay as they were."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

import pictus
from pictus.clock import now
from pictus.errors import UserError
from pictus.records import Duplicate, Picture, Verdict
from pictus.releases import find_release, split_rows
from pictus.shards import ShardWriter
from pictus.tables import table_of
from pictus.train.pretrain import pool
from pictus.train.recipes import Recipe

IDS = [f"{number * 2654435761 % 2**32:08x}{number:056x}" for number in range(400)]
LABELS = np.array([number % 7 == 0 for number in range(400)], np.int32)


def test_a_share_is_stratified_seeded_and_grows() -> None:
    few, more = pool.is_told(IDS, LABELS, 0.1, 5), pool.is_told(IDS, LABELS, 0.3, 5)
    assert [int(few[label == LABELS].sum()) for label in (0, 1)] == [34, 6], "a tenth of 342 and of 58"
    assert (few <= more).all()
    assert (few != pool.is_told(IDS, LABELS, 0.1, 6)).any()
    order = np.random.default_rng(0).permutation(400)
    assert (pool.is_told([IDS[at] for at in order], LABELS[order], 0.1, 5) == few[order]).all()
    assert pool.is_told(IDS, LABELS, 1e-6, 5).sum() == 2, "one of each class at least"


def test_labels_that_are_not_told_leave_or_stay_without(stripes: pictus.Project) -> None:
    release = find_release(stripes)
    recipe = Recipe("resnet-w16", share=0.25)
    assert split_rows(pool.arranged(stripes, release, recipe), "train").num_rows == 12
    shown = split_rows(pool.arranged(stripes, release, replace(recipe, objective="fixmatch")), "train")
    labels = shown.column("label").to_pylist()
    assert (len(labels), labels.count(pool.UNKNOWN)) == (48, 36)
    assert shown.column("image_id").to_pylist() == split_rows(release, "train").column("image_id").to_pylist()
    assert pool.arranged(stripes, release, Recipe("resnet-w16")) is release


def test_fixmatch_draws_its_share_of_both(stripes: pictus.Project) -> None:
    recipe = Recipe("resnet-w16", share=0.25, objective="fixmatch", unlabelled=3)
    shown = pool.arranged(stripes, find_release(stripes), recipe)
    how = pool.sampled(shown, recipe)
    assert how.chances_N is not None
    is_told = split_rows(shown, "train").column("label").to_numpy() >= 0
    told, untold = how.chances_N[is_told].sum(), how.chances_N[~is_told].sum()
    assert untold / told == pytest.approx(3)


def test_fixmatch_smooths_no_label_that_could_then_never_be_surely_guessed(stripes: pictus.Project) -> None:
    release = find_release(stripes)
    for threshold, smoothing in ((0.95, 0.0), (0.9, 0.1), (0.5, 0.1)):
        recipe = Recipe("resnet-w16", share=0.25, objective="fixmatch", threshold=threshold, smoothing=0.1)
        assert pool.resolved(stripes, release, recipe).smoothing == smoothing


def test_a_pool_is_what_is_clean_and_no_kin_of_val_and_stays_as_it_was(stripes: pictus.Project) -> None:
    release = find_release(stripes)
    asked = split_rows(release, "val").column("image_id").to_pylist()[0]
    _collected(stripes, dropped="bb", kin=("cc", asked))
    recipe = pool.resolved(stripes, release, Recipe("resnet-w16", objective="simclr", pool="project"))
    listed = pool.kept(stripes, recipe.pool_sha256)
    assert listed.column("image_id").to_pylist() == sorted(map(_id, ("aa", "dd")))
    shown = pool.arranged(stripes, release, recipe)
    rows = split_rows(shown, "train")
    assert rows.column("label").to_pylist()[-2:] == [pool.UNKNOWN] * 2
    supply = pool.supplied(stripes, shown, recipe)
    assert supply is not None
    ends = [supply.read(rows.num_rows - place) for place in (2, 1)]
    assert [hashlib.sha256(one).hexdigest() for one in ends] == listed.column("image_id").to_pylist()
    assert set(ends) == {b"bytes of aa", b"bytes of dd"}
    assert supply.read(0)[:2] == b"\xff\xd8"
    _collected(stripes, names=("ee",))
    assert pool.arranged(stripes, release, recipe).pictures.equals(shown.pictures), "a run goes on with what it began"
    assert pool.resolved(stripes, release, recipe).pool_sha256 != recipe.pool_sha256
    (stripes.models_dir / pool.POOLS / f"{recipe.pool_sha256}.parquet").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        pool.arranged(stripes, release, recipe)


def test_a_pools_digest_stands_for_the_bytes_of_its_pictures(stripes: pictus.Project) -> None:
    release = find_release(stripes)
    _collected(stripes)
    recipe = pool.resolved(stripes, release, Recipe("resnet-w16", objective="simclr", pool="project"))
    ids = sorted(map(_id, ("aa", "bb", "cc", "dd")))
    assert recipe.pool_sha256 == hashlib.sha256("\n".join(ids).encode()).hexdigest()
    shown = pool.arranged(stripes, release, recipe)
    shard = stripes.shards_dir / split_rows(shown, "train").column("shard").to_pylist()[-1]
    shard.write_bytes(shard.read_bytes().replace(b"bytes of aa", b"bytes of zz"))
    supply = pool.supplied(stripes, shown, recipe)
    assert supply is not None
    first = split_rows(shown, "train").num_rows - 4
    places = {one: first + place for place, one in enumerate(ids)}
    assert supply.read(places[_id("bb")]) == supply.read(places[_id("bb")]) == b"bytes of bb"
    with pytest.raises(UserError, match="other bytes where the pool's picture " + _id("aa")[:12]):
        supply.read(places[_id("aa")])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pool": "project"}, "learns from labels"),
        ({"objective": "simclr", "pool": "project"}, "no clean picture"),
        ({"objective": "simclr", "mixup": 0.5, "task": "multilabel"}, "task=multilabel, mixup=0.5"),
        ({"share": 0.5, "keep": "pack"}, "whole split"),
    ],
)
def test_what_does_not_go_together_is_told(stripes: pictus.Project, settings: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        pool.resolved(stripes, find_release(stripes), replace(Recipe("resnet-w16"), **settings))  # type: ignore[arg-type]


def _collected(
    project: pictus.Project, *, names: tuple[str, ...] = ("aa", "bb", "cc", "dd"), dropped: str = "",
    kin: tuple[str, str] | None = None,
) -> None:  # fmt: skip
    """Pictures in the project beside the release's, one dropped, one a duplicate of a picture of val."""
    found = []
    with ShardWriter(project.shards_dir, prefix=names[0]) as writer:
        for name in names:
            image_bytes = f"bytes of {name}".encode()
            placed = writer.add(_id(name), "jpg", image_bytes)
            found.append(Picture(_id(name), placed.shard, placed.offset, placed.size, 44, 36, "jpeg", "RGB", now()))
    project.tables.append("images", table_of("images", found))
    if dropped:
        verdict = Verdict(_id(dropped), "drop", "tiny", "", 0.0, 0.0, now())
        project.tables.append("verdicts", table_of("verdicts", [verdict]))
    if kin:
        pair = [
            Duplicate(kin[1], kin[1], is_keeper=True, relation="near", distance=0, evidence_id="", reason=""),
            Duplicate(_id(kin[0]), kin[1], is_keeper=False, relation="near", distance=1, evidence_id=kin[1], reason=""),
        ]
        project.tables.append("duplicates", table_of("duplicates", pair))


def _id(name: str) -> str:
    return hashlib.sha256(f"bytes of {name}".encode()).hexdigest()
