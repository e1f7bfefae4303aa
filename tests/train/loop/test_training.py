from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.releases import PictureReader, open_release, split_rows

MakeRelease = Callable[..., Path]

TINY = ("size=32", "batch_size=8", "precision=fp32", "ema=0.9", "flip=0", "threads=1")


def _spoil(folder: Path, split: str, positions: slice) -> int:
    """Overwrite pictures of a split, in the order they are read -> how many."""
    rows = split_rows(open_release(folder), split).to_pylist()[positions]
    for row in rows:
        with (folder / row["shard"]).open("r+b") as shard:
            shard.seek(row["offset"])
            shard.write(b"x" * row["size"])
    return len(rows)


@pytest.fixture
def folder(project: pictus.Project, make_release: MakeRelease) -> Path:
    """Release 1.0.0 of a project: three classes, 48 pictures to train on and 129 to validate."""
    return make_release(project.releases_dir, val=43)


def test_a_last_batch_of_one_unreadable_picture_does_not_end_the_run(project: pictus.Project, folder: Path) -> None:
    assert _spoil(folder, "val", slice(128, None)) == 1
    assert train.run(project, epochs=2, set_=TINY).summary["epochs"] == 2


def test_unreadable_pictures_of_validation_count_as_wrong(project: pictus.Project, folder: Path) -> None:
    _spoil(folder, "val", slice(0, 60))
    train.run(project, epochs=3, set_=TINY)
    run = models.find_run(project)
    release = open_release(folder)
    reader = PictureReader(release)
    rows = split_rows(release, "val").to_pylist()
    read = rows[60:]
    logits = models.predict_logits(
        models.load_run(run), run, (reader.read(row["shard"], row["offset"], row["size"]) for row in read)
    )
    right = sum(int(guess.argmax()) == row["label"] for guess, row in zip(logits, read, strict=True))
    assert run.card["results"]["val_top1"] == pytest.approx(right / len(rows))
    assert run.card["results"]["val_top5"] == pytest.approx(len(read) / len(rows)), "three classes: five guesses hit"


def test_training_batches_without_readable_pictures_are_steps_that_learn_nothing(
    project: pictus.Project, folder: Path
) -> None:
    assert _spoil(folder, "train", slice(0, 40)) == 40
    outcome = train.run(project, epochs=3, set_=TINY)
    assert outcome.summary["steps"] == 18


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_a_readable_picture_is_told(project: pictus.Project, folder: Path, split: str) -> None:
    _spoil(folder, split, slice(None))
    with pytest.raises(UserError, match=f"Too few pictures of split '{split}' can be decoded") as caught:
        train.run(project, epochs=2, set_=TINY)
    assert caught.value.fix == "pictus release verify 1.0.0"
