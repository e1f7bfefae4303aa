"""The verbs on a project: what they record, what they refuse, what they leave alone."""

from __future__ import annotations

import gzip
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import pictus
from pictus import taxonomy
from pictus.concepts import load_taxonomy
from pictus.errors import UserError
from pictus.records import Concept, ConceptUrl, Source
from pictus.registry import STEPS
from pictus.tables import table_of

Tiny = tuple[Path, dict[str, str]]
Write = Callable[[str, str], Path]

BIRDS = "id,name,parent,gloss\n,bird,,warm-blooded animal\n,owl,bird,nocturnal bird\n,gull,bird,a bird of the sea\n"


def concepts(project: pictus.Project) -> dict[str, Concept]:
    """By first name."""
    return {concept.names[0]: concept for concept in load_taxonomy(project)}


def test_the_steps_are_registered_under_the_words_a_user_types() -> None:
    changing = {name: step.changes for name, step in STEPS.items() if name.startswith("taxonomy ")}
    assert changing == {
        "taxonomy import": True, "taxonomy add": True, "taxonomy check": False, "taxonomy show": False,
        "taxonomy queries": True,
    }  # fmt: skip


class TestImport:
    def test_of_a_csv_gives_concepts_and_an_event(self, project: pictus.Project, write: Write) -> None:
        outcome = taxonomy.import_(project, file=write("birds.csv", BIRDS))
        assert outcome.summary == {
            "concepts": 3, "classes": 2, "added": 3, "changed": 0, "removed": 0, "same": 0, "urls": 0,
        }  # fmt: skip
        assert outcome.headline == "3 concepts, 2 classes (3 new)"
        assert {concept.names[0] for concept in outcome} == {"bird", "owl", "gull"}
        found = concepts(project)
        assert found["owl"].parents == (found["bird"].concept_id,)
        assert found["owl"].source == "file:birds.csv"
        (event,) = project.journal.events()
        assert (event.stage, event.event, event.data["added"]) == ("taxonomy", "concepts_imported", 3)

    def test_urls_of_concepts_are_kept_changed_and_taken_away(self, project: pictus.Project, write: Write) -> None:
        def urls() -> dict[str, str]:
            names = {one.concept_id: one.names[0] for one in load_taxonomy(project)}
            return {names[one.concept_id]: one.url for one in project.tables.records("concept_urls", ConceptUrl)}

        first = write("a.csv", "name,url\nowl,https://example.org/owl\ngull,http://example.org/gull\nwren,\n")
        outcome = taxonomy.import_(project, file=first)
        assert urls() == {"owl": "https://example.org/owl", "gull": "http://example.org/gull"}
        assert outcome.headline == "3 concepts, 3 classes (3 new, 2 links changed)"
        version = project.tables.version("concepts")
        assert taxonomy.import_(project, file=first).headline.endswith("(nothing new)")
        taxonomy.import_(project, file=write("b.csv", "name\nowl\n"))
        assert len(urls()) == 2, "a file without the column says nothing of it"
        yaml = "- name: owl\n  url: https://example.org/owls\n- name: gull\n  url:\n"
        outcome = taxonomy.import_(project, file=write("c.yaml", yaml))
        assert urls() == {"owl": "https://example.org/owls"}
        assert project.journal.events()[0].data["urls"] == outcome.summary["urls"] == 2
        assert project.tables.version("concepts") >= version
        taxonomy.import_(project, file=write("d.csv", "name\nowl\n"), fresh=True)
        assert urls() == {}

    def test_of_the_same_again_writes_nothing(self, project: pictus.Project, write: Write) -> None:
        path = write("birds.csv", BIRDS)
        taxonomy.import_(project, file=path)
        version = project.tables.version("concepts")
        outcome = taxonomy.import_(project, file=path)
        assert (outcome.summary["added"], outcome.summary["changed"], outcome.summary["same"]) == (0, 0, 3)
        assert project.tables.version("concepts") == version
        assert len(project.journal.events()) == 1

    def test_of_a_corrected_file_changes_only_what_was_corrected(self, project: pictus.Project, write: Write) -> None:
        taxonomy.import_(project, file=write("birds.csv", BIRDS))
        corrected = BIRDS.replace("nocturnal bird", "nocturnal bird of prey")
        outcome = taxonomy.import_(project, file=write("birds.csv", corrected))
        assert (outcome.summary["added"], outcome.summary["changed"]) == (0, 1)
        assert concepts(project)["owl"].gloss == "nocturnal bird of prey"

    def test_of_yaml_and_of_csv_means_the_same(self, project: pictus.Project, write: Write) -> None:
        taxonomy.import_(project, file=write("birds.yaml", "bird: [owl, gull]"))
        ids = {concept.concept_id for concept in load_taxonomy(project)}
        outcome = taxonomy.import_(project, file=write("birds.csv", BIRDS))
        assert outcome.summary["added"] == 0
        assert {concept.concept_id for concept in load_taxonomy(project)} == ids

    def test_with_fresh_forgets_the_others(self, project: pictus.Project, write: Write) -> None:
        taxonomy.import_(project, file=write("birds.csv", BIRDS))
        outcome = taxonomy.import_(project, file=write("tools.csv", "name\nhammer\n"), fresh=True)
        assert (outcome.summary["removed"], list(concepts(project))) == (3, ["hammer"])

    def test_of_a_circle_is_refused_and_leaves_all_as_it_was(self, project: pictus.Project, write: Write) -> None:
        taxonomy.import_(project, file=write("birds.csv", BIRDS))
        text = "id,name,parent\na,ant,c\nb,bee,a\nc,cicada,b\n"
        with pytest.raises(UserError, match=r"'ant' \(a\) -> 'bee' \(b\) -> 'cicada' \(c\) -> 'ant' \(a\)"):
            taxonomy.import_(project, file=write("circle.csv", text))
        assert len(load_taxonomy(project)) == 3

    def test_of_a_list_takes_names_and_ancestors_from_wordnet(
        self, project: pictus.Project, tiny_wordnet: Tiny, write: Write
    ) -> None:
        folder, wnid = tiny_wordnet
        path = write("classes.txt", f"{wnid['whippet']}\n{wnid['owl']}\n")
        outcome = taxonomy.import_(project, ilsvrc=path, wordnet=folder)
        assert (outcome.summary["classes"], outcome.summary["concepts"]) == (2, 9)
        found = load_taxonomy(project)
        assert found.classes == tuple(sorted([wnid["whippet"], wnid["owl"]]))
        assert found.get(wnid["dog"]).parents == (wnid["animal"], wnid["pet"])

    @pytest.mark.parametrize("ending", ["", ".xz", ".gz"])
    def test_of_a_list_takes_the_lists_beside_it_where_there_is_no_wordnet(
        self, project: pictus.Project, tmp_path: Path, no_wordnet: Path, ending: str
    ) -> None:
        packers: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".xz": lzma.compress, ".gz": gzip.compress}
        pack = packers[ending]
        (tmp_path / f"classes.txt{ending}").write_bytes(pack(b"n00000002\n"))
        (tmp_path / f"words.txt{ending}").write_bytes(pack(b"n00000001\tdog\nn00000002\twhippet\nn00000003\towl\n"))
        (tmp_path / f"wordnet.is_a.txt{ending}").write_bytes(pack(b"n00000001 n00000002\n"))
        taxonomy.import_(project, ilsvrc=tmp_path / f"classes.txt{ending}")
        assert [(one.concept_id, one.is_class) for one in load_taxonomy(project)] == [
            ("n00000001", False), ("n00000002", True),
        ]  # fmt: skip

    def test_without_wordnet_or_lists_says_what_to_install(
        self, project: pictus.Project, no_wordnet: Path, write: Write
    ) -> None:
        with pytest.raises(UserError, match=r"There is no WordNet at .* nor words") as caught:
            taxonomy.import_(project, ilsvrc=write("classes.txt", "n00000002\n"))
        assert "apt install wordnet-base" in caught.value.fix
        with pytest.raises(UserError, match="There is no WordNet"):
            taxonomy.import_(project, root=("bird",))

    def test_below_a_root_tells_whom_it_left_out(self, project: pictus.Project, tiny_wordnet: Tiny) -> None:
        folder, wnid = tiny_wordnet
        outcome = taxonomy.import_(project, wordnet=folder, root=("organism.n.01",))
        assert "left out: 1 named individuals, 3 kinds of person" in outcome.problems[0]
        assert load_taxonomy(project).classes == tuple(sorted(wnid[key] for key in ("whippet", "owl", "crane_bird")))

    def test_a_listed_person_is_taken_and_told(self, project: pictus.Project, tiny_wordnet: Tiny, write: Write) -> None:
        folder, wnid = tiny_wordnet
        outcome = taxonomy.import_(project, ilsvrc=write("c.txt", wnid["scientist"]), wordnet=folder)
        assert "1 class is a person (scientist)" in outcome.problems[0]

    def test_needs_exactly_one_source(self, project: pictus.Project, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="found none") as caught:
            taxonomy.import_(project)
        assert "--ilsvrc LIST" in caught.value.fix
        with pytest.raises(UserError, match="found --file and --folders"):
            taxonomy.import_(project, file=tmp_path, folders=tmp_path)
        with pytest.raises(UserError, match="found none"):
            taxonomy.import_(project, wordnet=tmp_path)

    def test_waits_for_no_second_writer(self, project: pictus.Project, write: Write) -> None:
        path = write("birds.csv", BIRDS)
        with project.lock("taxonomy"), pytest.raises(UserError, match="is working on 'taxonomy'"):
            taxonomy.import_(project, file=path)


