"""The script of docs/python.md runs as written, and the page names what is called otherwise in Python."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from pictus.forms import all_forms

PAGE = (Path(__file__).parent.parent.parent / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
LAST = "    use(project)\n"


def run(script: str, folder: Path) -> str:
    (folder / "walk.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "-W", "error", "walk.py"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_walk_runs_as_written(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> None:
    for index in range(24):
        place = tmp_path / "photos" / ("owl" if index % 2 else "wren") / f"{index}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(make_jpeg(seed=index))
    Image.new("RGB", (96, 64), (9, 200, 30)).save(tmp_path / "photos/owl/blank.png")
    script = BLOCKS[0]
    assert script.count(LAST) == 1
    has_extras = all(importlib.util.find_spec(name) for name in ("torch", "safetensors", "onnxruntime", "onnxscript"))
    said = run(script if has_extras else script.replace(LAST, ""), tmp_path)
    assert "25 pictures added" in said
    assert str(tmp_path / "birds/releases/1.0.0") in said
    assert (tmp_path / "birds/releases/1.0.0/pictures.parquet").is_file()
    assert re.search(r"^[0-9a-f]{12} [a-z]", said, re.MULTILINE), "a picture that was dropped is told with its reason"
    assert f"releases 1   models {1 if has_extras else 0}" in said


def test_every_other_block_runs(tmp_path: Path) -> None:
    assert len(BLOCKS) > 1
    for block in BLOCKS[1:]:
        assert "There is no Pictus project" in run(block, tmp_path)


def test_the_page_names_every_name_that_differs_from_the_shell() -> None:
    for form in all_forms():
        called = f"{form.stage}.{form.step.function.__name__}(project"
        if form.step.function.__name__ != form.verb:
            assert f"| `pictus {form.step.name}` | `{called}" in PAGE
        for field in form.fields:
            if field.name.rstrip("_") != field.name:
                assert re.search(rf"`pictus {form.step.name}[^`]* {field.flag} ", PAGE), field.flag
                assert f"`{called}, {field.name}=" in PAGE
