"""The list of benchmarks is whole, and says of each what its first line says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "benchmarks"


def test_every_benchmark_is_listed_with_its_first_line() -> None:
    first = {
        path.name: (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        for path in FOLDER.glob("*.py")
    }
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[`(\w+\.py)`\]\((\S+)\) \| (.*?) \|", page, re.MULTILINE)
    assert [name for name, link, _ in rows if link != name] == []
    assert dict(sorted((name, said) for name, _, said in rows)) == dict(sorted(first.items()))
    assert len(rows) == len(first), "one row each"