class TestImportOfFolders:
    def make(self, root: Path, *names: str) -> Path:
        for name in names:
            (root / "pictures" / name).mkdir(parents=True)
        return root / "pictures"

    def test_makes_a_class_of_each_folder(self, project: pictus.Project, tmp_path: Path) -> None:
        folder = self.make(tmp_path, "Barn_Owl", "gull", ".hidden", "__MACOSX")
        (folder / "readme.txt").write_text("not a class", encoding="utf-8")
        taxonomy.import_(project, folders=folder)
        assert sorted(concepts(project)) == ["Barn Owl", "gull"]
        assert load_taxonomy(project).resolve("barn_owl") == concepts(project)["Barn Owl"].concept_id
        again = taxonomy.import_(project, folders=folder)
        assert (again.summary["added"], again.summary["changed"]) == (0, 0)

    def test_resolves_wnids_through_wordnet(self, project: pictus.Project, tmp_path: Path, tiny_wordnet: Tiny) -> None:
        folder, wnid = tiny_wordnet
        taxonomy.import_(project, folders=self.make(tmp_path, wnid["whippet"], "robot"), wordnet=folder)
        found = load_taxonomy(project)
        assert found.get(wnid["whippet"]).names == ("whippet",)
        assert wnid["dog"] in found
        assert sorted(found.name(one) for one in found.classes) == ["robot", "whippet"]

    def test_takes_the_concepts_that_are_there_by_name(
        self, project: pictus.Project, tmp_path: Path, write: Write
    ) -> None:
        taxonomy.import_(project, file=write("birds.csv", BIRDS))
        outcome = taxonomy.import_(project, folders=self.make(tmp_path, "OWL", "bird"))
        assert (outcome.summary["concepts"], outcome.summary["changed"]) == (3, 1)  # bird is a class now
        assert concepts(project)["bird"].is_class

    def test_tells_unknown_and_ambiguous_folders_all_at_once(
        self, project: pictus.Project, tmp_path: Path, tiny_wordnet: Tiny, write: Write
    ) -> None:
        folder, _ = tiny_wordnet
        unknown = self.make(tmp_path / "a", "n99999998", "n99999999", "owl")
        with pytest.raises(UserError, match=r"(?s)2 bad rows.*folder n99999998.*folder n99999999"):
            taxonomy.import_(project, folders=unknown, wordnet=folder)
        taxonomy.import_(project, file=write("c.csv", "id,name\na,crane\nb,crane\n"))
        with pytest.raises(UserError, match="folder 'crane' means 2 concepts: a, b"):
            taxonomy.import_(project, folders=self.make(tmp_path / "b", "crane"))

    @pytest.mark.parametrize("kind", ["tar.gz", "zip"])
    def test_takes_the_folders_that_an_archives_pictures_lie_in(
        self, project: pictus.Project, tmp_path: Path, kind: str
    ) -> None:
        root = self.make(tmp_path, "train/Barn_Owl", "val/Barn_Owl", "train/gull", "notes")
        for name in ("train/Barn_Owl/1.jpg", "val/Barn_Owl/2.jpg", "train/gull/3.png", "loose.jpg", "notes/a.txt"):
            (root / name).write_bytes(b"x")
        format_ = {"tar.gz": "gztar", "zip": "zip"}[kind]
        outcome = taxonomy.import_(project, folders=Path(shutil.make_archive(str(tmp_path / "a"), format_, root)))
        assert sorted(concepts(project)) == ["Barn Owl", "gull"]
        assert f"1 picture at the top of a.{kind} in no folder" in outcome.problems

    def test_tells_of_an_archive_that_is_damaged_or_has_no_folders(
        self, project: pictus.Project, tmp_path: Path
    ) -> None:
        root = self.make(tmp_path, "gull")
        (root / "gull/1.jpg").write_bytes(b"x" * 600)
        path = Path(shutil.make_archive(str(tmp_path / "a"), "tar", root))
        path.write_bytes(path.read_bytes()[:5_632])  # where the picture ends: no end mark
        assert any("a.tar: " in one for one in taxonomy.import_(project, folders=path).problems)
        (tmp_path / "b.zip").write_bytes(b"PK nonsense")
        with pytest.raises(UserError, match=r"b\.zip has no folders in it"):
            taxonomy.import_(project, folders=tmp_path / "b.zip")

    def test_refuses_every_name_of_a_split_that_a_release_knows(
        self, project: pictus.Project, tmp_path: Path
    ) -> None:
        folder = self.make(tmp_path, "Training", "testing", "dev")
        with pytest.raises(UserError, match="are splits"):
            taxonomy.import_(project, folders=folder)

    def test_refuses_empty_folders_files_and_splits(self, project: pictus.Project, tmp_path: Path) -> None:
        (tmp_path / "empty" / ".git").mkdir(parents=True)
        with pytest.raises(UserError, match="has no folders in it"):
            taxonomy.import_(project, folders=tmp_path / "empty")
        with pytest.raises(UserError, match="is not a folder"):
            taxonomy.import_(project, folders=tmp_path / "nothing")
        folder = self.make(tmp_path, "train", "val")
        with pytest.raises(UserError, match="are splits") as caught:
            taxonomy.import_(project, folders=folder)
        assert caught.value.fix.endswith(str(folder / "train"))


