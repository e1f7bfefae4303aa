"""`--engine ray`: the processes of a run on the workers of a Ray cluster, each told its seat as torchrun would tell it.

Actors of Ray's core, not Ray Train: that would keep checkpoints and results of its own beside a run's, in a folder of
its own, and end its workers on Ctrl-C, where a run finishes the step and keeps it.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pictus import models
from pictus.clusters import ADDRESS, joined
from pictus.errors import UserError, counted
from pictus.extras import need
from pictus.progress import Meter
from pictus.train.devices import meeting, seats
from pictus.train.devices.meeting import Brief, Store
from pictus.train.devices.seats import Equipment, Seat
from pictus.train.kept import checkpoint
from pictus.train.loop import precision, training
from pictus.train.loop.state import Counters, Job, State, fresh, restored

LOOK_S = 0.2
REAP_S = 10.0
"""A process that is gone is known to the cluster a moment after the others have lost its connection."""

BEGUN_AGAIN = 1
"""So often a run that lost a process goes on by itself, from its last checkpoint."""

STEPS, STOP = "steps", "stop"


class Unreadable(NamedTuple):
    """Pictures that rank 0 could not decode, by split: image_id -> cause."""

    train: dict[str, str]
    val: dict[str, str]


class Worker:
    """One process of a run, in a worker of the cluster."""

    def address(self) -> str:
        """Of the machine it is on."""
        found: str = need("ray", "ray").util.get_node_ip_address()
        return found

    def work(self, brief: Brief, seat: Seat, master: tuple[str, int]) -> Unreadable | None:
        """Until the run has ended; what only rank 0 knows of it."""
        os.environ |= {
            "RANK": str(seat.rank), "WORLD_SIZE": str(seat.world), "LOCAL_RANK": str(seat.local_rank),
            "LOCAL_WORLD_SIZE": str(seat.local_world), "MASTER_ADDR": master[0], "MASTER_PORT": str(master[1]),
            "TORCHELASTIC_USE_AGENT_STORE": "True",  # the driver holds the store, as torchrun does
        }  # fmt: skip
        return work(brief, seat)


def equipment(world: int) -> Equipment:
    """What each of so many processes will have, as a worker of the cluster sees it; of this machine where the cluster
    will be started on it.
    """
    if not (need("ray", "ray").is_initialized() or os.environ.get(ADDRESS)):
        return seats.seen(world)
    with joined(world) as (ray, _):
        sharing = -(-world // max(1, sum(node["Alive"] for node in ray.nodes())))
        look = ray.remote(num_cpus=1, num_gpus=_gpus(ray, world))(seats.seen)
        found: Equipment = ray.get(look.remote(sharing))
    return found


def _gpus(ray: Any, world: int) -> int:  # noqa: ANN401  a module
    """Of each process."""
    return 1 if ray.cluster_resources().get("GPU", 0) >= world else 0


def fit(job: Job, state: State, meter: Meter, wants_stop: Callable[[], bool]) -> None:
    """As training.fit, but on the cluster; of `state` only the counters are brought up to date."""
    world = job.recipe.processes
    if seats.launched(os.environ):
        raise UserError(
            "torchrun has started this process, and --engine ray would start others.",
            fix="leave out --engine ray, or leave out torchrun and say --set processes=N",
        )
    asked_to_end = signal.getsignal(signal.SIGTERM)
    with joined(world) as (ray, cpus):
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, asked_to_end)  # Ray has put its own in its place, which ends at once
        if cpus < world:
            raise UserError(
                f"The Ray cluster has {counted(cpus, 'CPU')}, and {world} processes want one each.",
                fix=f"pictus train resume {job.root.name} --engine ray --processes {cpus}, or add nodes",
            )
        steps = state.counters.step
        for left in range(BEGUN_AGAIN, -1, -1):
            with _crew(ray, job, steps) as crew:
                lost = crew.followed(meter, wants_stop)
            steps = crew.steps
            if not lost:
                break
            if not left:
                raise UserError(
                    f"{lost}, and so another before. The last checkpoint is whole.",
                    fix=f"see to the nodes (ray status), then: pictus train resume {job.root.name} --engine ray",
                )
            logging.getLogger(__name__).warning("%s: all begin again from the last checkpoint", lost)
    job.train.unreadable.update(crew.unreadable.train)
    job.val.unreadable.update(crew.unreadable.val)
    if found := checkpoint.load(job.root / training.CHECKPOINTS):
        state.counters = Counters(**found.values)


def work(brief: Brief, seat: Seat) -> Unreadable | None:
    """What a worker does: rank 0 trains as it would anywhere, the others help it."""
    from pictus.train.devices import helper  # noqa: PLC0415  it imports the steps, which import this

    root = Path(brief.run)
    if not (root / models.CARD_NAME).exists():
        raise FileNotFoundError(2, "not there", str(root))
    store = meeting.of_torchrun(seat.rank, seat.world)
    if seat.rank:
        if told := meeting.called(store):
            helper.helped(told, store, seat)
        return None
    try:
        job = helper.job_of(brief, seat)
        precision.check(job.recipe, job.device)
        found = checkpoint.load(root / training.CHECKPOINTS)
        state = restored(job, found) if found else fresh(job)
        training.fit(job, state, _Counted(store, state.counters.step), lambda: bool(store.check([STOP])))
    finally:
        store.set(meeting.OVER, "1")
    return Unreadable(job.train.unreadable, job.val.unreadable)


class _Counted:
    """The meter of rank 0: the store, which the driver looks into."""

    def __init__(self, store: Store, steps: int) -> None:
        self._store, self._steps = store, steps

    def advance(self, count: int = 1) -> None:
        self._steps += count

    def say(self, note: str) -> None:
        self._store.set(STEPS, f"{self._steps} {note}")


class _Crew:
    """The workers of one attempt. `steps`: so many the meter has been told, those of an attempt before among them."""

    def __init__(self, ray: Any, store: Store, waiting: dict[Any, int], steps: int) -> None:  # noqa: ANN401  a module
        self._ray, self._store, self._ranks = ray, store, waiting
        self.steps = steps
        self.unreadable = Unreadable({}, {})

    def followed(self, meter: Meter, wants_stop: Callable[[], bool]) -> str:
        """Until all have ended: which process was lost, "" where none was. What one raised is raised here."""
        waiting, has_asked = list(self._ranks), False
        while waiting:
            ready, waiting = self._ray.wait(waiting, num_returns=1, timeout=LOOK_S)
            self._tell(meter)
            if wants_stop() and not has_asked:
                self._store.set(STOP, "1")
                has_asked = True
            try:
                for one in ready:
                    self.unreadable = self._ray.get(one) or self.unreadable
            except self._ray.exceptions.RayError:
                return self._lost([*ready, *waiting])
        return ""

    def _tell(self, meter: Meter) -> None:
        if self._store.check([STEPS]):
            steps, _, note = self._store.get(STEPS).decode().partition(" ")
            meter.advance(max(0, int(steps) - self.steps))
            meter.say(note)
            self.steps = max(self.steps, int(steps))

    def _lost(self, unread: list[Any]) -> str:
        """One has failed. Where a process is gone, that is why; else what rank 0 says, or who failed."""
        errors = self._ray.exceptions
        ready, _ = self._ray.wait(unread, num_returns=len(unread), timeout=REAP_S)
        raised: dict[int, Exception] = {}
        for one in ready:
            try:
                self._ray.get(one)
            except errors.RayActorError:
                return f"Process {self._ranks[one] + 1} of {len(self._ranks)} was lost"
            except errors.RayError as error:
                raised[self._ranks[one]] = error
        raise raised[min(raised)]


@contextmanager
def _crew(ray: Any, job: Job, steps: int) -> Iterator[_Crew]:  # noqa: ANN401  a module
    """A worker to each process, at work; they end with the context."""
    world = job.recipe.processes
    gpus = _gpus(ray, world)
    kind = ray.remote(num_cpus=1, num_gpus=gpus)(Worker)
    workers = [kind.remote() for _ in range(world)]
    try:
        addresses = ray.get([worker.address.remote() for worker in workers])
        own = ray.util.get_node_ip_address()
        host = "127.0.0.1" if set(addresses) == {own} else own
        store = meeting.held(host)
        brief = Brief(str(job.root.resolve()), str(job.train.release.root.resolve()))
        waiting = {
            worker.work.remote(brief, seat, (host, store.port)): seat.rank
            for worker, seat in zip(workers, seats_at(addresses, has_gpus=gpus > 0), strict=True)
        }
        yield _Crew(ray, store, waiting, steps)
    finally:
        for worker in workers:
            ray.kill(worker)


def seats_at(addresses: list[str], *, has_gpus: bool) -> list[Seat]:
    """The seats of workers at these addresses. To each with a GPU of its own Ray shows that one alone."""
    here: Counter[str] = Counter()
    found = []
    for rank, address in enumerate(addresses):
        local = (0, 1) if has_gpus else (here[address], addresses.count(address))
        found.append(Seat(rank, len(addresses), *local))
        here[address] += 1
    return found
