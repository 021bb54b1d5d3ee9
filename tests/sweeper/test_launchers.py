"""Launchers that can be chosen by name, and the queue that each stands for."""

import importlib.util

import pytest

from mia.checks import RequestError
from mia.composition import choices_of, compose_with, open_hydra
from mia.sweeper import sending

PRESETS = ["slurm_cpu", "slurm_gpu", "slurm_preemptible"]
needs_submitit = pytest.mark.skipif(
    importlib.util.find_spec("submitit") is None, reason="needs: pip install '.[slurm]'"
)


def launcher(name):
    composed = compose_with(open_hydra().config_loader, [f"hydra/launcher={name}"], with_hydra=True)
    return dict(composed.hydra.launcher)


@needs_submitit
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_submitits_launcher_with_its_own_values_and_its_queue_is_slurms(name, monkeypatch, tmp_path):
    plain, found = launcher("submitit_slurm"), launcher(name)
    assert found["_target_"] == plain["_target_"]
    assert found.keys() == plain.keys(), "a preset sets what submitit's launcher knows"
    assert found["max_num_timeout"] > plain["max_num_timeout"]
    monkeypatch.setattr(sending, "_slurm", lambda options, *_: ("slurm", options))
    assert sending.queue_of(found["_target_"], found, tmp_path, dict) == ("slurm", found)


def test_ray_is_chosen_by_name_and_names_no_code(monkeypatch, tmp_path):
    found = launcher("ray")
    assert "_target_" not in found
    monkeypatch.setattr(sending, "_ray", lambda options, *_: ("ray", options))
    assert sending.queue_of("ray", found, tmp_path, dict) == ("ray", found)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_its_launcher_says_how_to_get_it(tmp_path):
    with pytest.raises(RequestError, match=r"pip install '\.\[ray\]'"):
        sending.queue_of("ray", {}, tmp_path, dict)


def test_every_launcher_is_listed():
    assert {*PRESETS, "ray", "basic", "joblib", "submitit_slurm", "submitit_local"} == set(choices_of("hydra/launcher"))
