"""Probes and few-shot reports: from kept features, which are made once and go on after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.tasks import probe as fitted
from pictus.train.transfer import features, nearest, probing
from pictus.train.transfer.features import Features

TINY = ("epochs=1", "batch_size=12", "size=32", "threads=1", "parts=1", "probe=false")


def test_a_probe_on_few_numbers_is_fitted_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    seen, before = [], torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert probing.threads_for(190, 8, 0) == probing.threads_for(190, 8, 32) == 1
    assert probing.threads_for(190, 8, 65_536) == probing.threads_for(50_000, 512, 0) == 3
    monkeypatch.undo()
    monkeypatch.setattr(fitted, "fit", lambda *_: seen.append(torch.get_num_threads()))
    torch.set_num_threads(2)
    try:
        probing.linear(Features(np.zeros((4, 3), np.float32), np.zeros(4, np.int64), 0), 2, hidden=0, l2=1.0)
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def trained(stripes: pictus.Project) -> pictus.Project:
    train.run(stripes, name="a", set_=TINY)
    return stripes


def test_a_probe_tells_top1_with_its_interval_and_keeps_the_features(
    trained: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = train.probe(trained, network="a", release="1.0.0")
    rows = list(outcome)
    assert outcome.next == ("pictus train few-shot --network a --release 1.0.0",)
    assert [(row.method, row.split, row.pictures) for row in rows] == [("linear", "val", 12), ("knn", "val", 12)]
    assert all(0 <= row.low <= row.top1 <= row.high <= 1 for row in rows)
    assert "chose the setting" in outcome.headline
    monkeypatch.setattr(models, "prepare", None)  # nothing is decoded a second time
    assert list(train.probe(trained, network="a", knn=True)) == rows[1:]


def test_features_that_a_kill_left_half_made_are_completed(
    trained: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "PART", 5)
    rows = list(train.probe(trained))
    folder = next((trained.models_dir / features.FOLDER).iterdir())
    parts = sorted(folder.glob("train-*.npy"))
    assert len(parts) == 10  # 48 pictures
    whole = {path: path.read_bytes() for path in parts}
    parts[3].unlink()
    parts[4].write_bytes(whole[parts[4]][:100])
    assert list(train.probe(trained)) == rows
    assert {path: path.read_bytes() for path in parts} == whole


def test_a_picture_that_cannot_be_decoded_is_counted(project: pictus.Project, make_release: object) -> None:
    make_release(project.releases_dir, broken=2)  # type: ignore[operator]
    train.run(project, name="a", set_=TINY)
    outcome = train.probe(project, network="a", knn=True)
    assert outcome.problems == ("6 pictures cannot be decoded",)


def test_few_shots_have_a_mean_an_interval_and_a_page(trained: pictus.Project) -> None:
    outcome = train.few_shot(trained, shots=(5, 1), draws=3)
    rows = list(outcome)
    assert [row.shots for row in rows] == [1, 5]
    for row in rows:
        assert row.top1 == pytest.approx(np.mean(row.each))
        assert row.low <= row.top1 <= row.high
    page = Path(str(outcome.summary["report"])).read_text(encoding="utf-8")
    assert "<svg" in page
    assert f"{rows[1].top1:.1%}" in page
    assert list(train.few_shot(trained, draws=3))[:2] == rows  # 1, 5 and 10 when nothing is said


def test_few_are_so_many_of_each_class_and_the_same_for_the_same_seed() -> None:
    some = Features(np.arange(20, dtype=np.float32)[:, None], np.repeat([0, 1], [17, 3]), 0)
    drawn = probing.drawn(some, 5, 1)
    assert np.bincount(drawn.labels_N).tolist() == [5, 3]
    assert np.array_equal(drawn.values_ND, probing.drawn(some, 5, 1).values_ND)
    assert not np.array_equal(drawn.values_ND, probing.drawn(some, 5, 2).values_ND)


def test_neighbours_vote_by_their_cosine() -> None:
    known = np.array([[1, 0], [2, 0.2], [0, 3]], np.float32)
    votes = nearest.votes(known, np.array([0, 1, 2]), np.array([[5, 0]], np.float32), 2, 3)
    cosine = 2 / np.hypot(2, 0.2)  # of the second; the first's is 1
    assert votes[0] == pytest.approx([1, np.exp((cosine - 1) / nearest.TEMPERATURE), 0], rel=1e-4)


def test_our_own_network_without_weights_is_refused(stripes: pictus.Project) -> None:
    with pytest.raises(UserError, match="no published weights"):
        train.probe(stripes, network="small-cnn")


def test_weights_of_a_file_are_used_whatever_classes_they_were_of(trained: pictus.Project) -> None:
    file = trained.models_dir / "a" / models.WEIGHTS_NAME
    source = features.source_of(trained, "small-cnn", str(file))
    assert source.weights_sha256 == features.source_of(trained, "a").weights_sha256
