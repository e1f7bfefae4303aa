from __future__ import annotations

import csv
import io
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pictus
from pictus import challenge
from pictus.errors import UserError
from pictus.project import bare
from pictus.releases import find_release

RealData = Callable[[str], Path]


def unpacked(path: Path, folder: Path) -> Path:
    target = folder / path.name.removesuffix(".xz")
    target.write_bytes(lzma.decompress(path.read_bytes()))
    return target


@pytest.fixture
def release(tmp_path: Path, make_release: Any, make_jpeg: Any) -> Path:
    classes = ["n02", "n03", "n05", "n06"]
    pictures = [("test", classes[seed % 4], make_jpeg(32, 32, seed)) for seed in range(8)]
    folder: Path = make_release(tmp_path / "releases/1.0.0", [*pictures, ("train", "n02", make_jpeg(32, 32, 99))])
    return folder


def test_score_against_a_release_by_position(release: Path, tmp_path: Path) -> None:
    # truth n02 n03 n05 n06 n02 n03 n05 n06 (0 1 2 3 0 1 2 3)
    # right first: rows 0-3; right second: row 4; never: 5 (sibling), 6 (other root), 7 (no guess)
    file = tmp_path / "team.txt"
    file.write_text("0\nn03\n2\n3 1\nn03 n02\nn02\nn02\n\n")
    outcome = challenge.score(bare(tmp_path), file, release=str(release))
    assert outcome.summary["top1"] == 4 / 8
    assert outcome.summary["top5"] == 5 / 8
    # virtual root has height 2: siblings cost 1/2, the other root's 1, nothing 1 -> (0.5 + 1 + 1) / 8
    assert outcome.summary["hierarchical_error"] == pytest.approx(2.5 / 8)
    low, high = outcome.summary["hierarchical_low"], outcome.summary["hierarchical_high"]
    assert f"hierarchical error 0.312 ({low:.3f}-{high:.3f})" in outcome.headline
    assert 0 <= low < 2.5 / 8 < high <= 1
    assert outcome.problems == ("team: 1 of 8 pictures without a guess: counted as wrong",)
    assert [score.name for score in outcome] == ["team"]


