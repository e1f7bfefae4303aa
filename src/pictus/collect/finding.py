"""Asking a search engine the queries of many concepts, and reading web pages and sitemaps: what is asked when.

The queries of one concept take turns, so that each gives its share before the limit is reached. Nothing here
touches the disk: hits go to the ledger, time and network come in with the asker.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pictus import pixels
from pictus.collect import page_links, sitemaps
from pictus.collect.addresses import parse_url
from pictus.collect.asking import MAX_BYTES, Answer, Asker, ClosedError
from pictus.collect.ledger import Ledger
from pictus.collect.searches import BusyError, Engine, Hit, Results, is_done
from pictus.errors import PictureError, clipped, counted
from pictus.progress import Meter
from pictus.records import Query

MOST_PAGES = 200
"""Of one query: Commons gives 10,000 files at 50 a page, and no engine more."""

MOST_VISITS = 10_000
"""Pages of one site read in one run; the next run goes on."""

FAILURES_IN_A_ROW = 3
"""So many queries that fail one after another, and the source is given up for this run."""

_BARREN = 3  # pages in a row that repeat what the same query gave
_BUSY_TRIES = 3
_DEEPEST = 4  # sitemaps inside each other; sitemaps.org knows an index and its maps
_MOST_HITS = 10_000  # of one page of results
_CHARSET = re.compile(
    r"(?i)charset\s*=\s*[\"']?(utf-?8|utf-?16|us-ascii|latin-?1|iso-8859-\d{1,2}|windows-125\d|koi8-[ru]|shift_jis|euc-jp"
    r"|euc-kr|gb2312|gbk|gb18030|big5)\b"
)
_TAG = re.compile(r"<[a-zA-Z!]")
_LOOKED_AT = 1 << 16
_XML_ENDS = (".xml", ".gz")
_log = logging.getLogger(__name__)


class Ended(NamedTuple):
    """How one source ended. `why`: "" or why it was given up; `not_asked` queries (or pages) wait for another run."""

    asked: int = 0
    skipped: int = 0
    not_asked: int = 0
    why: str = ""


@dataclass
class _Pull:
    """One query while its pages are read. `cause`: "" until it has ended."""

    query: Query
    cursor: str = ""
    waiting: deque[Hit] = field(default_factory=deque)
    cursors: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)
    pages: int = 0
    barren: int = 0
    found: int = 0
    is_over: bool = False
    ending: str = "ok"  # the cause, once what waits is taken
    cause: str = ""
    detail: str = ""
    is_closed: bool = False


class Run(NamedTuple):
    """What a source is read with. `limit`: candidates of one concept from this source."""

    limit: int
    ledger: Ledger
    asker: Asker
    meter: Meter


def ask_engine(engine: Engine, plan: Mapping[str, Sequence[Query]], run: Run) -> Ended:
    """Ask the queries of each concept until it has as many candidates of this engine as are wanted."""
    limit, ledger = run.limit, run.ledger
    asked = skipped = not_asked = failures = 0
    why = ""
    for concept_id, queries in plan.items():
        is_full = ledger.count(concept_id) >= limit
        pulls = [_Pull(one) for one in queries if not (is_full or ledger.is_finished(one.query, concept_id, limit))]
        skipped += len(queries) - len(pulls)
        if pulls and not why:
            ledger.open(concept_id)
            for pull in _taking_turns(engine, pulls, run):
                ledger.end(pull.query.query, pull.found, pull.cause, pull.detail)
                asked += 1
                failures = 0 if is_done(pull.cause) else failures + 1
                if pull.is_closed or failures == FAILURES_IN_A_ROW:
                    why = f"{pull.cause}: {pull.detail}"
                    break
        not_asked += sum(not pull.cause for pull in pulls) if why else 0
        run.meter.advance()
        run.meter.say(f"{ledger.found:,} candidates")
    ledger.commit()
    return Ended(asked, skipped, not_asked, why)


def _taking_turns(engine: Engine, pulls: Sequence[_Pull], run: Run) -> Iterator[_Pull]:
    """The queries of the ledger's concept as they end. In each round every one gives its share of what is wanted."""
    concept_id = pulls[0].query.concept_id
    left = list(pulls)
    while left and (wanted := run.limit - run.ledger.count(concept_id)) > 0:
        share = -(-wanted // len(left))
        for pull in left:
            _take(engine, pull, min(share, run.limit - run.ledger.count(concept_id)), run)
            if pull.cause:
                yield pull
        left = [pull for pull in left if not pull.cause]
    for pull in left:
        if pull.pages:  # those that never had a turn were not asked
            pull.cause = pull.ending if pull.is_over and not pull.waiting else "limit"
            yield pull


def _take(engine: Engine, pull: _Pull, share: int, run: Run) -> None:
    """So many new candidates from one query, or as many as it has: then its cause says why it ended."""
    while share > 0 and not pull.cause:
        if pull.waiting:
            is_new = run.ledger.add(pull.waiting.popleft(), pull.query)
            pull.found += is_new
            share -= is_new
        elif pull.is_over:
            pull.cause = pull.ending
        else:
            _read_page(engine, pull, run.asker)
            run.ledger.pause()


def _read_page(engine: Engine, pull: _Pull, asker: Asker) -> None:
    """The query's next page into `waiting`; or why there is none, into `cause`."""
    if pull.pages == MOST_PAGES:
        pull.cause, pull.detail = "pages", f"after {MOST_PAGES} pages"
        return
    pull.cursors.add(pull.cursor)
    try:
        results = _results(engine, pull, asker)
    except PictureError as error:
        pull.cause, pull.detail = error.cause, error.detail
        pull.is_closed = isinstance(error, ClosedError)
        return
    except Exception as error:  # noqa: BLE001  a bug of an engine's adapter must not cost what the others give
        _log.exception("unexpected, while asking %s for %r", engine.endpoint, pull.query.query)
        pull.cause, pull.detail = "error", f"{type(error).__name__}: {error}"
        return
    pull.pages += 1
    fresh = [hit for hit in results.hits[:_MOST_HITS] if hit.address not in pull.given]
    pull.given.update(hit.address for hit in fresh)
    pull.waiting.extend(fresh)
    pull.barren = 0 if fresh else pull.barren + 1
    pull.cursor, pull.is_over = results.cursor, not results.cursor
    is_again = not pull.is_over and results.cursor in pull.cursors
    if is_again or pull.barren == _BARREN:
        what = "a cursor came twice" if is_again else f"{_BARREN} pages brought nothing new"
        pull.ending, pull.detail = "loop", f"after {counted(pull.pages, 'page')}: {what}"
        pull.is_over = True


def _results(engine: Engine, pull: _Pull, asker: Asker) -> Results:
    query = pull.query
    for _ in range(_BUSY_TRIES):
        try:
            return engine.search(engine.endpoint, query.query, query.language, pull.cursor, asker.service)
        except BusyError as error:
            why = error.why
            asker.hold(engine.endpoint, error.wait_s, why)
    raise PictureError("busy", why)


class _Visit(NamedTuple):
    """What one address turned out to be. `pages` and then `maps` are to be read next."""

    hits: tuple[Hit, ...] = ()
    pages: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    cause: str = "ok"
    detail: str = ""


@dataclass
class _Map:
    """A sitemap while what it lists is read. `is_whole`: nothing of that is left to another run, so far."""

    address: str
    waiting: deque[str]
    is_whole: bool = True


def read_site(place: str, concept_id: str, run: Run) -> Ended:
    """Read a web page, or a sitemap with the pages it lists, until it has given as many candidates as are wanted.

    The pages of one sitemap are read before the next sitemap, so that only the lists of a few are held at a time.
    """
    limit, ledger = run.limit, run.ledger
    ledger.open(concept_id)
    maps, met = [_Map("", deque([place]))], {place}
    asked = skipped = failures = 0
    why = ""
    while maps:
        if not maps[-1].waiting:
            _end_map(maps, ledger)
            continue
        if asked == MOST_VISITS or ledger.count(concept_id) >= limit or why:
            break
        address = maps[-1].waiting.popleft()
        if ledger.is_finished(address, concept_id, limit):
            skipped += 1
            continue
        visit, is_closed = _visited(address, run.asker)
        asked += 1
        found = _taken(visit.hits, address, limit, concept_id, ledger)
        is_full = visit.cause == "ok" and ledger.count(concept_id) >= limit
        if visit.pages or visit.maps:
            listed = dict.fromkeys((*visit.pages, *(visit.maps if len(maps) < _DEEPEST else ())))
            following = deque(one for one in listed if one not in met and _is_of_site(one, place))
            met.update(following)
            maps.append(_Map(address, following, not is_full))  # finished once all that it lists is
        else:
            ledger.end(address, found, "limit" if is_full else visit.cause, visit.detail)
            maps[-1].is_whole &= is_done(visit.cause) and not is_full
        failures = 0 if is_done(visit.cause) else failures + 1
        if is_closed or failures == FAILURES_IN_A_ROW:
            why = f"{visit.cause}: {visit.detail}"
        run.meter.advance()
        run.meter.say(f"{ledger.found:,} candidates")
    ledger.commit()
    return Ended(asked, skipped, sum(len(one.waiting) for one in maps), why)


def _end_map(maps: list[_Map], ledger: Ledger) -> None:
    """The innermost sitemap is through. It is finished when nothing below it failed or was cut."""
    ended = maps.pop()
    if maps and ended.is_whole:
        ledger.end(ended.address, 0, "ok", "a sitemap: all that it lists was read")
    elif maps:
        maps[-1].is_whole = False


def _taken(hits: Sequence[Hit], address: str, limit: int, concept_id: str, ledger: Ledger) -> int:
    query = Query(concept_id, "", "")
    found = 0
    for hit in hits:
        if ledger.count(concept_id) >= limit:
            break
        found += ledger.add(hit if hit.page else hit._replace(page=address), query)
    return found


def _visited(address: str, asker: Asker) -> tuple[_Visit, bool]:
    """What an address is, and whether its host wants to be left alone."""
    try:
        is_xml = parse_url(address).target.partition("?")[0].lower().endswith(_XML_ENDS)
        answer = asker.page(address, sitemaps.MAX_BYTES if is_xml else MAX_BYTES)
        return _read(answer), False
    except PictureError as error:
        return _Visit(cause=error.cause, detail=error.detail), isinstance(error, ClosedError)
    except Exception as error:  # noqa: BLE001  a page on which we stumble must not end its site, and the next run again
        _log.exception("unexpected, while reading %s", address)
        return _Visit(cause="error", detail=clipped(f"{type(error).__name__}: {error}", 300)), False


def _read(answer: Answer) -> _Visit:
    """A page, a sitemap or neither, by its bytes: its headers are not trusted."""
    body = sitemaps.unpacked(answer.body)
    if sitemaps.is_sitemap(body):
        found = sitemaps.parse_sitemap(body)
        remark = "cut: it is damaged or has more entries than a sitemap may" if found.is_cut else ""
        is_empty = not (found.hits or found.pages or found.maps)
        return _Visit(found.hits, found.pages, found.maps, "no-pictures" if is_empty else "ok", remark)
    if _is_picture(body):
        return _Visit(cause="picture", detail=answer.url.text)
    text = _text(answer, body)
    if not _TAG.search(text[:_LOOKED_AT]):
        raise PictureError("not-a-page", f"it begins with {clipped(body, 60)}")
    page = page_links.pictures_of(text, answer.url.text)
    if page.opt_out:
        raise PictureError("opt-out", page.opt_out)
    remark = f"cut: more than {page_links.MOST_PICTURES:,} pictures" if page.is_cut else ""
    return _Visit(page.hits, cause="ok" if page.hits else "no-pictures", detail=remark)


def _is_picture(body: bytes) -> bool:
    try:
        pixels.sniff(body)
    except PictureError as error:
        return error.cause != "not-an-image" and bool(body)
    return True


def _text(answer: Answer, body: bytes) -> str:
    """The page as text, in the charset that its header or first kilobyte names, else UTF-8; never raises."""
    said = answer.headers.get("content-type", "") + " " + body[:1_024].decode("latin-1")
    named = _CHARSET.search(said)
    is_wide = body[:2] in {b"\xff\xfe", b"\xfe\xff"}
    return body.decode("utf-16" if is_wide else named[1] if named else "utf-8", "replace")


def _is_of_site(address: str, place: str) -> bool:
    """Whether a sitemap at `place` may speak for the address: it is on the same host (sitemaps.org)."""
    try:
        return parse_url(address).host.removeprefix("www.") == parse_url(place).host.removeprefix("www.")
    except PictureError:  # no address at all: a stranger's list may hold anything
        return False
