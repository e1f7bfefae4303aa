"""Many labels per picture by questions down the tree."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus.annotate.queues.hierarchy import first, follow, moot, questions, simulated, telling
from pictus.annotate.tasks import ACCEPTED, REJECTED, Closed
from pictus.concepts import Taxonomy
from pictus.records import Concept

ZOO = Taxonomy.of([
    Concept("thing", ("thing",)), Concept("animal", ("animal",), parents=("thing",)),
    *(Concept(f"a{number}", (f"a{number}",), parents=("animal",), is_class=True) for number in range(6)),
    Concept("tool", ("tool",), parents=("thing",)),
    *(Concept(f"t{number}", (f"t{number}",), parents=("tool",), is_class=True) for number in range(6)),
])  # fmt: skip
RARE = dict.fromkeys(ZOO.classes, 0.02)


def closed(concept: str, state: str = ACCEPTED) -> Closed:
    return Closed("grid", concept, "image", 0, state, "yes" if state == ACCEPTED else "no", 0)


def test_groups_are_asked_where_that_saves_seconds() -> None:
    chosen = questions(ZOO, RARE)
    # P(any of six) = 1 - .98^6 = .114: one question and .114 × 6 beat six; "any thing?" at .215 × 2 + 1 costs 1.43
    # and saves the two of the groups .57
    assert chosen.first == ("thing",)
    assert chosen.opens["thing"] == ("animal", "tool")
    any_six, any_all = 1 - 0.98**6, 1 - 0.98**12
    assert chosen.seconds == pytest.approx(1 + any_all * 2 + 2 * any_six * 6)


def test_a_group_that_nearly_every_picture_shows_is_passed_over() -> None:
    common = {one: 0.5 if one.startswith("a") else 0.02 for one in ZOO.classes}
    chosen = questions(ZOO, common)
    assert set(chosen.first) == {"tool", *(f"a{number}" for number in range(6))}
    dear = questions(ZOO, RARE, lambda one: 1.0 if ZOO.get(one).is_class else 100.0)
    assert set(dear.first) == set(ZOO.classes)


def test_a_chain_of_single_children_is_one_question() -> None:
    chain = Taxonomy.of([
        Concept("top", ("top",)), Concept("middle", ("middle",), parents=("top",)),
        *(Concept(f"c{number}", (f"c{number}",), parents=("middle",), is_class=True) for number in range(9)),
    ])  # fmt: skip
    chosen = questions(chain, dict.fromkeys(chain.classes, 0.01))
    assert len(chosen.first) == 1
    assert len(chosen.opens[chosen.first[0]]) == 9


def test_a_yes_opens_what_lies_below_and_a_no_nothing() -> None:
    assert first(ZOO) == ("thing",) or set(first(ZOO)) == {"animal", "tool"}
    opened = follow(closed("animal"), ZOO)
    assert [one.concept_id for one in opened] == [f"a{number}" for number in range(6)]
    assert {(one.kind, one.image_id, one.mark_id) for one in opened} == {("grid", "image", 0)}
    assert opened[0].reason == "it is animal: which?"
    assert follow(closed("animal", REJECTED), ZOO) == ()
    assert follow(closed("a0"), ZOO) == ()
    assert follow(closed("unheard of"), ZOO) == ()


def test_a_group_without_classes_and_a_circle_are_not_asked() -> None:
    ill = Taxonomy.of([
        Concept("empty", ("empty",)), Concept("x", ("x",), parents=("y",)), Concept("y", ("y",), parents=("x",)),
        Concept("z", ("z",), parents=("x",), is_class=True), Concept("owl", ("owl",), is_class=True),
    ])  # fmt: skip
    assert questions(ill).first == ("owl",)
    assert follow(closed("x"), ill) == ()


def test_a_no_to_any_parent_excludes() -> None:
    dag = Taxonomy.of([
        Concept("pet", ("pet",)), Concept("fish", ("fish",)),
        *(Concept(f"p{number}", (f"p{number}",), parents=("pet",), is_class=True) for number in range(5)),
        *(Concept(f"f{number}", (f"f{number}",), parents=("fish",), is_class=True) for number in range(9)),
        Concept("goldfish", ("goldfish",), parents=("fish", "pet"), is_class=True),
    ])  # fmt: skip
    assert "goldfish" in moot("fish", dag)
    assert "goldfish" in moot("pet", dag)
    chosen = questions(dag, dict.fromkeys(dag.classes, 0.02))
    assert "goldfish" in chosen.opens["pet"]  # the parent with fewer classes
    assert "goldfish" not in chosen.opens["fish"]
    asked, found = simulated(chosen, dag, ["goldfish"])
    assert found == {"goldfish"}
    assert asked.count("goldfish") == 1
    _, found = simulated(chosen, dag, ["goldfish"], lambda one, truth: truth and one != "fish")
    assert found == set()


def test_a_class_below_another_is_asked_on_its_own() -> None:
    nested = Taxonomy.of([
        Concept("dog", ("dog",), is_class=True), Concept("whippet", ("whippet",), parents=("dog",), is_class=True),
        Concept("cat", ("cat",), is_class=True),
    ])  # fmt: skip
    chosen = questions(nested)
    assert set(chosen.first) == {"cat", "dog", "whippet"}
    assert simulated(chosen, nested, ["whippet", "dog"])[1] == {"whippet", "dog"}


def test_information_is_the_drop_of_entropy_per_second() -> None:
    # one label of P = .5: the answer is worth a bit, in two seconds half a bit each
    assert telling(ZOO, "a0", {"a0": 0.5}) == pytest.approx(1)
    assert telling(ZOO, "a0", {"a0": 0.5}, 2.0) == pytest.approx(0.5)
    # two labels of P = .5: yes with 3/4, and then each has 2/3: 2 - 3/4 × 2 H(2/3) = .623
    entropy = -(2 / 3 * math.log2(2 / 3) + 1 / 3 * math.log2(1 / 3))
    assert telling(ZOO, "animal", {"a0": 0.5, "a1": 0.5}) == pytest.approx(2 - 0.75 * 2 * entropy)
    assert telling(ZOO, "animal", {}) == 0


def test_the_highest_rank_is_asked_first_and_the_same_is_found() -> None:
    chosen = questions(ZOO, RARE)
    asked, found = simulated(chosen, ZOO, ["a3"], rank=lambda one: {"animal": 2.0, "a3": 1.0}.get(one, 0.0))
    assert asked[:3] == ["thing", "animal", "a3"]
    assert found == {"a3"}
    assert sorted(asked) == sorted(simulated(chosen, ZOO, ["a3"])[0])


trees = st.integers(2, 24).flatmap(
    lambda n: st.tuples(
        st.tuples(*(st.lists(st.integers(0, max(0, at - 1)), max_size=2, unique=True) for at in range(n))),
        st.lists(st.booleans(), min_size=n, max_size=n), st.lists(st.integers(0, n - 1), max_size=4, unique=True),
    )
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(trees)
def test_answers_that_are_right_find_every_label_in_no_more_questions_than_there_are_concepts(
    drawn: tuple[tuple[list[int], ...], list[bool], list[int]]
) -> None:
    parents, is_class, shown = drawn
    taxonomy = Taxonomy.of(
        Concept(f"c{at:02d}", (f"c{at:02d}",), parents=tuple(f"c{one:02d}" for one in above if at),
                is_class=is_class[at])
        for at, above in enumerate(parents)
    )  # fmt: skip
    # whoever shows a class shows the classes above it
    true = {f"c{one:02d}" for one in shown}
    true |= {above for one in true for above in taxonomy.ancestors(one)}
    true &= set(taxonomy.classes)
    asked, found = simulated(questions(taxonomy), taxonomy, true)
    assert found == true
    assert len(asked) == len(set(asked)) <= len(taxonomy)
