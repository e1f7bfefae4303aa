"""FixMatch's loss against numbers worked out by hand, and its two looks at a picture."""

from __future__ import annotations

import math

import pytest

from pictus.train.objectives import fixmatch
from pictus.train.recipes import Recipe

torch = pytest.importorskip("torch", reason="pip install 'pictus[train]'")


def test_only_sure_guesses_are_learned_from() -> None:
    """Three classes of one labelled picture and two without (unlabelled=2), threshold 0.8, weight 0.5.

    Labelled: even answers: log 3. The first without: p = 0.9 of class 0, said distorted with 1/3 each: log 3. The
    second: p = 0.5: not sure, 0. So log 3 + 0.5 (log 3 + 0) / 2.
    """
    plain = torch.tensor([[0.9, 0.05, 0.05], [1 / 3] * 3, [0.5, 0.25, 0.25]]).log().requires_grad_()
    distorted = torch.tensor([[1 / 3] * 3, [0.2, 0.6, 0.2], [0.6, 0.2, 0.2]]).log().requires_grad_()
    labels = torch.tensor([-1, 1, -1])
    recipe = Recipe("x", threshold=0.8, unlabelled=2, unlabelled_weight=0.5, smoothing=0.0)
    found = fixmatch.both(plain, distorted, labels, recipe)
    assert float(found.loss.detach()) == pytest.approx(1.25 * math.log(3), rel=1e-5)
    assert (found.n_sure, found.n_untold) == (1, 2)
    found.loss.backward()
    assert plain.grad is not None
    assert distorted.grad is not None
    assert plain.grad[[0, 2]].abs().sum() == 0, "no gradient goes through the guess"
    assert distorted.grad[1:].abs().sum() == 0
    assert distorted.grad[0].abs().sum() > 0


def test_pieces_add_up_to_the_whole_however_labels_fall() -> None:
    torch.manual_seed(1)
    plain, distorted = torch.randn(12, 3) * 5, torch.randn(12, 3)
    labels = torch.tensor([0, -1, -1, -1, 2, 1, -1, -1, -1, -1, -1, 2])
    recipe = Recipe("x", threshold=0.6, unlabelled=3)
    whole = fixmatch.both(plain, distorted, labels, recipe)
    first, second = (fixmatch.both(plain[one], distorted[one], labels[one], recipe) for one in (slice(4), slice(4, 12)))
    assert float(whole.loss) == pytest.approx(float(first.loss) / 3 + 2 * float(second.loss) / 3, rel=1e-5)


def test_the_plain_look_has_crops_and_mirrors_alone() -> None:
    plain, distorted = fixmatch.looks(Recipe("x", crop="padded", colour=0.4, grey=0.2, policy="none", erase=0.0))
    assert (plain.crop, plain.flip, plain.colour, plain.grey, plain.policy, plain.erase) == (
        "padded", 0.5, 0.0, 0.0, "none", 0.0
    )  # fmt: skip
    assert (distorted.policy, distorted.erase, distorted.colour) == ("rand", 1.0, 0.4)
    assert fixmatch.looks(Recipe("x", policy="trivial"))[1].policy == "trivial"
