"""The queue's rows: merged, reopened, parked, summed up, on both databases."""

from __future__ import annotations

import pyarrow as pa
import sqlalchemy as sa
from tests.annotate.desks import rows

import pictus
from pictus.annotate.queues import queue_rows
from pictus.annotate.queues.queue_rows import GONE, heaps_of, park, put, reopen, sum_up


def wanted(*questions: tuple[str, str, float, str]) -> pa.Table:
    """concept, picture, priority, fold."""
    return pa.Table.from_pylist([
        {"concept_id": concept, "image_id": image, "mark_id": 0, "priority": priority, "reason": f"because {priority}",
         "wanted": 3, "posterior": 0.5, "score": 0.0, "fold": fold}
        for concept, image, priority, fold in questions
    ], schema=queue_rows.SCHEMA)  # fmt: skip


def change(project: pictus.Project, statement: str) -> None:
    with project.journal.transaction() as connection:
        connection.execute(sa.text(statement))


def test_only_open_questions_that_differ_are_written(world: pictus.Project) -> None:
    told: list[int] = []
    table = wanted(("owl", "a", 1.0, ""), ("owl", "b", 2.0, ""), ("wren", "a", 3.0, ""))
    assert put(world.journal, "grid", table, told.append) == (3, 0)
    assert sum(told) == 3
    assert put(world.journal, "grid", table, told.append) == (0, 0)
    change(world, "UPDATE questions SET state = 'accepted' WHERE image_id = 'b'")
    assert put(world.journal, "grid", wanted(("owl", "a", 9.0, "g"), ("owl", "b", 9.0, "g")), told.append) == (0, 1)
    assert put(world.journal, "box", table, told.append) == (3, 0)
    found = rows(world, "SELECT image_id, priority, fold FROM questions WHERE kind = 'grid' AND concept_id = 'owl'"
                        " ORDER BY image_id")  # fmt: skip
    assert [tuple(row) for row in found] == [("a", 9.0, "g"), ("b", 2.0, "")]


def test_a_heap_has_what_is_open_and_not_known_and_the_mean_of_its_best_page(world: pictus.Project) -> None:
    table = wanted(*(("owl", f"{number:03d}", float(number), "") for number in range(60)))
    put(world.journal, "grid", table, lambda _: None)
    change(world, "UPDATE questions SET state = 'rejected' WHERE image_id = '059'")
    change(world, "UPDATE questions SET known = 'yes' WHERE image_id = '058'")
    (heap,) = sum_up(world.journal, "grid", {"owl": "why"})
    assert (heap.waiting, heap.reason) == (58, "why")
    assert heap.priority == sum(range(10, 58)) / 48
    change(world, "UPDATE heaps SET state = 'unpicturable'")
    sum_up(world.journal, "grid", {})
    assert [tuple(row) for row in rows(world, "SELECT state, reason FROM heaps")] == [("unpicturable", "why")]
    change(world, "UPDATE questions SET state = 'accepted'")
    assert sum_up(world.journal, "grid", {}) == heaps_of(world.journal, "grid") == []


def test_known_answers_and_what_was_asked_again_already_stay_closed(world: pictus.Project) -> None:
    put(world.journal, "grid", wanted(*(("owl", one, 1.0, "") for one in "abc")), lambda _: None)
    change(world, "UPDATE questions SET state = 'accepted', votes = 3")
    change(world, "UPDATE questions SET known = 'yes' WHERE image_id = 'b'")
    change(world, "UPDATE questions SET reason = 'suspect: x' WHERE image_id = 'c'")
    again = [("owl", one, 5.0, "suspect: looks like wren") for one in "abc"]
    assert reopen(world.journal, "grid", again, "suspect:") == 1
    (row,) = rows(world, "SELECT image_id, wanted, reason FROM questions WHERE state = 'open'")
    assert tuple(row) == ("a", 4, "suspect: looks like wren")


def test_what_is_held_is_not_parked(world: pictus.Project) -> None:
    put(world.journal, "grid", wanted(*(("owl", one, 1.0, "") for one in "abc")), lambda _: None)
    change(world, "UPDATE questions SET leases = 1 WHERE image_id = 'b'")
    gone = park(world.journal, "grid", lambda found: [GONE if one.image_id in "ab" else "" for one in found])
    assert gone == {GONE: 1}
    assert [row.image_id for row in rows(world, "SELECT image_id FROM questions WHERE state = 'parked'")] == ["a"]
