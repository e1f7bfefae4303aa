"""Class lists: text, JSON, meta.mat; good ones, and every kind of bad one."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from pictus.errors import UserError
from pictus.taxonomy.lists import MATLAB, parse_list, parse_meta


@pytest.mark.parametrize(
    "text",
    [
        "n00000001\nn00000002\n",
        "\ufeffn00000001\r\n\r\n# a remark\r\nn00000002\r\n",
        "n00000001 tench, Tinca tinca\nn00000002 goldfish\n",
        "wnid,name\nn00000001,tench\n'n00000002',goldfish\n",
        '["n00000001", "n00000002"]',
        '[{"cid": 0, "wnid": "n00000001"}, {"cid": 1, "wnid": "n00000002"}]',
        '{"n00000001": ["x"], "n00000002": []}',
    ],
)
def test_a_list_is_read_however_it_is_written(text: str) -> None:
    assert [entry.wnid for entry in parse_list(text, "list")] == ["n00000001", "n00000002"]


def test_every_bad_line_is_told() -> None:
    told = r"(?s)3 bad rows.*line 2: 'dog'.*line 4: 'n1'.*line 5: n00000001 stands at line 1"
    with pytest.raises(UserError, match=told):
        parse_list("n00000001\ndog\nn00000002\nn1\nn00000001\n", "list")


def test_bad_entries_of_json_are_told() -> None:
    with pytest.raises(UserError, match=r"(?s)2 bad rows.*entry 1: no wnid in 7.*entry 2: no wnid"):
        parse_list('[7, {"name": "dog"}, "n00000001"]', "list.json")
    with pytest.raises(UserError, match="is not JSON"):
        parse_list('["n00000001"', "list.json")


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "[]"])
def test_an_empty_list_says_what_is_wanted(text: str) -> None:
    with pytest.raises(UserError, match="lists no class"):
        parse_list(text, "list")


def meta_of(rows: list[tuple[int, str, str, str, list[int]]], name: str = "synsets") -> bytes:
    """A meta.mat as MATLAB would write it."""
    from scipy.io import savemat

    fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "children"]
    synsets = np.zeros(len(rows), dtype=[(field, object) for field in fields])
    for at, row in enumerate(rows):
        values: list[Any] = [*row[:4], np.array(row[4], dtype=np.uint16)]
        for field, value in zip(fields, values, strict=True):
            synsets[at][field] = value
    buffer = io.BytesIO()
    savemat(buffer, {name: synsets.reshape(-1, 1)})
    return buffer.getvalue()


GOOD = [
    (1, "n00000001", "whippet", "small slender dog", []),
    (2, "n00000002", "owl, bird of Minerva", "nocturnal bird", []),
    (3, "n00000003", "animal", "a living organism", [1, 2]),
]


def test_synsets_without_children_are_the_classes() -> None:
    data = meta_of(GOOD)
    assert data.startswith(MATLAB)
    concepts = {concept.concept_id: concept for concept in parse_meta(data, "meta.mat")}
    assert concepts["n00000002"].names == ("owl", "bird of Minerva")
    assert concepts["n00000002"].parents == ("n00000003",)
    assert [one for one, concept in concepts.items() if concept.is_class] == ["n00000001", "n00000002"]


def test_every_bad_synset_is_told() -> None:
    rows = [*GOOD, (4, "n00000001", "twice", "", []), (5, "dog", "no wnid", "", [77])]
    with pytest.raises(UserError, match=r"(?s)3 bad rows.*synset 4.*synset 5: 'dog'.*its child 77 is no synset"):
        parse_meta(meta_of(rows), "meta.mat")


@pytest.mark.parametrize("data", [MATLAB + b" but then nothing", meta_of(GOOD)[:300], meta_of(GOOD, "other")])
def test_a_broken_or_other_mat_file_is_refused(data: bytes) -> None:
    with pytest.raises(UserError, match=r"is not the meta\.mat of an ILSVRC devkit"):
        parse_meta(data, "meta.mat")
