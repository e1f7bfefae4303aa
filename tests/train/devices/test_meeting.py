"""Where processes meet: who can reach it, and what they find there that none of them has written."""

from __future__ import annotations

import socket

import pytest
import torch

from pictus.errors import UserError
from pictus.train.devices import meeting
from pictus.train.devices.meeting import Brief, Store


@pytest.fixture
def store() -> Store:
    return torch.distributed.HashStore()


def test_on_one_machine_a_store_is_reached_at_its_own_address_alone() -> None:
    held = meeting.held("127.0.0.1")
    with socket.create_connection(("127.0.0.1", held.port), 5):
        pass
    with pytest.raises(OSError):  # refused here; elsewhere there may be no such address
        socket.create_connection(("127.0.0.2", held.port), 5)
    other = torch.distributed.TCPStore("127.0.0.1", held.port, is_master=False)
    other.set("a", "1")
    assert held.get("a") == b"1"


def test_a_port_that_another_program_holds_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
        monkeypatch.setenv("MASTER_PORT", port)
        with pytest.raises(UserError, match=f"cannot meet at MASTER_ADDR 127.0.0.1, MASTER_PORT {port}: .*in use"):
            meeting.of_torchrun(0, 2)


@pytest.mark.parametrize("said", [b"\x1b[31mred\x07", b"\xff\xfe", b"one\ntwo"])
def test_last_words_steer_no_terminal(store: Store, said: bytes) -> None:
    store.set("words-1", said)
    told = meeting.words_of(store, 2)
    assert told.startswith("Process 2 of 2 failed: ")
    assert told.isprintable()


def test_a_brief_is_read_as_it_was_written(store: Store) -> None:
    meeting.call(store, Brief("/a", "/b"))
    assert meeting.called(store) == Brief("/a", "/b")


@pytest.mark.parametrize("said", [b"[]", b"{}", b'{"run": 5, "release": null}', b"[" * 100_000, b"\xff"])
def test_a_brief_of_another_form_is_one_message(store: Store, said: bytes) -> None:
    store.set(meeting.BRIEF, said)
    with pytest.raises(UserError, match="What rank 0 says is trained cannot be read"):
        meeting.called(store)
