from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from pictus import Project
from pictus.collect import intake
from pictus.collect.intake import Claim, Intake
from pictus.errors import PictureError, UserError
from pictus.records import Attempt
from pictus.shards import ShardReader, verify
from pictus.tables import SCHEMAS, Tables

MakeJpeg = Callable[..., bytes]


def opened(project: Project) -> Intake:
    return Intake(project.tables, project.shards_dir, "2026-01-01T00:00:00Z")


def attempt(address: str, cause: str) -> Attempt:
    return Attempt(address, "url", cause, "", "", "", 0, 1, 0, 0.0, "", "", "2026-01-01T00:00:00Z")


def test_the_id_of_a_picture_is_the_sha256_of_its_bytes(project: Project, make_jpeg: MakeJpeg) -> None:
    picture = make_jpeg()
    with opened(project) as taking:
        image_id = taking.take(picture, "a", "folder", Claim())
    assert image_id == hashlib.sha256(picture).hexdigest()
    (row,) = project.tables.read("images").to_pylist()
    assert ShardReader(project.shards_dir).read(row["shard"], row["offset"], row["size"]) == picture


def test_equal_bytes_in_one_batch_are_stored_once(project: Project, make_jpeg: MakeJpeg) -> None:
    picture = make_jpeg()
    with opened(project) as taking:
        for address in ("a", "b", "a"):
            taking.take(picture, address, "folder", Claim("n1"))
        counts = taking.counts
    assert (counts.added, counts.again, counts.known, counts.changed) == (1, 1, 1, 0)
    assert (project.tables.count("images"), project.tables.count("sources")) == (1, 2)


def test_a_claim_changed_within_its_batch_is_written_once(project: Project, make_jpeg: MakeJpeg) -> None:
    with opened(project) as taking:
        taking.take(make_jpeg(), "a", "folder", Claim("n1"))
        taking.take(make_jpeg(), "a", "folder", Claim("n2"))
    assert project.tables.read("sources", ["concept_id"]).column("concept_id").to_pylist() == ["n2"]


def test_a_further_place_of_a_picture_is_not_counted_again(project: Project, make_jpeg: MakeJpeg) -> None:
    with opened(project) as taking:
        image_id = taking.take(make_jpeg(), "a", "folder", Claim("n1"))
        assert taking.claim(image_id, "b", "folder", Claim("n1"), is_counted=False)
        for concept_id in ("n1", "n2"):
            taking.claim(image_id, "b", "folder", Claim(concept_id), is_counted=False)
        counts = taking.counts
    assert (counts.added, counts.again, counts.known, counts.changed) == (1, 0, 0, 0)
    assert [row["concept_id"] for row in project.tables.read("sources").to_pylist()] == ["n1", "n2"]


def test_other_bytes_at_a_known_address_are_another_picture(project: Project, make_jpeg: MakeJpeg) -> None:
    for seed in (0, 1):
        with opened(project) as taking:
            taking.take(make_jpeg(seed=seed), "a", "folder", Claim())
    assert (project.tables.count("images"), project.tables.count("sources")) == (2, 2)


def test_what_is_no_picture_leaves_no_trace(project: Project) -> None:
    with opened(project) as taking:
        with pytest.raises(PictureError, match="not-an-image"):
            taking.take(b"<html>", "a", "folder", Claim())
        with pytest.raises(PictureError, match="empty"):
            taking.take(b"", "a", "folder", Claim())
    assert project.tables.count("images") == 0
    assert list(project.shards_dir.glob("*.tar")) == []


def test_nothing_is_committed_when_the_run_fails(project: Project, make_jpeg: MakeJpeg) -> None:
    def fail() -> None:
        with opened(project) as taking:
            taking.take(make_jpeg(), "a", "folder", Claim())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert project.tables.count("images") == 0
    with opened(project) as taking:
        taking.take(make_jpeg(), "a", "folder", Claim())
    assert project.tables.count("images") == 1


def test_attempts_of_one_commit_stand_in_the_order_of_the_list(project: Project) -> None:
    with opened(project) as taking:
        for order, address in ((2, "c"), (0, "a"), (1, "b")):
            taking.note(attempt(address, "dns"), order)
    assert project.tables.read("fetches", ["address"]).column("address").to_pylist() == ["a", "b", "c"]


