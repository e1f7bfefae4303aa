"""The plan of queries: kept in its tables, told in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import pictus
from pictus import taxonomy
from pictus.concepts import load_taxonomy
from pictus.errors import UserError
from pictus.records import LeftOut, Query
from pictus.registry import STEPS
from pictus.taxonomy import languages

Tiny = tuple[Path, dict[str, str]]
Write = Callable[[str, str], Path]


@pytest.fixture
def animals(project: pictus.Project, tiny_wordnet: Tiny) -> pictus.Project:
    folder, wnid = tiny_wordnet
    taxonomy.import_(project, wordnet=folder, root=(wnid["whippet"], wnid["owl"], wnid["scientist"]))
    return project


def planned(project: pictus.Project) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for query in project.tables.records("queries", Query):
        found.setdefault(query.language, []).append(query.query)
    return found


def test_the_plan_is_kept_and_looking_again_writes_nothing(animals: pictus.Project) -> None:
    taxonomy.queries(animals, "owl")
    assert "whippet" in planned(animals)[""]  # the plan is of all classes, whichever are shown
    version = animals.tables.version("queries")
    taxonomy.queries(animals)
    assert animals.tables.version("queries") == version


def test_words_of_other_languages_are_queries_and_stay(
    animals: pictus.Project, tiny_wordnet: Tiny, write: Write
) -> None:
    owl = tiny_wordnet[1]["owl"]
    lines = f"# X\tfra\n{owl[1:]}-n\tlemma\tchouette\n{owl[1:]}-n\tlemma\thibou\n{owl[1:]}-n\tdeu:lemma\tOwl\n"
    outcome = taxonomy.queries(animals, "owl", languages=(write("fra.tab", lines),))
    assert [query.query for query in outcome if query.language == "fra"] == ["chouette", "hibou"]
    assert outcome.summary["languages"] == {"fra": 2}  # Owl is the same word as owl
    assert "fra 2" in outcome.headline
    taxonomy.queries(animals)
    assert planned(animals)["fra"] == ["chouette", "hibou"]
    taxonomy.queries(animals, languages=(write("new.tab", f"# X\tfra\n{owl[1:]}-n\tlemma\tduc\n"),))
    assert planned(animals)["fra"] == ["duc"]


def test_persons_are_left_out_told_and_included_by_name(animals: pictus.Project, tiny_wordnet: Tiny) -> None:
    scientist = tiny_wordnet[1]["scientist"]
    # the import made scientist a root, cut off from person: put person above it
    taxonomy.import_(animals, wordnet=tiny_wordnet[0], root=(tiny_wordnet[1]["person"],))
    outcome = taxonomy.queries(animals)
    assert outcome.summary["reasons"]["person"] >= 1
    assert any(line.startswith("left out as persons: ") for line in outcome.problems)
    assert scientist not in {query.concept_id for query in outcome}
    assert scientist in {note.concept_id for note in animals.tables.records("left_out", LeftOut)}
    assert scientist in {query.concept_id for query in taxonomy.queries(animals, include=("person",))}
    assert scientist in {query.concept_id for query in taxonomy.queries(animals)}  # remembered


def test_what_was_included_or_listed_can_be_taken_back(
    animals: pictus.Project, tiny_wordnet: Tiny, write: Write
) -> None:
    wnid = tiny_wordnet[1]
    taxonomy.import_(animals, wordnet=tiny_wordnet[0], root=(wnid["person"],))
    path = write("unsafe.csv", "concept,reason\nowl,x\n")
    outcome = taxonomy.queries(animals, include=("person",), leave_out=(path,))
    assert any(f"--take-back {wnid['person']}" in line for line in outcome.problems)
    assert {"owl", "scientist"} & set(planned(animals)[""]) == {"scientist"}
    taxonomy.queries(animals, take_back=("person",), no_list=True)
    assert {"owl", "scientist"} & set(planned(animals)[""]) == {"owl"}
    with pytest.raises(UserError, match="was not included; included are: none"):
        taxonomy.queries(animals, take_back=("person",))
    with pytest.raises(UserError, match="--no-list forgets the list"):
        taxonomy.queries(animals, no_list=True, leave_out=(Path("x.csv"),))


def test_a_taxonomy_that_knows_no_persons_says_so(animals: pictus.Project, tiny_wordnet: Tiny) -> None:
    assert any(line.startswith("persons are not known here") for line in taxonomy.queries(animals).problems)
    taxonomy.import_(animals, wordnet=tiny_wordnet[0], root=(tiny_wordnet[1]["person"],))
    assert not any(line.startswith("persons are not known here") for line in taxonomy.queries(animals).problems)


def test_individuals_of_a_list_are_left_out(project: pictus.Project, tiny_wordnet: Tiny, write: Write) -> None:
    folder, wnid = tiny_wordnet
    path = write("list.txt", f"{wnid['curie']}\n{wnid['owl']}\n")
    taxonomy.import_(project, ilsvrc=path, wordnet=folder)
    taxonomy.import_(project, ilsvrc=path, wordnet=folder)
    assert project.tables.count("left_out") == 1
    assert set(planned_ids(project)) == {wnid["owl"]}


def planned_ids(project: pictus.Project) -> list[str]:
    return [query.concept_id for query in taxonomy.queries(project)]


def test_a_list_leaves_out_and_says_which_and_why(animals: pictus.Project, write: Write) -> None:
    path = write("unsafe.csv", "concept,reason\nowl,too wise\n")
    outcome = taxonomy.queries(animals, leave_out=(path,))
    assert any("left out: 'owl'" in line and "too wise" in line for line in outcome.problems)
    assert "owl" not in planned(animals)[""]
    assert "owl" in {query.query for query in taxonomy.queries(animals, include=("owl",))}


def test_a_bad_file_changes_nothing(animals: pictus.Project, write: Write) -> None:
    taxonomy.queries(animals)
    version = animals.tables.version("queries")
    with pytest.raises(UserError, match="bad row"):
        taxonomy.queries(animals, languages=(write("fra.tab", "nonsense"),))
    with pytest.raises(UserError, match="cannot be read"):
        taxonomy.queries(animals, leave_out=(Path("/nowhere.csv"),))
    assert animals.tables.version("queries") == version


def test_a_huge_file_of_words_stops(animals: pictus.Project, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pictus.taxonomy.query_steps.LARGEST", 1 << 10)
    with pytest.raises(UserError, match="is larger than"):
        taxonomy.queries(animals, languages=(write("fra.tab", "#" * 2_000),))
    assert languages.LARGEST == 1 << 26


def test_persons_that_a_csv_names_by_wnid_are_left_out(
    project: pictus.Project, tiny_wordnet: Tiny, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, wnid = tiny_wordnet
    path = write("own.csv", f"id,name\n{wnid['scientist']},scientist\n{wnid['owl']},owl\n,teapot\n")
    outcome = taxonomy.import_(project, file=path, wordnet=folder)
    assert outcome.problems[0] == "1 class is a person (scientist): pictures of people need consent and care"
    for _ in range(2):  # it stays, with a list too
        plan = taxonomy.queries(project)
        assert {query.concept_id for query in plan} == set(load_taxonomy(project).concepts) - {wnid["scientist"]}
        assert "left out as persons: 1 class (scientist)" in plan.problems[0]
        taxonomy.queries(project, leave_out=(write("out.csv", "concept,reason\nteapot,dull\n"),))
        taxonomy.queries(project, no_list=True)
    taxonomy.queries(project, include=("scientist",))
    assert wnid["scientist"] in {query.concept_id for query in taxonomy.queries(project)}
    monkeypatch.setattr("pictus.taxonomy.steps.WORDNET_DIR", folder / "nowhere")
    unknown = taxonomy.import_(project, file=path)
    assert unknown.problems[0].startswith("whether 2 ids of WordNet are persons is not known")


def test_a_csv_of_concepts_is_no_list_of_what_to_leave_out(animals: pictus.Project, write: Write) -> None:
    listed = write("unsafe.csv", "concept,reason\nwhippet,too fast\n")
    taxonomy.queries(animals, leave_out=(listed,))
    with pytest.raises(UserError, match="has no column 'reason' or 'score'") as told:
        taxonomy.queries(animals, leave_out=(write("own.csv", "id,name,parent,gloss\n,owl,,a bird\n"),))
    assert "taxonomy import --file" in told.value.fix
    assert "too fast" in "".join(taxonomy.queries(animals).problems)


def test_the_plan_is_shown_to_people() -> None:
    assert STEPS["taxonomy queries"].shows_records
    assert not STEPS["taxonomy add"].shows_records
    assert STEPS["taxonomy check"].shows_records
