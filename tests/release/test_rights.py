"""What a picture's own metadata says of its author and licence, in a release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import pictus
from pictus import release
from pictus.records import Check
from pictus.release.rights import licence_in
from pictus.releases import open_release
from pictus.tables import table_of


@pytest.mark.parametrize(
    ("rights", "licence"),
    [
        ("https://creativecommons.org/licenses/by-sa/4.0/", "CC-BY-SA-4.0"),
        ("(c) Ann; see http://creativecommons.org/licenses/by/3.0/de/.", "CC-BY-3.0-DE"),
        ("https://creativecommons.org/licenses/by/4.0/legalcode", "CC-BY-4.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "PDM"),
        ("creativecommons.org/licenses/by/4.0 or creativecommons.org/licenses/by-nc/4.0", ""),
        ("(c) Ann Ôther, all rights reserved", ""),
        ("CC BY 4.0 on request", ""),
        ("https://notcreativecommons.org/licenses/by/4.0/", ""),
        ("", ""),
    ],
)
def test_only_the_address_of_a_known_licence_is_one(rights: str, licence: str) -> None:
    assert licence_in(rights) == licence


def test_authors_and_licences_of_the_files_reach_the_release_where_no_source_says_one(
    project: pictus.Project, fill: Callable[..., list[str]]
) -> None:
    ids = fill([("n02", "dog")] * 4 + [("n03", "cat")] * 2)
    tables = project.tables
    sources = list(tables.records("sources", pictus.records.Source))
    by_id = {one.image_id: one for one in sources}
    tables.replace("sources", table_of("sources", [replace(one, author="") if one.image_id == ids[0] else one
                                                   for one in sources]))  # fmt: skip
    rights = "https://creativecommons.org/licenses/by/4.0/"
    checks = [Check(one, "", 24, 16, 0, 0, 0, 0, 0, 1.5, False, "", 0, 0, bytes(32), 0) for one in ids]
    checks[0] = replace(checks[0], creator="Ann Ôther", rights="(c) Ann")
    checks[1] = replace(checks[1], creator="somebody else", rights=rights)
    checks[2] = replace(checks[2], creator="somebody else", rights=rights)
    tables.append("checks", table_of("checks", checks))
    release.split(project, seed=7)
    release.cut(project, "1.0.0")
    rows = {row["origin_id"] or row["image_id"]: row
            for row in open_release(project.releases_dir / "1.0.0").pictures.to_pylist()}  # fmt: skip
    assert [rows[one]["author"] for one in ids[:3]] == ["Ann Ôther", by_id[ids[1]].author, by_id[ids[2]].author]
    assert by_id[ids[1]].licence == rows[ids[1]]["licence"] == "CC0-1.0"  # what a source states goes before
    assert [rows[one]["licence"] for one in (ids[0], ids[2])] == ["", "CC-BY-4.0"]
