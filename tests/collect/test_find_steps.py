"""collect find and coverage from the outside: a query plan, local engines and sites, kills and bad input."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pictus import Project, collect, taxonomy
from pictus.collect import asking, find_steps, network
from pictus.collect.asking import Manners
from pictus.errors import UserError
from pictus.records import Candidate, Coverage, LeftOut, Picture, Query, Searched, Source, Verdict
from pictus.tables import table_of

OWL, JAY = "n01621127", "n01580077"
US = "me@example.org"


class Routes(dict[str, Callable[[Any], None]]):
    """Pages by path alone: what an API is asked stands behind the question mark."""

    def get(self, path: str, default: Any = None) -> Any:
        return super().get(path.partition("?")[0], default)


def asked_of(handler: Any) -> dict[str, str]:
    return {key: value[0] for key, value in parse_qs(urlsplit(handler.path).query).items()}


def commons_api(pages: int = 2, size: int = 5) -> Callable[[Any], None]:
    """Answers as Commons does: `size` files a page, of `pages` pages."""

    def answer(handler: Any) -> None:
        asked = asked_of(handler)
        start, word = int(asked.get("gsroffset", "0")), asked["gsrsearch"].removeprefix("filetype:bitmap ")
        files = [
            {"pageid": number, "title": f"File:{word} {number}.jpg", "imageinfo": [{
                "url": f"https://upload.example.org/{word.replace(' ', '_')}_{number}.jpg", "mime": "image/jpeg",
                "descriptionurl": f"https://commons.example.org/wiki/{number}",
                "extmetadata": {"License": {"value": "cc-by-4.0"}, "Artist": {"value": "<b>Ann</b>"}},
            }]}
            for number in range(start, start + size)
        ]  # fmt: skip
        is_last = start + size >= pages * size
        going_on = {} if is_last else {"continue": {"gsroffset": start + size, "continue": "gsroffset||"}}
        handler.answer(200, json.dumps({"query": {"pages": files}, **going_on}).encode())

    return answer


def openverse_api(handler: Any) -> None:
    """Answers as Openverse does: 401 for more than 20 at once."""
    asked = asked_of(handler)
    if int(asked["page_size"]) > 20:
        handler.answer(401, b'{"detail": "Authentication credentials were not provided."}')
        return
    row = {
        "url": f"https://live.example.org/{asked['q'].replace(' ', '_')}_{asked['page']}.jpg", "license": "by",
        "license_version": "2.0", "foreign_landing_url": "https://photos.example.org/1", "creator": "Bo",
    }  # fmt: skip
    handler.answer(200, json.dumps({"page_count": 2, "results": [row]}).encode())


@pytest.fixture
def engines(web: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The loopback web, with both engines on it."""
    web.pages = Routes({"/w/api.php": commons_api(), "/v1/images/": openverse_api})
    monkeypatch.setenv("PICTUS_COMMONS_URL", web.url("/w/api.php"))
    monkeypatch.setenv("PICTUS_OPENVERSE_URL", web.url("/v1/images/"))
    monkeypatch.setattr(asking, "Manners", lambda: Manners(back_off_s=0.001, read_s=0.5))
    return web


@pytest.fixture
def planned(birds: Project) -> Project:
    taxonomy.queries(birds)
    return birds


def find(project: Project, web: Any, *where: str, **options: Any) -> Any:
    return collect.find(project, where, allow_host=(f"127.0.0.1:{web.port}",), contact=US, **options)


def test_both_engines_answer_the_plan_and_a_second_run_asks_nothing(planned: Project, engines: Any) -> None:
    outcome = find(planned, engines, "commons", "openverse")
    planned_queries = len(list(planned.tables.records("queries", Query)))
    assert outcome.summary["asked"] == 2 * planned_queries
    assert outcome.summary["sources"] == {"commons": 10 * planned_queries, "openverse": 2 * planned_queries}
    assert outcome.next == (
        f"pictus collect fetch --allow-host 127.0.0.1:{engines.port} --contact {US}", "pictus collect coverage",
    )  # fmt: skip
    rows = list(outcome)
    assert len(rows) == planned.tables.count("candidates") == outcome.summary["found"]
    owl = next(row for row in rows if row.address == "https://upload.example.org/owl_0.jpg")
    assert (owl.concept_id, owl.source, owl.query) == (OWL, "commons", "owl")
    assert (owl.licence, owl.author) == ("CC-BY-4.0", "Ann")
    assert owl.page == "https://commons.example.org/wiki/0"
    agents = {request.headers["User-Agent"] for request in engines.requests}
    assert all(agent.startswith("pictus/") and agent.endswith(f" ({US})") for agent in agents)
    before = len(engines.requests)
    again = find(planned, engines, "commons", "openverse")
    assert (again.summary["found"], again.summary["skipped"]) == (0, 2 * planned_queries)
    assert "finished by an earlier run" in again.problems[0]
    assert len(engines.requests) == before
    assert find(planned, engines, "commons", again=True).summary["known"] == 10 * planned_queries


