"""Names of pictures that say what is on them."""

from __future__ import annotations

from pictus.annotate.exchange.hints import telling
from pictus.concepts import Taxonomy
from pictus.records import Concept

TAXONOMY = Taxonomy.of([Concept("n04392985", ("tape player", "deck"), is_class=True), Concept("c1", ("owl",))])


def test_a_name_or_an_id_of_a_concept_in_an_address_tells() -> None:
    told = ["n04392985_3341.jpg", "x_tape_player.jpg", "Owl/1.jpg", "owls/2.jpg", "owl7.jpg", "TAPE-PLAYER1.png"]
    assert telling(told, TAXONOMY) == told


def test_other_addresses_tell_nothing() -> None:
    assert telling(["IMG_3341.jpg", "https://a.org/bowl.jpg", "tape/1.jpg", "player_tape.jpg", ""], TAXONOMY) == []
