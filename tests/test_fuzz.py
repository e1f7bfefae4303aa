"""Corrupt pictures for three seconds, as benchmarks/fuzz.py does for sixty: no crash, no hang, no error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parent.parent / "benchmarks" / "fuzz.py"


def test_corrupt_pictures_end_in_a_cause_and_nothing_else() -> None:
    command = [sys.executable, str(FUZZ), "--seconds", "3"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    found = json.loads(run.stdout.splitlines()[-1])
    assert (found["crashes"], found["hangs"], found["errors"]) == ([], [], [])
    assert found["n"] > 10
    assert found["memory_mb"] < 2_000
    assert run.returncode == 0
