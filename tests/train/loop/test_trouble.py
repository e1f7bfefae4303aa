from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pictus
from pictus import evaluate, models, serve, train
from pictus.errors import UserError
from pictus.train.kept import checkpoint
from pictus.train.loop import training
from pictus.train.loop.parts import Parts
from pictus.train.loop.trouble import device_vanished, memory_ran_out

MakeRelease = Callable[..., Path]

TINY = ("size=32", "batch_size=8", "precision=fp32", "ema=0.9", "flip=0", "threads=1", "parts=1")
PLAIN = (*TINY, "weight_decay=0")


def _failing(monkeypatch: pytest.MonkeyPatch, errors: dict[int, BaseException]) -> list[int]:
    """Parts.gradients fails at its n-th call, after the first piece is through -> the pieces it was called with."""
    plain, called = Parts.gradients, list[int]()

    def gradients(self: Parts, n_seen: int, compute: Any, **given: Any) -> Any:
        called.append(given["pieces"])
        if len(called) not in errors:
            return plain(self, n_seen, compute, **given)

        def failing(*task: Any) -> Any:
            compute(*task)
            raise errors[len(called)]

        return plain(self, n_seen, failing, **given)

    monkeypatch.setattr(Parts, "gradients", gradients)
    return called


def _weights(project: pictus.Project, name: str) -> bytes:
    return (project.models_dir / name / "last.safetensors").read_bytes()


