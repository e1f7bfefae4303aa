"""What an engine's answer may hold, and how a third party adds one."""

from __future__ import annotations

from importlib import metadata

import pytest

from pictus.collect import causes, commons, openverse, searches
from pictus.collect.addresses import parse_url
from pictus.collect.asking import Answer
from pictus.collect.searches import DONE, FAILED, SEARCHES, Engine, Results, advice, is_done, json_of, text_in
from pictus.errors import PictureError, UserError


def answer(body: bytes) -> Answer:
    return Answer(parse_url("https://a.example/api"), {}, body)


def test_an_object_is_read_and_anything_else_is_a_bad_answer() -> None:
    assert json_of(answer(b'{"a": [1]}')) == {"a": [1]}
    for body in (b"", b"<!doctype html>Sign in", b"[1]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a": 1'):
        with pytest.raises(PictureError) as caught:
            json_of(answer(body))
        assert caught.value.cause == "bad-answer"
        assert "a.example sent" in caught.value.detail


def test_text_is_one_line_without_tags_whatever_the_field_holds() -> None:
    assert text_in('<a href="//x" title="A&amp;B">A&amp;B</a>\n<b>C</b>') == "A&B C"
    assert text_in("5 < 6") == "5 < 6"
    assert text_in(2008) == "2008"
    assert [text_in(value) for value in (None, True, ["a"], {"a": 1})] == [""] * 4
    assert len(text_in("x" * 10_000)) == 500
    assert text_in("&#" + "9" * 9_000) == "\N{REPLACEMENT CHARACTER}"


def test_both_engines_are_there_and_a_misspelt_one_is_guessed() -> None:
    assert SEARCHES.get("commons").endpoint == commons.ENDPOINT
    assert SEARCHES.get("openverse").endpoint == openverse.ENDPOINT
    with pytest.raises(UserError) as caught:
        SEARCHES.get("comons")
    assert caught.value.fix == "did you mean commons?"


def test_a_third_party_adds_an_engine_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Engine("https://a.example/", lambda *_: Results(()))
    monkeypatch.setattr(searches, "MINE", mine, raising=False)
    point = metadata.EntryPoint("mine", "pictus.collect.searches:MINE", "pictus.searches")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point] if group == "pictus.searches" else [])
    assert "mine" in SEARCHES.names()
    assert SEARCHES.get("mine") is mine
    SEARCHES._found.pop("mine")


def test_every_cause_has_words_and_the_passing_ones_are_asked_again() -> None:
    for cause in (*DONE, *FAILED, "refused", "timeout", "http-503", "dns", "private-address"):
        assert advice(cause)
    assert is_done("ok") and is_done("limit") and is_done("robots") and is_done("http-404")  # noqa: PT018
    for cause in ("refused", "http-429", "http-401", "bad-answer", "busy", "private-address", "error"):
        assert not is_done(cause)
    assert causes.GOOD