def test_chosen_classes_and_a_limit(planned: Project, engines: Any) -> None:
    outcome = find(planned, engines, "commons", concept=("owl",), limit=7)
    assert {row.concept_id for row in outcome} == {OWL}
    assert outcome.summary["found"] == 7
    assert any("7 candidates were reached; for more: --limit 70" in line for line in outcome.problems)
    assert find(planned, engines, "commons", concept=("bird",), limit=7).summary["found"] > 7  # the group's others


def test_asking_again_brings_as_many_new_ones(planned: Project, engines: Any) -> None:
    find(planned, engines, "commons", concept=("jay",), limit=4)
    assert find(planned, engines, "commons", concept=("jay",), limit=4).summary["found"] == 0
    outcome = find(planned, engines, "commons", concept=("jay",), limit=4, again=True)
    assert (outcome.summary["found"], outcome.summary["known"]) == (4, 4)
    assert planned.tables.count("searches") == 1


def test_words_of_other_languages_are_asked_and_told(planned: Project, engines: Any, tmp_path: Any) -> None:
    path = tmp_path / "wn-data-fra.tab"
    path.write_text(f"{OWL[1:]}-n\tlemma\tchouette\n", encoding="utf-8")
    taxonomy.queries(planned, languages=(path,))
    rows = list(find(planned, engines, "commons", concept=("owl",)))
    assert {(row.query, row.language) for row in rows} >= {("owl", ""), ("chouette", "fra")}


def test_what_is_left_out_is_not_searched_for_and_said(planned: Project, engines: Any, tmp_path: Any) -> None:
    path = tmp_path / "unsafe.csv"
    path.write_text("concept,reason\nowl,too wise\n", encoding="utf-8")
    taxonomy.queries(planned, leave_out=(path,))
    outcome = find(planned, engines, "commons")
    assert any("not searched for: 'owl' (n01621127): too wise" in line for line in outcome.problems)
    assert outcome.summary["left_out"] == 1
    with pytest.raises(UserError, match="Nothing is left to search for") as caught:
        find(planned, engines, "commons", concept=("owl",))
    assert caught.value.fix == f"pictus taxonomy queries --include {OWL}"


def test_a_page_and_a_sitemap_give_candidates_with_their_claim(birds: Project, engines: Any) -> None:
    page, sitemap = engines.url("/owls.html"), engines.url("/map.xml")
    engines.put("/owls.html", b"<img src=1.jpg alt=Owl><a href=/2.png>big</a>")
    engines.put("/map.xml", f"<urlset><url><loc>{page}</loc></url></urlset>".encode())
    outcome = find(birds, engines, page, concept=("owl",))
    assert [(row.address, row.concept_id, row.title) for row in outcome] == [
        (engines.url("/1.jpg"), OWL, "Owl"), (engines.url("/2.png"), OWL, ""),
    ]  # fmt: skip
    assert find(birds, engines, sitemap).summary["found"] == 2  # the same addresses, claimed as nothing
    assert find(birds, engines, sitemap, concept=("owl",)).summary["known"] == 2
    with pytest.raises(UserError, match="can claim one concept"):
        find(birds, engines, page, concept=("owl", "jay"))


def test_an_opt_out_is_recorded(birds: Project, engines: Any) -> None:
    engines.put("/no.html", b"<meta name=robots content=noimageai><img src=1.jpg>")
    outcome = find(birds, engines, engines.url("/no.html"))
    assert outcome.summary["causes"] == {"opt-out": 1}
    (row,) = birds.tables.records("searches", Searched)
    assert (row.cause, row.detail) == ("opt-out", "meta robots: noimageai")


