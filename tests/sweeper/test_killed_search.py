"""A search whose processes are killed at random moments, in real processes (tests/bench/kills.py)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent.parent / "bench" / "kills.py"


@pytest.mark.slow
def test_a_search_that_is_killed_ends_with_exactly_its_trials():
    pytest.importorskip("optuna")
    command = [sys.executable, str(BENCH), "--axis", "search", "--kills", "3", "--configurations", "4"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["kills"] == 3
    assert found["identical"]  # to a search that nobody disturbed
    assert found["trials"] == [4, 6, 6]  # then two more were asked for
