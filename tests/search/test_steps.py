"""index and query as a user meets them: by picture, by word, by a run; killed, renamed, retrained; bad input."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pictus import Project, models, search
from pictus.errors import UserError
from pictus.records import Concept, Duplicate
from pictus.search import descriptor, steps
from pictus.tables import table_of

MakeJpeg = Callable[..., bytes]
Fill = Callable[[Iterable[bytes]], list[str]]

INDEX_AND_DIE = """
import os, signal, sys
import pictus
from pictus import engine, search
from pictus.search import descriptor, steps
from pictus.tables import Tables

engine.TASK_ROWS, engine.COMMIT_ROWS, steps.COMMIT_ROWS = 2, 4, 4
real, seen = Tables.append, 0

def append(self, name, rows):
    global seen
    real(self, name, rows)
    seen += 1
    if seen == 2:
        os.kill(os.getpid(), signal.SIGKILL)

Tables.append = append
search.index(pictus.open(sys.argv[1]), run=sys.argv[2], workers=1)
"""


def rows(project: Project, name: str = "classical") -> dict[str, Any]:
    found = project.tables.read(f"embeddings_{name}")
    assert found.num_rows == len(set(found.column("image_id").to_pylist()))
    return dict(zip(found.column("image_id").to_pylist(), found.column("embedding").to_pylist(), strict=True))


def file_of(folder: Path, image_bytes: bytes) -> Path:
    path = folder / "asked.jpg"
    path.write_bytes(image_bytes)
    return path


# -- index -------------------------------------------------------------------------------------


def test_every_picture_is_indexed_once_and_new_ones_are_added(
    project: Project, fill: Fill, make_jpeg: MakeJpeg
) -> None:
    fill(make_jpeg(seed=seed) for seed in range(5))
    assert search.index(project).summary == {
        "index": "classical", "written": 5, "total": 5, "unusable": 0, "forgotten": 0
    }  # fmt: skip
    before = rows(project)
    fill([make_jpeg(seed=9)])
    assert search.index(project).summary["written"] == 1
    assert search.index(project).summary["written"] == 0
    assert {image_id: vector for image_id, vector in rows(project).items() if image_id in before} == before
    assert [event.data["written"] for event in project.journal.events(subject="classical")] == [1, 5]


def test_pictures_that_cannot_be_decoded_are_counted_and_never_found(
    project: Project, fill: Fill, drop: Callable[..., None], make_jpeg: MakeJpeg, make_run: Callable[..., Path]
) -> None:
    good = make_jpeg(seed=1)
    ids = fill([good, b"not a picture", good[:300], b""])
    drop("broken", ids[3:])
    make_run(project.models_dir / "first")
    for name in ("classical", "first"):
        outcome = search.index(project, run=name)
        assert (outcome.summary["total"], outcome.summary["unusable"]) == (4, 3)
        assert outcome.problems == ("3 pictures without a vector (not decodable): pictus clean",)
        path = file_of(project.root, make_jpeg(seed=2))
        assert [hit.image_id for hit in search.query(project, image=path, run=name)] == ids[:1]
        again = search.index(project, run=name)
        assert (again.summary["written"], again.problems) == (0, ()), "said when it was found"
        with pytest.raises(UserError, match="has no vector"):
            search.query(project, like=ids[1], run=name)


@pytest.mark.parametrize("name", ["classical", "first"])
def test_kill_9_keeps_what_was_committed_and_the_next_run_makes_the_rest(
    name: str, project: Project, fill: Fill, make_jpeg: MakeJpeg, make_run: Callable[..., Path]
) -> None:
    ids = fill(make_jpeg(seed=seed) for seed in range(11))
    make_run(project.models_dir / "first")
    died = subprocess.run([sys.executable, "-c", INDEX_AND_DIE, project.root, name], check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert list(rows(project, name)) == ids[:8]
    half = search.query(project, like=ids[0], run=name, count=20)
    assert (half.summary["found"], len(half.problems)) == (7, 1)
    assert half.problems[0].startswith("3 pictures not in the index")
    assert search.index(project, run=name).summary["written"] == 3
    resumed = rows(project, name)
    project.tables.drop(f"embeddings_{name}")
    search.index(project, run=name)
    whole = rows(project, name)
    assert list(resumed) == list(whole) == ids
    for image_id, vector in whole.items():
        assert resumed[image_id] == pytest.approx(vector, abs=1e-5)  # another batch size: float32 rounds otherwise


def test_a_runs_vectors_are_its_features_at_length_one(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, make_run: Callable[..., Path]
) -> None:
    pictures = [make_jpeg(seed=seed) for seed in range(3)]
    ids = fill(pictures)
    run = models.open_run(make_run(project.models_dir / "first"))
    search.index(project, run="first")
    features = models.embed(models.load_run(run), run, pictures)
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    found = rows(project, "first")
    assert np.array([found[image_id] for image_id in ids]) == pytest.approx(expected, abs=1e-5)


def test_changed_weights_make_the_index_anew(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, make_run: Callable[..., Path]
) -> None:
    fill(make_jpeg(seed=seed) for seed in range(3))
    folder = make_run(project.models_dir / "first", seed=0)
    search.index(project, run="first")
    before = rows(project, "first")
    other = make_run(project.root / "elsewhere", seed=1)
    (other / models.WEIGHTS_NAME).replace(folder / models.WEIGHTS_NAME)
    path = file_of(project.root, make_jpeg(seed=0))
    with pytest.raises(UserError, match="have changed since") as caught:
        search.query(project, image=path, run="first")
    assert caught.value.fix == "pictus search index --run first"
    outcome = search.index(project, run="first")
    assert (outcome.summary["written"], outcome.summary["forgotten"]) == (3, 3)
    after = rows(project, "first")
    assert before.keys() == after.keys()
    assert all(before[image_id] != after[image_id] for image_id in before)
    assert next(iter(search.query(project, image=path, run="first"))).score == pytest.approx(1, abs=1e-5)
    assert search.index(project, run="first").summary["forgotten"] == 0


def test_another_version_of_the_descriptor_makes_the_index_anew(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill([make_jpeg()])
    search.index(project)
    monkeypatch.setattr(descriptor, "VERSION", "descriptor of tomorrow")
    assert search.index(project).summary["forgotten"] == 1
    assert search.index(project).summary["forgotten"] == 0


def test_a_run_that_lies_elsewhere_is_given_by_its_path(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    ids = fill([make_jpeg(seed=1), make_jpeg(seed=2)])
    path = str(make_run(tmp_path / "far" / "other"))
    assert search.index(project, run=path).summary["index"] == "other"
    assert sum(name.startswith("embeddings_other-") for name in project.tables.names()) == 1
    assert [hit.image_id for hit in search.query(project, like=ids[0], run=path)] == ids[1:]


def test_a_run_elsewhere_of_the_same_name_leaves_the_projects_own_index_alone(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    fill([make_jpeg(seed=0)])
    make_run(project.models_dir / "first", seed=0)
    path = str(make_run(tmp_path / "far" / "first", seed=1))
    search.index(project, run="first")
    before = project.tables.read("embeddings_first").column("embedding")
    assert search.index(project, run=path).summary["forgotten"] == 0
    assert project.tables.read("embeddings_first").column("embedding") == before
    assert search.index(project, run="first").summary["written"] == 0


def test_a_run_renamed_after_its_index_needs_a_new_index(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, make_run: Callable[..., Path]
) -> None:
    ids = fill([make_jpeg(seed=1), make_jpeg(seed=2)])
    make_run(project.models_dir / "first").rename(project.models_dir / "second")
    with pytest.raises(UserError, match="There is no index 'second'"):
        search.query(project, like=ids[0], run="second")
    assert search.index(project).summary["index"] == "second"
    assert search.query(project, like=ids[0]).summary["found"] == 1


def test_left_out_run_means_the_newest_finished_one_that_has_an_index(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, make_run: Callable[..., Path]
) -> None:
    ids = fill([make_jpeg(seed=1), make_jpeg(seed=2)])
    search.index(project)
    for name, finished, status in (("old", "2026-01-02", "finished"), ("new", "2026-01-03", "finished"),
                                   ("going", "2026-01-04", "running")):  # fmt: skip
        card = make_run(project.models_dir / name) / "run.json"
        text = card.read_text().replace("2026-01-01T00:01:00Z", finished).replace('"finished",', f'"{status}",', 1)
        card.write_text(text)
    assert search.query(project, like=ids[0]).headline.endswith("by classical")
    search.index(project, run="old")
    assert search.query(project, like=ids[0]).headline.endswith("by old")
    assert search.index(project).summary["index"] == "new"
    assert search.query(project, like=ids[0]).headline.endswith("by new")


# -- query -------------------------------------------------------------------------------------


def test_a_smaller_copy_finds_its_original_first(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, tmp_path: Path
) -> None:
    ids = fill(make_jpeg(400, 300, seed=seed) for seed in range(6))
    search.index(project)
    path = file_of(tmp_path, make_jpeg(400, 300, seed=3, quality=50))
    hits = list(search.query(project, image=path, count=4))
    assert (len(hits), hits[0].image_id, hits[0].address) == (4, ids[3], "drawn/3")
    assert hits[0].score > 0.98
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_dropped_pictures_and_unscreened_duplicates_are_left_out_and_cost_no_results(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, drop: Callable[..., None], tmp_path: Path
) -> None:
    ids = fill(make_jpeg(seed=seed) for seed in range(9))
    search.index(project)
    path = file_of(tmp_path, make_jpeg(seed=0, quality=80))
    ranked = [hit.image_id for hit in search.query(project, image=path, count=9)]
    assert sorted(ranked) == sorted(ids)
    group = [Duplicate(image_id, ranked[0], image_id == ranked[0], "near", 1, "", "") for image_id in ranked[:3]]
    project.tables.append("duplicates", table_of("duplicates", group))
    drop("blurred", ranked[3:4])
    drop("", ranked[2:3])  # a duplicate that was restored: its verdict is keep
    wanted = [ranked[0], ranked[2], *ranked[4:]]
    assert [hit.image_id for hit in search.query(project, image=path, count=5)] == wanted[:5]
    assert [hit.image_id for hit in search.query(project, image=path, count=9)] == wanted


def test_like_takes_the_beginning_of_an_id_and_leaves_that_picture_out(
    project: Project, fill: Fill, make_jpeg: MakeJpeg
) -> None:
    ids = fill(make_jpeg(seed=seed) for seed in range(4))
    search.index(project)
    for asked in (ids[2], ids[2][:20].upper()):
        assert {hit.image_id for hit in search.query(project, like=asked)} == {*ids} - {ids[2]}


def test_a_word_finds_everything_below_it_most_typical_first(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, label: Callable[..., None], drop: Callable[..., None]
) -> None:
    ids = fill(make_jpeg(seed=seed) for seed in range(6))
    label({ids[0]: ("n2", 0.9), ids[1]: ("n2", 0.99), ids[2]: ("n3", 0.8), ids[3]: ("n4", 1.0), ids[4]: ("n6", 0.7)})

    def found(text: str, **options: Any) -> list[str]:
        return [hit.image_id for hit in search.query(project, text=text, **options)]

    assert found("Bird") == [ids[3], ids[1], ids[0], ids[2]]  # no index: surest label first
    assert found("n3") == [ids[2]]
    assert found("owl") == [ids[1], ids[0]]  # the beginning of a word of "barn owl"; not "bowl"
    assert found("TYTO_alba", count=1) == [ids[1]]
    assert set(found("crane")) == {ids[3], ids[4]}  # one name, two concepts
    search.index(project)
    vectors = rows(project)
    members = np.array([vectors[image_id] for image_id in ids[:4]])
    scores = members @ members.sum(0)
    assert found("bird") == [ids[n] for n in np.argsort(-scores)]
    assert found("bird", count=2) == [ids[n] for n in np.argsort(-scores)][:2]
    drop("dark", [ids[3]])
    assert set(found("bird")) == {ids[0], ids[1], ids[2]}
    hit = next(iter(search.query(project, text="gull")))
    assert (hit.image_id, hit.concept_id, hit.names, hit.address) == (ids[2], "n3", ("gull",), "drawn/2")


def test_a_concept_without_pictures_and_a_project_without_labels_say_so(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, label: Callable[..., None]
) -> None:
    fill([make_jpeg()])
    label({})
    outcome = search.query(project, text="bowl")
    assert (list(outcome), outcome.headline) == ([], "0 pictures of bowl; 0 shown, surest labels first")
    assert outcome.problems == ("no labels are settled yet: pictus annotate import labels.csv",)


# -- bad input ---------------------------------------------------------------------------------


def refused(what: str, fix: str, call: Callable[..., Any], *given: Any, **options: Any) -> None:
    with pytest.raises(UserError) as caught:
        call(*given, **options)
    assert what in caught.value.what
    assert fix in caught.value.fix


def test_nothing_to_index_or_to_search_in(project: Project, fill: Fill, make_jpeg: MakeJpeg, tmp_path: Path) -> None:
    refused("There are no pictures", "pictus taxonomy import", search.index, project)
    project.tables.replace("concepts", table_of("concepts", [Concept("bowl", ("bowl",), is_class=True)]))
    refused("There are no pictures", "pictus collect add", search.index, project)
    refused("not indexed yet", "pictus collect add", search.query, project, like="0" * 64)
    fill([make_jpeg()])
    path = file_of(tmp_path, make_jpeg())
    refused("not indexed yet", "pictus search index", search.query, project, image=path)
    refused("There is no index 'classical'", "--run classical", search.query, project, image=path, run="classical")
    refused("There is no run 'nobody'", "", search.query, project, image=path, run="nobody")
    refused("There is no run 'nobody'", "", search.index, project, run="nobody")


def test_bad_options(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, make_run: Callable[..., Path], label: Callable[..., None]
) -> None:
    ids = fill([make_jpeg(seed=1), make_jpeg(seed=2)])
    label({})
    search.index(project)
    refused("one of --image, --text and --like", "--text owl", search.query, project)
    refused("one of --image, --text and --like", "", search.query, project, text="owl", like=ids[0])
    for count in (0, -1, 10_001):
        refused(f"--count {count}", "--count 12", search.query, project, like=ids[0], count=count)
    refused("'x y' is not an image_id", "", search.query, project, like="x y")
    refused("is not in the index", "pictus search index", search.query, project, like="0" * 64)
    refused("'barn owll'", "barn owl", search.query, project, text="barn owll")
    make_run(project.models_dir / "first")
    refused("--engine ray", "--run classical --engine ray", search.index, project, run="first", engine="ray")
    (project.models_dir / "first" / models.WEIGHTS_NAME).unlink()
    refused("has no weights yet", "pictus train resume first", search.index, project, run="first")


def test_a_beginning_that_fits_several_pictures(project: Project) -> None:
    batch = steps.embedding_batch(pa.array(["ab1", "ab2"]), np.eye(2, dtype=np.float32), descriptor.VERSION)
    project.tables.append("embeddings_classical", batch)
    refused("is the beginning of several", "more digits", search.query, project, like="ab")


def test_files_that_cannot_be_searched_with(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, tmp_path: Path
) -> None:
    fill([make_jpeg()])
    search.index(project)
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "half.jpg").write_bytes(make_jpeg()[:300])
    refused("No such file", "path of a picture", search.query, project, image=tmp_path / "gone.jpg")
    refused("Is a directory", "path of a picture", search.query, project, image=tmp_path)
    refused("not-an-image", "give a JPEG", search.query, project, image=tmp_path / "text.jpg")
    refused("half.jpg cannot be searched with", "give a JPEG", search.query, project, image=tmp_path / "half.jpg")


def test_a_run_that_diverged_is_told(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, make_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill([make_jpeg()])
    make_run(project.models_dir / "first")
    diverged = np.full((1, 4), np.nan, np.float32)
    monkeypatch.setattr(models, "embed_pixels", lambda _network, _run, prepared: diverged[: len(list(prepared))])
    refused("are not numbers", "learning rate", search.index, project, run="first")


def test_a_missing_shard_is_told_and_nothing_is_written(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, make_run: Callable[..., Path]
) -> None:
    fill([make_jpeg()])
    make_run(project.models_dir / "first")
    for shard in project.shards_dir.glob("*.tar"):
        shard.unlink()
    for name in ("classical", "first"):
        refused("is missing", "restore the file", search.index, project, run=name)
        assert not project.tables.exists(f"embeddings_{name}")


def test_two_processes_do_not_index_at_once(project: Project, fill: Fill, make_jpeg: MakeJpeg) -> None:
    fill([make_jpeg()])
    with project.lock("search"):
        refused("is working on 'search'", "wait for it", search.index, project)


def test_an_index_by_a_run_that_was_stopped_says_so(
    project: Project, fill: Fill, make_jpeg: MakeJpeg, make_run: Callable[..., Path]
) -> None:
    fill([make_jpeg(seed=1)])
    folder = make_run(project.models_dir / "first")
    card = json.loads((folder / "run.json").read_text())
    stopped = {"status": "running", "results": {"epochs": 2, "epochs_planned": 18}}
    (folder / "run.json").write_text(json.dumps(card | stopped))
    outcome = search.index(project, run="first")
    assert outcome.headline == "1 picture indexed by first (stopped at epoch 2 of 18) (1 new)"
    assert outcome.problems == ("first is not the finished model, stopped at epoch 2 of 18: pictus train resume first",)


def test_pictures_without_a_vector_that_clean_has_dropped_need_no_advice(
    project: Project, fill: Fill, drop: Callable[..., None], make_jpeg: MakeJpeg
) -> None:
    ids = fill([make_jpeg(seed=1), b"not a picture"])
    drop("broken", ids[1:])
    assert search.index(project).problems == ("1 picture without a vector (not decodable), dropped already",)
    assert search.index(project).problems == ()


def test_an_unknown_word_names_what_can_be_searched_for(project: Project, label: Callable[..., None]) -> None:
    label({})
    refused("There is no concept 'dog'", "your classes: ", search.query, project, text="dog")
    with pytest.raises(UserError) as caught:
        search.query(project, text="dog")
    assert "taxonomy add" not in caught.value.fix
    refused("'barn owll'", "did you mean barn owl?", search.query, project, text="barn owll")
