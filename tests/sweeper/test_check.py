"""Grids are checked whole before anything runs, composed once per choice, and are what Hydra itself would compose."""

import pytest

from mia.checks import RequestError
from mia.composition import compose_with, open_hydra
from mia.config import Config, to_options
from mia.sweeper import check
from mia.sweeper.check import Composer, LastData, check_all

GRID = [
    "seed=0,1,2,3,4", "train.l2=0,1e-3,1e-2,1e-1", "train.dropout=0,0.25,0.5", "split.size=50,100",
    "defence=none,top_k,rounding", "attack=[loss,gap]", "model.hidden=[8]",
]  # fmt: skip


@pytest.fixture
def loader():
    return open_hydra().config_loader


def test_a_large_grid_is_composed_once_for_each_choice(listed, loader, monkeypatch):
    """Hydra takes 50 ms for each composition: a grid of 2,000 must not compose 2,000 times."""
    composed = []
    real = check.compose_with

    def counted(loader, overrides, *more, **named):
        composed.append(overrides)
        return real(loader, overrides, *more, **named)

    monkeypatch.setattr(check, "compose_with", counted)
    jobs = listed(GRID)
    found = check_all(jobs, Composer(loader), LastData())
    assert len(jobs) == len(found) == 5 * 4 * 3 * 2 * 3
    assert len(composed) == 3  # one for each defence


def test_what_it_composes_is_what_hydra_does(listed, loader):
    composer = Composer(loader)
    for overrides in listed(GRID)[::37]:
        assert composer.config(overrides) == to_options(compose_with(loader, overrides), Config)


@pytest.mark.parametrize(
    ("axis", "said"),
    [("split.size=50,5000", "5000"), ("train.l2=0,-1", "train.l2=-1"), ("defence=none,nune", "did you mean 'none'")],
)
def test_one_that_is_impossible_refuses_the_whole_grid_and_is_named(listed, loader, axis, said):
    with pytest.raises(RequestError) as refused:
        check_all(listed(["train.dropout=0,0.5", axis]), Composer(loader), LastData())
    assert said in str(refused.value)
    assert "(in the sweep's configuration train.dropout=" in str(refused.value)


def test_what_cannot_matter_makes_no_second_configuration(listed, loader):
    """Where no defence is on, the attacker knows as much either way."""
    found = check_all(listed(["train.l2=0,1e-2", "attacker.adaptive=true,false"]), Composer(loader), LastData())
    assert [(one.config.train.l2, one.config.attacker.adaptive) for one in found] == [
        (0.0, True), (0.01, True), (0.01, False),
    ]  # fmt: skip


def test_presets_of_attacks_depend_on_each_configurations_split(listed, loader):
    found = check_all(listed(["attack=quick,full", "split=disjoint,pool"]), Composer(loader), LastData())
    names = {("shadow_svm" in one.config.attack.chosen, one.config.split.protocol): one for one in found}
    online = {key: "lira_online" in one.config.attack.chosen for key, one in names.items()}
    assert online == {
        (False, "disjoint"): False, (False, "pool"): True, (True, "disjoint"): False, (True, "pool"): True,
    }  # fmt: skip
