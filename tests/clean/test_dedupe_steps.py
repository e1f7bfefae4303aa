"""The step: incremental and resumable, equal on every runner, with evidence, and a word when splits are crossed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pictus import engine, neighbours, release
from pictus.clean import dedupe, dedupe_steps, duplicates, restore, screen
from pictus.errors import UserError
from pictus.project import Project
from pictus.records import Duplicate, Source, Split
from pictus.tables import SCHEMAS, table_of

AddHashes = Callable[..., list[str]]
NearHashes = Callable[..., np.ndarray]


def name(row: int) -> str:
    return f"{row:064x}"


def rows_of(project: Project) -> pa.Table:
    return project.tables.read("duplicates")


def from_scratch(project: Project, **how: Any) -> pa.Table:
    (project.cache_dir / "dedupe" / "state").unlink()
    project.tables.drop("duplicates")
    dedupe(project, **how)
    return rows_of(project)


def test_what_is_added_later_gives_the_table_of_a_whole_search(
    project: Project, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    words = near_hashes(300)
    for start, end in ((0, 1), (1, 200), (200, 201), (201, 300)):
        add_hashes(project, words[start:end], start)
        outcome = dedupe(project)
    found = rows_of(project)
    assert outcome.summary["duplicates"] > 150
    assert found.equals(from_scratch(project))


def test_only_what_is_new_is_compared(
    project: Project, monkeypatch: pytest.MonkeyPatch, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    words = near_hashes(120)
    add_hashes(project, words[:100])
    dedupe(project)
    add_hashes(project, words[100:], 100)
    asked = []
    real = duplicates.find

    def find(pool: duplicates.Pool, **how: Any) -> list[Duplicate]:
        asked.append(len(pool.image_ids))
        return real(pool, **how)

    monkeypatch.setattr(duplicates, "find", find)
    dedupe(project)
    assert 20 <= asked[0] < 30
    version = project.tables.version("duplicates")
    dedupe(project)
    assert asked[1:] == [0]
    assert project.tables.version("duplicates") == version, "nothing new, nothing written"


@pytest.mark.parametrize("damage", ["gone", "a byte", "short", "empty"])
def test_a_damaged_state_means_a_whole_search(
    project: Project, damage: str, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    words = near_hashes(60)
    add_hashes(project, words[:50])
    dedupe(project)
    path = project.cache_dir / "dedupe" / "state"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    broken = {"a byte": bytes(data), "short": bytes(data[:40]), "empty": b""}
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(broken[damage])
    add_hashes(project, words[50:], 50)
    dedupe(project)
    assert rows_of(project).equals(from_scratch(project))


def test_a_table_changed_by_hand_is_made_anew(project: Project, add_hashes: AddHashes, near_hashes: NearHashes) -> None:
    add_hashes(project, near_hashes(30))
    dedupe(project)
    right = rows_of(project)
    project.tables.replace("duplicates", right.slice(4))
    dedupe(project)
    assert rows_of(project).equals(right)


def test_another_radius_and_back_is_right_each_time(
    project: Project, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    add_hashes(project, near_hashes(90))
    near = dedupe(project, radius=76).summary
    assert dedupe(project, radius=20).summary["near"] < near["near"]
    assert dedupe(project, radius=76).summary == near


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were so much to do that it is cut into parts and spread."""
    monkeypatch.setattr(dedupe_steps, "ALONE_S", 0.0)
    monkeypatch.setattr(neighbours, "PART_S", 1e-5)
    monkeypatch.setattr(neighbours, "_PAIR_S", 1e-6)


