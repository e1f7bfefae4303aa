from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.project import bare
from pictus.train.kept import card
from pictus.train.loop import training
from pictus.train.loop.state import Counters

MakeRelease = Callable[..., Path]

TINY = ("size=32", "batch_size=8", "precision=fp32", "ema=0.9", "flip=0", "threads=1")
"""Six steps an epoch. No flips: a mirrored stripe belongs to another class."""

SAVED_PER_EPOCH = (*TINY, "precision=bf16", "log=none")
SAVED_OFTEN = (*SAVED_PER_EPOCH, "checkpoint_s=0")

NURSERY = """
import json, os, signal, sys, traceback
import torch, safetensors.torch
import pictus
from pictus import train
from pictus.train.kept import checkpoint
from pictus.train.loop import training

calls = 0

def dying(function):
    def called(*given, **named):
        global calls
        calls += 1
        result = function(*given, **named)
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return called

places = {"step": (training, "advance"), "validated": (training, "end_epoch"), "writing": (checkpoint, "write_bytes")}
for line in sys.stdin:
    root, where, number, settings = json.loads(line)
    child = os.fork()
    if not child:
        module, name = places[where]
        setattr(module, name, dying(getattr(module, name)))
        try:
            train.run(pictus.open(root), epochs=3, set_=settings, name="killed")
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs that kill themselves, forked from a process that has imported torch once for all of them."""

Killed = Callable[[pictus.Project, str, int, tuple[str, ...]], None]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """killed(project, where, number, settings): run `killed` dies by kill -9 the number-th time that it is there."""
    errors = tmp_path_factory.mktemp("nursery") / "errors"
    with errors.open("w") as said, subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
        text=True,
    ) as nursery:  # fmt: skip

        def kill(project: pictus.Project, where: str, number: int, settings: tuple[str, ...]) -> None:
            assert nursery.stdin is not None
            assert nursery.stdout is not None
            nursery.stdin.write(json.dumps([str(project.root), where, number, settings]) + "\n")
            nursery.stdin.flush()
            assert nursery.stdout.readline() == f"{-signal.SIGKILL}\n", errors.read_text()

        yield kill


def _result(project: pictus.Project, name: str) -> tuple[bytes, bytes, bytes]:
    root = project.models_dir / name
    return tuple((root / file).read_bytes() for file in ("metrics.jsonl", "model.safetensors", "last.safetensors"))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, make_release: MakeRelease) -> pictus.Project:
    """A project with the run `whole`, which nobody disturbed."""
    project = pictus.new(tmp_path_factory.mktemp("runs") / "birds")
    make_release(project.releases_dir)
    train.run(project, epochs=3, set_=SAVED_OFTEN, name="whole")
    return project


@pytest.mark.parametrize(
    ("where", "number"),
    [("step", random.Random(os.getpid()).randrange(2, 18)), ("validated", 2), ("writing", 7), ("writing", 12)],
    ids=["in a random step", "at an epoch's end", "between tensors and numbers", "after a checkpoint"],
)
def test_a_run_killed_anywhere_ends_with_the_same_bits(
    whole: pictus.Project, killed: Killed, where: str, number: int
) -> None:
    killed(whole, where, number, SAVED_OFTEN)
    try:
        train.resume(whole, "killed")
        assert _result(whole, "killed") == _result(whole, "whole"), f"killed {where} {number}"
    finally:
        _remove(whole.models_dir / "killed")


def test_a_run_killed_twice_before_any_progress_could_be_saved_ends_with_the_same_bits(
    whole: pictus.Project, killed: Killed
) -> None:
    for step in (4, 9):
        killed(whole, "step", step, SAVED_PER_EPOCH)
    card = json.loads((whole.models_dir / "killed" / "run.json").read_text())
    assert card["status"] == "running"
    outcome = train.run(whole, epochs=3, set_=SAVED_PER_EPOCH, name="killed")  # the same command continues it
    assert outcome.summary["steps"] == 18
    assert _result(whole, "killed") == _result(whole, "whole")
    _remove(whole.models_dir / "killed")


