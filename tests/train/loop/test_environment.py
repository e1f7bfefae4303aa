from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace

import pytest

from pictus.train.loop import environment
from pictus.train.loop.signals import stop_asked
from pictus.train.recipes import Recipe


def test_threads_are_torch_s_only_inside() -> None:
    import torch

    before = torch.get_num_threads()
    with environment.torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_what_can_change_the_bits_is_compared() -> None:
    here = environment.describe(replace(Recipe("small-cnn"), parts=2, threads=1))
    assert here["threads"] == 2
    assert environment.changes(here, here) == []
    other = here | {"torch": "1.0", "cores": 99, "python": "3.0"}
    assert [line.split(" was ")[0] for line in environment.changes(other, here)] == ["torch"]


def test_memory_for_pictures_is_a_share_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(system: tuple[int, ...], cgroup: tuple[int, ...]) -> int:
        monkeypatch.setattr(environment, "_system_bytes", lambda: system)
        monkeypatch.setattr(environment, "_cgroup_bytes", lambda: cgroup)
        return environment.pack_bytes()

    assert of((8_000,), ()) == 2_000
    assert of((8_000,), (400,)) == 100
    assert of((), ()) == 2**30
    assert of((2**50,), ()) == environment.MOST_PACK_BYTES


def test_a_first_signal_asks_and_a_second_one_stops() -> None:
    def ask_twice() -> None:
        with stop_asked() as is_asked:
            assert not is_asked()
            os.kill(os.getpid(), signal.SIGINT)
            assert is_asked()
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        ask_twice()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_thread_of_a_server_is_never_asked() -> None:
    found: list[bool] = []

    def work() -> None:
        with stop_asked() as is_asked:
            found.append(is_asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]


def test_cores_that_are_taken_are_told_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "cpu_count", lambda: 2)
    assert environment.taken(2, load=2.4) == ""
    told = environment.taken(2, load=19.3)
    assert told.startswith("2 cores of this machine had work for 19.3 in the last minute")
    assert "--set parts=1 --set threads=1" in told
    assert "--set" not in environment.taken(1, load=19.3)
