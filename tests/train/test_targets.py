"""The crowd's doubt as targets, weights of pictures, and how labels are confused: numbers worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pictus
from pictus import train
from pictus.errors import UserError
from pictus.releases import LABELS, Release, open_release, split_rows
from pictus.train import recipes, targets
from pictus.train.loop import training
from pictus.train.recipes import Recipe

pytest.importorskip("torch", reason="pip install 'pictus[train]'")
A, B, C = "x00000000", "x00000001", "x00000002"
QUICK = ("batch_size=8", "size=32", "checkpoint_s=0", "parts=1", "threads=1", "precision=fp32", "probe=false")
Row = tuple[str, str, float, int, int, str]
Told = Callable[..., Release]


@pytest.fixture
def told(stripes: pictus.Project) -> Told:
    """told(rows_of): the release of stripes with labels.parquet; rows_of(number, image_id, own) -> its rows."""

    def make(rows_of: Callable[[int, str, str], list[Row]], quality: dict[str, float] | None = None) -> Release:
        root = stripes.releases_dir / "1.0.0"
        pictures = pq.read_table(root / "pictures.parquet")
        rows = [
            dict(zip(LABELS.names, (*row, (quality or {}).get(row[0] + row[1])), strict=True))
            for number, (image_id, own) in enumerate(
                zip(*(pictures.column(name).to_pylist() for name in ("image_id", "concept_id")), strict=True)
            )
            for row in rows_of(number, image_id, own)
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=LABELS), root / "labels.parquet")
        manifest = json.loads((root / "manifest.json").read_text())
        manifest["files"]["labels.parquet"] = {"sha256": "", "size": 0}
        (root / "manifest.json").write_text(json.dumps(manifest))
        return open_release(root)

    return make


def doubting(_: int, image_id: str, own: str) -> list[Row]:
    """Everybody's own label at 0.7 (3 of 4 voters); of class A also B at 0.2 (1 of 4), and C not asked."""
    rows = [(image_id, own, 0.7, 4, 3, "accepted")]
    return [*rows, (image_id, B, 0.2, 4, 1, "unsettled")] if own == A else rows


def several(number: int, image_id: str, own: str) -> list[Row]:
    """Every second picture is also the next class, the others are not; the third class was not asked about."""
    other = {A: B, B: C, C: A}[own]
    is_both = number % 2 == 0
    return [
        (image_id, own, 0.95, 3, 3, "accepted"),
        (image_id, other, 0.95 if is_both else 0.05, 3, 3 * is_both, "accepted" if is_both else "rejected"),
    ]


def of(release: Release, name: str, *columns: Any) -> Any:
    labels = split_rows(release, "train").column("concept_id").to_pylist()
    return columns[0][labels.index(name)]


def test_what_posteriors_leave_goes_to_classes_nobody_was_asked_about(told: Told) -> None:
    release = told(doubting)
    found = targets.of_training(release, Recipe("small-cnn", targets="posterior"))
    assert found.shape == (48, 3)
    assert of(release, A, found).tolist() == pytest.approx([0.7, 0.2, 0.1])
    assert of(release, B, found).tolist() == pytest.approx([0.15, 0.7, 0.15])
    votes = targets.of_training(release, Recipe("small-cnn", targets="votes"))
    assert of(release, A, votes).tolist() == pytest.approx([0.75, 0.25, 0])
    assert of(release, B, votes).tolist() == pytest.approx([0, 1, 0]), "one row alone is brought to 1"


def test_posteriors_that_add_up_to_more_than_one_are_shared(told: Told) -> None:
    release = told(lambda _, image_id, own: [(image_id, own, 0.9, 3, 3, "accepted"), *(
        (image_id, other, 0.6, 3, 2, "accepted") for other in (A, B, C) if other != own)])  # fmt: skip
    found = targets.of_training(release, Recipe("small-cnn", targets="posterior"))
    assert of(release, B, found).tolist() == pytest.approx([0.6 / 2.1, 0.9 / 2.1, 0.6 / 2.1])


def test_temper_sharpens_and_softens(told: Told) -> None:
    release = told(doubting)
    sharp = of(release, A, targets.of_training(release, Recipe("small-cnn", targets="posterior", temper=0.5)))
    assert sharp.tolist() == pytest.approx(np.array([0.49, 0.04, 0.01]) / 0.54)


