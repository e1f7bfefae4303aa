"""The process behind `pictus annotate serve`: what it prints, refuses, survives, and how it stops."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

import pictus
from pictus import annotate
from pictus.cli import root
from pictus.errors import UserError
from pictus.web.desk.server import Service, answers_to, serve_desk
from pictus.web.security import LOOPBACK

DESK = {"x-pictus": "desk"}


@contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The real process -> it, and the address it said."""
    command = [sys.executable, "-m", "pictus", "annotate", "serve", "-C", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert found, said + process.stderr.read()
        yield process, found[0]
    finally:
        process.kill()
        process.communicate(timeout=20)


def test_links_are_printed_once_each_and_open_the_desk(fresh: pictus.Project) -> None:
    with running(fresh.root, "--port", "0", "--invite", "2", "--quota", "3", "--rule", "fixed") as (process, address):
        assert process.stdout is not None
        links = [process.stdout.readline().strip() for _ in range(3)]
        assert all(link.startswith(address + "/join/") for link in links)
        with httpx.Client(base_url=address, headers=DESK, timeout=20) as client:
            body = {"token": links[1].rpartition("/")[2], "name": "Ada"}
            assert client.post("/desk/join", json=body).status_code == 200
            page = client.post("/desk/next", json={}).json()["page"]
            assert len(page["items"]) <= 3, "the quota"
            assert client.get("/people").status_code == 403
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
        assert process.returncode == 0
        assert told.rstrip().endswith("stopped")
    roles = [link.role for link in annotate.links(fresh)]
    assert sorted(roles) == ["annotator", "owner"]


def test_a_server_that_was_killed_knows_its_people_and_pages_when_it_is_back(fresh: pictus.Project) -> None:
    with httpx.Client(headers=DESK, timeout=20) as client:
        with running(fresh.root, "--port", "0", "--kiosk", "--rule", "fixed") as (process, address):
            client.post(address + "/desk/join", json={"token": "", "name": "Ada"})
            page = client.post(address + "/desk/next", json={}).json()["page"]
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        with running(fresh.root, "--port", "0", "--kiosk", "--rule", "fixed") as (_, address):
            answers = [{"position": item["position"], "answer": "yes"} for item in page["items"]]
            body = {"revision": 1, "answers": answers, "seconds": 20}
            for is_new in (True, False):
                receipt = client.post(f"{address}/desk/pages/{page['page_id']}", json=body).json()
                assert receipt["is_new"] == is_new
    assert fresh.journal.vote_count() == len(page["items"])


def test_a_port_in_use_is_said_before_anything_is_made(fresh: pictus.Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} on 127.0.0.1 cannot be used"):
            serve_desk(fresh, Service(port=port))
    assert list(annotate.links(fresh)) == []


@pytest.mark.parametrize(
    "service", [Service(host="0.0.0.0", is_kiosk=True), Service(address="https://x.org", is_kiosk=True)]
)
def test_a_kiosk_that_others_reach_is_refused(fresh: pictus.Project, service: Service) -> None:
    with pytest.raises(UserError, match="A kiosk is for this machine only") as refused:
        serve_desk(fresh, service)
    assert "--invite" in refused.value.fix


@pytest.mark.parametrize("address", ["label.example.org", "ftp://x.org", "http://[", "https://x.org/desk"])
def test_an_address_that_nobody_can_type_is_refused(fresh: pictus.Project, address: str) -> None:
    with pytest.raises(UserError, match="is no address"):
        serve_desk(fresh, Service(address=address))


def test_behind_a_proxy_the_name_people_type_is_answered_to_and_no_other(fresh: pictus.Project) -> None:
    options = ("--port", "0", "--address", "https://label.example.org", "--rule", "fixed")
    command = [sys.executable, "-m", "pictus", "annotate", "serve", "-C", str(fresh.root), *options]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command[command.index("0")] = str(port)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("https://label.example.org/join/")
        patient = httpx.HTTPTransport(retries=9)  # it prints its links just before it answers
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, transport=patient) as client:
            assert client.get("/", headers={"host": "label.example.org"}).status_code == 200
            assert client.get("/", headers={"host": "evil.example"}).status_code == 403
            origin = {"host": "label.example.org", "origin": "https://label.example.org", "x-forwarded-proto": "https"}
            answer = client.post("/desk/join", json={"token": "A" * 43, "name": "Ada"}, headers=DESK | origin)
            assert answer.status_code == 400, "the link is not valid, but the question was heard"
    finally:
        process.kill()
        _, told = process.communicate(timeout=20)
    assert "with all faces as they were found" in told
    assert "https" not in told.partition("!")[2].partition("your own")[0], "it has https"


def test_with_an_address_only_that_name_is_answered_wherever_it_listens() -> None:
    assert answers_to("0.0.0.0", "label.example.org") == {"label.example.org"}
    assert answers_to("127.0.0.1", "label.example.org") == LOOPBACK | {"label.example.org"}
    assert answers_to("127.0.0.1", "") == LOOPBACK
    assert answers_to("0.0.0.0", "") == set(), "any"


def test_the_command_tells_of_itself_and_needs_a_project(tmp_path: Path) -> None:
    told = CliRunner().invoke(root, ["annotate", "serve", "--help"]).output
    assert "pictus annotate serve --invite 12" in told
    assert "serve" in CliRunner().invoke(root, ["annotate", "--help"]).output
    missing = CliRunner().invoke(root, ["annotate", "serve", "-C", str(tmp_path / "nothing")])
    assert isinstance(missing.exception, UserError)
    assert "There is no Pictus project" in missing.exception.what


def test_links_are_listed_and_revoked(fresh: pictus.Project) -> None:
    annotate.invite(fresh, many=3, uses=4, note="spring")
    listed = annotate.links(fresh)
    assert listed.summary == {"links": 3, "places": 12}
    first = next(iter(listed))
    assert (first.note, first.uses_left, first.people) == ("spring", 4, 0)
    assert annotate.revoke(fresh, first.link).summary == {"revoked": 1}
    with pytest.raises(UserError, match="can be used any more"):
        annotate.revoke(fresh, first.link)
    for odd in ("%", "_" * 12, "", "xyz", first.link + "%"):
        with pytest.raises(UserError, match="is no link's name"):
            annotate.revoke(fresh, odd)
    assert annotate.revoke(fresh, "all").summary == {"revoked": 2}
    assert annotate.revoke(fresh, "all").summary == {"revoked": 0}
    assert list(annotate.links(fresh)) == []
