"""The measurements for a GPU, tried on whatever is here with small numbers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"
RUN = """
import runpy, sys
sys.modules.update(hydra=None, mlflow=None)
sys.path.insert(0, sys.argv[1])
sys.argv = [sys.argv[1] + "/gpu.py", *sys.argv[2:]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
FIGURES = ["equal", "cnn", "mlp", "torch", "dp", "memory", "pool"]


@pytest.mark.slow
def test_every_figure_is_told_without_hydra_and_mlflow():
    given = ["--small", "--only", *FIGURES]
    found = subprocess.run([sys.executable, "-c", RUN, str(BENCH), *given], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert list(dict.fromkeys(line["figure"] for line in lines)) == ["machine", *FIGURES]
    assert not [line for line in lines if "failed" in line]
    assert [line["is_equal"] for line in lines if line["figure"] == "equal"] == [True, True]
    assert all(line["samples_per_second"] > 0 for line in lines if "samples_per_second" in line)
    (pool,) = (line for line in lines if line["figure"] == "pool")
    assert 0 <= pool["auc"] <= 1


@pytest.mark.slow
def test_what_there_is_no_time_for_is_named():
    given = ["--small", "--minutes", "0", "--only", "cnn", "mlp"]
    found = subprocess.run([sys.executable, str(BENCH / "gpu.py"), *given], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert [line["figure"] for line in lines if "skipped" in line] == ["cnn", "mlp"]
