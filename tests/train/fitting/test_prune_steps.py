"""A run with channels taken out: smaller, loaded strictly by its name, measured beside the run it came from."""

from __future__ import annotations

import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError

TINY = ("size=32", "batch_size=8", "precision=fp32", "threads=1", "parts=1", "probe=false")


def test_a_pruned_run_is_smaller_trained_again_and_told_beside_the_one_it_came_from(stripes: pictus.Project) -> None:
    train.run(stripes, name="wide", epochs=1, set_=(*TINY, "flip=0.25"))
    outcome = train.prune(stripes, "wide", sparsity=0.5, epochs=1)
    before, narrow, after = outcome
    assert narrow.parameters == after.parameters < 0.7 * before.parameters
    assert (before.pictures, after.pictures) == (12, 12)
    assert 0 <= after.low <= after.top1 <= after.high <= 1
    new = models.find_run(stripes, outcome.summary["run"])
    assert new.model_name == "small-cnn@0.5"
    assert new.card["recipe"]["flip"] == 0.25, "what the run was trained with goes over"
    assert sum(one.numel() for one in models.load_run(new).parameters()) == after.parameters
    told = {fact.about: fact.words for fact in train.card(stripes, new.name)}["made smaller"]
    assert "of the processor time of wide; top-1 on val" in told
    again = train.prune(stripes, "wide", sparsity=0.5, epochs=1)
    assert [row.top1 for row in again] == [before.top1, narrow.top1, after.top1], "measured, not trained again"
    assert models.find_run(stripes, new.name).card == new.card
    with pytest.raises(UserError, match="is narrow already"):
        train.prune(stripes, new.name)


def test_a_sparsity_that_leaves_nothing_is_refused(stripes: pictus.Project) -> None:
    with pytest.raises(UserError, match=r"^A sparsity of 1 and 0 epochs: above 0 up to 0\.95"):  # no word of a shell
        train.prune(stripes, sparsity=1.0)
