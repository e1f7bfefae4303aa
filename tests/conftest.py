"""Fixtures every test may ask for: a fresh project, drawn pictures, real data where it exists."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

import pictus

MakeJpeg = Callable[..., bytes]

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture
def project(tmp_path: Path) -> pictus.Project:
    return pictus.new(tmp_path / "birds")


Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """shell("clean", "check", at=folder): a command as `pictus` runs it, without a second Python that starts for it."""
    from pictus.cli import main

    def run(*words: str, at: Path) -> "subprocess.CompletedProcess[str]":
        capsys.readouterr()
        code = 0
        with monkeypatch.context() as patch:
            patch.chdir(at)
            patch.setattr(sys, "argv", ["pictus", *words])
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """real_data("cifar10") -> its folder, or the test is skipped and says why."""
    root = Path(os.environ.get("PICTUS_REAL_DATA", REPOSITORY.parent / "shared" / "data"))

    def find(name: str) -> Path:
        folder = root / name
        if not folder.exists():
            pytest.skip(f"real data set {name!r} not found (set PICTUS_REAL_DATA)")
        return folder

    return find


@pytest.fixture(scope="session")
def wordnet_dir() -> Path:
    folder = Path("/usr/share/wordnet")
    if not (folder / "data.noun").exists():
        pytest.skip("WordNet's files are not installed (Debian: wordnet-base)")
    return folder


@pytest.fixture(scope="session")
def make_jpeg() -> MakeJpeg:
    """make_jpeg(width=96, height=64, seed=0, quality=90): a varied, natural-looking picture."""

    @cache
    def make(width: int = 96, height: int = 64, seed: int = 0, quality: int = 90, *, kind: str = "JPEG") -> bytes:
        buffer = io.BytesIO()
        draw(width, height, seed).save(buffer, kind, quality=quality)
        return buffer.getvalue()

    return make


def draw(width: int, height: int, seed: int) -> Image.Image:
    """Soft colour noise at four scales: entropy, edges and hashes like a photograph's."""
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells, weight in ((3, 1.0), (8, 0.6), (24, 0.3), (64, 0.15)):
        noise = generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        total += weight * np.asarray(layer, dtype=np.float64)
    total -= total.min()
    pixels = (total / max(total.max(), 1e-9) * 255).astype(np.uint8)
    return Image.fromarray(pixels).filter(ImageFilter.SHARPEN)


MakeRelease = Callable[..., Path]

TREE = (
    ("n01", ("animal",), (), False),
    ("n02", ("dog", "domestic dog"), ("n01",), True),
    ("n03", ("cat",), ("n01",), True),
    ("n04", ("tool",), (), False),
    ("n05", ("axe",), ("n04",), True),
    ("n06", ("saw",), ("n04",), True),
)
"""concept_id, names, parents, is_class: two roots, so a virtual one stands above them (height 2)."""


@pytest.fixture(scope="session")
def make_release() -> MakeRelease:
    """make_release(folder, pictures) -> folder, a release written by hand as releases.py describes it.

    pictures: rows of (split, concept_id, picture bytes) over TREE's four classes n02, n03, n05, n06.
    """
    return write_release


def write_release(folder: Path, pictures: list[tuple[str, str, bytes]], version: str = "1.0.0") -> Path:
    import hashlib
    import json
    import tarfile

    import pyarrow as pa
    import pyarrow.parquet as pq

    from pictus import pixels, releases

    classes = sorted(concept_id for concept_id, _, _, is_class in TREE if is_class)
    (folder / "shards").mkdir(parents=True)
    rows = []
    with tarfile.open(folder / "shards/pictures-00000.tar", "w") as tar:
        for split, concept_id, data in pictures:
            image_id = hashlib.sha256(data).hexdigest()
            info = tarfile.TarInfo(f"{image_id}.jpg")
            info.size = len(data)
            offset = tar.offset + tarfile.BLOCKSIZE
            tar.addfile(info, io.BytesIO(data))
            try:
                header = pixels.sniff(data)
                shape = {"width": header.width, "height": header.height, "format": header.format}
            except pictus.PictureError:
                shape = {"width": 0, "height": 0, "format": "jpeg"}
            rows.append({
                "image_id": image_id, "key": info.name, "shard": "shards/pictures-00000.tar", "offset": offset,
                "size": len(data), **shape, "split": split, "concept_id": concept_id,
                "label": classes.index(concept_id), "posterior": 1.0, "n_votes": 3, "group_id": "", "licence": "CC0",
                "author": "", "address": "drawn", "origin_id": image_id, "changes": "",
            })  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=releases.PICTURES)
    pq.write_table(table, folder / "pictures.parquet")
    concepts = [
        {"concept_id": concept_id, "names": list(names), "gloss": "", "parents": list(parents), "is_class": is_class,
         "source": "test", "label": classes.index(concept_id) if is_class else -1}
        for concept_id, names, parents, is_class in TREE
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(concepts, schema=releases.CONCEPTS), folder / "concepts.parquet")
    digest = releases.content_digest(table, tuple(classes))
    sums = {
        str(path.relative_to(folder)): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size": path.stat().st_size
        }
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip
    counts = {"pictures": len(rows), "classes": len(classes)}
    manifest = {"format": 1, "name": "drawn", "version": version, "digest": digest, "created": "2026-01-01T00:00:00Z",
                "counts": counts, "files": sums}  # fmt: skip
    (folder / releases.MANIFEST).write_text(json.dumps(manifest))
    return folder


MakeRun = Callable[..., Path]


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    """make_run(folder, model="small-cnn", size=32, seed=0) -> folder, a finished run over TREE's four classes."""
    return write_run


def write_run(folder: Path, model: str = "small-cnn", size: int = 32, seed: int = 0) -> Path:
    import json

    import torch
    from safetensors.torch import save_file

    from pictus import networks

    concepts = {concept_id: names[0] for concept_id, names, _, is_class in TREE if is_class}
    torch.manual_seed(seed)
    network = networks.make(model, len(concepts), size=size)
    folder.mkdir(parents=True)
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, folder / "model.safetensors")
    card = {
        "format": 1, "name": folder.name, "model": model, "status": "finished", "classes": list(concepts),
        "class_names": list(concepts.values()), "started_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T00:01:00Z",
        "preprocessing": {"size": size, "resize": size, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(card))
    return folder


_STORE_BYTES = 80 * 2**20  # of each node: the least Ray takes is 75 MB
_LOOPBACK = "127.0.0.2"  # Ray takes 127.0.0.1 for "the address by which others reach this machine"


class TwoNodes:
    """A head with one CPU, and a second node with one, which may be removed and comes back for the next test."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": _STORE_BYTES, "node_ip_address": _LOOPBACK}
        self._node = node
        told = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
        head = {**node, "include_dashboard": False, "_system_config": told}  # a node's death is seen in 2 s, not 15
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = self._cluster.address
        self._second: Any = None

    def complete(self) -> None:
        if self._second is None:
            self._second = self._cluster.add_node(**self._node)

    @property
    def second_id(self) -> str:
        return str(self._second.node_id)

    def lose_second(self) -> None:
        """As when the machine's plug is pulled."""
        self._cluster.remove_node(self._second, allow_graceful=False)
        self._second = None

    def end(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[TwoNodes]:
    """A real Ray cluster on the loopback interface. Who uses it sets RAY_ADDRESS to its address."""
    ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, and of its daemons' files
        nodes = TwoNodes()
        nodes.complete()
        yield nodes
        ray.shutdown()
        nodes.end()
