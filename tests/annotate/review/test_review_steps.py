"""rule, take-back and history, from the decision to the settled label and back, on either database."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.annotate.conftest import image_id
from tests.annotate.desks import rows

import pictus
from pictus.annotate import history, import_, rule, settle, take_back
from pictus.annotate.review.review_steps import decide
from pictus.annotate.review.rulings import Decision, reassigned
from pictus.errors import NotThereError, UserError
from pictus.overview import show
from pictus.records import Picture
from pictus.tables import table_of

ONE, TWO, THREE = (image_id(f"owl{number}") for number in range(3))


@pytest.fixture
def voted(world: pictus.Project, tmp_path: Path) -> pictus.Project:
    """Three pictures that four people call an owl; settled."""
    lines = [f"{who},{image},owl,yes" for image in (ONE, TWO, THREE) for who in ("a", "b", "c", "d")]
    (tmp_path / "votes.csv").write_text("\n".join(["worker,image,question,answer", *lines, f"a,{ONE},wren,no"]) + "\n")
    import_(world, (tmp_path / "votes.csv",))
    settle(world)
    return world


def labels(project: pictus.Project) -> dict[str, tuple[str, str, str]]:
    return {one.image_id: (one.concept_id, one.status, one.method) for one in settle(project)}


def test_a_ruling_settles_the_label_and_taking_it_back_gives_the_votes_their_say(voted: pictus.Project) -> None:
    before = labels(voted)
    assert before[ONE][:2] == ("owl", "accepted")
    made = rule(voted, (ONE, TWO), concept="wren", instead_of="owl", reason="too small for an owl", reviewer="rita")
    assert (made.summary["pictures"], made.summary["rows"]) == (2, 4)
    after = labels(voted)
    assert after[ONE] == after[TWO] == ("wren", "accepted", "ruling")
    assert after[THREE] == before[THREE]
    presences = voted.tables.read("presences", where="method = 'ruling'").to_pylist()
    assert {(one["image_id"], one["concept_id"], one["posterior"]) for one in presences} == {
        (ONE, "wren", 1.0), (ONE, "owl", 0.0), (TWO, "wren", 1.0), (TWO, "owl", 0.0)
    }  # fmt: skip
    back = take_back(voted, made.summary["batch"], reviewer="otto")
    assert {one.ruling for one in back} == {"withdrawn"}
    assert labels(voted) == before
    assert rows(voted, "SELECT COUNT(*) FROM rulings") == [(8,)], "nothing is deleted"
    again = take_back(voted, back.summary["batch"])
    assert labels(voted)[ONE] == ("wren", "accepted", "ruling"), "a withdrawal can be withdrawn"
    assert again.summary["pictures"] == 2


def test_a_second_decision_undone_leaves_the_first(voted: pictus.Project) -> None:
    rule(voted, (ONE,), concept="owl", not_=True, reason="a statue", reviewer="rita")
    second = rule(voted, (ONE, TWO), concept="owl", reason="it moves", reviewer="otto")
    assert second.summary["overruled"] == 1
    assert labels(voted)[ONE] == ("owl", "accepted", "ruling")
    take_back(voted, second.summary["batch"])
    assert labels(voted)[ONE][1] == "rejected"
    (row,) = voted.tables.read("presences", where=f"image_id = '{ONE}' AND concept_id = 'owl'").to_pylist()
    assert (row["posterior"], row["method"]) == (0.0, "ruling")
    with pytest.raises(UserError, match="taken back or replaced"):
        take_back(voted, second.summary["batch"])


def test_what_others_ruled_since_is_left_alone(voted: pictus.Project) -> None:
    first = rule(voted, (ONE, TWO), concept="wren", reason="small", reviewer="rita")
    rule(voted, (ONE,), concept="wren", not_=True, reason="large", reviewer="otto")
    back = take_back(voted, first.summary["batch"])
    assert (back.summary["pictures"], back.summary["overruled"]) == (1, 1)
    assert "left alone" in back.headline


def test_the_history_names_everybody_and_says_what_counts(voted: pictus.Project, tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text(f"worker,image,question,answer\na,{ONE},owl,no\n")
    import_(voted, (tmp_path / "more.csv",))
    made = rule(voted, (ONE,), concept="owl", not_=True, reason="a statue", reviewer="rita")
    take_back(voted, made.summary["batch"], reviewer="otto")
    settle(voted)
    found = history(voted, ONE[:10])
    said = [(one.who, one.what, one.counts) for one in found]
    assert ("a", "yes to owl", False) in said
    assert ("a", "no to owl", True) in said
    assert ("rita", "ruled: not owl", False) in said
    assert ("otto", "withdrawn: the ruling on owl", True) in said
    assert any(who == "settle" and what.startswith("accepted as owl") for who, what, _ in said)
    assert made.summary["batch"] in found.headline
    shown = [(one.what, one.why) for one in show(voted, ONE[:10])]
    assert ("ruled: not owl", "rita: a statue") in shown


def test_what_is_not_there_is_told_and_nothing_is_kept(birds: pictus.Project) -> None:
    with pytest.raises(UserError, match="no picture"):
        rule(birds, (ONE, "nowhere.jpg", "elsewhere.jpg"), concept="owl", reason="x")
    with pytest.raises(UserError):
        rule(birds, (ONE,), concept="dodo", reason="x")
    with pytest.raises(NotThereError):
        decide(birds, "rita", [Decision("0" * 64, "owl", "is")], "x")
    with pytest.raises(NotThereError):
        take_back(birds, "0123456789")
    for reason in ("", "  ", "x" * 501):
        with pytest.raises(UserError, match="reason"):
            rule(birds, (ONE,), concept="owl", reason=reason)
    with pytest.raises(UserError, match="not"):
        rule(birds, (ONE,), concept="owl", not_=True, instead_of="wren", reason="x")
    with pytest.raises(UserError, match="At once"):
        decide(birds, "rita", [], "x")
    assert rows(birds, "SELECT COUNT(*) FROM rulings") == [(0,)]


def test_names_and_reasons_are_values_and_never_part_of_a_statement(birds: pictus.Project) -> None:
    odd = "'); DROP TABLE rulings; --"
    decide(birds, odd, reassigned([(ONE, "")], "owl"), odd)
    assert rows(birds, "SELECT reviewer, reason FROM rulings") == [(odd, odd)]
    with pytest.raises(NotThereError):
        take_back(birds, odd)
    with pytest.raises(UserError):
        history(birds, "' OR 1=1 --")


def test_digits_that_several_pictures_begin_with_are_told_once_however_they_are_typed(birds: pictus.Project) -> None:
    twins = [Picture("abcdef" + sign * 58, "s", 0, 1, 9, 9, "jpeg", "RGB", "") for sign in "01"]
    birds.tables.append("images", table_of("images", twins))
    with pytest.raises(UserError) as told:
        rule(birds, ("ABCDEF", "2"), concept="owl", reason="x")
    assert told.value.what.count("ABCDEF") + told.value.what.count("abcdef") == 1
    assert "no picture '2'" in told.value.what
