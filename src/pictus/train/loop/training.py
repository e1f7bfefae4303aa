"""The training loop: batches in, weights and a curve out, the same bits whether or not it was ever killed.

A step depends on nothing but the state a checkpoint holds and the step's number: the batch, the
learning rate and torch's random numbers are functions of (recipe, step).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pictus import models, quantised_networks
from pictus.extras import need
from pictus.plain_network import least_px
from pictus.progress import Meter
from pictus.project import write_bytes
from pictus.tasks import Floats, Scores, Targets
from pictus.train.devices import group, sharding
from pictus.train.feed import augment, loader
from pictus.train.feed.loader import Batch
from pictus.train.feed.pieces import piece_of
from pictus.train.feed.sampling import Positions
from pictus.train.kept import checkpoint
from pictus.train.kept.logbook import Epoch, Logbook
from pictus.train.loop import energy, environment, optimizers, schedule, trouble
from pictus.train.loop.budget import Budget
from pictus.train.loop.parts import MOST, Parts, Result, parted
from pictus.train.loop.precision import LEAST_SCALE, loss_scale, precision, rescaled
from pictus.train.loop.state import Counters, Job, State, snapshot
from pictus.train.objectives import network_of
from pictus.train.recipes import peak_lr
from pictus.train.transfer import adapters, freezing
from pictus.train.watching import loggers
from pictus.train.watching.mistakes import Mistakes
from pictus.train.watching.watch import Watch

if TYPE_CHECKING:
    import torch
    from torch import nn

LOGGED_STEPS = 2000
"""About so many points of the training curve are written, whatever the length of the run."""

VALIDATION_BATCH = 128
LAST_NAME = "last.safetensors"
CHECKPOINTS = "checkpoints"


def fit(
    job: Job, state: State, meter: Meter, wants_stop: Callable[[], bool], clock: Callable[[], float] = time.monotonic
) -> None:
    """Train to the end, or until `wants_stop`; a checkpoint is written in both cases. `clock` tells what fits into the
    recipe's minutes.
    """
    counters, recipe = state.counters, job.recipe
    portions = loader.portions_of_epochs(
        recipe.seed, len(job.train), recipe.batch_size, counters.step, job.most_steps, how=job.train.how,
        world=recipe.processes,
    )  # fmt: skip
    started = saved = clock()
    before_s, before_step = counters.elapsed_s, counters.step
    power, powered_s = energy.Counter(job.cores), counters.elapsed_s
    subject = loggers.Subject(job.root, counters.step, loggers.settings_of(asdict(recipe)))
    with (
        loggers.opened(recipe.log, subject) as outlets,
        Logbook(job.root, kept_bytes=counters.metrics_bytes, outlets=outlets) as book,
        loader.batches(
            job.train, portions, training_views(job), seed=recipe.seed, threads=job.cores,
        ) as stream,
        parted(state.model, recipe.parts, recipe.threads, is_compiled=recipe.compile) as alone,
        group.spread(job, state, alone) as parts,
        environment.torch_threads(recipe.threads),
        trouble.told(job, state),
    ):
        if counters.step == 0:
            save(job, parts.whole(state), book)
        watch, budget = Watch(job, counters), Budget(job, counters)
        while not counters.has_ended:
            result = advance(job, state, parts, watch.next(stream))
            rate = _lr(job, counters, counters.step - 1)  # by the plan of this step: there may be another now
            if is_logged(counters) and result.n_seen:
                book.step(counters.step, epoch_of(job, counters), result.loss, rate)
            counters.elapsed_s = before_s + clock() - started
            is_planned = budget.stepped(counters)
            is_epoch_end = counters.step % job.steps_per_epoch == 0 or counters.step >= counters.plan.end
            if is_epoch_end:
                shown, trained_s = (counters.step - before_step) * recipe.batch_size, counters.elapsed_s
                end_epoch(job, parts.whole(state), book, rate, pictures_per_s=shown / max(1e-9, trained_s - before_s))
                counters.elapsed_s = before_s + clock() - started
                budget.validated(counters, counters.elapsed_s - trained_s)
                decide(job, counters, budget)
            meter.advance()
            if result.n_seen:
                meter.say(watch.step(result.loss, rate))
            is_asked = wants_stop()
            if is_epoch_end or is_asked or is_planned or clock() - saved >= recipe.checkpoint_s:
                counters.joules += power.since(counters.elapsed_s - powered_s)
                powered_s, began_s = counters.elapsed_s, clock()
                watch.peak()
                save(job, parts.whole(state), book)
                saved = clock()
                budget.saved(saved - began_s)
            if is_epoch_end or is_asked:
                watch.write(result.loss, rate)
            if is_asked and not counters.has_ended:
                return
        outlets.is_finished, last = True, parts.whole(state)
    write_weights(last, job.root / LAST_NAME)


def is_logged(counters: Counters) -> bool:
    """Whether the last step is a point of the curve, of all that are planned: with minutes, fewer than its epochs."""
    return counters.step % max(1, counters.plan.end // LOGGED_STEPS) == 0


def epoch_of(job: Job, counters: Counters) -> int:
    """The epoch that the last step belongs to, from 1."""
    return (counters.step - 1) // job.steps_per_epoch + 1


def advance(job: Job, state: State, parts: Parts, batch: Batch) -> Result:
    """One step: forward, backward, update, average. Counts it, also where too few pictures of the batch can be
    decoded and nothing is learned.
    """
    torch = need("torch", "train")
    recipe, counters = job.recipe, state.counters
    if not parts.begun(len(batch), counters):
        counters.step += 1
        return Result(0.0, 0, 0)
    torch.manual_seed(augment.hashed_step(recipe.seed, counters.step))  # dropout: a function of the step
    freezing.hold(network_of(state.model), recipe, counters.step // job.steps_per_epoch)
    position = counters.plan.at(counters.step + 0.5)
    quantised_networks.hold(network_of(state.model), position)
    momentum = schedule.momentum(position, recipe.warmup, recipe.schedule)
    optimizers.set_rate(state.optimizer, _lr(job, counters, counters.step), momentum)
    result = _gradients(job, state, parts, batch)
    if not math.isfinite(result.loss):
        raise trouble.diverged(job, state, batch, f"The loss became {result.loss}")
    norm = float(sharding.whole(_norm(state, recipe.clip)))
    is_finite = math.isfinite(norm)
    if recipe.precision == "fp16":
        rescaled(counters, is_finite=is_finite)
    if not is_finite and (recipe.precision != "fp16" or counters.loss_scale < LEAST_SCALE):
        raise trouble.diverged(job, state, batch, "The gradient became infinite")
    if is_finite:  # of fp16 a step whose numbers ran over is left out
        state.optimizer.step()
    if job.objective.after_step:
        job.objective.after_step(state, job)
    _average(state, schedule.averaging(counters.step, recipe.ema))
    counters.step += 1
    counters.loss_sum += result.loss * result.n_seen
    counters.n_right += result.n_right
    counters.n_seen += result.n_seen
    return result


def _norm(state: State, most: float) -> "torch.Tensor":
    """Of the gradient, which is made shorter where it is longer than `most`; 0: left alone. It is asked for also then:
    a weight that is no number would be averaged and kept.
    """
    utils = need("torch", "train").nn.utils
    if most:
        found: torch.Tensor = utils.clip_grad_norm_(state.model.parameters(), most)
    else:
        found = utils.get_total_norm([one.grad for one in state.model.parameters() if one.grad is not None])
    return found


def _gradients(job: Job, state: State, parts: Parts, batch: Batch) -> Result:
    """Of one batch. Where memory runs out, the same batch again in pieces of half the size, and so from then on."""
    torch = need("torch", "train")
    counters, most = state.counters, parts.most_pieces(len(batch))
    while True:
        pieces = counters.accumulate or job.recipe.accumulate
        try:
            return parts.gradients(
                len(batch), partial(_loss, job, state, batch), pieces=pieces, scale=loss_scale(job, counters)
            )
        except (RuntimeError, MemoryError) as error:
            if not trouble.memory_ran_out(error) or pieces >= most:
                raise
        counters.accumulate = 2 * pieces
        logging.getLogger(__name__).warning("%s", trouble.halved(job, counters))
        if job.device != "cpu":
            torch.cuda.empty_cache()
        torch.manual_seed(augment.hashed_step(job.recipe.seed, counters.step))


def _loss(
    job: Job, state: State, batch: Batch, student: "nn.Module", piece: slice
) -> tuple["torch.Tensor", int]:
    """Mean loss of a piece of the batch, and how many of it were right."""
    shown = piece_of(job, state, batch, piece)
    views = tuple(_fitted(job, state, view) for view in shown.views)
    return job.objective.loss(student, shown._replace(views=views), job)


def _fitted(job: Job, state: State, view: "torch.Tensor") -> "torch.Tensor":
    """Pictures f32[B, 3, S, S] at the side of this epoch, or of the plan made in it, as the network wants them."""
    counters, recipe = state.counters, job.recipe
    began = max(counters.plan.start, counters.step - counters.step % job.steps_per_epoch)
    least = least_px(network_of(state.model)) or schedule.LEAST_PX
    side = schedule.side(counters.plan.at(began), view.shape[-1], recipe.grow, least)
    if side != view.shape[-1]:
        functional = need("torch", "train").nn.functional
        view = functional.interpolate(view, (side, side), mode="bilinear", antialias=True)
    return view.contiguous(memory_format=environment.memory_format(recipe))


def end_epoch(job: Job, state: State, book: Logbook, lr: float, *, pictures_per_s: float) -> None:
    """Validate, and keep the weights, with kept=best if they are the best so far. An epoch may be cut short by the
    minutes. lr: of its last step.
    """
    counters = state.counters
    epoch, is_whole = epoch_of(job, counters), counters.step % job.steps_per_epoch == 0
    if not counters.n_seen and is_whole:
        raise job.train.too_few()
    mistakes = Mistakes(job)
    scores = job.objective.scores(job, state) if job.objective.scores else validate(job, state, mistakes)
    if not math.isfinite(scores.loss):
        raise trouble.lost(job, state, scores.loss)
    if mistakes.seen:
        mistakes.write(epoch)
    is_best = (scores.main, -scores.loss) > (counters.best_main, -counters.best_loss)
    is_best |= job.recipe.kept == "last" or job.objective.scores is not None  # labels that are a figure choose nothing
    if is_best:
        counters.best_top1, counters.best_top5, counters.best_loss = scores.top1, scores.top5, scores.loss
        counters.best_main, counters.best_others = scores.main, scores.others
        counters.best_epoch = epoch
        write_weights(state, job.root / models.WEIGHTS_NAME)
    record = Epoch(
        epoch, counters.step, lr, counters.loss_sum / max(1, counters.n_seen),
        counters.n_right / max(1, counters.n_seen), scores.loss, scores.top1, scores.top5, is_best, scores.others,
        job.objective.figures(state) if job.objective.figures else {},
    )  # fmt: skip
    book.epoch(record, pictures_per_s=pictures_per_s)
    counters.loss_sum, counters.n_right, counters.n_seen = 0.0, 0, 0


def decide(job: Job, counters: Counters, budget: Budget) -> None:
    """After an epoch: plan the minutes that are left, and end a run that is through or no longer improves."""
    epoch = epoch_of(job, counters)
    if counters.step % job.steps_per_epoch == 0:
        budget.epoch_ended(counters)
    has_stalled = 0 < job.recipe.patience <= epoch - counters.best_epoch
    counters.has_ended = has_stalled or counters.step >= counters.plan.end


def validate(job: Job, state: State, mistakes: Mistakes) -> Scores:
    """One pass over the validation split with the weights that would be kept, a batch to each core; what they are
    wrong about goes into `mistakes`.
    """
    network = state.kept.eval()
    portions = loader.portions_in_order(np.arange(len(job.val)), VALIDATION_BATCH)
    lanes = min(job.cores, MOST) if job.device == "cpu" else 1
    tally, n_seen = job.task.tally(), 0
    with (
        loader.batches(job.val, portions, loader.as_it_is, seed=0, threads=job.cores) as stream,
        models.lanes(lanes, job.recipe.threads) as pool,
    ):
        scored = models.in_order(pool, partial(_scored, job, network), stream, ahead=lanes)
        for logits, losses, targets, positions in scored:
            if len(targets):
                tally.add(logits, losses, targets)
                mistakes.add(logits, targets, positions)
                n_seen += len(targets)
    if not n_seen:
        raise job.val.too_few()
    return tally.scores(len(job.val))


def _scored(job: Job, network: "nn.Module", batch: Batch) -> tuple[Floats, Floats, Targets, Positions]:
    """Of one batch: logits f32[B, K], losses f32[B] without smoothing, targets, and positions in the split. Where it
    does not fit into memory, of each half by itself.
    """
    if not len(batch):
        return np.zeros((0, job.n_classes), np.float32), np.zeros(0, np.float32), batch.targets, batch.positions
    try:
        logits, losses = _asked(job, network, batch)
    except (RuntimeError, MemoryError) as error:
        if len(batch) == 1 or not trouble.memory_ran_out(error):
            raise
    else:
        return logits, losses, batch.targets, batch.positions
    if job.device != "cpu":
        need("torch", "train").cuda.empty_cache()
    middle = len(batch) // 2
    halves = [_scored(job, network, batch.part(piece)) for piece in (slice(middle), slice(middle, None))]
    logits, losses = (np.concatenate([half[number] for half in halves]) for number in (0, 1))
    return logits, losses, batch.targets, batch.positions


def _asked(job: Job, network: "nn.Module", batch: Batch) -> tuple[Floats, Floats]:
    torch = need("torch", "train")
    with torch.inference_mode():
        inputs = models.normalised(torch.from_numpy(batch.views[0]).to(job.device), job.preprocessing)
        inputs = inputs.contiguous(memory_format=environment.memory_format(job.recipe))
        with precision(job):
            logits = network(inputs).float()
        losses = job.task.loss(logits, torch.from_numpy(batch.targets).to(job.device), 0.0)
        return logits.cpu().numpy(), losses.cpu().numpy()


def save(job: Job, state: State, book: Logbook) -> None:
    """Write a checkpoint; the curve is on the disk before it."""
    state.counters.metrics_bytes = book.sync()
    checkpoint.save(job.root / CHECKPOINTS, snapshot(state))


def write_weights(state: State, path: Path) -> None:
    """The kept network's weights as safetensors, whole or not at all."""
    safetensors = need("safetensors.torch", "train")
    tensors = {key: value.detach().cpu().contiguous() for key, value in adapters.merged(state.kept).items()}
    write_bytes(path, safetensors.save(tensors))
    if path.name == models.WEIGHTS_NAME and (own := adapters.alone(state.kept)):
        write_bytes(path.with_name(adapters.ALONE), safetensors.save(own))


def training_views(job: Job) -> tuple[loader.View, ...]:
    """How the loader makes each view of a training picture out of a decoded one."""
    red, green, blue = (round(value * 255) for value in job.preprocessing.mean)
    return tuple(partial(augment.augmented, recipe=look, fill=(red, green, blue)) for look in job.looks)


def _lr(job: Job, counters: Counters, step: int) -> float:
    recipe = job.recipe
    return schedule.learning_rate(counters.plan.at(step + 0.5), peak_lr(recipe), recipe.warmup, recipe.schedule)


def _average(state: State, decay: float) -> None:
    """Weights and running statistics drift towards the model's; counters are copied."""
    if state.averaged is None:
        return
    with need("torch", "train").no_grad():
        now = network_of(state.model).state_dict()
        for key, mean in state.averaged.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(now[key], 1 - decay)
            else:
                mean.copy_(now[key])