def test_a_batch_is_full_by_pictures_or_by_bytes(
    project: Project, make_jpeg: MakeJpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(project) as taking:
        taking.take(make_jpeg(seed=0), "a", "folder", Claim())
        full = [taking.is_full]
        monkeypatch.setattr(intake, "BATCH_BYTES", 1_000)
        full.append(taking.is_full)
        taking.commit()
        full.append(taking.is_full)
        monkeypatch.setattr(intake, "BATCH_PICTURES", 1)
        taking.note(attempt("a", "dns"))
        full.append(taking.is_full)
    assert full == [False, True, False, True]


def test_many_small_commits_leave_few_fragments(project: Project, make_jpeg: MakeJpeg) -> None:
    with opened(project) as taking:
        for seed in range(70):
            taking.take(make_jpeg(width=8, height=8, seed=seed), f"{seed:02}", "folder", Claim())
            taking.commit()
    for name in ("images", "sources"):
        assert len(project.tables._open(name).get_fragments()) < 10
    assert project.tables.read("sources", ["address"]).column("address").to_pylist() == [f"{n:02}" for n in range(70)]


@pytest.mark.parametrize("table", ["images", "sources", "fetches"])
@pytest.mark.parametrize("is_written", [True, False])
def test_ctrl_c_in_a_commit_is_like_a_kill_and_the_next_run_makes_it_whole(
    project: Project, make_jpeg: MakeJpeg, monkeypatch: pytest.MonkeyPatch, table: str, is_written: bool
) -> None:
    real = Tables.append

    def interrupted(self: Tables, name: str, rows: Any) -> None:
        if name != table or is_written:
            real(self, name, rows)
        if name == table and rows.num_rows:
            raise KeyboardInterrupt

    def add(*, stops: bool = False) -> None:
        with opened(project) as taking:
            for seed in range(3):
                taking.take(make_jpeg(seed=seed), f"{seed}", "folder", Claim())
                taking.note(attempt(f"{seed}", "dns"))
            if stops:
                taking.commit()

    project.tables.append("images", SCHEMAS["images"].empty_table())
    with monkeypatch.context() as patch:
        patch.setattr(Tables, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            add(stops=True)
    add()
    images = project.tables.read("images")
    assert len(set(images.column("image_id").to_pylist())) == images.num_rows == 3
    assert sorted(project.tables.read("sources").column("address").to_pylist()) == ["0", "1", "2"]
    assert list(verify(project.shards_dir, images)) == []


def test_ctrl_c_between_commits_keeps_what_was_taken(project: Project, make_jpeg: MakeJpeg) -> None:
    def stop() -> None:
        with opened(project) as taking:
            for seed in range(3):
                taking.take(make_jpeg(seed=seed), f"{seed}", "folder", Claim())
                if seed == 1:
                    taking.commit()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert (project.tables.count("images"), project.tables.count("sources")) == (3, 3)


def test_an_empty_field_says_nothing_and_keeps_what_was_said_before(project: Project, make_jpeg: MakeJpeg) -> None:
    claims = (Claim("n1", "", "CC0-1.0"), Claim(), Claim("n2", author="Ann"), Claim(query="owl", licence="CC-BY-4.0"))
    counts = []
    for claim in claims:
        with opened(project) as taking:
            taking.take(make_jpeg(), "a", "folder", claim)
        counts.append((taking.counts.added, taking.counts.known, taking.counts.changed))
    assert counts == [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 1)]
    (row,) = project.tables.read("sources", list(Claim._fields)).to_pylist()
    assert row == {"concept_id": "n2", "query": "owl", "licence": "CC-BY-4.0", "author": "Ann"}


def test_a_table_that_cannot_be_written_stops_the_run_with_the_bytes_safe(
    project: Project, make_jpeg: MakeJpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Tables.append

    def full(self: Tables, name: str, rows: Any) -> None:
        if name == "sources":
            raise UserError("The disk is full: sources.lance could not be written.", fix="free some space")
        real(self, name, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Tables, "append", full)
        with pytest.raises(UserError, match="disk is full"), opened(project) as taking:
            taking.take(make_jpeg(), "a", "folder", Claim())
    assert (project.tables.count("images"), project.tables.count("sources")) == (1, 0)
    with opened(project) as taking:
        taking.take(make_jpeg(), "a", "folder", Claim())
        assert taking.counts.added == 0
    assert (project.tables.count("images"), project.tables.count("sources")) == (1, 1)
