"""What a data set says of its records reaches the run: whose they are, what tells them apart, which are copies."""

from dataclasses import replace

import numpy as np
import pytest

from mia.attacks.confidence import LossOptions
from mia.attacks.gap import GapOptions
from mia.attacks.options import AttackOptions
from mia.checks import RequestError
from mia.data import load
from mia.data.digits import DigitsOptions
from mia.experiment.identity import pool_identity, run_identity
from mia.experiment.options import ExperimentOptions
from mia.experiment.run import run_experiment
from mia.models.mlp import MlpOptions
from mia.split import SplitOptions, draw_groups, make_split
from mia.store import PoolStore
from mia.train.options import TrainOptions


def options_of(**split) -> ExperimentOptions:
    return ExperimentOptions(
        0,
        DigitsOptions(),
        SplitOptions(**{"size": 60, "num_shadows": 2} | split),
        MlpOptions(hidden=[8]),
        TrainOptions(epochs=2, test_records=0),
        AttackOptions(chosen={"gap": GapOptions()}),
    )


@pytest.fixture(scope="module")
def people():
    """Digits of people with one to twenty records each."""
    data = load(DigitsOptions())
    sizes = np.random.default_rng(0).integers(1, 21, 600)
    groups = np.repeat(np.arange(600), sizes)[: len(data.x)].astype(np.int32)
    return replace(data, groups=groups, slices={"sex": np.array(["a", "b"])[groups % 2]})


@pytest.mark.parametrize("protocol", ["disjoint", "pool"])
def test_a_persons_records_are_on_one_side_of_every_model(people, protocol):
    split = make_split(SplitOptions(protocol, 200, 3), len(people.x), 0, groups=people.groups)
    for members, nonmembers in zip(split.members, split.nonmembers, strict=True):
        assert len(members) == len(nonmembers) == 200
        known = np.concatenate([members, nonmembers])
        assert not set(people.groups[members]) & set(people.groups[nonmembers])
        assert np.isin(people.groups, people.groups[known]).sum() == len(known), "whole groups"


def test_sizes_that_no_groups_add_up_to_are_refused():
    generator, groups = np.random.default_rng(0), np.repeat(np.arange(10), 4)
    assert len(draw_groups(generator, np.arange(40), 20, groups)) == 20
    with pytest.raises(RequestError, match="whole groups"):
        draw_groups(generator, np.arange(40), 18, groups)


def test_groups_and_slices_are_judged(people, tmp_path):
    result = run_experiment(options_of(size=300), people, PoolStore(tmp_path))
    assert 0 <= result.metrics["attack/gap/group_auc"] <= 1
    assert {row["slice"] for row in result.slices} >= {"class", "sex"}
    plain = replace(people, groups=None, slices={})
    assert pool_identity(options_of(), plain, TrainOptions()) != pool_identity(options_of(), people, TrainOptions())
    assert run_identity(options_of(), plain) != run_identity(options_of(), replace(plain, slices=people.slices))


def test_slices_are_judged_at_the_threshold_that_stand_ins_teach(people, tmp_path):
    """The rates of a property's slices, by their records, add up to those of the whole attack."""
    options = replace(options_of(size=300), attack=AttackOptions(chosen={"loss": LossOptions()}))
    result = run_experiment(options, people, PoolStore(tmp_path))
    rows = [row for row in result.slices if (row["attack"], row["slice"]) == ("loss", "sex")]
    assert len(rows) == 2
    for metric, count in (("tpr_at_learnt_1pct_fpr", "members"), ("fpr_at_learnt_1pct_fpr", "non_members")):
        found = sum(row[metric] * row[count] for row in rows) / 300
        assert found == pytest.approx(result.metrics[f"attack/loss/{metric}"], abs=1e-12)
        assert all(row[f"{metric}_low"] <= row[metric] <= row[f"{metric}_high"] for row in rows)


def test_copies_on_both_sides_are_counted(tmp_path):
    data = load(DigitsOptions())
    half = len(data.x) // 2
    x = np.concatenate([data.x[:half], data.x[:half]])
    y = np.concatenate([data.y[:half], data.y[:half]])
    options = options_of(size=400, num_shadows=1, overlap=True)
    result = run_experiment(options, replace(data, x=x, y=y), PoolStore(tmp_path))
    split = make_split(options.split, len(x), 0)
    seen = np.isin(split.nonmembers[0] % half, split.members[0] % half).sum()
    assert seen > 50
    assert any(f"{seen} of 400 non-members are exact copies" in line for line in result.warnings)