@pytest.mark.parametrize(
    ("page", "cause"),
    [
        (lambda handler: handler.answer(200, b"<!doctype html><title>Sign in</title>"), "bad-answer"),
        (lambda handler: handler.answer(503, b"upstream"), "http-503"),
        (lambda handler: handler.answer(429, b"", Retry_After="9999"), "http-429"),
        (lambda handler: handler.answer(401, b'{"detail": "no"}'), "http-401"),
        (lambda handler: handler.answer(200, b'{"error": {"code": "maxlag"}}', Retry_After="9999"), "busy"),
    ],
)
def test_an_engine_that_is_down_ends_with_its_cause_and_one_clear_word(
    planned: Project, engines: Any, page: Callable[[Any], None], cause: str
) -> None:
    engines.pages["/w/api.php"] = page
    outcome = find(planned, engines, "commons")
    assert set(outcome.summary["causes"]) == {cause}
    assert outcome.summary["not_asked"] > 0
    assert outcome.problems[0].startswith(f"commons was given up for this run, {cause}")
    assert outcome.next[0].startswith("pictus collect find commons ")
    engines.pages["/w/api.php"] = commons_api()
    assert find(planned, engines, "commons").summary["not_asked"] == 0  # the next run asks all of it


def test_an_engine_that_lies_about_its_pages_ends(planned: Project, engines: Any) -> None:
    engines.pages["/w/api.php"] = lambda handler: handler.answer(
        200, b'{"continue": {"gsroffset": 50, "continue": "x"}, "query": {"pages": []}}'
    )
    assert set(find(planned, engines, "commons", concept=("owl",)).summary["causes"]) == {"loop"}


