"""collect fetch on a real Ray cluster: the same rows, the same manners, and a worker's death costs nothing."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest

import pictus
from pictus import Project, collect
from pictus.collect import cluster
from pictus.collect.addresses import AllowedHosts, parse_url
from pictus.collect.cluster import dealt
from pictus.collect.fetcher import Fetched, Job, Limits
from pictus.collect.network import PinnedNetwork, connect
from pictus.errors import UserError

MakeJpeg = Callable[..., bytes]
WriteList = Callable[..., Path]

pytestmark = pytest.mark.filterwarnings("ignore:lance is not fork-safe")

PUBLIC = "93.184.216.34"  # stands for the open internet: connections to it go to the loopback web
HOSTS = ("a.example", "b.example", "c.example")


@pytest.fixture
def nodes(two_nodes: Any, monkeypatch: pytest.MonkeyPatch, web: Any, tmp_path: Path) -> Path:
    """The cluster is the one to use, every name leads to the loopback web; the folder has "HOST PROCESS" of visits."""
    two_nodes.complete()
    visits, port = tmp_path / "visits", web.port
    visits.mkdir()

    def open_network(_: Executor, allowed: AllowedHosts) -> PinnedNetwork:
        async def resolve(host: str, __: int) -> Sequence[str]:
            (visits / f"{host} {os.getpid()}").touch()
            return ("10.0.0.7",) if host == "inside.example" else (PUBLIC,)

        async def to_web(address: str, __: int, timeout_s: float | None) -> socket.socket:
            if address != PUBLIC:
                message = f"a connection to {address}"
                raise AssertionError(message)
            return await connect("127.0.0.1", port, timeout_s)

        return PinnedNetwork(resolve, to_web, allowed)

    monkeypatch.setenv("RAY_ADDRESS", two_nodes.address)
    monkeypatch.setattr("pictus.collect.fetching.open_network", open_network)
    monkeypatch.setattr(cluster, "_REST_S", 0.1)
    return visits


def rows(project: Project) -> dict[str, list[dict[str, Any]]]:
    """The tables without times and places, sorted."""
    but = {"elapsed_s", "attempted_at", "added_at", "found_at", "shard", "offset"}
    return {
        name: sorted(
            ({key: value for key, value in row.items() if key not in but}
             for row in project.tables.read(name).to_pylist()),
            key=str,
        )
        for name in ("images", "sources", "fetches")
    }  # fmt: skip


def test_the_rows_are_those_of_one_machine_and_the_guard_goes_with_the_workers(
    nodes: Path, web: Any, tmp_path: Path, write_list: WriteList, make_jpeg: MakeJpeg
) -> None:
    for number in range(8):
        web.put(f"/{number}.jpg", make_jpeg(width=90, height=60, seed=number), ETag=f'"{number}"')
    web.put("/robots.txt", b"User-agent: *\nDisallow: /closed")
    web.put("/no.jpg", make_jpeg(seed=99), X_Robots_Tag="noai")
    web.put("/page.jpg", b"<!doctype html><p>no picture")
    web.redirect("/away.jpg", "http://b.example/7.jpg")
    web.redirect("/farther.jpg", "http://nobody.example/6.jpg")
    web.redirect("/inside.jpg", "http://inside.example/7.jpg")
    paths = [f"{number}.jpg" for number in range(7)]
    paths += ["closed/1.jpg", "no.jpg", "page.jpg", "gone.jpg", "away.jpg", "farther.jpg", "inside.jpg"]
    addresses = [f"http://{host}/{path}" for host in HOSTS for path in paths] + ["http://inside.example/1.jpg"]
    path = write_list("url", *addresses, "mailto:somebody")
    alone, together = (pictus.new(tmp_path / name) for name in ("alone", "together"))
    before = collect.fetch(alone, path, rate=0, resize=48)
    workers_before = {name.name.split()[1] for name in nodes.iterdir()}
    assert workers_before == {str(os.getpid())}
    for visit in nodes.iterdir():
        visit.unlink()
    after = collect.fetch(together, path, rate=0, resize=48, engine="ray")
    assert rows(together) == rows(alone)
    assert after.summary == before.summary
    assert after.summary["causes"]["private-address"] == 4
    visits = [visit.name.split() for visit in nodes.iterdir()]
    assert len({process for _, process in visits}) >= 2
    assert str(os.getpid()) not in {process for _, process in visits}
    again = collect.fetch(together, path, rate=0, resize=48, engine="ray", refresh=True)
    assert again.summary["refreshed"]["unchanged"] == again.summary["causes"]["ok"] > 20


def test_a_host_is_asked_at_its_pace_and_from_one_place_at_a_time(
    nodes: Path, web: Any, project: Project, write_list: WriteList, make_jpeg: MakeJpeg
) -> None:
    for number in range(10):
        web.put(f"/{number}.jpg", make_jpeg(width=48, height=32, seed=number))
        web.redirect(f"/to-a/{number}.jpg", f"http://a.example/{number}.jpg")
    addresses = [f"http://{host}/{number}.jpg" for host in HOSTS for number in range(10)]
    addresses += [f"http://c.example/to-a/{number}.jpg" for number in range(5)]
    collect.fetch(project, write_list("url", *addresses), rate=25, engine="ray")
    assert project.tables.count("fetches", "cause = 'ok'") == len(addresses)
    asked = defaultdict(list)
    for request in web.requests:
        asked[request.headers["host"]].append(request.at)
    for times in asked.values():
        # 1 / 25 s apart when sent; on their way some come closer, but from two places all would take half the time
        assert times[-1] - times[0] > 0.9 * (len(times) - 1) / 25


@pytest.mark.parametrize("loss", ["worker", "node"])
def test_a_death_in_the_middle_loses_no_address_and_records_none_twice(
    nodes: Path, two_nodes: Any, web: Any, make_jpeg: MakeJpeg, loss: str
) -> None:
    project, path = pictus.new(nodes.parent / "p"), nodes.parent / "list.csv"
    dead: list[int] = []

    def page(body: bytes, number: int) -> Callable[[Any], None]:
        def answer(handler: Any) -> None:
            host = handler.headers["host"]
            if number == 6 and host == "b.example" and not dead:
                (process,) = (int(visit.name.split()[1]) for visit in nodes.glob("b.example *"))
                dead.append(process)
                if loss == "node":  # it has some of the three hosts
                    two_nodes.lose_second()
                else:
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.02)
            handler.answer(200, body)

        return answer

    for number in range(15):
        web.pages[f"/{number}.jpg"] = page(make_jpeg(width=48, height=32, seed=number), number)
    addresses = [f"http://{host}/{number}.jpg" for host in HOSTS for number in range(15)]
    path.write_text("\n".join(("url", *addresses)))
    outcome = collect.fetch(project, path, rate=0, engine="ray")
    assert len(dead) == 1
    assert outcome.summary["added"] == 15
    recorded = project.tables.read("fetches", ["address", "cause"]).to_pylist()
    assert sorted(row["address"] for row in recorded) == sorted(addresses)
    assert {row["cause"] for row in recorded} == {"ok"}
    assert project.tables.count("sources") == len(addresses)
    asked = Counter((request.headers["host"], request.path) for request in web.requests)
    assert set(asked.values()) <= {1, 2}  # what a dead worker had not handed over is asked again
    assert {asked["a.example", f"/{number}.jpg"] for number in range(15)} <= {1, 2}


def test_a_host_at_which_every_worker_dies_ends_the_run_in_words(
    nodes: Path, web: Any, project: Project, write_list: WriteList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "MAX_DEATHS", 2)
    port = web.port

    def open_network(_: Executor, allowed: AllowedHosts) -> PinnedNetwork:
        async def resolve(host: str, __: int) -> Sequence[str]:
            if host == "deadly.example":
                os.kill(os.getpid(), signal.SIGKILL)
            return (PUBLIC,)

        async def to_web(_: str, __: int, timeout_s: float | None) -> socket.socket:
            return await connect("127.0.0.1", port, timeout_s)

        return PinnedNetwork(resolve, to_web, allowed)

    monkeypatch.setattr("pictus.collect.fetching.open_network", open_network)
    assert nodes.is_dir()
    path = write_list("url", "http://deadly.example/1.jpg", "http://a.example/1.jpg")
    with pytest.raises(UserError, match=r"2 workers died while they asked .*deadly\.example") as caught:
        collect.fetch(project, path, rate=0, engine="ray")
    assert "run the same command again" in caught.value.fix


def test_servers_are_dealt_evenly_the_largest_first() -> None:
    assert dealt({"a": 5, "b": 9, "c": 4, "d": 1}, 2) == [["b", "d"], ["a", "c"]]
    assert dealt({"a": 5}, 4) == [["a"]]
    assert dealt({"a": 5}, 0) == []
    assert dealt({}, 3) == []


def fetched(order: int, size: int) -> Fetched:
    return Fetched(order, f"http://a.example/{order}", "ok", "", bytes(size), 200, 1, 0.1, "", "")


def test_what_a_worker_sends_at_once_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "BATCH_BYTES", 1_000)
    monkeypatch.setattr(cluster, "BATCH_RESULTS", 4)
    stray = Job(99, "http://a.example/", parse_url("http://b.example/"))
    news = cluster.News([*(fetched(order, 400) for order in range(7)), *(fetched(order, 0) for order in range(7, 13))],
                        [stray])  # fmt: skip
    pieces = list(cluster._in_pieces(news))
    orders = [[one.order for one in piece.ended] for piece in pieces]
    assert orders == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9], [10, 11, 12]]
    assert [piece.strays for piece in pieces] == [[], [], [], [stray]]
    assert list(cluster._in_pieces(cluster.News([], [stray]))) == [cluster.News([], [stray])]


def way(port: int) -> cluster.Way:
    def open_network(_: Executor, allowed: AllowedHosts) -> PinnedNetwork:
        async def resolve(_: str, __: int) -> Sequence[str]:
            return (PUBLIC,)

        async def to_web(_: str, __: int, timeout_s: float | None) -> socket.socket:
            return await connect("127.0.0.1", port, timeout_s)

        return PinnedNetwork(resolve, to_web, allowed)

    return cluster.Way("pictus/test", AllowedHosts.of(()), Limits(interval_s=0.0), 0, open_network)


def test_a_redirect_to_another_ones_host_is_handed_back_and_one_to_an_own_host_followed(
    web: Any, make_jpeg: MakeJpeg
) -> None:
    web.put("/1.jpg", make_jpeg(seed=1))
    web.redirect("/own.jpg", "http://b.example/1.jpg")
    web.redirect("/away.jpg", "http://c.example/1.jpg")
    targets = [f"http://a.example/{name}.jpg" for name in ("1", "own", "away")]
    jobs = [Job(order, target, parse_url(target)) for order, target in enumerate(targets)]
    heard = list(cluster.ask(way(web.port), frozenset({"a.example", "b.example"}), jobs))
    ended = {one.address: one for news in heard for one in news.ended}
    assert {address: one.cause for address, one in ended.items()} == dict.fromkeys(targets[:2], "ok")
    (stray,) = (one for news in heard for one in news.strays)
    assert (stray.order, stray.address, stray.url.text, stray.hops) == (2, targets[2], "http://c.example/1.jpg", 1)
    assert "c.example" not in {request.headers["host"] for request in web.requests}


def test_the_network_of_a_worker_waits_for_who_takes_what_it_brings(
    web: Any, make_jpeg: MakeJpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = make_jpeg(width=400, height=300, seed=1)
    count = 200
    monkeypatch.setattr(cluster, "_HELD_BYTES", 4 * len(picture))
    for number in range(count):
        web.put(f"/{number}.jpg", picture)
    targets = [f"http://a.example/{number}.jpg" for number in range(count)]
    jobs = [Job(order, target, parse_url(target)) for order, target in enumerate(targets)]
    news = cluster.ask(way(web.port), frozenset({"a.example"}), jobs)
    taken = len(next(news).ended)
    before = -1
    for _ in range(100):  # until nothing more is asked for
        if before == len(web.asked()):
            break
        before = len(web.asked())
        time.sleep(0.1)
    assert before < count / 2
    assert taken + sum(len(one.ended) for one in news) == count