class TestBadFiles:
    @pytest.mark.parametrize("option", ["file", "ilsvrc"])
    def test_a_file_that_is_not_there_is_named(self, project: pictus.Project, tmp_path: Path, option: str) -> None:
        with pytest.raises(UserError, match=r"gone\.csv cannot be read: No such file"):
            taxonomy.import_(project, **{option: tmp_path / "gone.csv"})  # type: ignore[arg-type]

    def test_a_folder_for_a_list_is_searched_for_the_devkit(self, project: pictus.Project, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="cannot be read: Is a directory"):
            taxonomy.import_(project, ilsvrc=tmp_path)

    def test_a_picture_is_no_list(
        self, project: pictus.Project, tmp_path: Path, make_jpeg: Callable[[], bytes]
    ) -> None:
        (tmp_path / "c.csv").write_bytes(make_jpeg())
        with pytest.raises(UserError, match=r"c\.csv line 1 is not UTF-8 text: found byte 0xff"):
            taxonomy.import_(project, file=tmp_path / "c.csv")

    def test_a_cut_archive_is_told(self, project: pictus.Project, tmp_path: Path) -> None:
        (tmp_path / "c.txt.xz").write_bytes(lzma.compress(b"n00000001\n" * 1000)[:60])
        with pytest.raises(UserError, match=r"c\.txt\.xz cannot be read: Compressed file ended"):
            taxonomy.import_(project, ilsvrc=tmp_path / "c.txt.xz")

    def test_a_packed_bomb_stops(
        self, project: pictus.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from pictus.taxonomy import files

        monkeypatch.setattr(files, "LARGEST", 1 << 20)
        (tmp_path / "c.txt.gz").write_bytes(gzip.compress(bytes(1 << 21)))
        with pytest.raises(UserError, match="is larger than 1 MB"):
            taxonomy.import_(project, ilsvrc=tmp_path / "c.txt.gz")


class TestAdd:
    def test_a_new_concept_is_a_class_below_its_parent(self, project: pictus.Project, write: Write) -> None:
        taxonomy.import_(project, file=write("birds.csv", BIRDS))
        outcome = taxonomy.add(project, "barn_owl", parent=("owl",), gloss="pale owl", synonym=("Tyto alba",))
        (concept,) = outcome
        assert (concept.names, concept.gloss, concept.is_class) == (("barn owl", "Tyto alba"), "pale owl", True)
        assert concept.parents == (concepts(project)["owl"].concept_id,)
        assert "contains 'barn owl'" in outcome.problems[0]  # owl is a class too
        assert project.journal.events()[0].event == "concept_added"

    def test_the_same_again_changes_nothing(self, project: pictus.Project) -> None:
        taxonomy.add(project, "owl", gloss="a bird")
        version = project.tables.version("concepts")
        outcome = taxonomy.add(project, "Owl", gloss="a bird")
        assert "is there already" in outcome.headline
        assert project.tables.version("concepts") == version

    def test_a_group_takes_no_labels(self, project: pictus.Project, write: Write) -> None:
        taxonomy.import_(project, file=write("birds.csv", BIRDS))
        taxonomy.add(project, "owl", role="group")
        assert not concepts(project)["owl"].is_class
        taxonomy.add(project, "owl", gloss="changed")  # the role stays
        assert not concepts(project)["owl"].is_class
        taxonomy.add(project, "owl", role="class")
        assert concepts(project)["owl"].is_class

    def test_a_concept_of_wordnet_is_changed_by_its_id_only(
        self, project: pictus.Project, tiny_wordnet: Tiny, write: Write
    ) -> None:
        folder, wnid = tiny_wordnet
        path = write("c.txt", wnid["dog"])
        taxonomy.import_(project, ilsvrc=path, wordnet=folder)
        with pytest.raises(UserError, match=f"'dog' is a concept already: {wnid['dog']}, a member of the genus"):
            taxonomy.add(project, "dog", gloss="my dog")
        taxonomy.add(project, wnid["dog"], gloss="my dog", role="group")
        again = taxonomy.import_(project, ilsvrc=path, wordnet=folder)  # the user's word stays
        assert again.summary["changed"] == 0
        assert (concepts(project)["dog"].gloss, concepts(project)["dog"].is_class) == ("my dog", False)

    def test_unknown_parents_unknown_ids_circles_and_empty_names_are_refused(
        self, project: pictus.Project, write: Write
    ) -> None:
        taxonomy.import_(project, file=write("birds.csv", BIRDS))
        with pytest.raises(UserError, match="There is no concept 'brid'") as caught:
            taxonomy.add(project, "finch", parent=("brid",))
        assert "bird" in caught.value.fix
        with pytest.raises(UserError, match="n02087122 is an id, and no concept"):
            taxonomy.add(project, "n02087122")
        with pytest.raises(UserError, match="would contain themselves"):
            taxonomy.add(project, "bird", parent=("owl",))
        with pytest.raises(UserError, match="name is empty"):
            taxonomy.add(project, "  ")


def claim(image_id: str, concept_id: str, address: str) -> Source:
    return Source(image_id, address, "folder", concept_id, "", "", "", "2026-01-01T00:00:00Z")


class TestCheckShowAndQueries:
    def test_check_counts_each_picture_once_for_a_class(self, project: pictus.Project, write: Write) -> None:
        taxonomy.import_(project, file=write("birds.csv", BIRDS))
        assert taxonomy.check(project).summary["problems"] == {}
        owl = concepts(project)["owl"].concept_id
        claims = [claim("a" * 64, owl, "1"), claim("a" * 64, owl, "2"), claim("b" * 64, owl, "3")]
        project.tables.append("sources", table_of("sources", claims))
        outcome = taxonomy.check(project, thin=2)
        (problem,) = outcome
        assert (problem.kind, problem.concept_ids) == ("thin", (concepts(project)["gull"].concept_id,))
        assert "has 0 pictures, fewer than 2" in outcome.problems[0]
        assert taxonomy.check(project, thin=3).summary["problems"] == {"thin": 2}

    def test_show_draws_the_tree_with_pictures(self, project: pictus.Project, write: Write) -> None:
        taxonomy.import_(project, file=write("birds.csv", BIRDS))
        owl, bird = concepts(project)["owl"].concept_id, concepts(project)["bird"].concept_id
        project.tables.append("sources", table_of("sources", [claim("a" * 64, owl, "1")]))
        outcome = taxonomy.show(project)
        assert outcome.headline.splitlines() == [
            "3 concepts, 2 classes",
            f"bird  {bird} · 2 classes · 1 picture",
            f"├ gull  {concepts(project)['gull'].concept_id}",
            f"└ owl  {owl} · 1 picture",
        ]
        assert [concept.names[0] for concept in outcome] == ["bird", "gull", "owl"]
        assert outcome.summary == {"concepts": 3, "classes": 2, "height": 1, "pictures": 1}

    def test_show_of_one_concept_says_what_is_above(self, project: pictus.Project, tiny_wordnet: Tiny) -> None:
        folder, wnid = tiny_wordnet
        taxonomy.import_(project, wordnet=folder, root=("entity",))
        lines = taxonomy.show(project, "dog").headline.splitlines()
        assert lines[0] == f"dog, domestic dog  {wnid['dog']}"
        assert lines[2] == "above: entity › organism › animal › pet"
        assert lines[4] == f"dog › greyhound › whippet  {wnid['whippet']}"

    def test_queries_of_a_group_are_those_of_the_classes_below(
        self, project: pictus.Project, tiny_wordnet: Tiny
    ) -> None:
        folder, wnid = tiny_wordnet
        taxonomy.import_(project, wordnet=folder, root=("animal",))
        assert {query.concept_id for query in taxonomy.queries(project, "bird")} == {wnid["owl"], wnid["crane_bird"]}
        outcome = taxonomy.queries(project, "whippet")
        assert [query.query for query in outcome] == ["whippet", "whippet greyhound", "whippet dog"]
        assert outcome.summary == {
            "classes": 1, "queries": 3, "expanded": 1, "with_parent_word": 1, "languages": {}, "left_out": 0,
            "reasons": {},
        }  # fmt: skip
        assert taxonomy.queries(project).summary["classes"] == 3

    @pytest.mark.parametrize("step", [taxonomy.check, taxonomy.show, taxonomy.queries])
    def test_an_empty_taxonomy_says_what_to_type(self, project: pictus.Project, step: Callable[..., object]) -> None:
        with pytest.raises(UserError, match="taxonomy is empty") as caught:
            step(project)
        assert "pictus taxonomy import" in caught.value.fix


def test_a_full_disk_is_the_users_error_and_loses_nothing(
    project: pictus.Project, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lance

    taxonomy.import_(project, file=write("birds.csv", BIRDS))

    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lance, "write_dataset", full)
    with pytest.raises(UserError, match="disk is full"):
        taxonomy.add(project, "tern")
    monkeypatch.undo()
    assert len(load_taxonomy(project)) == 3
    shutil.rmtree(project.root / "locks")  # the lock was freed: nothing holds its file
    taxonomy.add(project, "tern")
    assert len(load_taxonomy(project)) == 4
