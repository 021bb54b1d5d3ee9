"""Plans: who trains on what, as properties; and the code that trains by them, run as it stands."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mia
from mia.checks import RequestError
from mia.plans import make_plan
from mia.predictions.planned import read_plan
from mia.snippets import FRAMEWORKS, training_code
from mia.split import SplitOptions, make_split

seeds = st.integers(0, 2**32 - 1)


@given(records=st.integers(2, 80), shadows=st.integers(1, 7), seed=seeds)
def test_in_a_pool_everybody_trains_on_a_half_and_shadows_come_in_pairs(records, shadows, seed):
    plan = make_plan(records, shadows, "pool", seed)
    assert plan.member.shape == (shadows + 1, records)
    assert set(np.unique(plan.member)) <= {0, 1}
    sizes = plan.member.sum(axis=1)
    assert set(sizes) <= {records // 2, records - records // 2}
    for model, other in enumerate(plan.complements):
        if other >= 0:
            np.testing.assert_array_equal(plan.member[model] + plan.member[other], 1)
    for first in range(1, shadows, 2):
        np.testing.assert_array_equal(plan.member[first] + plan.member[first + 1], 1)


@given(half=st.integers(1, 40), shadows=st.integers(1, 7), seed=seeds)
def test_a_pool_is_the_split_that_our_own_training_has(half, shadows, seed):
    plan, split = (
        make_plan(2 * half, shadows, "pool", seed),
        make_split(SplitOptions("pool", half, shadows), 2 * half, seed),
    )
    for model in range(shadows + 1):
        np.testing.assert_array_equal(plan.indices(model), split.members[model])


@given(records=st.integers(4, 80), shadows=st.integers(1, 5), seed=seeds)
def test_disjoint_shadows_never_touch_the_targets_records(records, shadows, seed):
    plan = make_plan(records, shadows, "disjoint", seed)
    assert (plan.member == 1).sum(axis=1).tolist() == [records // 4] * (shadows + 1)
    assert not ((plan.member[0] != -1) & (plan.member[1:] != -1)).any()


def test_canaries_are_in_by_coins_of_their_own_and_all_others_always():
    plan = make_plan(4000, 3, "canary", 0, canaries=2000)
    others = np.setdiff1d(np.arange(4000), plan.canaries)
    assert len(plan.canaries) == 2000
    assert (plan.member[:, others] == 1).all()
    coins = plan.member[:, plan.canaries]
    assert (np.abs(coins.mean(axis=1) - 0.5) < 4 * 0.5 / np.sqrt(2000)).all()
    assert np.abs(np.corrcoef(coins) - np.eye(4)).max() < 4 / np.sqrt(2000)
    np.testing.assert_array_equal(plan.evaluated[:, plan.canaries], coins)
    assert (plan.evaluated[:, others] == -1).all()


@pytest.mark.parametrize("protocol", ["pool", "disjoint", "canary"])
def test_a_plan_comes_back_as_it_was_saved(tmp_path, protocol):
    plan = make_plan(60, 3, protocol, 7)
    found = read_plan(plan.save(tmp_path / "plan.npz"))
    np.testing.assert_array_equal(found.member, plan.member)
    np.testing.assert_array_equal(found.evaluated, plan.evaluated)
    assert (found.protocol, found.seed) == (protocol, 7)
    with np.load(tmp_path / "plan.npz") as arrays:
        assert arrays["member"].shape == (4, 60)


def test_more_shadows_change_none_of_the_others_and_another_seed_all():
    few, many = make_plan(60, 3), make_plan(60, 8)
    np.testing.assert_array_equal(few.member, many.member[:4])
    assert (make_plan(60, 3, seed=1).member != few.member).any(axis=1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"protocol": "pools"}, "did you mean 'pool'"),
        ({"num_records": 1}, "records=1"),
        ({"num_shadows": 0}, "num_shadows=0"),
        ({"canaries": 5}, "needs split=canary"),
        ({"canaries": 0}, "canaries=0 needs split=canary"),
        ({"size": 0}, r"split\.size=0"),
        ({"size": 0, "protocol": "disjoint"}, r"split\.size=0"),
        ({"protocol": "canary", "canaries": 99}, "at most records=60"),
        ({"size": 31}, r"at most split\.size=30"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_impossible_plans_are_refused(arguments, message):
    with pytest.raises(RequestError, match=message):
        make_plan(**{"num_records": 60, **arguments})
    with pytest.raises(RequestError, match="model=5 is none"):
        make_plan(60, 4).indices(5)


def test_a_file_that_is_no_plan_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", members=np.zeros((2, 3)))
    with pytest.raises(RequestError, match="holds members, but no member"):
        read_plan(tmp_path / "x.npz")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_printed_code_is_python(framework):
    compile(training_code(framework), framework, "exec")


def write_digits(folder, count=360):
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    np.save(folder / "x.npy", x[:count].astype(np.float32) / 16)
    np.save(folder / "y.npy", y[:count])
    return count


def test_the_printed_code_trains_forests_whose_audit_finds_their_members(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mia.plan(write_digits(tmp_path), num_shadows=4).save("plan.npz")
    code = training_code("sklearn").replace("(random_state=seed)", "(n_estimators=20, random_state=seed)")
    exec(compile(code, "sklearn", "exec"), {})  # noqa: S102 - it is our own, and this is how people use it
    result = mia.audit(plan="plan.npz", predictions="predictions", labels=np.load("labels.npy"), kind="probabilities")
    assert result.metrics["target/train_accuracy"] == 1
    assert result.metrics["attack/confidence/auc_low"] > 0.7


def test_the_printed_code_trains_networks_where_torch_is_installed(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    mia.plan(write_digits(tmp_path), num_shadows=2).save("plan.npz")
    exec(compile(training_code("torch"), "torch", "exec"), {})  # noqa: S102
    result = mia.audit(plan="plan.npz", predictions="predictions", labels=np.load("labels.npy"))
    assert result.metrics["target/train_accuracy"] > result.metrics["target/test_accuracy"] > 0.5


def test_a_plan_hands_out_wrong_labels_for_canaries_alone_each_other_class_equally_often():
    labels = np.array(["cat", "dog", "eel"])[np.random.default_rng(0).integers(0, 3, 3000)]
    plan = make_plan(3000, 1, "canary", 5, canaries=1200, mislabel=True, labels=labels)
    is_canary = np.isin(np.arange(3000), plan.canaries)
    np.testing.assert_array_equal(plan.labels != labels, is_canary)
    for true in ("cat", "dog", "eel"):
        given = plan.labels[is_canary & (labels == true)]
        assert len(set(given)) == 2
        assert abs(np.mean(given == given[0]) - 0.5) < 4 * 0.5 / np.sqrt(len(given))
    assert not np.array_equal(plan.member, make_plan(3000, 1, "canary", 6, canaries=1200).member)
    np.testing.assert_array_equal(plan.member, make_plan(3000, 1, "canary", 5, canaries=1200).member)


def test_an_audit_judges_canaries_by_the_labels_that_models_were_trained_with(tmp_path):
    """A model that learnt the wrong labels by heart is caught by them, whichever labels the audit is given."""
    true = np.random.default_rng(0).integers(0, 4, 600)
    plan = make_plan(600, 0, "canary", 1, canaries=300, mislabel=True, labels=true)
    plan = read_plan(plan.save(tmp_path / "plan.npz"))
    learnt = np.where(plan.member[0] == 1, plan.labels, true)
    logits = 5.0 * np.eye(4)[learnt] + np.random.default_rng(1).normal(size=(600, 4))
    for beside in ({}, {"labels": true}, {"labels": plan.labels}):
        result = mia.audit(plan=plan, predictions=lambda _: logits, attacks=["loss"], **beside)
        assert result.metrics["attack/loss/auc"] > 0.99
        assert result.metrics["privacy/epsilon_lower_bound"] > 2
        assert any("the labels are the plan's" in line for line in result.warnings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mislabel": True}, "mislabel=true needs labels="),
        ({"labels": np.zeros(60)}, "for split.mislabel=true alone"),
        ({"mislabel": True, "labels": np.arange(60) % 3, "protocol": "pool"}, "mislabel=true needs split=canary"),
        ({"mislabel": True, "labels": np.arange(61) % 3}, r"labels has shape \(61,\)"),
        ({"mislabel": True, "labels": np.zeros(60)}, "there is no wrong label"),
    ],
)
def test_wrong_labels_that_cannot_be_given_are_refused(arguments, message):
    with pytest.raises(RequestError, match=message):
        make_plan(**{"num_records": 60, "num_shadows": 1, "protocol": "canary", **arguments})
