from __future__ import annotations

import hashlib
import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import pictus
from pictus import challenge, evaluate, models
from pictus.errors import UserError
from pictus.evaluate import predictions
from pictus.project import bare
from pictus.releases import LABELS

COLOURS = {"n02": (220, 30, 30), "n03": (30, 220, 30), "n05": (30, 30, 220), "n06": (128, 128, 128)}


def painted(colour: str, seed: int) -> bytes:
    """A JPEG whose mean colour tells its class."""
    generator = np.random.default_rng(seed)
    noise = generator.integers(-25, 26, (40, 48, 3))
    pixels = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def colour_network() -> Any:
    """Scores = nearness of the mean colour to each class's: a network whose answers can be told beforehand."""
    import torch

    class Nearest(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            colours = torch.tensor([COLOURS[one] for one in sorted(COLOURS)], dtype=torch.float32)
            self.colours = torch.nn.Parameter((colours / 255 - 0.5) / 0.25)

        def forward(self, batch: Any) -> Any:
            return -2 * torch.cdist(batch.mean(dim=(2, 3)), self.colours)

    return Nearest().eval()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The run's network is `colour_network`; counts the pictures it is asked about."""
    asked: list[int] = []
    predict = models.predict_pixels

    def counting(model: Any, run: Any, prepared: Any, batch_size: int = 64) -> Any:
        found = predict(model, run, prepared, batch_size)
        asked.append(len(found))
        return found

    monkeypatch.setattr(models, "load_run", lambda run: colour_network())
    monkeypatch.setattr(models, "predict_pixels", counting)
    return asked


@pytest.fixture
def world(tmp_path: Path, make_release: Any, make_run: Any) -> Path:
    """10 pictures of each class in test; of the dogs, 3 look like cats and 1 file is broken."""
    pictures = [("test", one, painted(one, seed)) for seed in range(9) for one in COLOURS]
    pictures = [row for row in pictures if row[1] != "n02"]
    pictures += [("test", "n02", painted("n02", seed)) for seed in range(100, 106)]
    pictures += [("test", "n02", painted("n03", seed)) for seed in range(200, 203)]
    pictures += [("test", "n02", painted("n02", 300)[:-400]), ("train", "n02", painted("n02", 400))]
    make_release(tmp_path / "releases/1.0.0", pictures)
    make_run(tmp_path / "models/first")
    return tmp_path


def test_a_known_model_gets_its_known_score(world: Path, counted: list[int]) -> None:
    outcome = evaluate.run(bare(world))
    # 10 dogs: 6 right, 3 taken for cats, 1 unreadable; 27 others right: 33 of 37
    summary = outcome.summary
    assert (summary["n"], summary["n_failed"]) == (37, 1)
    assert summary["top1"]["estimate"] == pytest.approx(33 / 37)
    assert summary["top5"]["estimate"] == pytest.approx(36 / 37)
    # cat for dog costs 1/2 at the first guess; best of five: only the unreadable one counts, 1
    assert summary["hierarchical_error"]["estimate"] == pytest.approx(1 / 37)
    assert summary["mistake_severity"] == 1
    dog, cat, axe, saw = list(outcome)
    assert (dog.n, dog.right, dog.taken_for, dog.taken_n) == (10, 6, "cat", 3)
    assert [cat.recall, cat.precision] == [1, pytest.approx(9 / 12)]
    assert [axe.recall, saw.recall] == [1, 1]
    assert outcome.problems == ("1 picture could not be read (truncated); counted as wrong",)
    assert "top-1 89.2 %" in outcome.headline
    # Five guesses name all four classes: what they cannot miss is not shown as a merit.
    assert "no top-5 and no hierarchical error: 4 classes" in outcome.headline
    page = Path(summary["report"]).read_text(encoding="utf-8")
    assert "hierarchical error" not in page
    assert "right within five" not in page


def test_files_hold_the_same_numbers(world: Path, counted: list[int]) -> None:
    evaluate.run(bare(world))
    folder = world / "models/first/evaluations/1.0.0-test"
    results = json.loads((folder / "results.json").read_text())
    assert (results["run"], results["version"], results["split"], results["format"]) == ("first", "1.0.0", "test", 2)
    assert results["top1"]["estimate"] == pytest.approx(33 / 37)
    table = pq.read_table(folder / "predictions.parquet")
    assert table.num_rows == 37
    broken = [row for row in table.to_pylist() if row["cause"]]
    assert [(row["cause"], row["guesses"], row["probabilities"]) for row in broken] == [("truncated", [], [])]
    good = next(row for row in table.to_pylist() if not row["cause"])
    assert good["guesses"][0] == good["concept_id"]
    assert good["true_probability"] == pytest.approx(good["probabilities"][0])
    assert sum(good["probabilities"]) == pytest.approx(1, abs=1e-5)  # four classes, so five guesses are all
    assert "<title>first on drawn 1.0.0 test</title>" in (folder / "report.html").read_text()


def test_the_challenge_gives_the_same_score_from_the_file(world: Path, counted: list[int]) -> None:
    summary = evaluate.run(bare(world)).summary
    file = world / "models/first/evaluations/1.0.0-test/predictions.parquet"
    scored = challenge.score(bare(world), file).summary
    assert scored["top1"] == summary["top1"]["estimate"]
    assert scored["top5"] == summary["top5"]["estimate"]
    # Four classes and four guesses a row: nothing but the unreadable picture can be wrong, so challenge leaves it out.
    assert scored["hierarchical_error"] is None
    assert summary["hierarchical_error"]["estimate"] == pytest.approx(1 / 37)


def test_a_second_run_predicts_nothing_again(world: Path, counted: list[int]) -> None:
    first = evaluate.run(bare(world))
    assert counted == [36]
    again = evaluate.run(bare(world))
    assert counted == [36]
    assert again.summary == first.summary


KILLED = """
import os, signal, sys
import pictus.evaluate.steps as steps
from pictus.project import bare
from pictus.releases import LABELS

steps.BLOCK = 10
predict, done = steps.predict_block, []

def killed(*given):
    if len(done) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(1)
    return predict(*given)

steps.predict_block = killed
steps.run(bare(sys.argv[1]))
"""


def test_after_kill_minus_9_only_the_missing_blocks_are_predicted(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = world / "models/first/evaluations/1.0.0-test"
    told = subprocess.run([sys.executable, "-c", KILLED, world], capture_output=True, timeout=100, check=False)
    assert told.returncode == -signal.SIGKILL, told.stderr
    assert not (folder / "predictions.parquet").exists()
    parts = sorted(folder.glob(".parts-*/*.parquet"))
    assert [part.name for part in parts] == ["000000000.parquet", "000000010.parquet"]
    parts[1].write_bytes(parts[1].read_bytes()[:100])  # a torn file is computed again
    asked: list[int] = []
    predict = predictions.predict_block

    def counting(rows: Any, *rest: Any) -> Any:
        asked.append(rows.num_rows)
        return predict(rows, *rest)

    monkeypatch.setattr("pictus.evaluate.steps.BLOCK", 10)
    monkeypatch.setattr("pictus.evaluate.steps.predict_block", counting)
    resumed = evaluate.run(bare(world)).summary
    assert asked == [10, 10, 7]  # 37 pictures, the first block is kept
    assert not list(folder.glob(".parts-*"))
    table = pq.read_table(folder / "predictions.parquet")
    shutil.rmtree(folder)
    assert evaluate.run(bare(world)).summary == resumed
    assert pq.read_table(folder / "predictions.parquet").equals(table)


def test_pictures_the_model_was_trained_on_are_told(
    world: Path, counted: list[int], make_release: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pictus.releases import open_release

    card = json.loads((world / "models/first/run.json").read_text())
    digest = open_release(world / "releases/1.0.0").digest
    card["release"] = {"name": "drawn", "version": "1.0.0", "digest": digest, "path": "releases/1.0.0"}
    (world / "models/first/run.json").write_text(json.dumps(card))
    assert not any("trained" in told for told in evaluate.run(bare(world)).problems)
    assert "trained on 1 of the 1 picture here" in evaluate.run(bare(world), split="train").problems[0]
    later = [("test", "n02", painted("n02", 400)), ("test", "n02", painted("n02", 401))]  # the first was in train
    make_release(world / "releases/2.0.0", later)
    assert "trained on 1 of the 2 pictures here" in evaluate.run(bare(world), release="2.0.0").problems[0]
    shutil.move(world / "releases/1.0.0", tmp_path / "elsewhere/releases/1.0.0")
    monkeypatch.chdir(tmp_path / "elsewhere")  # where another release of that number lies
    assert "may have seen these pictures" in evaluate.run(bare(world), release="2.0.0").problems[0]
    make_release(world / "releases/1.0.0", later)
    assert "may have seen these pictures" in evaluate.run(bare(world), release="2.0.0").problems[0]


def test_other_weights_are_predicted_anew(world: Path, counted: list[int], make_run: Any) -> None:
    evaluate.run(bare(world))
    shutil.rmtree(world / "models/first")
    make_run(world / "models/first", seed=1)
    evaluate.run(bare(world))
    assert counted == [36, 36]


def test_logits_are_kept_on_request(world: Path, counted: list[int]) -> None:
    evaluate.run(bare(world), logits=True)
    table = pq.read_table(world / "models/first/evaluations/1.0.0-test/predictions.parquet")
    rows = table.to_pylist()
    assert sum(row["logits"] is None for row in rows) == 1
    best = [int(np.argmax(row["logits"])) for row in rows if row["logits"] is not None]
    assert best == [row["guess_labels"][0] for row in rows if row["guess_labels"]]


def test_a_release_folder_and_a_run_folder_are_enough(world: Path, counted: list[int], tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    summary = evaluate.run(
        bare(elsewhere), run=str(world / "models/first"), release=str(world / "releases/1.0.0")
    ).summary
    assert summary["n"] == 37
    assert not list(elsewhere.iterdir())


def test_a_project_keeps_the_event(world: Path, counted: list[int]) -> None:
    (world / "pictus.toml").write_text('name = "birds"\nformat = 1\n')
    project = pictus.open(world)
    evaluate.run(project, split="train")
    (event,) = project.journal.events("first")
    assert (event.stage, event.event, event.data["n"]) == ("evaluate", "run_evaluated", 1)


def test_classes_the_model_cannot_know_are_told(world: Path, counted: list[int]) -> None:
    card = json.loads((world / "models/first/run.json").read_text())
    card["classes"][0] = "n99"
    (world / "models/first/run.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=r"does not know 1 of the classes in release .*: n02") as caught:
        evaluate.run(bare(world))
    assert "pictus train run --release 1.0.0" in caught.value.fix


def test_bad_calls_are_told(world: Path, counted: list[int]) -> None:
    with pytest.raises(UserError, match="no pictures in split 'val'"):
        evaluate.run(bare(world), split="val")
    with pytest.raises(UserError, match="no run 'frist'"):
        evaluate.run(bare(world), run="frist")
    (world / "models/first/model.safetensors").unlink()
    with pytest.raises(UserError, match="has no weights yet"):
        evaluate.run(bare(world))


def test_two_evaluations_of_one_run_do_not_mix(world: Path, counted: list[int]) -> None:
    with bare(world / "models/first").lock("evaluate"), pytest.raises(UserError, match="is working on 'evaluate'"):
        evaluate.run(bare(world))


def test_a_real_network_runs_through(world: Path) -> None:
    summary = evaluate.run(bare(world)).summary
    assert summary["n"] == 37
    assert 0 <= summary["top1"]["estimate"] <= summary["top5"]["estimate"] <= 1


def test_the_scores_of_a_run_that_was_stopped_say_so(world: Path, counted: list[int]) -> None:
    card = json.loads((world / "models/first" / "run.json").read_text())
    stopped = {"status": "running", "results": {"epochs": 2, "epochs_planned": 18}}
    (world / "models/first" / "run.json").write_text(json.dumps(card | stopped))
    outcome = evaluate.run(bare(world), run="first")
    assert outcome.headline.startswith("first (stopped at epoch 2 of 18) on 1.0.0 test: top-1")
    assert outcome.problems[0] == "first is not the finished model, stopped at epoch 2 of 18: pictus train resume first"
    assert outcome.next[0] == "pictus train resume first"


@pytest.fixture
def several(world: Path) -> Path:
    """All is asked of every picture: dogs painted as cats are both; nothing else is two things."""
    root = world / "releases/1.0.0"
    rows = pq.read_table(root / "pictures.parquet").to_pylist()
    cats = {hashlib.sha256(painted("n03", seed)).hexdigest() for seed in range(200, 203)}
    labels = [
        (row["image_id"], one, float(is_shown), 3, 3 * is_shown, "accepted" if is_shown else "rejected", None)
        for row in rows
        for one in sorted(COLOURS)
        for is_shown in [one == row["concept_id"] or (one == "n03" and row["image_id"] in cats)]
    ]
    table = pa.Table.from_pylist([dict(zip(LABELS.names, row, strict=True)) for row in labels], schema=LABELS)
    pq.write_table(table, root / "labels.parquet")
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["files"]["labels.parquet"] = {"sha256": "", "size": 0}
    (root / "manifest.json").write_text(json.dumps(manifest))
    card = json.loads((world / "models/first/run.json").read_text())
    card["recipe"] = {"task": "multilabel"}
    (world / "models/first/run.json").write_text(json.dumps(card))
    return world


def test_a_first_guess_is_right_where_it_is_any_of_the_labels(several: Path, counted: list[int]) -> None:
    outcome = evaluate.run(bare(several))
    assert outcome.summary["top1"]["estimate"] == pytest.approx(36 / 37), "the broken file alone is wrong"
    assert outcome.headline.split(": ")[1].startswith("mAP ")
    found = {one.concept_id: one for one in outcome}
    assert (found["n03"].shown, found["n03"].known, found["n03"].average_precision) == (12, 37, 1)
    # dogs: 6 look it and come first, 3 look like cats, 1 was not read and comes last, level with nothing
    dogs = found["n02"]
    assert dogs.shown == 10
    assert dogs.average_precision is not None
    assert 0.6 < dogs.average_precision < 1
    mean = outcome.summary["map"]
    assert mean["low"] <= mean["estimate"] <= mean["high"]
    folder = Path(outcome.summary["report"]).parent
    assert json.loads((folder / "results.json").read_text())["ranking"]["mean"] == mean
    assert "mean average precision" in (folder / "report.html").read_text()
    table = pq.read_table(folder / "predictions.parquet")
    assert table.column("concept_id").to_pylist().count("n02") == 10, "the file keeps the best labels"
    probabilities = next(row for row in table.column("probabilities").to_pylist() if row)
    assert sum(probabilities) != pytest.approx(1), "each class for itself"


def test_evaluating_again_asks_the_network_nothing(several: Path, counted: list[int]) -> None:
    first: Any = evaluate.run(bare(several)).summary
    counted.clear()
    assert evaluate.run(bare(several)).summary == first
    assert counted == []
