"""The web is drawn once, resumes, and misbehaves as planned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pictus.demo.mess import FAILURES, Candidate, Kind, Mixture
from pictus.demo.tree import CLASSES
from pictus.demo.web import build, path_of, read_truth, serving, write_list
from pictus.progress import Silent

CONCEPTS = CLASSES[:4]
MIX = Mixture(good=10, wrong=1, duplicate=4, poor=2, broken=1, failed=5)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Candidate]]:
    folder = tmp_path_factory.mktemp("world")
    return folder, build(folder, CONCEPTS, MIX, 7, Silent())


@pytest.fixture(scope="module")
def web(world: tuple[Path, list[Candidate]]) -> Iterator[tuple[dict[str, str], httpx.Client]]:
    with serving(world[0]) as origins, httpx.Client(trust_env=False, timeout=20) as client:
        yield origins, client


def _of(world: tuple[Path, list[Candidate]], variant: str) -> Candidate:
    found = [one for one in world[1] if one.variant == variant and one.kind != Kind.DUPLICATE]
    if not found:
        pytest.fail(f"no {variant} in the small world")
    return found[0]


def test_the_truth_names_every_address_with_box_and_size(world: tuple[Path, list[Candidate]]) -> None:
    folder, truth = world
    assert len(truth) == len(CONCEPTS) * MIX.total
    assert truth == read_truth(folder)
    for one in truth:
        if one.kind in {Kind.GOOD, Kind.WRONG}:
            assert one.size > 1_000
            assert one.box[2] > one.box[0] >= 0


def test_a_lost_pack_is_drawn_again_and_the_others_are_not(world: tuple[Path, list[Candidate]]) -> None:
    folder, truth = world
    packs = sorted(folder.glob("pack-*.bin"))
    before = {path: path.stat().st_mtime_ns for path in packs}
    lost = packs[0].read_bytes()
    packs[0].unlink()
    packs[0].with_suffix(".parquet").unlink()
    assert build(folder, CONCEPTS, MIX, 7, Silent()) == truth
    assert packs[0].read_bytes() == lost
    assert all(path.stat().st_mtime_ns == before[path] for path in packs[1:])


def test_a_good_picture_comes_with_its_bytes(
    world: tuple[Path, list[Candidate]], web: tuple[dict[str, str], httpx.Client]
) -> None:
    origins, client = web
    one = next(one for one in world[1] if one.kind == Kind.GOOD and not one.variant)
    answer = client.get(origins[one.host] + one.path)
    assert answer.status_code == 200
    assert len(answer.content) == one.size
    assert answer.headers["content-type"] == "image/jpeg"


def test_a_picture_is_only_at_its_own_host(
    world: tuple[Path, list[Candidate]], web: tuple[dict[str, str], httpx.Client]
) -> None:
    origins, client = web
    one = next(one for one in world[1] if one.host != "attic")
    assert client.get(origins["attic"] + one.path).status_code == 404


@pytest.mark.parametrize(
    ("variant", "status"),
    [("missing", 404), ("gone", 410), ("broken-server", 500), ("to-private", 302), ("circle", 302)],
)
def test_failures_answer_with_their_status(
    variant: str, status: int, world: tuple[Path, list[Candidate]], web: tuple[dict[str, str], httpx.Client]
) -> None:
    origins, client = web
    found = [one for one in world[1] if one.variant == variant]
    if not found:
        pytest.skip(f"no {variant} in this small world; the plan's own test covers that all occur in the full one")
    one = found[0]
    assert client.get(origins[one.host] + one.path).status_code == status


def test_every_failure_of_this_world_keeps_its_promise(
    world: tuple[Path, list[Candidate]], web: tuple[dict[str, str], httpx.Client]
) -> None:
    origins, client = web
    for one in (one for one in world[1] if one.kind == Kind.FAILED):
        assert one.cause == FAILURES[one.variant]
        url = origins[one.host] + one.path
        if one.variant == "cut-off":
            with pytest.raises(httpx.RemoteProtocolError):
                client.get(url)
            continue
        answer = client.get(url)
        if one.variant == "empty":
            assert answer.content == b""
        elif one.variant == "error-page":
            assert answer.content.startswith(b"<!doctype html")
        elif one.variant == "opt-out":
            assert "noai" in answer.headers["x-robots-tag"]
        elif one.variant == "forbidden":
            assert one.path.startswith("/members-only/")
        elif one.variant == "to-private":
            assert answer.headers["location"].startswith("http://192.168.")


def test_robots_txt_forbids_the_members_rooms(web: tuple[dict[str, str], httpx.Client]) -> None:
    origins, client = web
    assert "Disallow: /members-only/" in client.get(origins["members"] + "/robots.txt").text
    assert client.get(origins["photos"] + "/robots.txt").status_code == 404


def test_a_flaky_address_gives_its_picture_at_the_second_try(
    world: tuple[Path, list[Candidate]], web: tuple[dict[str, str], httpx.Client]
) -> None:
    origins, client = web
    one = _of(world, "flaky")
    assert [client.get(origins[one.host] + one.path).status_code for _ in range(2)] == [503, 200]


def test_a_moved_picture_is_found_behind_its_redirect(
    world: tuple[Path, list[Candidate]], web: tuple[dict[str, str], httpx.Client]
) -> None:
    origins, client = web
    one = _of(world, "moved")
    answer = client.get(origins[one.host] + one.path, follow_redirects=True)
    assert (len(answer.history), len(answer.content)) == (1, one.size)


def test_hosts_keep_their_ports_from_one_time_to_the_next(world: tuple[Path, list[Candidate]], tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        pass
    with serving(tmp_path) as second:
        assert first == second


def test_the_list_has_one_row_per_address(world: tuple[Path, list[Candidate]], tmp_path: Path) -> None:
    origins = dict.fromkeys({one.host for one in world[1]}, "http://127.0.0.1:80")
    write_list(tmp_path / "urls.csv", world[1], origins)
    lines = (tmp_path / "urls.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "url,concept,query,licence,author"
    assert [path_of(line.partition(",")[0]) for line in lines[1:]] == [one.path for one in world[1]]
