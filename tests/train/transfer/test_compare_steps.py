"""What a later run has forgotten, and how a run stands attacks: by hand on guesses, and whole on tiny releases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.train.transfer import forgetting
from pictus.train.transfer.forgetting import Guesses
from pictus.train.transfer.start import shared_places

SETTINGS = ("epochs=2", "batch_size=12", "size=32")


def test_rows_tell_common_new_and_dropped_classes_apart() -> None:
    # b is dropped, c is new, a common: of three a's one is lost, one won, one right both times.
    found = Guesses(tuple("12345"), tuple("aaabc"), before=tuple("ababa"), after=tuple("caaac"))
    common, new, dropped = forgetting.rows("1.0.0 test", found, ("a", "b"), ("a", "c"))
    assert (common.pictures, common.before, common.after, common.change) == (3, 2 / 3, 2 / 3, 0.0)
    assert (common.lost, common.won) == (1, 1)
    assert (new.before, new.after, new.change) == (None, 1.0, None)
    assert (dropped.before, dropped.after) == (1.0, None)
    assert forgetting.lost(found) == [("1", "a", "c"), ("4", "b", "a")]


def test_classes_are_matched_by_concept_and_not_by_place() -> None:
    assert shared_places(("b", "d", "e"), ("a", "b", "c", "e")) == [(0, 1), (2, 3)]


@pytest.fixture
def grown(project: pictus.Project, make_release: object) -> pictus.Project:
    make_release(project.releases_dir)  # type: ignore[operator]
    make_release(project.releases_dir, version="2.0.0", classes=4, seed=1)  # type: ignore[operator]
    train.run(project, release="1.0.0", name="a", set_=SETTINGS)
    return project


def test_fine_tuning_on_a_newer_release_is_compared_with_the_run_before(grown: pictus.Project) -> None:
    train.run(grown, release="2.0.0", name="b", set_=(*SETTINGS, "from_run=a"))
    card = models.open_run(grown.models_dir / "b").card
    assert card["transfer"]["from_run"]["classes_carried_over"] == 3
    outcome = train.forgetting(grown, "b")
    rows = list(outcome)
    assert [(row.release, row.classes, row.pictures) for row in rows] == [
        ("1.0.0 val", "common", 12), ("2.0.0 val", "common", 12), ("2.0.0 val", "new", 4),
    ]  # fmt: skip
    page = Path(str(outcome.summary["report"])).read_text(encoding="utf-8")
    assert page.count("<img") == sum(row.lost for row in rows)
    assert "change, 95 % interval" in page


def test_rows_of_the_head_go_over_to_their_concepts(grown: pictus.Project) -> None:
    from pictus.train.recipes import Recipe
    from pictus.train.transfer.start import network_from

    folder = grown.models_dir / "a"
    old = models.read_weights(folder / models.WEIGHTS_NAME)["21.weight"]
    recipe = Recipe("small-cnn", from_run=str(folder), size=32)
    new = network_from(recipe, ("x00000002", "y", "x00000000")).state_dict()["21.weight"]
    assert new[0].equal(old[2])
    assert new[2].equal(old[0])
    assert not any(new[1].equal(row) for row in old)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("from_run=nobody",), "no run 'nobody'"),
        (("from_run=a", "pretrained=yes"), "begins from one place"),
    ],
)
def test_a_start_that_cannot_be_is_told_before_training(
    grown: pictus.Project, settings: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train.run(grown, name="c", set_=settings)
    with pytest.raises(UserError, match="is of network 'small-cnn'"):
        train.run(grown, name="c", recipe="resnet-w16", set_=("from_run=a",))


def test_a_run_from_scratch_has_nothing_to_forget(grown: pictus.Project) -> None:
    with pytest.raises(UserError, match="did not begin from another run"):
        train.forgetting(grown, "a")


def test_robustness_tells_clean_and_attacked(grown: pictus.Project) -> None:
    clean, robust = train.robustness(grown, "a", bound=16.0, steps=3)
    assert (clean.pictures_are, robust.pictures_are) == ("clean", "attacked")
    assert clean.pictures == 12
    assert 0 <= robust.top1 <= clean.top1
    told = {fact.about: fact.words for fact in train.card(grown, "a")}["attacked"]
    assert f"{robust.top1:.1%} ({robust.low:.1%} to {robust.high:.1%}) changed for the worst within 16 of 255" in told
    again = list(train.robustness(grown, "a", bound=16.0, steps=3))
    assert again == [clean, robust]
    assert [row.pictures for row in train.robustness(grown, "a", limit=5, steps=1)] == [5, 5]
    card, kept = (grown.models_dir / "a" / name for name in ("run.json", "robustness.json"))
    kept.unlink()
    card.write_text(json.dumps(json.loads(card.read_text()) | {"status": "running"}))
    train.robustness(grown, "a", limit=5, steps=1)
    assert not kept.exists(), "it goes on, to other weights"
