from __future__ import annotations

import subprocess
import sys

WAITING = """
import sys, time
from pictus.train.loop.signals import leave_with
leave_with(int(sys.argv[1]))
time.sleep(60)
"""


def test_a_helper_leaves_once_the_process_that_started_it_is_gone_also_where_it_was_gone_before() -> None:
    nobody = "-1"
    assert subprocess.run([sys.executable, "-c", WAITING, nobody], timeout=30, check=False).returncode == 1