def test_labels_are_confused_as_posteriors_say(told: Told) -> None:
    release = told(doubting)
    found = targets.confusion_of(release, Recipe("small-cnn", robust="forward"))
    # 16 pictures a class. Truth A: 0.7 of A's own, 0.15 of B's, 0.15 of C's
    assert found[0].tolist() == pytest.approx([0.7, 0.15, 0.15])
    assert found.sum(axis=1) == pytest.approx([1, 1, 1])
    assert found[1].tolist() == pytest.approx(np.array([0.2, 0.7, 0.15]) / 1.05)


def test_doubted_labels_weigh_less(told: Told, tmp_path: Path) -> None:
    release = told(doubting)
    first = split_rows(release, "train").column("image_id")[0].as_py()
    release = told(doubting, {first + A: 0.25})
    found = targets.weights_of(release, Recipe("small-cnn", robust="downweight"))
    assert found is not None
    assert found.mean() == pytest.approx(1)
    assert found[0] / found[1] == pytest.approx(0.25)
    (tmp_path / "w.csv").write_text(f"image_id,weight\n{first},0\n")
    chosen = targets.resolved(Recipe("small-cnn", sample_weights=str(tmp_path / "w.csv")))
    given = targets.weights_of(release, chosen)
    assert given is not None
    assert (given[0], given[1]) == (0, pytest.approx(48 / 47))
    (tmp_path / "w.csv").write_text(f"image_id,weight\n{first},1\n")
    with pytest.raises(UserError, match="not the file of weights this run was begun with"):
        targets.weights_of(release, chosen)
    (tmp_path / "w.csv").write_text("image_id,weight\nz,-1\ny,nan\n")
    with pytest.raises(UserError, match="row 2: 'nan'"):
        targets.read_weights(tmp_path / "w.csv")


def test_what_a_release_does_not_know_is_told(stripes: pictus.Project) -> None:
    for settings in (("targets=posterior",), ("robust=forward",), ("task=multilabel",)):
        with pytest.raises(UserError, match=r"labels\.parquet|one label to a picture"):
            train.run(stripes, set_=(*QUICK, *settings))
    with pytest.raises(UserError, match="several labels"):
        train.run(stripes, set_=(*QUICK, "loss=asymmetric"))
    with pytest.raises(UserError, match="task"):
        train.run(stripes, set_=(*QUICK, "task=nothing"))
    assert recipes.changed(Recipe("small-cnn"), ("robust=gce",)).robust == "gce"


@pytest.mark.parametrize(
    "settings",
    [("targets=posterior", "mixup=0.2"), ("targets=votes", "robust=forward"), ("robust=gce",), ("robust=downweight",)],
    ids="-".join,
)
def test_a_run_on_doubt_that_was_killed_ends_with_the_same_bytes(
    stripes: pictus.Project, told: Told, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
) -> None:
    told(doubting)
    check_resumes(stripes, monkeypatch, (*QUICK, *settings))


def check_resumes(project: pictus.Project, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]) -> Path:
    whole = Path(train.run(project, epochs=2, name="whole", set_=settings).summary["path"])
    advance = training.advance

    def stopping(job: Any, state: Any, *rest: Any) -> Any:
        if state.counters.step == 7:
            raise KeyboardInterrupt
        return advance(job, state, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(training, "advance", stopping)
        with pytest.raises(KeyboardInterrupt):
            train.run(project, epochs=2, name="stopped", set_=settings)
    stopped = Path(train.resume(project, "stopped").summary["path"])
    for name in ("metrics.jsonl", "model.safetensors", "last.safetensors"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes(), name
    return whole


@pytest.mark.parametrize("loss", ["task", "asymmetric"])
def test_several_labels_are_learned_killed_and_resumed(
    stripes: pictus.Project, told: Told, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    told(several)
    root = check_resumes(stripes, monkeypatch, (*QUICK, "task=multilabel", f"loss={loss}"))
    card = json.loads((root / "run.json").read_text())
    assert 0 <= card["results"]["val_map"] <= 1
    assert "val_f1" in card["results"]