@pytest.mark.parametrize(
    ("where", "words", "fix"),
    [
        ("comons", "no search engine 'comons'", "did you mean commons?"),
        ("example.org/owls", "no address and no search engine", "https://example.org/owls"),
        ("ftp://a.example/", "only http and https", "pictus collect find https://host/path"),
        ("http://me:secret@a.example/", "a user name or password", "pictus collect find https://host/path"),
    ],
)
def test_what_is_no_source_is_told(planned: Project, where: str, words: str, fix: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        collect.find(planned, (where,), contact=US)
    assert caught.value.fix == fix
    assert "secret" not in caught.value.what


def test_an_endpoint_that_is_no_address_is_told_with_its_variable(
    planned: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICTUS_COMMONS_URL", "foo")
    with pytest.raises(UserError, match="PICTUS_COMMONS_URL is 'foo', which cannot be asked") as caught:
        collect.find(planned, ("commons",), contact=US)
    assert caught.value.fix.startswith("export PICTUS_COMMONS_URL=https://")


def test_what_is_proposed_is_what_was_typed(planned: Project, engines: Any) -> None:
    engines.pages["/w/api.php"] = lambda handler: handler.answer(503, b"upstream")
    outcome = find(planned, engines, "commons", concept=("owl",), limit=50, again=True)
    host = f"127.0.0.1:{engines.port}"
    assert outcome.next[0] == (
        f"pictus collect find commons --concept owl --limit 50 --allow-host {host} --contact {US}"
    )


def test_what_must_come_first_is_said(project: Project, birds: Project, engines: Any) -> None:
    with pytest.raises(UserError, match="not planned yet") as caught:
        find(birds, engines, "commons")
    assert caught.value.fix == "pictus taxonomy queries"
    taxonomy.queries(birds)
    taxonomy.add(birds, "snowy owl", parent=(OWL,))
    with pytest.raises(UserError, match="1 class came after the plan: 'snowy owl'"):
        find(birds, engines, "commons")
    with pytest.raises(UserError, match="asks programs to say whom to write to"):
        collect.find(birds, ("commons",))
    with pytest.raises(UserError, match="no number of candidates"):
        find(birds, engines, "commons", limit=0)
    birds.tables.drop("concepts")
    with pytest.raises(UserError, match="taxonomy is empty"):
        find(birds, engines, "commons")
    with pytest.raises(UserError, match="has no class"):
        collect.coverage(birds)


def test_nothing_is_asked_of_a_private_address_that_was_not_named(
    planned: Project, engines: Any, net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "system_resolver", lambda names: net.resolve)
    monkeypatch.setattr(network, "connect", net.connect)  # were the guard to break, it would lead to the loopback web
    net.names["names.example"] = ("10.0.0.7",)
    where = ("openverse", engines.url("/owls.html"), "http://169.254.169.254/", "http://names.example/")
    outcome = collect.find(planned, where, concept=("jay",))
    assert set(outcome.summary["causes"]) == {"private-address"}
    assert (net.connected, engines.requests) == ([], [])
    assert "names.example" in net.resolved


KILLED = """
import os, signal, sys
import pictus
from pictus import collect
from pictus.collect import ledger
from pictus.tables import Tables

ledger.COMMIT_EVERY_S, seen, real = -1.0, 0, Tables.append

def append(self, name, rows):
    global seen
    real(self, name, rows)
    seen += 1
    if seen == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

Tables.append = append
collect.find(pictus.open(sys.argv[1]), ("commons",), allow_host=(sys.argv[2],), contact="me@example.org")
"""


@pytest.mark.parametrize("nth", [1, 2, 5])
def test_a_kill_loses_nothing_and_the_next_run_adds_nothing_twice(planned: Project, engines: Any, nth: int) -> None:
    command = [sys.executable, "-c", KILLED, str(planned.root), f"127.0.0.1:{engines.port}", str(nth)]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    assert planned.tables.count("candidates") > 0
    find(planned, engines, "commons")
    keys = Counter((row.address, row.concept_id) for row in planned.tables.records("candidates", Candidate))
    queries = list(planned.tables.records("queries", Query))
    assert len(keys) == sum(keys.values()) == 10 * len(queries)
    searched = Counter((row.query, row.concept_id) for row in planned.tables.records("searches", Searched))
    assert searched == Counter((query.query, query.concept_id) for query in queries)


def test_coverage_says_who_starves_and_what_would_help(planned: Project, engines: Any) -> None:
    find(planned, engines, "commons", concept=("owl",))
    outcome = collect.coverage(planned, wanted=5)
    rows = {row.concept_id: row for row in outcome}
    assert (rows[OWL].candidates > 5, rows[OWL].is_starving) == (True, False)
    assert rows[JAY] == Coverage(JAY, "jay", 0, 0, 0, 0, 0, 0, 0, is_starving=True)
    assert outcome.summary["basis"] == "candidates"
    assert "3 of 4 classes starve: fewer than 5 candidates." in outcome.headline
    assert any("fix: pictus collect find commons --concept n01580077" in line for line in outcome.problems)
    assert outcome.next == ("pictus collect find commons --contact you@example.org",)  # one for all three
    with pytest.raises(UserError, match="is negative"):
        collect.coverage(planned, wanted=-1)


def test_coverage_reads_the_other_stages(planned: Project) -> None:
    ids = [f"{number:064x}" for number in range(3)]
    pictures = [Picture(one, "s", 0, 1, 1, 1, "jpeg", "RGB", "") for one in ids]
    planned.tables.append("images", table_of("images", pictures))
    planned.tables.append(
        "sources", table_of("sources", [Source(one, f"u{one}", "url", OWL, "", "", "", "") for one in ids])
    )
    verdicts = [Verdict(one, "keep" if one != ids[0] else "drop", "", "", 0.0, 0.0, "") for one in ids]
    planned.tables.append("verdicts", table_of("verdicts", verdicts))
    owl = {row.concept_id: row for row in collect.coverage(planned)}[OWL]
    assert (owl.fetched, owl.kept, owl.dropped) == (3, 2, 1)


def test_a_class_left_out_of_the_search_does_not_starve(planned: Project, tmp_path: Any) -> None:
    path = tmp_path / "unsafe.csv"
    path.write_text("concept,reason\nowl,too wise\n", encoding="utf-8")
    taxonomy.queries(planned, leave_out=(path,))
    outcome = collect.coverage(planned)
    assert not {row.concept_id: row for row in outcome}[OWL].is_starving
    assert outcome.summary["left_out"] == 1
    assert [note.concept_id for note in planned.tables.records("left_out", LeftOut)] == [OWL]


def test_many_starving_classes_are_not_all_named(planned: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_steps, "SHOWN", 2)
    assert collect.coverage(planned).problems[-1] == "… and 2 more starve: pictus collect coverage --jsonl"
