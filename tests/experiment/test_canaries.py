"""Canaries: coins that are fair and independent, places that are empty, bounds on epsilon that hold and that catch."""

import re
from dataclasses import replace

import numpy as np
import pytest

from mia.attacks import ATTACKS
from mia.attacks.options import AttackOptions
from mia.checks import RequestError
from mia.cli.forecast import _missing
from mia.data import load
from mia.data.digits import DigitsOptions
from mia.experiment.floor import KNOWN, target_utility
from mia.experiment.identity import pool_identity, run_identity
from mia.experiment.options import BoundOptions, ExperimentOptions
from mia.experiment.own_training import OwnTraining
from mia.experiment.run import check_request, run_experiment
from mia.experiment.training import with_empty_places
from mia.models.mlp import MlpOptions
from mia.split import SplitOptions, make_split, mislabelled
from mia.store import PoolStore
from mia.train.many import train_many
from mia.train.options import TrainOptions

HARMLESS = {"epsilon": 1.0, "clipping_norm": 1.0}


def canary_options(train=None, *, attacks=("loss",), seed=0, audit=None, **split) -> ExperimentOptions:
    return ExperimentOptions(
        seed,
        DigitsOptions(),
        SplitOptions("canary", **{"size": 200, "num_shadows": 0, "canaries": 100} | split),
        MlpOptions(hidden=[32]),
        train or TrainOptions(epochs=2, test_records=0),
        AttackOptions(chosen={name: ATTACKS[name].options() for name in attacks}),
        audit=audit or BoundOptions(),
    )


def private(**dp) -> TrainOptions:
    dp_options = type(TrainOptions().dp)(**dp)
    return TrainOptions(epochs=10, batch_size=50, test_records=0, learning_rate=5e-3, dp=dp_options)


@pytest.fixture(scope="module")
def digits():
    return load(DigitsOptions())


@pytest.fixture(scope="module")
def short_digits(digits):
    return replace(digits, x=digits.x[:400], y=digits.y[:400])


def test_every_canary_has_a_fair_coin_of_its_own_and_all_other_records_are_always_in():
    split = make_split(SplitOptions("canary", 300, 399, canaries=40), 1000, 0)
    is_in = np.stack([np.isin(split.canaries, split.members_of(model)) for model in range(split.num_models)])
    ordinary = {tuple(np.setdiff1d(split.members_of(model), split.canaries)) for model in range(split.num_models)}
    assert len(ordinary) == 1
    assert len(next(iter(ordinary))) == 260
    tested = {tuple(row) for row in split.nonmembers}
    assert len(tested) == 1
    assert not set(next(iter(tested))) & {*next(iter(ordinary)), *split.canaries}
    shares = is_in.mean(axis=0)  # of 400 coins each
    assert np.abs(shares - 0.5).max() < 4.5 * 0.5 / np.sqrt(400)
    correlation = np.corrcoef(is_in.T)[np.triu_indices(40, 1)]
    assert abs(correlation.mean()) < 4 / np.sqrt(400 * len(correlation))  # a fixed number of members gives -1/39
    counts = is_in.sum(axis=1)
    assert 0.7 < counts.var() / (40 / 4) < 1.35  # binomial
    more = make_split(SplitOptions("canary", 300, 2, canaries=40), 1000, 0)
    np.testing.assert_array_equal(more.members, split.members[:3])


def test_requests_that_cannot_be_are_refused(digits):
    for options, told in (
        (canary_options(size=200, canaries=300), "at most split.size=200"),
        (canary_options(size=len(digits.x)), "must be below 1797"),
        (canary_options(TrainOptions(label_smoothing=0.1)), "train.label_smoothing would give a loss"),
        (canary_options(TrainOptions(mixup=0.1)), "train.mixup would give a loss"),
    ):
        with pytest.raises(RequestError, match=re.escape(told)):
            check_request(options, digits)
    with pytest.raises(RequestError, match=r"leave data\.group out"):
        check_request(canary_options(), replace(digits, groups=np.zeros(len(digits.x), np.int32)))
    with pytest.raises(RequestError, match="needs split=canary"):
        SplitOptions("pool", mislabel=True)
    with pytest.raises(RequestError, match=r"audit\.confidence=0\.3"):
        BoundOptions(confidence=0.3)
    with pytest.raises(RequestError, match="mislabel the canaries yourself"):
        check_request(canary_options(mislabel=True), digits, OwnTraining("own", lambda *_: None))
    check_request(canary_options(TrainOptions(l2=0.1, dropout=0.1)), digits)


