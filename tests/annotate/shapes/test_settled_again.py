"""What is settled again when something is new elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from tests.annotate.desks import START
from tests.annotate.shapes.test_shape_steps import put_mark, settled_tables

import pictus
from pictus.annotate.shapes import shape_steps


@pytest.mark.parametrize("how", ["paused", "withdrawn"])
def test_what_two_drew_until_one_of_them_counts_no_more_stirs_what_others_drew_together(
    world: pictus.Project, how: str
) -> None:
    place, off = 0, {"ada": 9, "bob": 0, "cid": 4}
    for picture, people in (("owl0", ("ada", "bob")), ("owl1", ("bob", "cid")), ("owl2", ("bob", "cid"))):
        for who in people:
            x, right, low = 10 + off[who], 150 + 2 * off[who], 150 + off[who]
            shape: dict[str, Any]
            for kind, shape in (
                ("box", {"box": [x, x, right, low]}),
                ("mask", {"polygons": [[x, x, right, x, right, low]]}),
                ("points", {"skeleton": "beak,tail", "points": [[x, x, 2], [right, low, 2]]}),
            ):
                put_mark(world, kind, who, shape, place, picture=picture)
                place += 1
    with world.journal.transaction() as connection:
        add = "INSERT INTO annotators (name, role, state, reason, quota, invitation, made_at) VALUES"
        connection.execute(sa.text(f"{add} ('ada', 'annotator', 'active', '', 0, '', :at)"), {"at": START})
    shape_steps.shapes_(world)
    with world.journal.transaction() as connection:
        if how == "paused":
            connection.execute(sa.text("UPDATE annotators SET state = 'paused' WHERE name = 'ada'"))
        else:
            withdrawn = connection.execute(sa.text("SELECT * FROM marks WHERE annotator = 'ada'")).mappings().all()
            for row in withdrawn:
                connection.execute(sa.text(
                    "INSERT INTO marks (kind, image_id, concept_id, annotator, shape, source, place, replaces, made_at)"
                    " VALUES (:kind, :image_id, :concept_id, 'ada', :shape, 'x', :place, :mark_id, :at)"
                ), {**row, "at": START})  # fmt: skip
    shape_steps.shapes_(world)
    again = settled_tables(world)
    shape_steps.shapes_(world, whole=True)
    assert again == settled_tables(world)