def test_a_run_learns_and_leaves_a_card_weights_and_a_curve(project: pictus.Project, make_release: MakeRelease) -> None:
    make_release(project.releases_dir, train=64, val=16)
    outcome = train.run(project, epochs=12, set_=TINY)
    epochs = list(outcome)
    assert [epoch.epoch for epoch in epochs] == list(range(1, 13))
    assert outcome.summary["val_top1"] > 0.8, "three directions of stripes; chance is 0.33"
    assert epochs[-1].train_loss < epochs[0].train_loss
    run = models.find_run(project)
    assert (run.name, run.model_name) == ("small-cnn-1.0.0", "small-cnn")
    assert run.class_names == ("stripe 0", "stripe 1", "stripe 2")
    assert run.card["release"]["digest"]
    assert run.card["environment"]["threads"] >= 1
    assert run.card["recipe"]["size"] == 32
    assert not (run.root / "checkpoints").exists()
    assert list((run.root / "tensorboard").glob("events.*"))
    model = models.load_run(run)
    n_steps = 12 * (3 * 64 // 8)
    assert len((run.root / "metrics.jsonl").read_text().splitlines()) == n_steps + 12
    assert sum(parameter.numel() for parameter in model.parameters()) == run.card["parameters"]
    assert [event.event for event in project.journal.events()] == ["run_finished", "run_started"]


def test_scores_on_the_card_are_those_of_the_kept_weights(stripes: pictus.Project) -> None:
    from pictus.releases import PictureReader, find_release, split_rows

    train.run(stripes, epochs=4, set_=TINY)
    run = models.find_run(stripes)
    release = find_release(stripes)
    rows = split_rows(release, "val").to_pylist()
    reader = PictureReader(release)
    logits = models.predict_logits(
        models.load_run(run), run, (reader.read(row["shard"], row["offset"], row["size"]) for row in rows)
    )
    right = sum(int(guess.argmax()) == row["label"] for guess, row in zip(logits, rows, strict=True))
    assert right / len(rows) == run.card["results"]["val_top1"]


def test_runs_of_one_recipe_are_numbered(stripes: pictus.Project) -> None:
    for expected in ("small-cnn-1.0.0", "small-cnn-1.0.0-2"):
        assert train.run(stripes, epochs=1, set_=TINY).summary["run"] == expected
    listed = list(train.list_(stripes))
    assert [row.name for row in listed] == ["small-cnn-1.0.0", "small-cnn-1.0.0-2"]
    assert all(row.status == "finished" and row.epochs == 1 for row in listed)


def test_other_settings_begin_another_run_and_say_so(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    fit = training.fit
    monkeypatch.setattr(training, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        train.run(stripes, epochs=3, set_=TINY)
    monkeypatch.setattr(training, "fit", fit)
    assert caplog.messages == []
    outcome = train.run(stripes, epochs=1, set_=TINY)
    why = "small-cnn-1.0.0 was begun with other settings (epochs 3 then, 1 now) and is unfinished"
    said = f"small-cnn-1.0.0-2 is a new run: {why}; resume it with pictus train resume small-cnn-1.0.0"
    assert outcome.problems == (said,)
    assert caplog.messages == [said]
    assert "top-5" not in outcome.headline
    again = train.run(stripes, epochs=3, set_=TINY)
    assert (again.summary["run"], again.problems) == ("small-cnn-1.0.0", ())
    third = train.run(stripes, epochs=1, set_=TINY)
    assert third.problems == ("small-cnn-1.0.0-3 is a new run: small-cnn-1.0.0-2 is finished",)


def test_a_name_that_is_taken_is_refused(stripes: pictus.Project) -> None:
    train.run(stripes, epochs=1, set_=TINY, name="first")
    with pytest.raises(UserError, match="a run 'first' already"):
        train.run(stripes, epochs=2, set_=TINY, name="first")
    assert train.resume(stripes, "first").headline.startswith("first was finished already")


def test_a_release_folder_is_enough(tmp_path: Path, make_release: MakeRelease) -> None:
    folder = make_release(tmp_path / "elsewhere")
    place = tmp_path / "gpu box"
    place.mkdir()
    outcome = train.run(bare(place), release=str(folder), epochs=1, set_=TINY)
    assert (place / "models" / outcome.summary["run"] / "model.safetensors").exists()
    assert sorted(path.name for path in place.iterdir()) == ["models"], "no database, no table, no lock left about"


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(stripes: pictus.Project) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train.run(stripes, epochs=1, set_=(*TINY, f"seed={seed}"), name=name)
    assert _result(stripes, "a") == _result(stripes, "b")
    assert _result(stripes, "a") != _result(stripes, "c")


def test_early_stopping_ends_a_run_that_no_longer_improves(stripes: pictus.Project) -> None:
    outcome = train.run(stripes, epochs=30, set_=(*TINY, "patience=2", "lr=1e-8", "ema=0"))
    assert outcome.summary["epochs"] < 30
    assert outcome.summary["epochs"] == outcome.summary["best_epoch"] + 2
    assert outcome.summary["epochs_planned"] == 30


def test_minutes_lower_the_epochs_to_what_fits(stripes: pictus.Project) -> None:
    outcome = train.run(stripes, epochs=100_000, set_=(*TINY, "minutes=0.1"))
    assert 1 <= outcome.summary["epochs"] == outcome.summary["epochs_planned"] < 100_000  # more in loop/test_budget.py


def test_one_class_is_refused(project: pictus.Project, make_release: MakeRelease) -> None:
    make_release(project.releases_dir, classes=1)
    with pytest.raises(UserError, match="one class only"):
        train.run(project)
    assert not list(project.models_dir.glob("*"))


def test_an_empty_validation_split_is_refused(project: pictus.Project, make_release: MakeRelease) -> None:
    make_release(project.releases_dir, val=0)
    with pytest.raises(UserError, match="no picture in split 'val'") as caught:
        train.run(project)
    assert "release split" in caught.value.fix


def test_a_slip_in_the_name_of_a_recipe_is_told_before_anything_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no recipe 'inceptionv33'") as caught:
        train.run(bare(tmp_path), recipe="inceptionv33")
    assert "inception_v3" in caught.value.fix


def test_a_missing_release_is_told(project: pictus.Project) -> None:
    with pytest.raises(UserError, match="no release"):
        train.run(project)
    with pytest.raises(UserError, match=r"2\.0\.0"):
        train.run(project, release="2.0.0")


def test_a_run_is_not_continued_on_a_release_that_changed(
    whole: pictus.Project, killed: Killed, make_release: MakeRelease
) -> None:
    killed(whole, "step", 3, SAVED_OFTEN)
    root = whole.models_dir / "killed"
    moved = whole.releases_dir / "1.0.0"
    kept = moved.rename(whole.root / "kept")
    try:
        make_release(whole.releases_dir, seed=9)
        with pytest.raises(UserError, match="is not the one run 'killed' was started on"):
            train.resume(whole, "killed")
    finally:
        _remove(moved)
        kept.rename(moved)
        _remove(root)


def test_undecodable_pictures_are_left_out_and_told(
    project: pictus.Project, make_release: MakeRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.steps, "MOST_UNREADABLE", 4)
    make_release(project.releases_dir, broken=2)
    outcome = train.run(project, epochs=2, set_=TINY)
    assert outcome.problems == ("6 pictures left out, not decodable: truncated",)
    assert list(models.find_run(project).card["unreadable"].values()) == ["truncated"] * 4
    assert train.card(project).summary["left out"] == "6 pictures that cannot be decoded", "all are counted"


def test_a_loss_that_is_not_a_number_stops_the_run(stripes: pictus.Project) -> None:
    with pytest.raises(UserError, match="training has diverged") as caught:
        train.run(stripes, epochs=2, set_=(*TINY, "lr=1000", "clip=0", "warmup=0", "ema=0"))
    assert "--set lr=" in caught.value.fix


def test_sigterm_lets_a_step_finish_and_the_run_be_continued(
    whole: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = training.advance

    def advance(*given: object) -> object:
        result = plain(*given)  # type: ignore[arg-type]
        if given[1].counters.step == 8:  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    monkeypatch.setattr(training, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        train.run(whole, epochs=3, set_=SAVED_PER_EPOCH, name="stopped")
    monkeypatch.undo()
    assert models.open_run(whole.models_dir / "stopped").card["results"]["steps"] == 8
    assert train.list_(whole).summary["unfinished"] == 1
    train.resume(whole)
    assert _result(whole, "stopped") == _result(whole, "whole")
    _remove(whole.models_dir / "stopped")


def test_a_full_disk_keeps_the_checkpoint_before(stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = pictus.project.write_bytes

    def write_bytes(path: Path, data: bytes) -> None:
        if "step-000000005.json" in path.name:
            raise UserError(f"{path} could not be written: No space left on device.")
        plain(path, data)

    monkeypatch.setattr("pictus.train.kept.checkpoint.write_bytes", write_bytes)
    with pytest.raises(UserError, match="No space left"):
        train.run(stripes, epochs=1, set_=SAVED_OFTEN, name="full")
    monkeypatch.undo()
    outcome = train.resume(stripes)
    assert outcome.summary["steps"] == 6


def test_a_machine_that_differs_is_told(whole: pictus.Project, killed: Killed) -> None:
    killed(whole, "step", 3, SAVED_OFTEN)
    path = whole.models_dir / "killed" / "run.json"
    card = json.loads(path.read_text())
    card["environment"]["torch"] = "1.0"
    path.write_text(json.dumps(card))
    outcome = train.resume(whole, "killed")
    assert any(problem.startswith("torch was 1.0 when the run was started") for problem in outcome.problems)
    _remove(whole.models_dir / "killed")


def test_a_run_of_another_pictus_is_not_guessed_at(whole: pictus.Project, killed: Killed) -> None:
    killed(whole, "step", 3, SAVED_OFTEN)
    path = whole.models_dir / "killed" / "run.json"
    card = json.loads(path.read_text())
    card["recipe"]["still_to_come"] = 0.2
    path.write_text(json.dumps(card))
    with pytest.raises(UserError, match=r"was begun by Pictus .* \(.*still_to_come"):
        train.resume(whole, "killed")
    _remove(whole.models_dir / "killed")


def test_two_processes_on_one_run_are_told_apart(stripes: pictus.Project) -> None:
    from dataclasses import replace

    root = stripes.models_dir / "mine"
    root.mkdir(parents=True)
    with replace(stripes, root=root).lock("train"), pytest.raises(UserError, match="is working on 'train'"):
        train.run(stripes, epochs=1, set_=TINY, name="mine")


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _broken_weights(folder: Path) -> str:
    path = folder / "broken.safetensors"
    path.write_text("not a network")
    return f"weights={path}"


def test_a_folder_of_other_files_is_no_place_for_a_run_and_is_left_alone(
    stripes: pictus.Project, tmp_path: Path
) -> None:
    notes = stripes.models_dir / "small-cnn-1.0.0" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("a year of work")
    for name in ("", "small-cnn-1.0.0"):
        with pytest.raises(UserError, match=r"holds files, but no run: notes\.txt") as error:
            train.run(stripes, name=name, set_=(*TINY, _broken_weights(tmp_path)))
        assert "--name" in error.value.fix
    assert notes.read_text() == "a year of work"


def test_a_run_that_could_not_begin_frees_its_name_and_removes_nothing_else(
    stripes: pictus.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*_: object) -> None:
        (stripes.models_dir / "first" / "notes.txt").write_text("written while the run began")
        raise UserError("no")

    monkeypatch.setattr(train.steps, "fresh", meanwhile)
    with pytest.raises(UserError, match="no"):
        train.run(stripes, name="first", set_=TINY)
    assert (stripes.models_dir / "first" / "notes.txt").read_text() == "written while the run began"
    monkeypatch.undo()
    with pytest.raises(UserError, match="safetensors"):
        train.run(stripes, name="second", set_=(*TINY, _broken_weights(tmp_path)))
    assert not (stripes.models_dir / "second").exists()


def test_a_run_stopped_before_its_first_validation_has_no_scores_in_its_card(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.steps, "stop_asked", lambda: nullcontext(lambda: True))
    with pytest.raises(KeyboardInterrupt):
        train.run(stripes, name="stopped", set_=TINY)
    text = (stripes.models_dir / "stopped" / "run.json").read_text()
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))["results"]
    assert [found[name] for name in ("val_top1", "val_top5", "val_loss", "best_epoch")] == [None, None, None, 0]
    assert [row.val_top1 for row in train.list_(stripes)] == [None]


def test_scores_that_are_not_numbers_are_null_in_the_card() -> None:
    counters = Counters(step=3, best_epoch=1, best_top1=0.2, best_top5=0.5, best_loss=math.nan)
    found = card.results(counters, n_train=8, steps_per_epoch=3, batch_size=4)
    assert (found["val_top1"], found["val_loss"]) == (0.2, None)


def _changed(folder: Path, change: Callable[[dict[str, object]], bool]) -> None:
    """The rows of a release that `change` keeps."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "pictures.parquet")
    rows = [row for row in table.to_pylist() if change(row)]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), folder / "pictures.parquet")


def test_a_class_without_a_training_picture_is_told_before_training_starts(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _changed(stripes.releases_dir / "1.0.0", lambda row: (row["label"], row["split"]) != (1, "train"))
    said = "1 class without a training picture will never be guessed: stripe 1"
    heard: list[list[str]] = []
    plain = training.fit

    def fit(*given: object) -> None:
        heard.append(list(caplog.messages))
        plain(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "fit", fit)
    outcome = train.run(stripes, epochs=1, set_=TINY)
    assert heard == [[said]]
    assert said in outcome.problems


def test_one_picture_per_class_is_enough_to_train_on(project: pictus.Project, make_release: MakeRelease) -> None:
    make_release(project.releases_dir, train=1, val=1)
    outcome = train.run(project, epochs=3, set_=TINY)
    assert outcome.summary["steps"] == 3
    assert outcome.problems == ()


def test_grey_and_cmyk_pictures_train_like_others(project: pictus.Project, make_release: MakeRelease) -> None:
    import io

    from PIL import Image

    from pictus.releases import PictureReader, open_release, split_rows
    from pictus.shards import ShardWriter

    folder = make_release(project.releases_dir, train=8)
    release = open_release(folder)
    reader, new = PictureReader(release), dict[str, tuple[str, int, int]]()
    with ShardWriter(folder / "other") as writer:
        for number, row in enumerate(split_rows(release, "train").to_pylist()):
            made = io.BytesIO()
            picture = Image.open(io.BytesIO(reader.read(row["shard"], row["offset"], row["size"])))
            picture.convert(("L", "CMYK", "RGB")[number % 3]).save(made, "JPEG")
            placed = writer.add(row["image_id"], "jpg", made.getvalue())
            new[row["image_id"]] = (f"other/{placed.shard}", placed.offset, placed.size)

    def moved(row: dict[str, object]) -> bool:
        if row["image_id"] in new:
            row["shard"], row["offset"], row["size"] = new[str(row["image_id"])]
        return True

    _changed(folder, moved)
    outcome = train.run(project, epochs=1, set_=TINY)
    assert outcome.problems == ()
    assert outcome.summary["steps"] == 3


def test_a_shard_that_is_gone_in_the_middle_is_told_and_the_run_goes_on_once_it_is_back(
    whole: pictus.Project, killed: Killed
) -> None:
    killed(whole, "step", 8, SAVED_OFTEN)
    shards = whole.releases_dir / "1.0.0" / "shards"
    away = shards.rename(shards.with_name("away"))
    try:
        with pytest.raises(UserError, match="shards are missing"):
            train.resume(whole, "killed")
    finally:
        away.rename(shards)
    train.resume(whole, "killed")
    assert _result(whole, "killed") == _result(whole, "whole")
    _remove(whole.models_dir / "killed")


def test_a_run_begun_before_a_setting_existed_is_continued_by_the_same_command(
    whole: pictus.Project, killed: Killed
) -> None:
    killed(whole, "step", 8, SAVED_PER_EPOCH)
    path = whole.models_dir / "killed" / "run.json"
    card = json.loads(path.read_text())
    for name in ("schedule", "accumulate", "layout", "probe", "grow"):
        del card["asked"][name], card["recipe"][name]
    path.write_text(json.dumps(card))
    outcome = train.run(whole, epochs=3, set_=SAVED_PER_EPOCH, name="killed")
    assert outcome.summary["run"] == "killed"
    assert _result(whole, "killed") == _result(whole, "whole")
    _remove(whole.models_dir / "killed")
