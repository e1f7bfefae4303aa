"""What is asked when, of engines and sites that are made up."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from pictus import Project
from pictus.collect import finding
from pictus.collect.addresses import parse_url
from pictus.collect.asking import Answer, Asker, ClosedError
from pictus.collect.finding import FAILURES_IN_A_ROW, MOST_PAGES, Ended, Run, ask_engine, read_site
from pictus.collect.ledger import Ledger
from pictus.collect.searches import Ask, BusyError, Engine, Hit, Results
from pictus.errors import PictureError
from pictus.progress import Silent
from pictus.records import Candidate, Query, Searched

OWL, JAY = "n01621127", "n01580077"
SITE = "https://a.example"
Search = Callable[[str, str], Results]  # (query, cursor)


class Web:
    """Stands for the asker: `pages` are bodies or errors by address."""

    def __init__(self, **pages: object) -> None:
        self.pages: dict[str, object] = dict(pages)
        self.held: list[float] = []
        self.asked: list[str] = []

    def page(self, address: str, max_bytes: int = 0) -> Answer:
        self.asked.append(address)
        body = self.pages.get(address, PictureError("http-404", ""))
        if isinstance(body, PictureError):
            raise body
        return Answer(parse_url(address), {}, cast("bytes", body))

    service = page

    def hold(self, address: str, wait_s: float, why: str) -> None:
        self.held.append(wait_s)


def ledger_of(project: Project, source: str = "made-up") -> Ledger:
    return Ledger(project.tables, source, clock=lambda: 0.0, now=lambda: "2026-01-01T00:00:00Z")


def run_of(ledger: Ledger, limit: int, web: Web | None = None) -> Run:
    with Silent().track("", None) as meter:
        return Run(limit, ledger, cast("Asker", web or Web()), meter)


def engine_of(search: Search) -> Engine:
    def asked(endpoint: str, query: str, language: str, cursor: str, ask: Ask) -> Results:
        return search(query, cursor)

    return Engine("https://engine.example/", asked)


def hits(name: str, start: int, count: int) -> tuple[Hit, ...]:
    return tuple(Hit(f"{SITE}/{name}/{number}.jpg") for number in range(start, start + count))


def paged(pages: int, size: int = 10) -> Search:
    """Every query has so many pages of so many hits of its own."""

    def search(query: str, cursor: str) -> Results:
        page = int(cursor or "0")
        return Results(hits(query, page * size, size), str(page + 1) if page + 1 < pages else "")

    return search


def never(query: str, cursor: str) -> Results:
    pytest.fail(f"{query!r} was asked again")


def plan(*words: str, concept: str = OWL) -> dict[str, list[Query]]:
    return {concept: [Query(concept, word, "") for word in words]}


def searched(project: Project) -> dict[str, tuple[str, int]]:
    return {row.query: (row.cause, row.found) for row in project.tables.records("searches", Searched)}


def found(project: Project) -> list[Candidate]:
    return list(project.tables.records("candidates", Candidate))


def test_every_page_of_every_query_is_read_and_a_second_run_asks_nothing(project: Project) -> None:
    assert ask_engine(engine_of(paged(3)), plan("owl", "night owl"), run_of(ledger_of(project), 100)) == Ended(asked=2)
    assert searched(project) == {"owl": ("ok", 30), "night owl": ("ok", 30)}
    assert len({one.address for one in found(project)}) == 60
    ended = ask_engine(engine_of(never), plan("owl", "night owl"), run_of(ledger_of(project), 100))
    assert ended == Ended(skipped=2)


def test_queries_share_the_limit(project: Project) -> None:
    ask_engine(engine_of(paged(50)), plan("a", "b", "c"), run_of(ledger_of(project), 60))
    assert searched(project) == {"a": ("limit", 20), "b": ("limit", 20), "c": ("limit", 20)}


def test_what_one_query_does_not_have_others_give(project: Project) -> None:
    def search(query: str, cursor: str) -> Results:
        return Results(hits("few", 0, 3)) if query == "few" else paged(50)(query, cursor)

    ask_engine(engine_of(search), plan("few", "many"), run_of(ledger_of(project), 60))
    assert searched(project) == {"few": ("ok", 3), "many": ("limit", 57)}


def test_a_greater_limit_goes_on_and_adds_nothing_twice(project: Project) -> None:
    ask_engine(engine_of(paged(4)), plan("owl"), run_of(ledger_of(project), 15))
    assert ask_engine(engine_of(never), plan("owl"), run_of(ledger_of(project), 15)) == Ended(skipped=1)
    ask_engine(engine_of(paged(4)), plan("owl"), run_of(ledger_of(project), 100))
    assert len(found(project)) == len({one.address for one in found(project)}) == 40
    assert project.tables.count("searches") == 1


def test_one_address_for_two_concepts_is_two_candidates_and_once_for_one(project: Project) -> None:
    same = engine_of(lambda query, cursor: Results(hits("same", 0, 2)))
    for concept in (OWL, JAY):
        ask_engine(same, plan("x", "y", concept=concept), run_of(ledger_of(project), 100))
    ask_engine(same, plan("z"), run_of(ledger_of(project, "another"), 100))
    assert sorted((one.concept_id, one.address[-5:]) for one in found(project)) == [
        (JAY, "0.jpg"), (JAY, "1.jpg"), (OWL, "0.jpg"), (OWL, "1.jpg"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("search", "cause"),
    [
        (lambda query, cursor: Results(hits("x", 0, 5), "again"), "loop"),  # one cursor for ever
        (lambda query, cursor: Results(hits("x", 0, 5), cursor + "."), "loop"),  # new cursors, old hits
        (lambda query, cursor: Results((), cursor + "."), "loop"),  # empty for ever
        (lambda query, cursor: Results(hits("x", len(cursor) * 5, 5), cursor + "."), "pages"),  # endless
    ],
)
def test_no_engine_keeps_us_for_ever(project: Project, search: Search, cause: str) -> None:
    asked = 0

    def counted(query: str, cursor: str) -> Results:
        nonlocal asked
        asked += 1
        return search(query, cursor)

    ask_engine(engine_of(counted), plan("owl"), run_of(ledger_of(project), 1_000_000))
    assert searched(project)["owl"][0] == cause
    assert asked <= MOST_PAGES


def test_an_engine_that_fails_is_given_up_and_asked_again_by_the_next_run(project: Project) -> None:
    def down(query: str, cursor: str) -> Results:
        raise PictureError("refused", "nothing listens")

    words = [f"owl {number}" for number in range(10)]
    ended = ask_engine(engine_of(down), plan(*words), run_of(ledger_of(project), 100))
    assert ended == Ended(FAILURES_IN_A_ROW, 0, 10 - FAILURES_IN_A_ROW, "refused: nothing listens")
    assert ask_engine(engine_of(paged(1)), plan(*words), run_of(ledger_of(project), 1_000)).asked == 10
    assert {cause for cause, _ in searched(project).values()} == {"ok"}
    assert project.tables.count("searches") == 10  # the failed rows were replaced


def test_a_host_that_wants_to_be_left_alone_is_not_asked_for_the_next_query(project: Project) -> None:
    def closed(query: str, cursor: str) -> Results:
        raise ClosedError("http-429", "the host asks to wait 3,600 s")

    assert ask_engine(engine_of(closed), plan("a", "b"), run_of(ledger_of(project), 9)).asked == 1


def test_single_failures_do_not_give_an_engine_up(project: Project) -> None:
    def moody(query: str, cursor: str) -> Results:
        if int(query) % 3:
            raise PictureError("http-503", "")
        return Results(hits(query, 0, 1))

    assert ask_engine(engine_of(moody), plan(*map(str, range(9))), run_of(ledger_of(project), 99)).why == ""


def test_a_bug_in_an_adapter_ends_its_query_and_not_the_run(project: Project, caplog: Any) -> None:
    def buggy(query: str, cursor: str) -> Results:
        return Results(hits("x", 0, 1 if query == "fine" else int(query)))

    ask_engine(engine_of(buggy), plan("bad", "fine"), run_of(ledger_of(project), 9))
    assert searched(project) == {"bad": ("error", 0), "fine": ("ok", 1)}
    assert "unexpected" in caplog.text


def test_a_busy_engine_is_waited_for_a_few_times(project: Project) -> None:
    late = BusyError(5.0, "lagging")
    answers: Iterator[BusyError | Results] = iter([late, late, Results(hits("x", 0, 1))])

    def busy(query: str, cursor: str) -> Results:
        if isinstance(answer := next(answers, late), BusyError):
            raise answer
        return answer

    web = Web()
    ask_engine(engine_of(busy), plan("owl", "night owl"), run_of(ledger_of(project), 9, web))
    assert searched(project) == {"owl": ("ok", 1), "night owl": ("busy", 0)}
    assert web.held == [5.0] * 5


def test_what_is_no_address_is_counted_and_left(project: Project) -> None:
    odd = (Hit("file:///etc/passwd"), Hit("x"), Hit("https://a.example/1.jpg", page="javascript:alert(1)"))
    ledger = ledger_of(project)
    ask_engine(engine_of(lambda query, cursor: Results(odd)), plan("owl"), run_of(ledger, 9))
    assert [(one.address, one.page) for one in found(project)] == [("https://a.example/1.jpg", "")]
    assert ledger.unusable == 2


# sites


def site(project: Project, web: Web, place: str, limit: int = 100) -> Ended:
    return read_site(place, OWL, run_of(ledger_of(project, place), limit, web))


def urlset(*locations: str) -> bytes:
    return ("<urlset>" + "".join(f"<url><loc>{one}</loc></url>" for one in locations) + "</urlset>").encode()


def test_a_page_gives_its_pictures_once(project: Project) -> None:
    page = f"{SITE}/owls.html"
    web = Web(**{page: b"<img src=1.jpg alt=Owl><img src=2.jpg>"})
    assert site(project, web, page) == Ended(asked=1)
    assert [(one.address, one.source, one.page, one.title) for one in found(project)] == [
        (f"{SITE}/1.jpg", page, page, "Owl"), (f"{SITE}/2.jpg", page, page, ""),
    ]  # fmt: skip
    assert site(project, web, page) == Ended(skipped=1)


def test_a_sitemap_leads_to_maps_pages_and_pictures_of_its_own_site_only(project: Project) -> None:
    index = f"<sitemapindex><sitemap><loc>{SITE}/s.xml.gz</loc></sitemap><sitemap><loc>{SITE}/map.xml</loc></sitemap>"
    web = Web(**{
        f"{SITE}/map.xml": (index + "</sitemapindex>").encode(),
        f"{SITE}/s.xml.gz": gzip.compress(urlset(f"{SITE}/1", f"{SITE}/1", "https://b.example/2", f"{SITE}/3", "x:")),
        f"{SITE}/1": b"<img src=1.jpg>", f"{SITE}/3": b"<meta name=robots content=noai><img src=3.jpg>",
    })  # fmt: skip
    assert site(project, web, f"{SITE}/map.xml").asked == 4
    assert web.asked == [f"{SITE}/map.xml", f"{SITE}/s.xml.gz", f"{SITE}/1", f"{SITE}/3"]
    assert searched(project) == {
        f"{SITE}/1": ("ok", 1), f"{SITE}/3": ("opt-out", 0),
        f"{SITE}/map.xml": ("ok", 0), f"{SITE}/s.xml.gz": ("ok", 0),
    }  # fmt: skip
    assert site(project, web, f"{SITE}/map.xml") == Ended(skipped=1)


def test_a_site_is_gone_on_with_where_it_stopped(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MOST_VISITS", 3)
    pages = [f"{SITE}/{number}" for number in range(5)]
    web = Web(**{f"{SITE}/map.xml": urlset(*pages)}, **{page: f"<img src={page}.jpg>".encode() for page in pages})
    assert site(project, web, f"{SITE}/map.xml") == Ended(asked=3, not_asked=3)
    assert site(project, web, f"{SITE}/map.xml") == Ended(asked=3, skipped=2, not_asked=1)
    assert site(project, web, f"{SITE}/map.xml") == Ended(asked=2, skipped=4)
    assert len(found(project)) == 5
    assert site(project, web, f"{SITE}/map.xml") == Ended(skipped=1)


def index_of(*maps: str) -> bytes:
    listed = "".join(f"<sitemap><loc>{one}</loc></sitemap>" for one in maps)
    return f"<sitemapindex>{listed}</sitemapindex>".encode()


def test_the_pages_of_one_sitemap_are_read_before_the_next_sitemap(project: Project) -> None:
    top, first, second = (f"{SITE}/{name}.xml" for name in ("index", "a", "b"))
    pages = [f"{SITE}/{number}" for number in range(4)]
    web = Web(**{
        top: index_of(first, second), first: urlset(*pages[:2]), second: urlset(*pages[2:]),
        **{page: f"<img src={page}.jpg>".encode() for page in pages},
    })  # fmt: skip
    assert site(project, web, top, limit=1).asked == 3
    assert web.asked == [top, first, pages[0]]
    assert site(project, web, top).asked == 7  # also the page that the limit cut
    assert web.asked[3:] == [top, first, *pages[:2], second, *pages[2:]]


def test_a_sitemap_is_not_finished_while_a_page_of_it_may_still_come(project: Project) -> None:
    top, first, second = (f"{SITE}/{name}.xml" for name in ("index", "a", "b"))
    web = Web(**{
        top: index_of(first, second), first: urlset(f"{SITE}/1"), second: urlset(f"{SITE}/2"),
        f"{SITE}/1": PictureError("timeout", ""), f"{SITE}/2": b"<img src=2.jpg>",
    })  # fmt: skip
    site(project, web, top)
    assert {place for place, (cause, _) in searched(project).items() if cause == "ok"} == {second, f"{SITE}/2"}
    web.pages[f"{SITE}/1"] = b"<img src=1.jpg>"
    assert site(project, web, top) == Ended(asked=3, skipped=1)
    assert len(found(project)) == 2
    assert site(project, web, top) == Ended(skipped=1)


def test_sitemaps_inside_each_other_without_end_are_left(project: Project) -> None:
    names = [f"{SITE}/{number}.xml" for number in range(30)]
    web = Web(**{name: index_of(after) for name, after in itertools.pairwise(names)})
    assert site(project, web, names[0]).asked == 4


def test_a_page_that_was_cut_by_the_limit_is_read_again_for_more(project: Project) -> None:
    page = f"{SITE}/owls.html"
    web = Web(**{page: "".join(f"<img src={number}.jpg>" for number in range(8)).encode()})
    site(project, web, page, limit=3)
    assert searched(project)[page] == ("limit", 3)
    site(project, web, page, limit=20)
    assert searched(project)[page] == ("ok", 5)
    assert len(found(project)) == 8


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"just text", "not-a-page"), (b"", "not-a-page"), (b"\x00\x01\x02" * 50, "not-a-page"),
        (b"<p>no picture", "no-pictures"), (b"<urlset/>", "no-pictures"),
        (b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><urlset/>", "bomb"),
        (b"<?xml version='1.0'?><rss/>", "not-a-page"),
        (gzip.compress(b" " * (60 << 20)), "bomb"), ("<p>\N{OWL}".encode("utf-16"), "no-pictures"),
        (PictureError("timeout", ""), "timeout"),
    ],
)  # fmt: skip
def test_what_is_no_page_ends_with_its_cause(project: Project, body: object, cause: str) -> None:
    site(project, Web(**{f"{SITE}/x": body}), f"{SITE}/x")
    assert searched(project)[f"{SITE}/x"][0] == cause


def test_a_page_on_which_we_stumble_ends_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    read = finding._read

    def stumbling(answer: Answer) -> Any:
        if answer.url.text.endswith("bad"):
            raise ValueError(answer.url.text)
        return read(answer)

    monkeypatch.setattr(finding, "_read", stumbling)
    pages = {f"{SITE}/{name}": b"<img src=1.jpg>" for name in ("bad", "good")}
    web = Web(**{f"{SITE}/map.xml": urlset(*pages)}, **pages)
    site(project, web, f"{SITE}/map.xml")
    assert searched(project)[f"{SITE}/bad"][0] == "error"
    assert [one.address for one in found(project)] == [f"{SITE}/1.jpg"]
    assert "unexpected" in caplog.text


def test_a_picture_is_told_from_a_page(project: Project, make_jpeg: Callable[..., bytes]) -> None:
    site(project, Web(**{f"{SITE}/owl.jpg": make_jpeg()}), f"{SITE}/owl.jpg")
    assert searched(project)[f"{SITE}/owl.jpg"][0] == "picture"


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ("<meta charset=windows-1251><img src=a.jpg alt=Сова>".encode("cp1251"), ""),
        ("<img src=a.jpg alt=Сова>".encode("koi8-r"), "text/html; charset=KOI8-R"),
        ("<img src=a.jpg alt=Сова>".encode(), "text/html; charset=punycode"),
    ],
)
def test_a_page_is_read_in_its_own_charset(body: bytes, charset: str) -> None:
    visit = finding._read(Answer(parse_url(SITE), {"content-type": charset}, body))
    assert visit.hits[0].title == "Сова"


def test_ten_thousand_queries_cost_little_but_their_requests(project: Project) -> None:
    many = {f"n{number:08d}": [Query(f"n{number:08d}", "x", "")] for number in range(1_000)}
    ask_engine(engine_of(paged(1, 1)), many, run_of(ledger_of(project), 10))
    assert project.tables.count("candidates") == 1_000
    assert project.tables.version("candidates") < 20  # committed in batches


