"""NT-Xent against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from pictus.train.objectives import simclr

torch = pytest.importorskip("torch", reason="pip install 'pictus[train]'")


def test_the_loss_is_equation_1_of_the_paper() -> None:
    """Two pictures, temperature 1/2. Views of the first: both (1, 0); of the second: (0, 1) and (0, -1).

    Products over 1/2: within the first 2, within the second -2, between them 0. So of the four views
    -log(e^2 / (e^2 + 1 + 1)) twice and -log(e^-2 / (e^-2 + 1 + 1)) twice.
    """
    first, second = torch.tensor([[3.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, -5.0]])
    loss, n_right = simclr.nt_xent(first, second, 0.5)
    wanted = sum(2 * -math.log(math.exp(s) / (math.exp(s) + 2)) for s in (2, -2)) / 4
    assert float(loss) == pytest.approx(wanted, rel=1e-6)
    assert n_right == 1


def test_decoupled_the_own_pair_is_not_under_the_line() -> None:
    """The same views: -log(e^2 / (1 + 1)) twice and -log(e^-2 / (1 + 1)) twice, in the mean log 2."""
    first, second = torch.tensor([[3.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, -5.0]])
    loss, n_right = simclr.nt_xent(first, second, 0.5, is_decoupled=True)
    assert float(loss) == pytest.approx(math.log(2), rel=1e-6)
    assert n_right == 1


@pytest.mark.parametrize("is_decoupled", [False, True])
def test_one_picture_alone_teaches_nothing(*, is_decoupled: bool) -> None:
    first = torch.ones(1, 2, requires_grad=True)
    loss, n_right = simclr.nt_xent(first, torch.eye(2)[:1], 0.5, is_decoupled=is_decoupled)
    loss.backward()
    assert (float(loss.detach()), n_right, first.grad.tolist()) == (0, 1, [[0, 0]])


def test_decoupled_a_pair_that_is_found_still_pulls() -> None:
    views = torch.eye(2)
    for is_decoupled, pulls in ((False, 1e-6), (True, 0.1)):
        first = (views + 0.01).requires_grad_()
        simclr.nt_xent(first, views, 0.05, is_decoupled=is_decoupled)[0].backward()
        assert first.grad is not None
        assert (float(first.grad.norm()) > pulls) is is_decoupled


def test_views_that_are_alike_cost_less_than_views_that_are_not() -> None:
    views = torch.eye(4)
    alike, n_right = simclr.nt_xent(views, views, 0.1)
    other, n_wrong = simclr.nt_xent(views, views.roll(1, 0), 0.1)
    assert float(alike) < 0.01
    assert float(other) > 1
    assert (n_right, n_wrong) == (4, 0)
