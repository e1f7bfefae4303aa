"""What a run is most surely wrong about: the pictures a person should look at first.

After each validation mistakes.json holds the most confident mistakes, by image_id, with the classes by name.
"""

from __future__ import annotations

import heapq
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.project import write_text
from pictus.releases import class_names
from pictus.tasks import Floats, Targets

if TYPE_CHECKING:
    from pictus.train.loop.state import Job

NAME = "mistakes.json"
FORMAT = 1
MOST = 24


class Mistake(NamedTuple):
    """A wrong guess; among equally sure ones the picture that comes first counts for more."""

    probability: float  # of the guess
    before: int  # minus the position in the split
    guess: int
    truth: tuple[int, ...]  # classes the picture shows; several only where the task has several
    truth_probability: float  # of the surest of them


class Mistakes:
    """Collects them over one pass through the validation pictures."""

    def __init__(self, job: "Job") -> None:
        self._job = job
        self._heap: list[Mistake] = []  # the least sure first
        self.count = 0
        self.seen = 0

    def add(self, logits_BK: Floats, targets_B: Targets, positions_B: npt.NDArray[np.int64]) -> None:
        """A batch. Right where the best guess is the one class, or, of several, where nothing known not to be shown has
        more than 1/2.
        """
        shares_BK = np.asarray(self._job.task.decode(logits_BK), np.float64)
        truth_BK = _shown(targets_B, shares_BK.shape[1])
        if self._job.task.name == "multilabel":
            wrong_BK = np.where(np.asarray(targets_B) == 0, shares_BK, 0.0)
            guess_B = wrong_BK.argmax(axis=1)
            is_wrong_B = wrong_BK.max(axis=1) > 0.5  # noqa: PLR2004  what it would say aloud
        else:
            guess_B = shares_BK.argmax(axis=1)
            is_wrong_B = ~np.take_along_axis(truth_BK, guess_B[:, None], axis=1)[:, 0]
        self.seen += len(guess_B)
        self.count += int(is_wrong_B.sum())
        is_number_B = np.isfinite(shares_BK).all(axis=1)  # of weights that have just diverged nothing is
        for place in np.flatnonzero(is_wrong_B & is_number_B).tolist():
            truth = np.flatnonzero(truth_BK[place])
            self._keep(Mistake(
                round(float(shares_BK[place, guess_B[place]]), 6), -int(positions_B[place]), int(guess_B[place]),
                tuple(truth.tolist()), round(float(shares_BK[place, truth].max(initial=0.0)), 6),
            ))  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        """The surest first."""
        ids, names = self._job.val.image_ids, class_names(self._job.val.release)
        classes = self._job.val.release.classes
        return [
            {
                "image_id": ids[-one.before], "guess": classes[one.guess], "guess_name": names[one.guess],
                "probability": one.probability, "truth": [classes[label] for label in one.truth],
                "truth_names": [names[label] for label in one.truth], "truth_probability": one.truth_probability,
            }
            for one in sorted(self._heap, reverse=True)
        ]  # fmt: skip

    def write(self, epoch: int) -> None:
        """mistakes.json of this epoch, whole or as it was."""
        found = {
            "format": FORMAT, "epoch": epoch, "split": self._job.val.split, "pictures": self.seen,
            "mistakes": self.count, "surest": self.rows(),
        }  # fmt: skip
        write_text(self._job.root / NAME, json.dumps(found, indent=1, allow_nan=False) + "\n")

    def _keep(self, one: Mistake) -> None:
        if len(self._heap) < MOST:
            heapq.heappush(self._heap, one)
        else:
            heapq.heappushpop(self._heap, one)


def _shown(targets_B: Targets, n_classes: int) -> npt.NDArray[np.bool_]:
    """bool[B, K]: what each picture is known to show."""
    found = np.asarray(targets_B)
    if found.ndim > 1:
        return np.asarray(np.nan_to_num(found) > 0.5)  # noqa: PLR2004  the greater part of a mixed target
    return np.asarray(found[:, None] == np.arange(n_classes)[None, :])
