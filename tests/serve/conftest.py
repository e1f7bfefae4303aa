"""One exported bundle for all tests of this folder: exporting takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pictus import serve
from pictus.project import bare
from pictus.serve.bundle import Bundle, open_bundle
from pictus.serve.recogniser import Recogniser


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, make_run: Any, make_release: Any, make_jpeg: Any) -> Path:
    """A folder with models/first, releases/1.0.0 and bundles/first."""
    root = tmp_path_factory.mktemp("served")
    make_run(root / "models/first")
    classes = ["n02", "n03", "n05", "n06"]
    pictures = [("test", classes[seed % 4], make_jpeg(60, 40, seed)) for seed in range(12)]
    make_release(root / "releases/1.0.0", [*pictures, ("test", "n02", b"\xff\xd8 not whole")])
    serve.export(bare(root))
    return root


@pytest.fixture(scope="session")
def bundle(served: Path) -> Bundle:
    return open_bundle(served / "bundles/first")


@pytest.fixture(scope="session")
def recogniser(bundle: Bundle) -> Recogniser:
    return Recogniser(bundle)
