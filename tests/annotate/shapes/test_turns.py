"""One thing at a time for each person, a few at a time for all."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from pictus.annotate.shapes.turns import BusyError, Turns

TURN = 30


class Work:
    """Pieces of work that begin at once and end when they are told to."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.pool = ThreadPoolExecutor(8)
        self.running: list[str] = []
        self.most: dict[str, int] = {}
        self.may_end = threading.Event()
        self._begun = threading.Semaphore(0)
        self._lock = threading.Lock()

    def do(self, person: str) -> "Future[str]":
        return self.pool.submit(self._do, person)

    def begun(self, person: str) -> "Future[str]":
        found = self.do(person)
        assert self._begun.acquire(timeout=TURN)
        return found

    def _do(self, person: str) -> str:
        with self.turns.turn(person, is_ahead=False):
            with self._lock:
                self.running.append(person)
                self.most[person] = max(self.most.get(person, 0), self.running.count(person))
            self._begun.release()
            assert self.may_end.wait(TURN)
            with self._lock:
                self.running.remove(person)
        return person


def test_of_one_person_the_latest_click_waits_and_those_between_give_way() -> None:
    work = Work(Turns(at_once=4, most=8, wait_s=TURN))
    first = work.begun("ada")
    waiting = [work.do("ada")]
    for _ in range(3):  # each one that comes sends away the one before it
        waiting.append(work.do("ada"))
        gone, waiting = _gone(waiting)
        assert isinstance(gone.exception(), BusyError)
    assert work.begun("ben"), "others go on"
    work.may_end.set()
    assert [one.result(TURN) for one in (first, *waiting)] == ["ada", "ada"]
    assert work.most == {"ada": 1, "ben": 1}
    assert work.begun("ada").result(TURN) == "ada", "nothing is left behind"
    work.pool.shutdown()


def _gone(waiting: "list[Future[str]]") -> "tuple[Future[str], list[Future[str]]]":
    """Of two, the one that gave way: it is not known which came first."""
    over = threading.Event()
    for one in waiting:
        one.add_done_callback(lambda _: over.set())
    assert over.wait(TURN)
    (gone,) = (one for one in waiting if one.done())
    return gone, [one for one in waiting if one is not gone]


def test_what_is_done_ahead_gives_way_to_ones_own_click_but_not_to_others() -> None:
    work = Work(Turns(at_once=2, most=2, wait_s=TURN))
    work.begun("ada")
    with pytest.raises(BusyError), work.turns.turn("ada", is_ahead=True):
        pass
    with work.turns.turn("ben", is_ahead=True):
        pass
    work.may_end.set()
    work.pool.shutdown()


def test_who_waits_too_long_is_told_so_and_leaves_nothing_behind() -> None:
    work = Work(Turns(at_once=2, most=2, wait_s=0.01))
    first = work.begun("ada")
    with pytest.raises(BusyError, match="before is still"), work.turns.turn("ada", is_ahead=False):
        pass
    second = work.begun("ben")
    with pytest.raises(BusyError, match="Many people"), work.turns.turn("cleo", is_ahead=False):
        pass
    work.may_end.set()
    assert {first.result(TURN), second.result(TURN)} == {"ada", "ben"}
    for person in ("ada", "ben", "cleo"):
        with work.turns.turn(person, is_ahead=False):
            pass
    work.pool.shutdown()
