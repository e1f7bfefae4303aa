"""Runs that were evaluated, as tests of annotate need them: cards and predictions, no weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import pictus

Fill = Callable[..., dict[str, str]]


def evaluated(
    project: pictus.Project, rows: list[tuple[str, str, list[str], list[float], float]], *, split: str = "test",
    run: str = "first",
) -> Path:  # fmt: skip
    """A finished run with predictions: image_id, given concept, guesses, their probabilities, P(given)."""
    root = project.models_dir / run
    root.mkdir(parents=True, exist_ok=True)
    classes = ["fish", "owl", "wren"]
    card = {
        "format": 1, "name": run, "model": "small-cnn", "status": "finished", "classes": classes,
        "class_names": classes, "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T01:00:00Z",
        "preprocessing": {"size": 32, "resize": 32, "mean": [0.5] * 3, "std": [0.5] * 3},
    }  # fmt: skip
    (root / "run.json").write_text(json.dumps(card))
    path = root / "evaluations" / f"1.0.0-{split}" / "predictions.parquet"
    path.parent.mkdir(parents=True)
    image_id, concept_id, guesses, shares, own = (list(column) for column in zip(*rows, strict=True))
    table = pa.table({
        "image_id": image_id, "concept_id": concept_id, "label": pa.array([classes.index(one) for one in concept_id],
                                                                          pa.int32()),
        "guesses": pa.array(guesses, pa.list_(pa.string())), "probabilities": pa.array(shares, pa.list_(pa.float32())),
        "true_probability": pa.array(own, pa.float32()), "cause": ["" if one else "truncated" for one in guesses],
    })  # fmt: skip
    pq.write_table(table, path)
    return path


def filled(project: pictus.Project, fill: Fill) -> list[str]:
    return list(fill(project, {f"{'owl' if at < 6 else 'wren'}/{at}.jpg": "owl" if at < 6 else "wren"
                               for at in range(12)}).values())  # fmt: skip


def words(ids: list[str]) -> list[tuple[str, str, list[str], list[float], float]]:
    """The model is sure of all; the third owl it calls a wren, the fourth could not be read."""
    rows = [(one, "owl" if at < 6 else "wren", ["owl", "wren"] if at < 6 else ["wren", "owl"], [0.9, 0.1], 0.9)
            for at, one in enumerate(ids)]  # fmt: skip
    rows[2] = (ids[2], "owl", ["wren", "owl"], [0.95, 0.05], 0.05)
    rows[3] = (ids[3], "owl", [], [], 0.0)
    return rows
