"""A tiny release whose classes can be told apart, made with nothing but the foundation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pictus
from pictus.pixels import Pixels, encode_jpeg
from pictus.releases import CONCEPTS, FORMAT, PICTURES, content_digest
from pictus.shards import ShardWriter

MakeRelease = Callable[..., Path]


@pytest.fixture(scope="session")
def make_release() -> MakeRelease:
    """make_release(root, classes=3, train=16, val=4, broken=0): a release folder.

    A class is the direction of stripes on a coloured, noisy ground: colour alone does not tell it.
    """

    def make(
        root: Path, *, classes: int = 3, train: int = 16, val: int = 4, broken: int = 0, version: str = "1.0.0",
        seed: int = 0,
    ) -> Path:  # fmt: skip
        folder = root / version
        generator = np.random.default_rng(seed)
        rows = []
        ids = [f"x{number:08d}" for number in range(classes)]
        with ShardWriter(folder / "shards") as writer:
            for label, concept_id in enumerate(ids):
                for split, count in (("train", train), ("val", val)):
                    for number in range(count):
                        image_bytes = encode_jpeg(striped(label, classes, generator))
                        if split == "train" and number < broken:
                            image_bytes = image_bytes[: len(image_bytes) * 3 // 4]
                        rows.append(_row(writer, image_bytes, split, concept_id, label))
        pictures = pa.Table.from_pylist(rows, schema=PICTURES)
        concepts = [
            {"concept_id": concept_id, "names": [f"stripe {label}"], "gloss": "", "parents": [], "is_class": True,
             "source": "test", "label": label}
            for label, concept_id in enumerate(ids)
        ]  # fmt: skip
        pq.write_table(pictures, folder / "pictures.parquet")
        pq.write_table(pa.Table.from_pylist(concepts, schema=CONCEPTS), folder / "concepts.parquet")
        manifest = {"format": FORMAT, "name": "stripes", "version": version, "files": {},
                    "counts": {"pictures": len(rows), "classes": classes},
                    "digest": content_digest(pictures, tuple(ids))}  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return make


def striped(label: int, classes: int, generator: np.random.Generator) -> Pixels:
    """Stripes at an angle of label × 180° / classes, random phase, colours and noise. u8[36, 44, 3]"""
    y, x = np.mgrid[0:36, 0:44]
    angle = np.pi * label / classes
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 0.9 + generator.uniform(0, 6))
    colours = generator.uniform(40, 215, (2, 3))
    pixels = np.where(wave[:, :, None] > 0, colours[0], colours[1]) + generator.normal(0, 6, (36, 44, 3))
    made: Pixels = pixels.clip(0, 255).astype(np.uint8)
    return made


TrainTwice = Callable[..., tuple[Path, Path]]


@pytest.fixture
def trained_twice(monkeypatch: pytest.MonkeyPatch) -> TrainTwice:
    """trained_twice(project, settings, at=7) -> the folders of a run nobody disturbed, and of one that was stopped
    before step `at` and resumed.
    """
    from pictus import train
    from pictus.train.loop import training

    def make(project: pictus.Project, settings: tuple[str, ...], *, at: int = 7) -> tuple[Path, Path]:
        train.run(project, name="whole", set_=settings)
        advance = training.advance

        def stopping(job: Any, state: Any, *rest: Any) -> Any:
            if state.counters.step == at:
                raise KeyboardInterrupt
            return advance(job, state, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(training, "advance", stopping)
            with pytest.raises(KeyboardInterrupt):
                train.run(project, name="stopped", set_=settings)
        train.resume(project, "stopped")
        return project.models_dir / "whole", project.models_dir / "stopped"

    return make


@pytest.fixture
def stripes(project: pictus.Project, make_release: MakeRelease) -> pictus.Project:
    """A project with release 1.0.0 of three classes of stripes, 16 + 4 pictures each."""
    make_release(project.releases_dir)
    return project


def _row(writer: ShardWriter, image_bytes: bytes, split: str, concept_id: str, label: int) -> dict[str, object]:
    image_id = hashlib.sha256(image_bytes).hexdigest()
    placed = writer.add(image_id, "jpg", image_bytes)
    return {
        "image_id": image_id, "key": image_id, "shard": f"shards/{placed.shard}", "offset": placed.offset,
        "size": placed.size, "width": 44, "height": 36, "format": "jpeg", "split": split, "concept_id": concept_id,
        "label": label, "posterior": 1.0, "n_votes": 1, "group_id": image_id, "licence": "", "author": "",
        "address": "", "origin_id": image_id, "changes": "",
    }  # fmt: skip