def test_wrong_labels_are_wrong_for_canaries_alone_and_make_another_pool(digits):
    plain, wrong = canary_options(), canary_options(mislabel=True)
    split = make_split(wrong.split, len(digits.x), 0)
    assert mislabelled(digits, plain.split, split, 0) is digits
    changed = mislabelled(digits, wrong.split, split, 0)
    is_canary = np.isin(np.arange(len(digits.x)), split.canaries)
    np.testing.assert_array_equal(changed.y != digits.y, is_canary)
    assert changed.y.dtype == digits.y.dtype
    assert pool_identity(wrong, changed, wrong.train) != pool_identity(plain, digits, plain.train)
    assert run_identity(wrong, digits) != run_identity(plain, digits)
    other = replace(plain, audit=BoundOptions(delta=1e-6))
    assert run_identity(other, digits) != run_identity(plain, digits)
    assert pool_identity(other, digits, plain.train) == pool_identity(plain, digits, plain.train)


def trained(data, members, options):
    places, at = with_empty_places(data, np.array([members], np.int32))
    (model,) = train_many(
        places, at, np.array([[0]], np.int32), np.array([5], np.uint32), MlpOptions(hidden=[8]), [options]
    )
    return model


def test_an_empty_place_leaves_no_trace(short_digits):
    """DP-SGD without noise, all records in one batch: with or without empty places the sum of gradients is the same."""
    kind = type(TrainOptions().dp)
    options = TrainOptions(
        epochs=3, batch_size=10**6, test_records=0, dp=kind(clipping_norm=1.0, sampling="shuffled", microbatch=8)
    )
    alone, beside = trained(short_digits, range(40), options), trained(short_digits, [*range(40), *[-1] * 20], options)
    for name, value in alone.parameters.items():
        # Adam does not see the scale of the mean, which is over 60 places; its epsilon of 1e-7 does, a little
        np.testing.assert_allclose(beside.parameters[name], value, atol=2e-4)
    assert beside.train_loss[0] * 60 / 40 == pytest.approx(alone.train_loss[0], rel=1e-3)


def test_a_run_judges_canaries_and_tells_use_by_ordinary_records(digits, tmp_path):
    train = TrainOptions(epochs=30, learning_rate=5e-3, test_records=0)
    options = canary_options(train, attacks=("loss", "lira_offline"), num_shadows=4, canaries=50, mislabel=True)
    result = run_experiment(options, digits, PoolStore(tmp_path))
    split = make_split(options.split, len(digits.x), 0)
    np.testing.assert_array_equal(result.index, split.canaries)
    np.testing.assert_array_equal(result.is_member, np.isin(split.canaries, split.members_of(0)))
    np.testing.assert_array_equal(result.labels, mislabelled(digits, options.split, split, 0).y[split.canaries])
    assert result.metrics["target/test_accuracy"] > 0.4  # by right labels, of records that nobody mislabelled
    assert result.shadow_accuracy is not None
    assert result.shadow_accuracy.shape == (4, 2)
    assert result.metrics["shadow/test_accuracy"] == pytest.approx(result.shadow_accuracy[:, 1].mean())
    for name in ("epsilon_one_run", "epsilon_one_run_fdp", "epsilon_clopper_pearson", "mu_gdp"):
        assert result.metrics[f"attack/lira_offline/{name}"] >= 0
    assert "privacy/epsilon_lower_bound" in result.metrics
    belief = [result.metrics[f"attack/gap/bayesian_epsilon{end}"] for end in ("_low", "", "_high")]
    assert belief == sorted(belief)
    assert "attack/lira_offline/placebo_auc" in result.metrics
    assert not _missing(options, digits, PoolStore(tmp_path), "forecast")
    assert (
        len(_missing(replace(options, split=replace(options.split, mislabel=False)), digits, PoolStore(tmp_path), ""))
        == 5
    )
    again = run_experiment(options, digits, PoolStore(tmp_path))
    assert again.metrics["pool/models_trained"] == 0
    assert again.metrics["attack/loss/auc"] == result.metrics["attack/loss/auc"]


