"""Which process this is, and what it computes on, as functions of the environment and the number of GPUs."""

from __future__ import annotations

from pathlib import Path

import pytest

import pictus
from pictus import train
from pictus.errors import UserError
from pictus.train.devices.seats import Place, Seat, at_home, check, check_interfaces, launched, placed

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}


def test_torchrun_tells_each_process_its_seat() -> None:
    assert launched(TORCHRUN | {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}) == Seat(5, 8, 1, 4)
    assert launched(TORCHRUN) == Seat(5, 8, 5, 8)


@pytest.mark.parametrize("name", TORCHRUN)
def test_half_of_what_torchrun_tells_is_no_seat(name: str) -> None:
    assert launched({key: value for key, value in TORCHRUN.items() if key != name}) is None


def test_a_rank_that_is_none_is_told() -> None:
    with pytest.raises(UserError, match="RANK='five': a number is wanted"):
        launched(TORCHRUN | {"RANK": "five"})
    with pytest.raises(UserError, match="RANK is 8 of WORLD_SIZE 8"):
        launched(TORCHRUN | {"RANK": "8"})


@pytest.mark.parametrize(("name", "value"), [
    ("WORLD_SIZE", "1" + "0" * 30), ("RANK", "1" * 5000), ("WORLD_SIZE", "٢"), ("MASTER_PORT", "x"),
    ("MASTER_PORT", "99999"),
])  # fmt: skip
def test_a_number_that_no_launcher_tells_is_one_message(name: str, value: str) -> None:
    with pytest.raises(UserError, match=f"The environment says {name}=.*: a number is wanted, up to"):
        launched(TORCHRUN | {name: value})


def test_an_interface_that_is_not_there_is_told_before_anybody_waits() -> None:
    check_interfaces({})
    with pytest.raises(UserError, match="GLOO_SOCKET_IFNAME='zzz9': this machine has no such interface"):
        check_interfaces({"GLOO_SOCKET_IFNAME": "zzz9"})


def test_without_a_gpu_processes_meet_on_processors() -> None:
    assert placed(at_home(1, 2), 0) == Place("cpu", "gloo")


def test_each_process_takes_the_gpu_of_its_place_on_its_machine() -> None:
    assert placed(Seat(5, 8, 1, 4), 4) == Place("cuda:1", "cpu:gloo,cuda:nccl")
    assert placed(at_home(0, 1), 4).device == "cuda"


def test_more_processes_than_gpus_are_refused() -> None:
    with pytest.raises(UserError, match="3 processes on this machine would share 2 GPUs") as told:
        placed(at_home(0, 3), 2)
    assert "processes=2" in told.value.fix


def test_a_batch_is_shared_by_no_more_processes_than_have_two_pictures_of_it() -> None:
    check(1, 2)
    check(4, 8)
    for processes in (5, 0, -1):
        with pytest.raises(UserError, match="A batch of 8 pictures cannot be shared by") as told:
            check(processes, 8)
        assert told.value.fix == "take 1 to 4 processes"


def test_an_engine_that_nobody_knows_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    nothing = pictus.new(tmp_path / "new")
    for command in (train.run, train.resume):
        with pytest.raises(UserError, match="engine 'foo'"):
            command(nothing, engine="foo")  # type: ignore[arg-type]
