from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.annotate.exchange.references import resolve

A, B, C = "a" * 64, "b" * 64, "c" * 64
SOURCES = [
    ("/home/ada/photos/owl/1.jpg", A),
    ("/home/ada/photos/wren/1.jpg", B),
    ("/home/ada/photos/wren/two.final.png", B),
    ("/data/set.tar!/train/7.jpeg", C),
    ("https://host.example/p/9.jpg?w=640#top", C),
    ("/gone/removed.jpg", "d" * 64),
]
IDS = frozenset({A, B, C})


@pytest.mark.parametrize(
    ("text", "image_id"),
    [
        (A, A), (A.upper(), A),
        ("/home/ada/photos/owl/1.jpg", A),
        ("owl/1.jpg", A), ("./owl/1.jpg", A), ("owl\\1.jpg", A), ("photos/wren/1.jpg", B),
        ("two.final.png", B), ("two.final", B), ("wren/two.final", B), ("wren/1", B),
        ("/data/set.tar!/train/7.jpeg", C), ("set.tar!/train/7.jpeg", C), ("train/7.jpeg", C), ("7", C),
        ("https://host.example/p/9.jpg?w=640#top", C), ("9.jpg", C), ("p/9", C),
    ],
)  # fmt: skip
def test_a_picture_is_found_by(text: str, image_id: str) -> None:
    assert resolve([text], IDS, SOURCES).image_ids == {text: image_id}


@pytest.mark.parametrize("text", ["wl/1.jpg", "owl/1.png", "d" * 64, "removed.jpg", "photos", "", "f" * 64])
def test_a_picture_is_not_found_by(text: str) -> None:
    found = resolve([text], IDS, SOURCES)
    assert found.image_ids == {}
    assert found.problems[text] == f"no picture {text!r} in the project"


def test_several_pictures_are_an_ambiguity_that_lists_them() -> None:
    found = resolve(["1.jpg"], IDS, SOURCES)
    assert found.problems["1.jpg"] == (
        "'1.jpg' means 2 pictures: /home/ada/photos/owl/1.jpg, /home/ada/photos/wren/1.jpg"
    )


def test_several_addresses_of_one_picture_are_no_ambiguity() -> None:
    assert resolve(["x.jpg"], IDS, [("/one/x.jpg", A), ("/two/x.jpg", A)]).image_ids == {"x.jpg": A}


def test_a_whole_address_goes_before_the_end_of_another() -> None:
    assert resolve(["1.jpg"], IDS, [("1.jpg", A), ("/two/1.jpg", B)]).image_ids == {"1.jpg": A}


def test_a_file_with_its_ending_goes_before_one_without() -> None:
    assert resolve(["1.jpg"], IDS, [("/a/1.jpg.png", A), ("/a/1.jpg", B)]).image_ids == {"1.jpg": B}


@given(st.lists(st.text("ab/.", min_size=1, max_size=9), min_size=1, max_size=8, unique=True))
def test_every_text_is_found_or_has_a_problem_and_whole_addresses_are_found(addresses: list[str]) -> None:
    ids = [f"{number:064x}" for number in range(len(addresses))]
    found = resolve(addresses, frozenset(ids), list(zip(addresses, ids, strict=True)))
    assert found.image_ids.keys() | found.problems.keys() == set(addresses)
    assert not found.image_ids.keys() & found.problems.keys()
    plain = [address.removeprefix("./").lstrip("/") for address in addresses]
    for address, image_id in zip(addresses, ids, strict=True):
        if plain.count(address.removeprefix("./").lstrip("/")) == 1:
            assert found.image_ids[address] == image_id


def test_a_file_named_by_an_image_id_is_that_picture() -> None:
    one, other = "a" * 64, "b" * 64
    texts = [one, f"{one}.jpg", f"https://example.org/birds/{one.upper()}.webp", f"{other}.jpg"]
    found = resolve(texts, frozenset({one}), [("/h/1.jpg", one)])
    assert set(found.image_ids) == set(texts[:3])
    assert set(found.image_ids.values()) == {one}
    assert list(found.problems) == texts[3:]
