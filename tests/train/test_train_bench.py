"""The measurement beside PyTorch: who is called with what, and which ratios are told."""

import argparse
import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).parents[1] / "bench" / "train.py"


@pytest.fixture
def bench():
    spec = importlib.util.spec_from_file_location("bench_train", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured(bench, monkeypatch, rates, dp):
    """Return the line and the commands; `rates` are samples per second, one after another."""
    commands, left = [], iter(rates)

    def run(command, **_):
        commands.append(command)
        return SimpleNamespace(stdout="a line before\n" + json.dumps({"samples_per_second": next(left)}) + "\n")

    monkeypatch.setattr(bench.subprocess, "run", run)
    given = {"model": "mlp", "models": 2, "size": 64, "batch": 32, "epochs": 300, "tune": "off", "norm": "group"}
    given |= {"models_per_batch": "auto", "test_records": 0, "cache": Path("kept"), "beside": ["torch/python", "it.py"]}
    given |= {"convolution": "fixed"}
    return bench.beside(argparse.Namespace(**given, dp=dp, rounds=3)), commands


def test_rounds_take_turns_and_ratios_are_those_of_one_round(bench, monkeypatch):
    rates = [100, 50, 25, 10, 10, 5, 300, 100, 100]  # the machine was busy in the second round
    line, commands = measured(bench, monkeypatch, rates, dp=False)
    assert line["samples_per_second"] == {"ours": 100, "tuned": 50, "default": 25}
    assert line["ratio_to"] == {"tuned": 2.0, "default": 3.0}  # ratios 2, 1, 3 and 4, 2, 3
    assert [command[0] == "torch/python" for command in commands] == [False, True, True] * 3
    assert all(command[command.index("--batch") + 1] == "32" for command in commands)


def test_private_training_is_beside_every_mode_and_our_own_plain(bench, monkeypatch):
    line, commands = measured(bench, monkeypatch, [60, 100, 10, 20] * 3, dp=True)
    assert line["ratio_to"] == {"ours plain": 0.6, "hooks": 6.0, "ghost": 3.0}
    assert ["--dp" in command for command in commands[:4]] == [True, False, True, True]
    assert [command[command.index("--dp") + 1] for command in commands[2:4]] == ["hooks", "ghost"]
