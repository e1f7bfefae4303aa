"""What settle makes of rulings, known answers, paused people and what an earlier run kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from pictus import annotate
from pictus.annotate.truth import truth_steps
from pictus.annotate.truth.questions import coded, continued
from pictus.errors import UserError
from pictus.journal import latest_votes
from pictus.project import Project
from pictus.records import Label, Presence, Vote

Fill = Callable[..., dict[str, str]]


def cast(project: Project, rows: Sequence[tuple[str, str, str, str]], source: str = "test") -> None:
    """Rows of image_id, annotator, question, answer."""
    project.journal.add_votes([Vote(*row, source, "2026-01-01T00:00:00Z") for row in rows])


def rule(project: Project, image_id: str, concept_id: str, ruling: str) -> None:
    with project.journal.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO rulings (image_id, concept_id, ruling, reviewer, reason, batch, ruled_at)"
                " VALUES (:image_id, :concept_id, :ruling, 'rita', '', '', '')"
            ),
            {"image_id": image_id, "concept_id": concept_id, "ruling": ruling},
        )


def know(project: Project, known: dict[str, str], concept_id: str) -> None:
    """The answers, by picture."""
    with project.journal.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO questions (kind, concept_id, image_id, mark_id, state, priority, reason, votes, leases,"
                " wanted, posterior, score, fold, known) VALUES ('grid', :concept_id, :image_id, 0, 'open', 0, '', 0,"
                " 0, 1, 0, 0, '', :known)"
            ),
            [{"image_id": image_id, "concept_id": concept_id, "known": answer} for image_id, answer in known.items()],
        )


def person(project: Project, name: str, state: str) -> None:
    with project.journal.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO annotators (name, role, state, reason, quota, invitation, made_at)"
                " VALUES (:name, 'annotator', :state, '', 0, '', '')"
            ),
            {"name": name, "state": state},
        )


def label_of(project: Project) -> dict[str, Label]:
    return {label.image_id: label for label in project.tables.records("labels", Label)}


def presences(project: Project) -> list[Presence]:
    return list(project.tables.records("presences", Presence))


def said(image_id: str, question: str, answers: str) -> list[tuple[str, str, str, str]]:
    """One person for each letter: y, n or u."""
    words = {"y": "yes", "n": "no", "u": "unsure"}
    return [(image_id, f"p{who}", question, words[letter]) for who, letter in enumerate(answers)]


def test_every_question_asked_has_a_presence_with_its_selection_frequency(project: Project, fill: Fill) -> None:
    ids = fill(project, {"1.jpg": "owl", "2.jpg": ""})
    one, two = ids["1.jpg"], ids["2.jpg"]
    annotate.import_(project, from_folders=True)  # a folder says owl of the first: it is no person
    cast(project, [*said(one, "owl", "yyyyyu"), *said(one, "wren", "nnnnn"), *said(two, "owl", "yn")])
    annotate.settle(project)
    found = {(row.image_id, row.concept_id): row for row in presences(project)}
    assert set(found) == {(one, "owl"), (one, "wren"), (two, "owl")}
    assert (found[one, "owl"].n_votes, found[one, "owl"].n_yes) == (6, 5)
    assert found[one, "owl"].selection == pytest.approx(5 / 6)
    assert [found[key].status for key in ((one, "owl"), (one, "wren"), (two, "owl"))] == [
        "accepted", "rejected", "unsettled",
    ]  # fmt: skip
    assert found[one, "wren"].posterior < 0.1
    ordered = [(row.image_id, row.concept_id) for row in presences(project)]
    assert ordered == sorted(ordered)


def test_folders_alone_ask_nothing(project: Project, fill: Fill) -> None:
    fill(project, {"1.jpg": "owl"})
    annotate.import_(project, from_folders=True)
    annotate.settle(project)
    assert presences(project) == []


def test_a_ruling_stands_in_place_of_votes_and_can_be_withdrawn(project: Project, fill: Fill) -> None:
    ids = fill(project, dict.fromkeys(("1.jpg", "2.jpg", "3.jpg"), ""))
    one, two, three = ids.values()
    cast(project, [*said(one, "owl", "nnnnn"), *said(two, "owl", "yyyyy")])
    rule(project, one, "owl", "is")
    rule(project, two, "owl", "is-not")
    rule(project, two, "wren", "is")
    rule(project, three, "fish", "is-not")
    outcome = annotate.settle(project)
    found = label_of(project)
    assert (found[one].concept_id, found[one].status, found[one].posterior) == ("owl", "accepted", 1.0)
    assert (found[one].method, found[one].n_votes) == ("ruling", 5)
    assert (found[two].concept_id, found[two].status, found[two].n_votes) == ("wren", "accepted", 0)
    assert (found[three].concept_id, found[three].status, found[three].posterior) == ("fish", "rejected", 0.0)
    assert outcome.summary["by_ruling"] == 3
    assert "3 labels by ruling" in outcome.headline
    on_two = [row for row in presences(project) if row.image_id == two]
    of_two = {row.concept_id: (row.posterior, row.n_yes, row.method) for row in on_two}
    assert of_two == {"owl": (0.0, 5, "ruling"), "wren": (1.0, 0, "ruling")}
    for image_id, concept_id in ((one, "owl"), (two, "owl"), (two, "wren"), (three, "fish")):
        rule(project, image_id, concept_id, "withdrawn")
    annotate.settle(project)
    found = label_of(project)
    assert (found[one].status, found[two].status, three in found) == ("rejected", "accepted", False)
    assert found[two].concept_id == "owl"


def test_of_two_rulings_on_one_picture_the_later_is_the_label(project: Project, fill: Fill) -> None:
    (one,) = fill(project, {"1.jpg": ""}).values()
    cast(project, said(one, "owl", "yyy"))
    rule(project, one, "owl", "is")
    rule(project, one, "wren", "is")
    annotate.settle(project)
    assert label_of(project)[one].concept_id == "wren"
    rule(project, one, "owl", "is")  # once more: now it is the later one
    annotate.settle(project)
    assert label_of(project)[one].concept_id == "owl"


def test_what_a_ruling_forbids_the_next_best_answer_replaces(project: Project, fill: Fill) -> None:
    one, two = fill(project, {"1.jpg": "", "2.jpg": ""}).values()
    cast(project, [(one, f"p{who}", "", "owl" if who < 5 else "wren") for who in range(7)])
    cast(project, [(two, f"p{who}", "", "owl") for who in range(7)])
    rule(project, one, "owl", "is-not")
    rule(project, two, "owl", "is-not")
    annotate.settle(project)
    found = label_of(project)
    assert (found[one].concept_id, found[one].status) == ("wren", "unsettled")
    assert (found[two].concept_id, found[two].status, found[two].method) == ("owl", "rejected", "ruling")


def test_votes_of_people_who_are_paused_are_left_out_and_told(project: Project, fill: Fill) -> None:
    one, two = fill(project, {"1.jpg": "", "2.jpg": ""}).values()
    cast(project, [*said(one, "owl", "yyynnnnn"), (two, "p7", "owl", "yes")])
    for who in range(8):
        person(project, f"p{who}", "paused" if who > 2 else "active")
    outcome = annotate.settle(project)
    assert label_of(project)[one].status == "accepted"
    assert two not in label_of(project)
    assert outcome.summary["paused"] == ["p3", "p4", "p5", "p6", "p7"]
    assert (outcome.summary["votes_left_out"], outcome.summary["votes"]) == (6, 3)
    assert any("left out: 6 votes of 5 people who are paused: p3, p4" in text for text in outcome.problems)
    assert len(list(annotate.skills(project))) == 8  # they can still be looked at


def test_rulings_alone_and_votes_of_paused_people_alone_settle_too(project: Project, fill: Fill) -> None:
    one, two = fill(project, {"1.jpg": "", "2.jpg": ""}).values()
    rule(project, one, "owl", "is")
    outcome = annotate.settle(project)
    assert [(label.image_id, label.status) for label in outcome] == [(one, "accepted")]
    assert [(row.concept_id, row.n_votes, row.selection) for row in presences(project)] == [("owl", 0, 0.0)]
    cast(project, [(two, "bob", "owl", "yes"), (two, "bob", "", "owl")])
    person(project, "bob", "paused")
    assert annotate.settle(project).summary["votes_left_out"] == 2
    assert set(label_of(project)) == {one}
    for method in ("majority", "one-coin", "glad", "mace"):
        assert annotate.settle(project, method=method).summary["pictures"] == 1
    assert list(annotate.trust(project)) == []


def test_known_answers_teach_who_is_good_and_stand(project: Project, fill: Fill) -> None:
    ids = list(fill(project, {f"{number}.jpg": "" for number in range(31)}).values())
    known = {image_id: ("no", "yes")[number % 2] for number, image_id in enumerate(ids[:30])}
    wrong = {"no": "yes", "yes": "no"}
    know(project, known, "owl")
    rows = [(image_id, "ada", "owl", truth) for image_id, truth in [*known.items(), (ids[30], "yes")]]
    cast(project, [(one, who, "owl", wrong[truth] if who != "ada" else truth)
                   for one, _, _, truth in rows for who in ("ada", "bob", "cy")])  # fmt: skip
    for method in ("dawid-skene", "gold", "mace", "glad", "one-coin"):
        outcome = annotate.settle(project, method=method)
        found = label_of(project)
        # MACE knows guessers, none that are wrong on purpose: they count nothing, and one good vote is not enough.
        assert found[ids[30]].status == ("unsettled" if method == "mace" else "accepted"), method
        assert [found[image_id].status for image_id in ids[:4]] == ["rejected", "accepted"] * 2
        assert outcome.summary["known_answers"] == 30
    good = {skill.annotator: skill.accuracy or 0 for skill in annotate.skills(project)}
    assert good["ada"] > 0.9
    assert good["bob"] < 0.3


def test_by_gold_without_known_answers_says_what_to_type(project: Project, fill: Fill) -> None:
    (one,) = fill(project, {"1.jpg": ""}).values()
    cast(project, said(one, "owl", "yy"))
    with pytest.raises(UserError, match="no answer is known yet") as error:
        annotate.settle(project, method="gold")
    assert "pictus annotate gold" in error.value.fix


def test_the_summary_says_what_labels_cost_and_what_precision_to_expect(project: Project, fill: Fill) -> None:
    one, two = fill(project, {"1.jpg": "", "2.jpg": ""}).values()
    cast(project, [*said(one, "owl", "yyyy"), *said(two, "owl", "nnnn")])
    outcome = annotate.settle(project)
    assert outcome.summary["votes_per_label"] == 8  # eight answers for one accepted label
    label = label_of(project)[one]
    assert outcome.summary["expected_precision"] == pytest.approx(label.posterior, abs=1e-6)
    assert "only pictus annotate audit measures" in outcome.headline


def many(project: Project, fill: Fill, pictures: int, seed: int) -> list[tuple[str, str, str, str]]:
    rng = np.random.default_rng(seed)
    ids = list(fill(project, {f"{number}.jpg": "" for number in range(pictures)}).values())
    rows = []
    for image_id in ids:
        is_owl = rng.random() < 0.5
        for who in rng.choice(12, 4, replace=False).tolist():
            right = rng.random() < 0.6 + 0.03 * who
            rows.append((image_id, f"p{who}", "owl", "yes" if is_owl == right else "no"))
    return rows


def test_a_run_after_more_votes_reads_only_those_and_gives_what_one_anew_gives(
    project: Project, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth_steps, "KEEP_FROM", 500)
    rows = many(project, fill, 400, seed=1)
    cast(project, rows[:1500], "first")
    annotate.settle(project)
    changed = [(image, who, question, "no") for image, who, question, _ in rows[:20]]  # and twenty change their mind
    cast(project, [*rows[1500:], *changed], "second")
    with monkeypatch.context() as only:
        only.setattr(type(project.journal), "votes", refuse)
        annotate.settle(project)
    warm = project.tables.read("labels")
    annotate.settle(project, fresh=True)
    cold = project.tables.read("labels")
    assert warm.column("image_id").equals(cold.column("image_id"))
    assert warm.column("status").equals(cold.column("status"))
    np.testing.assert_allclose(warm.column("posterior"), cold.column("posterior"), atol=1e-5)
    annotate.settle(project)  # nothing new: the very same
    assert project.tables.read("labels").drop(["settled_at"]).equals(cold.drop(["settled_at"]))


def test_labels_on_the_threshold_itself_are_told(project: Project, fill: Fill) -> None:
    one, two = fill(project, {"1.jpg": "owl", "2.jpg": "owl"}).values()
    cast(project, [*said(one, "owl", "yyyn"), *said(two, "owl", "yyyy")])  # by majority 0.75 and 1
    outcome = annotate.settle(project, method="majority", threshold=0.75)
    assert outcome.summary["on_the_edge"] == 1
    assert any("1 label within 1e-05 of the threshold 0.75" in one for one in outcome.problems)
    outcome = annotate.settle(project, method="majority", threshold=0.8)
    assert outcome.summary["on_the_edge"] == 0
    assert not any("threshold 0.8" in one for one in outcome.problems)


def test_rulings_known_answers_pauses_and_more_votes_on_either_database(
    world: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth_steps, "KEEP_FROM", 20)
    ids = [f"{number:064x}" for number in range(10)]
    cast(world, [row for image_id in ids for row in said(image_id, "owl", "yyyn")])
    know(world, {ids[0]: "no"}, "owl")
    rule(world, ids[1], "wren", "is")
    rule(world, ids[2], "owl", "is-not")
    person(world, "p3", "paused")
    assert annotate.settle(world).summary["votes_left_out"] == 10
    cast(world, [(ids[3], "p0", "owl", "no"), (ids[3], "p1", "owl", "no"), (ids[3], "p2", "owl", "no")], "later")
    outcome = annotate.settle(world)
    found = label_of(world)
    assert [found[image_id].concept_id for image_id in ids[:4]] == ["owl", "wren", "owl", "owl"]
    assert [found[image_id].status for image_id in ids[:5]] == [
        "rejected", "accepted", "rejected", "rejected", "accepted"
    ]  # fmt: skip
    assert (outcome.summary["votes"], outcome.summary["known_answers"], outcome.summary["by_ruling"]) == (30, 1, 2)


def test_what_was_kept_is_not_used_where_the_journal_is_another(
    project: Project, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth_steps, "KEEP_FROM", 10)
    rows = many(project, fill, 20, seed=2)
    cast(project, rows)
    annotate.settle(project)
    with project.journal.transaction() as connection:  # votes with lower numbers went: a copy of another day
        connection.execute(sa.text("DELETE FROM votes WHERE vote_id <= 8"))
    assert annotate.settle(project).summary["votes"] == len(rows) - 8
    (kept,) = Path(project.cache_dir, "settle").glob("votes.arrow")
    kept.write_bytes(b"nonsense")
    assert annotate.settle(project).summary["votes"] == len(rows) - 8


def refuse(*_given: object, **_named: object) -> None:
    message = "all votes were read"
    raise AssertionError(message)


def test_votes_continued_are_the_votes_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    del monkeypatch
    rng = np.random.default_rng(3)
    names = ("image_id", "annotator", "question", "answer")
    for _ in range(20):
        rows = [
            (f"i{rng.integers(6)}", f"p{rng.integers(4)}", str(rng.choice(["", "owl"])), str(rng.choice(["yes", "no"])))
            for _ in range(30)
        ]
        whole = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
        old, new = latest_votes(whole.slice(0, 18)), whole.slice(18)
        assert texts(continued(coded(old), new)) == texts(coded(latest_votes(whole)))


def texts(votes: Any) -> list[tuple[str, ...]]:
    return [
        (votes.images[image], votes.annotators[who], votes.words[question], votes.words[answer])
        for image, who, question, answer in zip(
            votes.image_V.tolist(), votes.annotator_V.tolist(), votes.question_V.tolist(), votes.answer_V.tolist(),
            strict=True,
        )
    ]  # fmt: skip


def test_a_project_of_before_settles_as_it_did() -> None:
    """Labels of 292 votes of both kinds, as version 0.1 settled them: status, concept, sums of the posteriors."""
    from pictus.annotate.truth.consensus import METHODS
    from pictus.annotate.truth.questions import ballots_of, label_records, labels, which, yes_no

    names = ("image_id", "annotator", "question", "answer")
    ballots = ballots_of(pa.table(dict(zip(names, map(list, zip(*old_votes(), strict=True)), strict=True))), CLASSES)
    for method, (statuses, concepts, total, weighted) in AS_BEFORE.items():
        weigh, asked, free = METHODS.get(method), yes_no(ballots), which(ballots)
        found = labels(ballots, (asked, weigh(asked.votes)), (free, weigh(free.votes)), 0.9)
        rows = list(label_records(ballots, found, method, ""))
        assert "".join(row.status[0] for row in rows) == statuses
        assert "".join(row.concept_id[0] for row in rows) == concepts
        assert sum(row.posterior for row in rows) == pytest.approx(total, abs=2e-3)
        assert sum(place * row.posterior for place, row in enumerate(rows)) == pytest.approx(weighted, abs=0.05)
        assert sum(row.n_votes for row in rows) == 292


CLASSES = ("owl", "wren", "fish")

AS_BEFORE = {
    "dawid-skene": (
        "aaauaaaraaurauaaaruaaaaraaararararaaaraaararaaauuaaaaraaarar",
        "fofowfoowowofofwoooooooofffofooofoowoowofooooowofooowooooowo", 43.2179, 1218.69,
    ),
    "majority": (
        "auauuaaruuuuauaauruuuuuuuauuaruuauuauruuauuuuuuuuuauauuauruu",
        "fofowfoowofofofwoofooooofffofooofoowoowofooooowofooowooooowo", 37.0333, 1048.1,
    ),
    "one-coin": (
        "aaaaaaaraauraraaaruuaaaraaararararaaaraaararaaauauaaaraaarar",
        "fofowfoowowofofwoofooooofffofooofoowoowofooooowofooowooooowo", 42.3352, 1206.588,
    ),
}  # fmt: skip


def old_votes() -> list[tuple[str, str, str, str]]:
    """Drawn by a linear congruence: the same with every version of numpy."""
    state, rows = 7, []

    def draw(many: int) -> int:
        nonlocal state
        state = (state * 1103515245 + 12345) % 2**31
        return (state >> 8) % many

    for picture in range(60):
        truth = draw(3)
        for who in range(5):
            is_right = draw(100) < 55 + 8 * who
            if picture % 2:
                answer = ("yes" if truth == 0 else "no") if is_right else ("no", "yes", "unsure")[draw(3)]
                rows.append((f"i{picture:03}", f"p{who}", "owl", answer))
            else:
                rows.append((f"i{picture:03}", f"p{who}", "", CLASSES[truth if is_right else draw(3)]))
        if picture % 5 == 0:
            rows.append((f"i{picture:03}", "source:folder", "", CLASSES[truth]))
    return rows


LINKS = ("a" * 64, "b" * 64)


def came(project: Project, name: str, link: str, *days: str, uses_left: int = 5) -> None:
    """Somebody who came by a link (or "kiosk"), and handed in a page on each of these days."""
    with project.journal.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO annotators (name, role, state, reason, quota, invitation, made_at)"
                " VALUES (:name, 'annotator', 'active', '', 0, :link, '')"
            ),
            {"name": name, "link": link},
        )
        if link != "kiosk":
            connection.execute(
                sa.text(
                    "INSERT INTO tokens VALUES (:link, 'link', '', 'annotator', :uses, 0, '', '', '')"
                    " ON CONFLICT DO NOTHING"
                ),
                {"link": link, "uses": uses_left},
            )
        for day in days:
            connection.execute(
                sa.text(
                    "INSERT INTO pages (page_id, kind, concept_id, annotator, state, revision, leased_at, expires_at,"
                    " submitted_at, seconds) VALUES (:page, 'grid', 'owl', :name, 'submitted', 1, :at, '', '', 60)"
                ),
                {"page": f"{name}-{day}", "name": name, "at": f"{day}T10:00:00Z"},
            )


def on_pages(project: Project, rows: Sequence[tuple[str, str, str, str]], day: str = "2026-01-08") -> None:
    project.journal.add_votes([Vote(*row, f"page:{row[1]}-{day}", f"{day}T11:00:00Z") for row in rows])


def ringed(project: Project, fill: Fill, *, other_day: str = "2026-01-05", other_link: str = LINKS[1]) -> list[str]:
    """Three names of one link say no to everything; somebody else worked too, on other pictures."""
    ids = list(fill(project, {f"{number}.jpg": "" for number in range(8)}).values())
    for name in ("r1", "r2", "r3"):
        came(project, name, LINKS[0], "2026-01-08")
        on_pages(project, [(image, name, "owl", "no") for image in ids])
    came(project, "other", other_link, other_day)
    return ids


def statuses_of(project: Project) -> list[str]:
    return [label_of(project)[image].status for image in sorted(label_of(project))]


def test_what_people_of_one_link_alone_would_decide_stays_undecided_while_others_are_at_work(
    project: Project, fill: Fill
) -> None:
    ids = ringed(project, fill)
    outcome = annotate.settle(project)
    assert statuses_of(project) == ["unsettled"] * 8
    assert {row.status for row in presences(project)} == {"unsettled"}
    assert outcome.summary["one_link"] == {"a" * 12: 8}
    told = next(problem for problem in outcome.problems if problem.startswith("left undecided: 8 questions"))
    assert "pictus annotate plan" in told
    assert "it rests on people of one link alone" in outcome.problems[0]
    on_pages(project, [(ids[0], "other", "owl", "yes"), (ids[1], "other", "owl", "no")])
    came(project, "kit", "kiosk")
    on_pages(project, [(ids[2], "kit", "owl", "no")])
    cast(project, [(ids[3], "expert", "owl", "no")])
    rule(project, ids[4], "owl", "is")
    know(project, {ids[5]: "no"}, "owl")
    outcome = annotate.settle(project)
    found = [label_of(project)[image].status for image in ids]
    assert found[1:4] == ["rejected"] * 3, "somebody of another link, of the kiosk, of a file says so too"
    assert found[4:6] == ["accepted", "rejected"], "rulings and known answers stand"
    assert [found[0], *found[6:]] == ["unsettled"] * 3, "who says otherwise does not make their word two"


@pytest.mark.parametrize(
    ("day", "link"),
    [("2025-12-20", LINKS[1]), ("2026-01-09", LINKS[1]), ("2026-01-05", LINKS[0]), ("2026-01-05", "kiosk")],
    ids=["long before", "afterwards", "of the same link", "nobody by another link"],
)
def test_people_of_one_link_decide_where_nobody_of_another_was_at_work(
    project: Project, fill: Fill, day: str, link: str
) -> None:
    ringed(project, fill, other_day=day, other_link=link)
    outcome = annotate.settle(project)
    assert statuses_of(project) == ["rejected"] * 8
    assert outcome.summary["one_link"] == {}


def test_links_for_one_person_are_never_held_against_anybody(project: Project, fill: Fill) -> None:
    ids = list(fill(project, {"1.jpg": ""}).values())
    for number, name in enumerate(("ada", "bob", "cyd", "dan")):
        came(project, name, f"{number}" * 64, "2026-01-08", uses_left=0)
    on_pages(project, [(ids[0], name, "owl", "yes") for name in ("ada", "bob", "cyd")])
    assert annotate.settle(project).summary["one_link"] == {}
    assert statuses_of(project) == ["accepted"]


def test_of_known_answers_the_first_revision_tells_how_good_somebody_is(project: Project, fill: Fill) -> None:
    ids = list(fill(project, {f"{number}.jpg": "" for number in range(24)}).values())
    know(project, dict.fromkeys(ids, "yes"), "owl")
    for name in ("ada", "eve"):
        came(project, name, "kiosk")
    cast(project, [(image, "ada", "owl", "yes") for image in ids])
    cast(project, [(image, "eve", "owl", "no") for image in ids], "page:e")
    cast(project, [(image, "eve", "owl", "yes") for image in ids], "page:e#2")
    known = {one.annotator: one.known_accuracy for one in annotate.skills(project)}
    assert known == {"ada": 1.0, "eve": 1.0}, "who answered an asked picture has no known answers on a page"
    with project.journal.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO pages (page_id, kind, concept_id, annotator, state, revision, leased_at, expires_at,"
                " submitted_at, seconds) VALUES ('e', 'grid', 'owl', 'eve', 'submitted', 2, '', '', '', 60)"
            )
        )
        for revision, answer in ((1, "no"), (2, "yes")):
            connection.execute(
                sa.text(
                    "INSERT INTO answers (page_id, revision, position, question_id, kind, concept_id, image_id,"
                    " mark_id, role, known, annotator, answer, data, seconds, answered_at) VALUES ('e', :revision,"
                    " :place, 0, 'grid', 'owl', :image, 0, 'gold', 'yes', 'eve', :answer, '{}', 1, '')"
                ),
                [{"revision": revision, "place": place, "image": image, "answer": answer}
                 for place, image in enumerate(ids)],
            )  # fmt: skip
    known = {one.annotator: one.known_accuracy for one in annotate.skills(project)}
    assert known == {"ada": 1.0, "eve": 0.0}
    votes = project.journal.votes().to_pylist()
    assert {row["answer"] for row in votes if row["annotator"] == "eve"} == {"yes"}, "votes are the last ones"
