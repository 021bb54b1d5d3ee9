"""The sweeps that repeat the paper's experiments ask for the paper's settings."""

import pytest

from mia.composition import compose_config
from mia.config import Config, to_options

PAPER = {  # Shokri et al. 2017, table II: training records and shadows
    "adult": (10_000, 20),
    "mnist": (10_000, 50),
    "locations": (1_200, 60),
    "purchase": (10_000, 20),
    "texas": (10_000, 10),
}


@pytest.fixture
def configurations(listed):
    return lambda *overrides: [to_options(compose_config(job), Config) for job in listed(list(overrides))]


def test_every_data_set_has_the_papers_size_and_shadows(configurations):
    found = {one.data.name: (one.split.size, one.split.num_shadows) for one in configurations("+sweeps=datasets")}
    assert found == PAPER


@pytest.mark.parametrize(
    ("sweep", "data", "swept"),
    [
        ("classes", "purchase", [2, 10, 20, 50, 100]),
        ("noise", "locations", [0, 0.1, 0.2]),
        ("shadow_data", "locations", ["real", "noisy", "marginal", "synthesized"]),
        ("num_shadows", "locations", [1, 2, 5, 10, 20, 60]),
    ],
)
def test_a_sweep_varies_one_thing(configurations, sweep, data, swept):
    varied = {
        "classes": lambda one: one.data.classes,
        "noise": lambda one: one.shadow_data.noise,
        "shadow_data": lambda one: one.shadow_data.name,
        "num_shadows": lambda one: one.split.num_shadows,
    }
    found = configurations(f"+sweeps={sweep}")
    assert [varied[sweep](one) for one in found] == swept
    assert {(one.data.name, one.split.size) for one in found} == {(data, PAPER[data][0])}
    for one in found:
        assert "shadow_mlp" in one.experiment().attack.chosen


def test_the_setting_of_a_sweep_can_be_exchanged(configurations):
    found = configurations("+sweeps=shadow_data", "paper=adult", "split.num_shadows=3")
    assert {(one.data.name, one.split.num_shadows) for one in found} == {("adult", 3)}