@pytest.mark.usefixtures("in_parts")
def test_one_process_and_several_find_the_same_rows(
    project: Project, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    add_hashes(project, near_hashes(400))
    dedupe(project, workers=1)
    alone = rows_of(project)
    assert alone.num_rows > 200
    assert from_scratch(project, workers=2).equals(alone)
    left = [path.name for path in (project.cache_dir / "dedupe").iterdir()]
    assert left == ["state"], "parts are cleared away"


@pytest.mark.usefixtures("in_parts")
def test_a_stopped_run_goes_on_with_the_parts_it_has(
    project: Project, monkeypatch: pytest.MonkeyPatch, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    add_hashes(project, near_hashes(200))
    calls = 0
    real = neighbours.edges_of

    def counting(*given: Any) -> pa.RecordBatch:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return real(*given)

    def here(
        compute: neighbours.Compute, batches: Iterator[pa.RecordBatch], **_: object
    ) -> Iterator[pa.RecordBatch]:  # fmt: skip
        yield from map(compute, batches)

    monkeypatch.setattr(neighbours, "edges_of", counting)
    monkeypatch.setattr(engine, "spread", here)
    with pytest.raises(KeyboardInterrupt):
        dedupe(project, workers=2)
    parts = [path for path in (project.cache_dir / "dedupe").glob("*/*") if path.suffix != ".npy"]
    assert len(parts) == 3
    parts[0].write_bytes(parts[0].read_bytes()[:-1] + b"?")  # damaged: computed again
    dedupe(project, workers=2)
    planned = calls - 4 + 2
    found = rows_of(project)
    calls = 100
    assert from_scratch(project, workers=2).equals(found)
    assert calls - 100 == planned


def likeness(image: int, other: int, relation: str = "crop", similarity: float = 0.9) -> dict[str, Any]:
    return {"image_id": name(image), "other_id": name(other), "relation": relation, "similarity": similarity,
            "detail": json.dumps({"scale": 0.7})}  # fmt: skip


def test_likenesses_join_groups_and_are_counted(
    project: Project, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    add_hashes(project, near_hashes(9))  # 0-2, 3-5, 6-8 are near each other
    dedupe(project)
    rows = [likeness(3, 0), likeness(8, 6, "turned"), likeness(7, 1, "turned", 0.8)]
    project.tables.append("likenesses", pa.Table.from_pylist(rows, schema=SCHEMAS["likenesses"]))
    outcome = dedupe(project)
    found = {row.image_id: row for row in outcome}
    assert {row.group_id for row in found.values()} == {name(0)}
    assert (found[name(3)].relation, found[name(3)].evidence_id, found[name(3)].similarity) == ("crop", name(0), 0.9)
    assert found[name(3)].detail == '{"scale": 0.7}'
    assert "cropped, or what it was cropped from" in found[name(3)].reason
    assert (found[name(7)].relation, found[name(7)].evidence_id) == ("turned", name(1))
    assert found[name(0)].relation == "crop", "the keeper names the loosest of its group"
    assert outcome.summary["relations"] == {"pixels": 0, "near": 6, "turned": 1, "edit": 0, "crop": 1, "collage": 0}
    assert "1 turned or mirrored, 1 cropped" in outcome.headline
    for row in found.values():
        assert row.is_keeper or (row.evidence_id in found and row.reason)
        assert row.similarity == (1.0 if row.is_keeper else row.similarity)
        if row.relation == "near":
            assert row.similarity == pytest.approx(1 - row.distance / 384)
    assert rows_of(project).equals(from_scratch(project)), "new edges are looked at, and only they"
    assert screen(project).summary["rules"] == {"duplicate": 8}


def test_a_free_licence_or_age_may_decide_who_stays(
    project: Project, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    words = np.repeat(near_hashes(1), 3, axis=0)
    add_hashes(project, words, width=[100, 300, 200])
    sources = [Source(name(row), f"a/{row}", "url", "", "", licence, "", "") for row, licence in
               enumerate(["", "CC-BY-SA-4.0", "https://creativecommons.org/publicdomain/zero/1.0/"])]  # fmt: skip
    sources.append(Source(name(7), "elsewhere", "url", "", "", "CC0", "", ""))
    project.tables.append("sources", table_of("sources", sources))
    kept = {}
    for keep in ((), ("licence",), ("age",)):
        (kept[keep],) = (row for row in dedupe(project, keep=keep) if row.is_keeper)
    assert [row.image_id for row in kept.values()] == [name(1), name(2), name(0)]
    assert kept["licence",].reason == "kept: the freest licence of 3 (CC0)"
    assert project.journal.events("duplicates", limit=1)[0].data["keep"] == ["age"]
    with pytest.raises(UserError, match="no reason to keep 'size'"):
        dedupe(project, keep=("size",))
    with pytest.raises(UserError, match="no engine 'rya'"):
        dedupe(project, engine="rya")


def test_a_group_that_lies_across_splits_is_told(
    project: Project, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    ids = add_hashes(project, near_hashes(6))
    splits = [Split(ids[row], "test" if row in {0, 3} else "train", "n1", "") for row in (0, 1, 3, 4)]
    project.tables.append("splits", table_of("splits", splits))
    (words,) = dedupe(project).problems
    assert words.startswith("2 groups of the same picture lie in several splits of the last draw of splits, e.g. ")
    assert f"{ids[0][:12]} (test) and {ids[1][:12]} (train)" in words
    assert words.endswith("pictus release split")


@pytest.mark.parametrize("is_changed", [False, True])
def test_a_picture_near_one_tested_in_an_earlier_release_is_told(
    project: Project, make_release: Any, add_hashes: AddHashes, near_hashes: NearHashes, *, is_changed: bool
) -> None:
    folder = project.releases_dir / "1.0.0"
    make_release(folder, [("test", "n02", b"one"), ("train", "n02", b"two"), ("train", "n03", b"three")])
    import pyarrow.parquet as pq

    released = pq.read_table(folder / "pictures.parquet")
    if is_changed:  # where the place was taken out the release has another picture than the project
        found = pa.array([name(70 + row) for row in range(released.num_rows)])
        released = released.set_column(released.column_names.index("origin_id"), "origin_id", found)
        pq.write_table(released, folder / "pictures.parquet")
    words = near_hashes(3)
    add_hashes(project, words)
    for table in ("images", "checks", "matched"):  # the first two of these near ones are the released pictures
        rows = project.tables.read(table)
        ids = [*released.column("origin_id").to_pylist()[:2], name(2)]
        project.tables.replace(table, rows.set_column(0, rows.schema.field(0), pa.array(ids)))
    (told,) = dedupe(project).problems
    assert "1 group of the same picture lies in several splits of release 1.0.0" in told
    Path(folder / "pictures.parquet").write_bytes(b"?")
    (told,) = dedupe(project).problems
    assert told.startswith("release 1.0.0 was not looked at: ")


def test_crops_and_turned_copies_go_to_one_split(
    project: Project, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    words = near_hashes(60)
    ids = add_hashes(project, words)
    rows = [likeness(row, row - 3) for row in range(3, 60, 6)]
    project.tables.append("likenesses", pa.Table.from_pylist(rows, schema=SCHEMAS["likenesses"]))
    found = {row.image_id: row.group_id for row in dedupe(project)}
    screen(project)
    restore(project, rule="duplicate")  # dropped ones are in no release; a person may want them back
    labels = [{"image_id": image_id, "concept_id": "n1", "posterior": 1.0, "n_votes": 1, "status": "accepted",
               "method": "given", "settled_at": ""} for image_id in ids]  # fmt: skip
    project.tables.append("labels", pa.Table.from_pylist(labels, schema=SCHEMAS["labels"]))
    concept = {"concept_id": "n1", "names": ["owl"], "gloss": "", "parents": [], "is_class": True, "source": ""}
    project.tables.append("concepts", pa.Table.from_pylist([concept], schema=SCHEMAS["concepts"]))
    release.split(project)
    rows_split = {row["image_id"]: row for row in project.tables.read("splits").to_pylist()}
    assert rows_split
    for image_id, row in rows_split.items():
        assert row["group_id"] == found.get(image_id, image_id)
    by_group: dict[str, set[str]] = {}
    for row in rows_split.values():
        by_group.setdefault(row["group_id"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in by_group.values())
    assert len(rows_split) == 60
    assert len(by_group) < 15, "each a group of six: three near ones and three near their crop"


def test_pictures_that_were_not_matched_are_told_and_so_are_matches_that_dedupe_has_not_seen(
    project: Project, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    add_hashes(project, near_hashes(9), pixel_sha256=[name(row // 2) for row in range(9)])
    matched = project.tables.read("matched")
    project.tables.replace("matched", matched.slice(0, 3))  # the pixels of rows 0 to 3
    (told,) = dedupe(project).problems
    assert told == "3 pictures not compared for crops, turned and edited copies: pictus clean match"
    assert screen(project).problems == ()
    project.tables.replace("matched", matched)
    rows = pa.Table.from_pylist([likeness(8, 0)], schema=SCHEMAS["likenesses"])
    project.tables.append("likenesses", rows)
    (told,) = screen(project).problems
    assert told.startswith("crops, turned and edited copies were matched since duplicates were looked for")
    assert dedupe(project).problems == ()
    assert screen(project).problems == ()


def test_who_stays_when_the_keeper_is_dropped_is_who_keep_says(
    project: Project, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    ids = add_hashes(project, near_hashes(3), width=[100, 300, 200], sharpness=[1.0, 900.0, 900.0])
    licences = ("CC0-1.0", "all rights reserved", "CC-BY-4.0")
    sources = [Source(ids[row], str(row), "file", "", "", licence, "", "") for row, licence in enumerate(licences)]
    project.tables.append("sources", table_of("sources", sources))
    dedupe(project, keep=("licence",))
    found = {row.image_id: row for row in screen(project)}
    assert [found[one].rule for one in ids] == ["blurred", "duplicate", ""]
    assert found[ids[1]].reason.endswith(f"{ids[2][:12]} is kept in place of {ids[0][:12]}, which is dropped")
    dedupe(project)
    assert [row.rule for row in screen(project)] == ["blurred", "", "duplicate"]


def test_a_long_chain_of_look_alikes_is_told(
    project: Project, add_hashes: AddHashes, near_hashes: NearHashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedupe_steps, "LONG_CHAIN", 3)
    add_hashes(project, near_hashes(9))
    outcome = dedupe(project)
    assert outcome.summary["largest_chain"] == 3
    assert outcome.problems[0].startswith("one chain of look-alikes joins 3 different pictures")