def test_a_tree_without_levels_has_no_hierarchical_error(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_release(bare(tmp_path), str(release))
    concepts = tuple(replace(one, parents=()) for one in found.concepts if one.is_class)
    monkeypatch.setattr("pictus.challenge.steps.find_release", lambda *_: replace(found, concepts=concepts))
    file = tmp_path / "team.txt"
    file.write_text("0\n1\n2\n3\n" * 2)
    outcome = challenge.score(bare(tmp_path), file, release=str(release))
    assert (outcome.summary["top1"], outcome.summary["hierarchical_error"]) == (1, None)
    assert "hierarchical error 0" not in outcome.headline
    assert "no hierarchical error: the tree has no levels" in outcome.headline


def test_guesses_that_can_name_every_class_have_no_hierarchical_error(release: Path, tmp_path: Path) -> None:
    file = tmp_path / "team.txt"
    file.write_text("0 1 2 3\n" * 8)
    outcome = challenge.score(bare(tmp_path), file, release=str(release))
    assert outcome.summary["hierarchical_error"] is None
    assert "no hierarchical error: 4 classes, the guesses name them all" in outcome.headline


def test_the_newest_release_of_the_project_is_the_default(release: Path, tmp_path: Path) -> None:
    file = tmp_path / "team.txt"
    file.write_text("0\n1\n2\n3\n" * 2)
    assert challenge.score(bare(tmp_path), file).summary["top1"] == 1
    assert challenge.score(bare(tmp_path), file).summary["truth"] == "release 1.0.0 test"


def test_rank_several_files_and_keep_equal_names_apart(release: Path, tmp_path: Path) -> None:
    for folder, line in (("a", "0\n1\n2\n3\n"), ("b", "1\n1\n1\n1\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "team.txt").write_text(line * 2)
    files = (tmp_path / "a/team.txt", tmp_path / "b/team.txt")
    outcome = challenge.rank(bare(tmp_path), files, release=str(release))
    assert [score.name for score in outcome] == [str(files[0]), str(files[1])]
    assert outcome.summary["models"] == 2
    with pytest.raises(UserError, match="given twice"):
        challenge.rank(bare(tmp_path), (files[0], files[0]), release=str(release))


def test_an_npz_of_many_models_cannot_be_one_score(tmp_path: Path) -> None:
    file = tmp_path / "all.npz"
    np.savez(file, labels=np.array([0, 1]), a=np.array([[0], [1]]), b=np.array([[1], [1]]))
    with pytest.raises(UserError, match="holds 2 models") as caught:
        challenge.score(bare(tmp_path), file, truth=file)
    assert "challenge rank" in caught.value.fix
    assert challenge.rank(bare(tmp_path), (file,), truth=file).summary["models"] == 2


def test_bad_calls_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        challenge.score(bare(tmp_path), tmp_path / "none.txt", truth=tmp_path / "none.txt")
    (tmp_path / "real.json").write_text("[[], []]")
    (tmp_path / "team.txt").write_text("1\n2\n")
    with pytest.raises(UserError, match="no picture that counts"):
        challenge.score(bare(tmp_path), tmp_path / "team.txt", truth=tmp_path / "real.json")
    with pytest.raises(UserError, match="both say what is true"):
        challenge.score(bare(tmp_path), tmp_path / "team.txt", truth=tmp_path / "real.json", release="1.0.0")
    with pytest.raises(UserError, match="nothing to rank"):
        challenge.rank(bare(tmp_path), (), truth=tmp_path / "team.txt")


@pytest.mark.real_data
def test_leaderboard_of_16_models_equals_the_published_accuracies(real_data: RealData, tmp_path: Path) -> None:
    folder = real_data("model_predictions")
    file = unpacked(folder / "top5_imagenet-validation-original.npz.xz", tmp_path)
    rows = csv.DictReader(io.StringIO((folder / "accuracy.csv").read_text()))
    published = {row["model"]: row for row in rows if row["dataset"] == "imagenet-validation-original"}
    outcome = challenge.rank(bare(tmp_path), (file,), truth=file)
    scores = list(outcome)
    assert len(scores) == 16
    for score in scores:
        assert score.top1 == pytest.approx(float(published[score.name]["top1"]), abs=0.001), score.name
        assert score.top5 == pytest.approx(float(published[score.name]["top5"]), abs=0.001), score.name
    # torchvision's own published numbers for the same weights
    by_name = {score.name: score for score in scores}
    for name, top1, top5 in (("alexnet", 56.52, 79.07), ("resnet50", 76.13, 92.86), ("vgg16", 71.59, 90.38)):
        assert by_name[name].top1 * 100 == pytest.approx(top1, abs=0.1)
        assert by_name[name].top5 * 100 == pytest.approx(top5, abs=0.1)
    assert [score.name for score in scores if score.rank == 1] == ["pnasnet5large", "nasnetalarge"]


@pytest.mark.real_data
def test_places_demo_submission_scores_as_counted_line_by_line(real_data: RealData, tmp_path: Path) -> None:
    folder = real_data("metric_fixtures") / "places_devkit"
    guesses, truth = (unpacked(folder / name, tmp_path) for name in ("demo.val.pred.txt.xz", "val.txt.xz"))
    # the devkit's rule, one line at a time: wrong unless the label is among the first k guesses
    label_of = dict(line.split() for line in truth.read_text().splitlines())
    lines = [line.split() for line in guesses.read_text().splitlines()]
    top1, top5 = (sum(label_of[name] in found[:k] for name, *found in lines) / 10_000 for k in (1, 5))
    summary = challenge.score(bare(tmp_path), guesses, truth=truth).summary
    assert (summary["top1"], summary["top5"]) == (top1, top5)
    assert (summary["n"], top1, top5) == (10_000, 0.0105, 0.0475)  # a random submission over 100 classes


@pytest.mark.real_data
def test_the_devkit_s_ground_truth_file_is_read(real_data: RealData, tmp_path: Path) -> None:
    truth = real_data("imagenet_taxonomy") / "ilsvrc2012_devkit/ILSVRC2012_validation_ground_truth.txt"
    labels = [int(line) for line in truth.read_text().split()]
    file = tmp_path / "team.txt"  # right in the second guess on every fourth picture, else off by one class
    file.write_text("".join(f"{label % 1000 + 1} {label if row % 4 == 0 else 1}\n" for row, label in enumerate(labels)))
    summary = challenge.score(bare(tmp_path), file, truth=truth).summary
    expected = sum(row % 4 == 0 or label == 1 for row, label in enumerate(labels)) / 50_000
    assert (summary["n"], summary["top1"], summary["top5"]) == (50_000, 0, expected)


def test_a_project_is_not_needed_and_nothing_is_written(release: Path, tmp_path: Path) -> None:
    file = tmp_path / "team.txt"
    file.write_text("0\n1\n2\n3\n" * 2)
    before = sorted(tmp_path.rglob("*"))
    challenge.score(bare(tmp_path), file, release=str(release))
    assert sorted(tmp_path.rglob("*")) == before
    assert isinstance(bare(tmp_path), pictus.Project)
