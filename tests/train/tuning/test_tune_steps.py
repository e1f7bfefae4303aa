"""`train tune` from the outside: a trial in a process of its own, and what is told of a study."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import pictus
from pictus import models, train
from pictus.clock import now
from pictus.errors import UserError
from pictus.records import Picture
from pictus.shards import ShardWriter
from pictus.tables import table_of
from pictus.train import recipes, steps
from pictus.train.tuning import trial
from pictus.train.tuning.trial import Asked, End, Shelf

pytest.importorskip("optuna")

SMALL = ("epochs=1", "size=32", "batch_size=12", "parts=1", "threads=1")


def test_a_trial_is_a_bare_run_of_its_own_process_and_no_run_of_the_project(stripes: pictus.Project) -> None:
    outcome = train.tune(stripes, trials=1, over="lr", set_=SMALL)
    folder = stripes.models_dir / "tune-small-cnn-1.0.0"
    card = models.open_run(folder / "trial-000").card
    assert card["status"] == "finished"
    assert outcome.summary["settings"] == [f"lr={card['recipe']['lr']}"]
    assert outcome.summary["score"] == card["results"]["val_top1"]
    assert models.runs(stripes) == []
    typed = " --set ".join((*SMALL, *outcome.summary["settings"]))
    assert outcome.next[0] == f"pictus train run --recipe small-cnn --set {typed}"
    assert "<circle" in (folder / "report.html").read_text()


def test_a_study_tells_failures_and_other_settings_begin_another(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = iter([End(0.5, is_pruned=False), End(None, is_pruned=False, cause="The loss became nan."),
                 End(0.75, is_pruned=False), End(0.25, is_pruned=False)])  # fmt: skip
    monkeypatch.setattr(trial, "ran", lambda *_: next(ends))
    outcome = train.tune(stripes, trials=3, over="lr,policy", set_=SMALL)
    assert [(row.state, row.score) for row in outcome] == [("whole", 0.5), ("failed", None), ("whole", 0.75)]
    assert outcome.summary["best"] == 2
    assert outcome.problems == ("trial 1 failed: The loss became nan.",)
    assert json.loads((Path(str(outcome.summary["study"])) / "study.json").read_text()) == {
        "format": 1, "recipe": "small-cnn", "release": "1.0.0", "trials": 3, "given_up": 0, "failed": 1, "best": 2,
        "score": 0.75,
    }  # fmt: skip
    again = train.tune(stripes, release="1.0.0", trials=3, over="lr,policy", set_=SMALL)  # nothing is tried any more
    assert again.summary == outcome.summary
    assert again.next[0].startswith("pictus train run --recipe small-cnn --release 1.0.0 --set epochs=1")
    assert "trial 2 of 3 is best: validation 75.0% (0" in again.headline
    other = train.tune(stripes, trials=1, over="lr", set_=SMALL)
    assert Path(other.summary["study"]).name == "tune-small-cnn-1.0.0-2"


def test_a_tie_for_best_is_told(stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "ran", lambda *_: End(0.5, is_pruned=False))
    outcome = train.tune(stripes, trials=3, over="lr", set_=SMALL)
    assert "trial 0 of 3 is best: validation 50.0%, as trials 1, 2: the first is told (0 given up" in outcome.headline


def test_trials_begin_from_a_run_of_the_project(stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    train.run(stripes, name="first", set_=SMALL)
    begun = []

    def ran(asked: Asked, *_: object) -> End:
        begun.append(recipes.changed(recipes.find(asked.recipe), asked.settings).from_run)
        return End(0.5, is_pruned=False)

    monkeypatch.setattr(trial, "ran", ran)
    outcome = train.tune(stripes, trials=1, over="lr", set_=(*SMALL, "from_run=first"))
    assert begun == [str(stripes.models_dir / "first")], "its folder: a trial looks for names in the study's"
    assert "--set from_run=first " in outcome.next[0]
    with pytest.raises(UserError, match="frist"):
        train.tune(stripes, trials=1, over="lr", set_=("from_run=frist",))


def test_trials_learn_from_the_pool_of_the_project(
    stripes: pictus.Project, make_jpeg: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def ran(asked: Asked, *_: object) -> End:
        """As in its own process: in a folder that is no project."""
        outcome = steps.run(
            Shelf(Path(asked.root), "trials"), release=asked.release, recipe=asked.recipe, name=asked.name,
            set_=asked.settings,
        )  # fmt: skip
        begun.append(str(outcome.summary["path"]))
        return End(0.5, is_pruned=False)

    monkeypatch.setattr(trial, "ran", ran)
    settings = (*SMALL, "objective=simclr", "pool=project")
    collected(stripes, make_jpeg(44, 36, seed=1), make_jpeg(44, 36, seed=2))
    train.tune(stripes, trials=1, over="lr", set_=settings)
    train.tune(stripes, trials=2, over="lr", set_=settings)
    cards = [models.open_run(path).card for path in begun]
    assert [card["pack"]["pictures"] for card in cards] == [2, 2]
    assert len({card["pack"]["pool"] for card in cards}) == 1
    assert len({Path(path).parent for path in begun}) == 1
    collected(stripes, make_jpeg(44, 36, seed=3))
    monkeypatch.setattr(trial, "ran", lambda *_: End(0.5, is_pruned=False))
    other = train.tune(stripes, trials=1, over="lr", set_=settings)
    assert str(other.summary["study"]).endswith("-2"), "of more pictures: another study"
    assert not stripes.journal.events("trial-000"), "trials are none of the project's runs"


def collected(project: pictus.Project, *pictures: bytes) -> None:
    ids = [hashlib.sha256(one).hexdigest() for one in pictures]
    with ShardWriter(project.shards_dir, prefix=ids[0][:8]) as writer:
        places = [writer.add(image_id, "jpg", one) for image_id, one in zip(ids, pictures, strict=True)]
    rows = [
        Picture(image_id, place.shard, place.offset, place.size, 44, 36, "jpeg", "RGB", now())
        for image_id, place in zip(ids, places, strict=True)
    ]
    project.tables.append("images", table_of("images", rows))


def test_a_study_in_which_all_failed_says_why(stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "ran", lambda *_: End(None, is_pruned=False, cause="too large"))
    with pytest.raises(UserError, match="trial 0 failed: too large") as told:
        train.tune(stripes, recipe="resnet-w16", trials=1, over="lr", set_=SMALL)
    assert "pictus train run --recipe resnet-w16 --set" in told.value.fix
    with pytest.raises(UserError, match="1 to 64 workers"):
        train.tune(stripes, workers=0)


def test_how_a_process_ended_is_told(tmp_path: Path) -> None:
    asked = Asked(str(tmp_path), "r", "small-cnn", "trial-000", ())

    def never(_epoch: int, _score: float) -> bool:
        return False

    def cause(status: int, said: str) -> str:
        found = trial.ended(asked, status, said, never)
        assert found is not None
        return found.cause

    assert cause(3, "The loss became nan.\n") == "The loss became nan."
    assert "memory ran out" in cause(-9, "")
    assert cause(1, "Traceback\nValueError: x\n") == "ended with 1: ValueError: x"
    assert cause(0, "") == "it ended before an epoch did"