@pytest.mark.parametrize("protocol", ["disjoint", "pool"])
def test_other_protocols_say_why_there_is_no_bound(protocol, digits, tmp_path):
    options = replace(canary_options(private(**HARMLESS)), split=SplitOptions(protocol, 60, 2))
    result = run_experiment(options, digits, PoolStore(tmp_path))
    assert not [name for name in result.metrics if "lower_bound" in name or "epsilon_one_run" in name]
    assert any("no bound on epsilon" in line and "split=canary" in line for line in result.warnings)


@pytest.mark.slow
def test_bounds_of_dp_sgd_stay_below_its_guarantee(digits, tmp_path):
    """Sixty small runs: each bound may exceed the guarantee in 5 of 100."""
    exceeded = dict.fromkeys(("epsilon_one_run", "epsilon_one_run_fdp", "epsilon_clopper_pearson"), 0)
    for seed in range(60):
        options = canary_options(private(**HARMLESS), seed=seed, mislabel=bool(seed % 2), canaries=200)
        metrics = run_experiment(options, digits, PoolStore(tmp_path)).metrics
        assert metrics["privacy/epsilon"] <= 1
        for name in exceeded:
            exceeded[name] += metrics[f"attack/loss/{name}"] > metrics["privacy/epsilon"]
    assert max(exceeded.values()) <= 3


@pytest.mark.parametrize("fault", ["no noise", "no clipping"])
def test_a_broken_dp_sgd_is_caught(fault, digits, tmp_path, monkeypatch):
    """It claims its noise multiplier and leaves the noise, or the clipping that gives it a scale, out."""
    from mia.train import private as code

    if fault == "no noise":
        monkeypatch.setattr(code, "noisy_mean", no_noise(code.noisy_mean))
    else:
        monkeypatch.setattr(code, "kept_share", lambda squares, _: squares * 0 + 1)
    # Compiled code of another test would still be right: another hidden width compiles anew.
    train = replace(private(epsilon=1.0, clipping_norm=1e-4 if fault == "no clipping" else 1.0), epochs=150)
    options = replace(
        canary_options(train, mislabel=True, size=240, canaries=200),
        model=MlpOptions(hidden=[131 if fault == "no noise" else 132]),
    )
    metrics = run_experiment(options, digits, PoolStore(tmp_path)).metrics
    assert metrics["privacy/epsilon"] <= 1
    assert metrics["attack/loss/epsilon_one_run"] > metrics["privacy/epsilon"]
    assert metrics["privacy/epsilon_lower_bound"] > metrics["privacy/epsilon"]


def no_noise(noisy_mean):
    def mean(total, count, key, noise_multiplier, clipping_norm):
        return noisy_mean(total, count, key, 0 * noise_multiplier, clipping_norm)

    return mean


@pytest.mark.parametrize("mislabel", [False, True])
def test_a_floor_judges_the_target_that_the_run_has_and_trains_it_once(short_digits, tmp_path, mislabel):
    options, store = canary_options(num_shadows=2, mislabel=mislabel), PoolStore(tmp_path)
    found = target_utility(options, short_digits, store)
    result = run_experiment(options, short_digits, store)
    assert found == {name: result.metrics[name] for name in KNOWN}
    assert result.metrics["pool/models_trained"] == 2
    assert len(list(tmp_path.iterdir())) == 1
