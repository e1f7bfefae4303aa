"""What a network is taught, one file to a task. Importing this registers them."""

from __future__ import annotations

from pictus.tasks.classification import Classification
from pictus.tasks.multilabel import Multilabel
from pictus.tasks.task import TASKS, Floats, Scores, Tally, Targets, Task

__all__ = ["TASKS", "Classification", "Floats", "Multilabel", "Scores", "Tally", "Targets", "Task"]