def test_out_of_memory_halves_what_is_computed_at_once_and_goes_on(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    train.run(stripes, epochs=1, set_=(*PLAIN, "accumulate=2"), name="asked")
    called = _failing(monkeypatch, {1: MemoryError(), 9: RuntimeError("CUDA out of memory. Tried to allocate")})
    outcome = train.run(stripes, epochs=2, set_=PLAIN, name="smaller")
    # Six steps an epoch: the first again in two pieces, then to the seventh, the eighth again in four.
    assert called == [1, *[2] * 8, *[4] * 5]
    told = [message for message in caplog.messages if message.startswith("Memory ran out at step")]
    assert [message.split("computed in ")[1][:19] for message in told] == ["2 pieces of about 4", "4 pieces of about 2"]
    assert "memory ran out: batches were computed in 4 pieces" in outcome.problems
    assert models.find_run(stripes, "smaller").card["environment"]["accumulate"] == 4
    monkeypatch.undo()
    _failing(monkeypatch, {1: MemoryError()})
    train.run(stripes, epochs=1, set_=PLAIN, name="redone")
    assert _weights(stripes, "redone") == _weights(stripes, "asked"), "the same batch, as if nothing had happened"


def test_a_run_that_ran_out_of_memory_resumes_in_its_pieces(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = iter([False, False])
    _failing(monkeypatch, {2: MemoryError()})
    monkeypatch.setattr(train.steps, "stop_asked", lambda: _Asked(stop))
    with pytest.raises(KeyboardInterrupt):
        train.run(stripes, epochs=1, set_=PLAIN, name="stopped")
    monkeypatch.undo()
    called = _failing(monkeypatch, {})
    train.resume(stripes, "stopped")
    assert set(called) == {2}


class _Asked:
    def __init__(self, answers: Any) -> None:
        self.answers = answers

    def __enter__(self) -> Callable[[], bool]:
        return lambda: next(self.answers, True)

    def __exit__(self, *_: object) -> None:
        return None


def test_a_batch_that_does_not_fit_in_the_smallest_pieces_is_told(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = _failing(monkeypatch, {number: MemoryError() for number in range(1, 9)})
    with pytest.raises(UserError, match="not even in the smallest pieces") as caught:
        train.run(stripes, epochs=1, set_=TINY)
    assert called == [1, 2, 4]
    assert "--set batch_size=4" in caught.value.fix


def test_a_loss_that_is_no_number_names_the_pictures_of_its_batch(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    plain = training._loss
    seen: list[str] = []

    def loss(job: Any, state: Any, batch: Any, *given: Any) -> Any:
        found, right = plain(job, state, batch, *given)
        if state.counters.step == 4:
            seen.extend(job.train.image_ids[position] for position in batch.positions.tolist())
            return found * torch.nan, right
        return found, right

    monkeypatch.setattr(training, "_loss", loss)
    with pytest.raises(UserError, match="The loss became nan at step 4: training has diverged") as caught:
        train.run(stripes, epochs=2, set_=(*TINY, "checkpoint_s=0"), name="lost")
    assert len(seen) == 8
    lines = caught.value.what.splitlines()[1:9]
    assert [line.split()[0] for line in lines] == [image_id[:16] for image_id in seen]
    assert all("  stripe " in line and "(shards/" in line for line in lines)
    assert f"pictus show {seen[0][:16]}" in caught.value.fix
    monkeypatch.undo()
    # The checkpoint of step 4, before the bad step, is whole: the run goes on from there.
    assert train.resume(stripes, "lost").summary["steps"] == 12


def test_a_gradient_that_is_not_finite_is_told_before_it_spoils_the_weights(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Parts.gradients

    def gradients(self: Parts, *given: Any, **named: Any) -> Any:
        result = plain(self, *given, **named)
        next(self.model.parameters()).grad.fill_(float("inf"))
        return result

    monkeypatch.setattr(Parts, "gradients", gradients)
    with pytest.raises(UserError, match="The gradient became infinite at step 0: training has diverged"):
        train.run(stripes, epochs=1, set_=TINY)


def test_a_device_that_vanishes_is_one_message_and_the_run_goes_on_later(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported")
    _failing(monkeypatch, {4: error})
    with pytest.raises(UserError, match=r"stopped answering at step 3 \(CUDA error: unspecified launch") as caught:
        train.run(stripes, epochs=1, set_=(*TINY, "checkpoint_s=0"), name="gone")
    assert "pictus train resume gone" in caught.value.fix
    monkeypatch.undo()
    assert train.resume(stripes).summary["steps"] == 6


def test_other_errors_stay_what_they_are() -> None:
    assert not memory_ran_out(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not memory_ran_out(ValueError("out of memory"))
    assert not device_vanished(RuntimeError("CUDA error: out of memory"))
    assert memory_ran_out(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"))


@pytest.mark.parametrize("clip", ["clip=0", "clip=2"])
def test_a_gradient_that_is_no_number_never_reaches_a_checkpoint(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch, clip: str
) -> None:
    plain, calls = Parts.gradients, list[int]()

    def gradients(self: Parts, *given: Any, **named: Any) -> Any:
        found = plain(self, *given, **named)
        calls.append(1)
        if len(calls) == 6:  # the last step of the epoch, after which it is validated and saved; its loss is fine
            next(self.model.parameters()).grad[0] = float("inf")
        return found

    monkeypatch.setattr(Parts, "gradients", gradients)
    with pytest.raises(UserError, match="The gradient became infinite at step 5"):
        train.run(stripes, epochs=2, set_=(*TINY, clip), name="burst")
    kept = checkpoint.load(stripes.models_dir / "burst" / "checkpoints")
    assert kept is not None
    assert all(tensor.isfinite().all() for tensor in kept.tensors.values())


def test_a_network_that_answers_validation_with_no_number_is_never_the_best_and_its_commands_name_the_tensor(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finite while it trains, by the statistics of each batch, and not by its running ones."""
    import torch

    plain = training.advance

    def advance(job: Any, state: Any, *given: Any) -> Any:
        found = plain(job, state, *given)
        if state.counters.step == 12:
            for network in (state.model, state.averaged):
                name = next(key for key, _ in network.named_buffers() if key.endswith("running_var"))
                network.get_buffer(name).fill_(-1)
        return found

    monkeypatch.setattr(training, "advance", advance)
    with pytest.raises(UserError, match=r"loss on val became nan after step 12: training has diverged") as caught:
        train.run(stripes, epochs=3, set_=TINY, name="lost")
    assert "running_var holds values below 0" in caught.value.what
    assert "--set lr=" in caught.value.fix
    root = stripes.models_dir / "lost"
    kept = checkpoint.load(root / "checkpoints")
    assert kept is not None
    assert (kept.step, kept.values["best_epoch"]) == (6, 1)
    monkeypatch.undo()
    from safetensors.torch import load_file, save_file

    weights = load_file(root / models.WEIGHTS_NAME)
    name = next(key for key in weights if key.endswith("running_var"))
    save_file(weights | {name: torch.full_like(weights[name], -1)}, root / models.WEIGHTS_NAME)
    commands: tuple[Callable[[], object], ...] = (
        lambda: evaluate.run(stripes, run="lost", split="val"), lambda: serve.export(stripes, run="lost"),
        lambda: train.robustness(stripes, "lost"), lambda: train.probe(stripes, network="lost"),
    )  # fmt: skip
    for command in commands:
        with pytest.raises(UserError, match=f"of some pictures is no number: its {name} holds values below 0"):
            command()
