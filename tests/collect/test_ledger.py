"""What a source gave, on its way into the tables."""

from __future__ import annotations

import pytest

from pictus import Project
from pictus.collect import ledger as ledgers
from pictus.collect.ledger import Ledger
from pictus.collect.searches import Hit
from pictus.records import Candidate, Query, Searched
from pictus.tables import Tables

OWL = Query("n01621127", "owl", "", "eng")


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def ledger_of(project: Project, clock: Time | None = None, source: str = "commons") -> Ledger:
    return Ledger(project.tables, source, clock=clock or Time(), now=lambda: "2026-01-01T00:00:00Z")


def test_a_hit_becomes_a_candidate_with_all_that_is_known(project: Project) -> None:
    ledger = ledger_of(project)
    ledger.open(OWL.concept_id)
    assert ledger.add(Hit("HTTP://A.example/owl 1.jpg#x", "https://a.example/p", "CC0-1.0", "Ann", "Owl"), OWL)
    assert not ledger.add(Hit("http://a.example/owl%201.jpg"), OWL)
    ledger.end("owl", 1, "ok")
    ledger.commit()
    assert list(project.tables.records("candidates", Candidate)) == [
        Candidate("http://a.example/owl%201.jpg", OWL.concept_id, "commons", "owl", "eng", "CC0-1.0", "Ann", "Owl",
                  "https://a.example/p", "2026-01-01T00:00:00Z"),
    ]  # fmt: skip
    assert list(project.tables.records("searches", Searched)) == [
        Searched("commons", "owl", OWL.concept_id, 1, "ok", "", "2026-01-01T00:00:00Z")
    ]


def test_half_signs_as_json_can_spell_them_do_no_harm(project: Project) -> None:
    ledger = ledger_of(project)
    ledger.open(OWL.concept_id)
    assert not ledger.add(Hit("http://a.example/\ud800.jpg"), OWL)
    assert ledger.add(Hit("http://a.example/1.jpg", page="http://a.example/\udfff"), OWL)
    ledger.end("owl", 1, "error", "what \ud800 is")
    ledger.commit()
    assert (ledger.unusable, project.tables.count("candidates"), project.tables.count("searches")) == (1, 1, 1)


def test_candidates_are_committed_before_the_word_that_their_query_is_finished(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    real = Tables.append

    def append(self: Tables, name: str, rows: object) -> None:
        written.append(name)
        real(self, name, rows)

    monkeypatch.setattr(Tables, "append", append)
    ledger = ledger_of(project)
    ledger.open(OWL.concept_id)
    ledger.add(Hit("http://a.example/1.jpg"), OWL)
    ledger.end("owl", 1, "ok")
    ledger.commit()
    assert written == ["candidates", "searches"]


def test_it_commits_every_few_seconds_and_when_much_waits(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time()
    ledger = ledger_of(project, clock)
    ledger.open(OWL.concept_id)
    ledger.add(Hit("http://a.example/1.jpg"), OWL)
    ledger.pause()
    assert project.tables.count("candidates") == 0
    clock.now = ledgers.COMMIT_EVERY_S + 1
    ledger.pause()
    assert project.tables.count("candidates") == 1
    monkeypatch.setattr(ledgers, "_MOST_WAITING", 3)
    for number in range(2, 6):
        ledger.add(Hit(f"http://a.example/{number}.jpg"), OWL)
    ledger.pause()
    assert project.tables.count("candidates") == 5


def test_what_was_finished_is_known_to_the_next_run_and_failures_are_not(project: Project) -> None:
    ledger = ledger_of(project)
    ledger.open(OWL.concept_id)
    for query, cause in (("a", "ok"), ("b", "limit"), ("c", "refused"), ("d", "robots")):
        ledger.add(Hit(f"http://a.example/{query}.jpg"), OWL)
        ledger.end(query, 1, cause)
    ledger.commit()
    after = ledger_of(project)
    assert [after.is_finished(query, OWL.concept_id, 4) for query in "abcde"] == [True, True, False, True, False]
    assert not after.is_finished("b", OWL.concept_id, 5)  # more is wanted than was found
    assert not after.is_finished("a", "n01580077", 4)
    assert not ledger_of(project, source="openverse").is_finished("a", OWL.concept_id, 4)
    assert after.count(OWL.concept_id) == 4


def test_forgetting_is_of_one_source_and_the_concepts_named(project: Project) -> None:
    for source in ("commons", "it's"):
        for concept_id in ("n01580077", OWL.concept_id):
            ledger = ledger_of(project, source=source)
            ledger.open(concept_id)
            ledger.end("owl", 0, "ok")
            ledger.commit()
    ledger = ledger_of(project, source="it's")
    ledger.forget([OWL.concept_id])
    assert not ledger.is_finished("owl", OWL.concept_id, 9)
    assert ledger.is_finished("owl", "n01580077", 9)
    assert project.tables.count("searches") == 3
