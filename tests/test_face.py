"""The Python face: numbers equal to independent computations, whatever people hand over; models of other programs."""

import doctest
import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

import mia
from mia.checks import RequestError
from mia.files import StorageError

RECORDS, SHADOWS, CLASSES = 300, 8, 4


@pytest.fixture(scope="module")
def world():
    """A plan, labels and logits in which members are surer of their class."""
    generator = np.random.default_rng(0)
    plan = mia.plan(RECORDS, SHADOWS, seed=5)
    labels = generator.integers(0, CLASSES, RECORDS)
    logits = generator.normal(size=(SHADOWS + 1, RECORDS, CLASSES))
    logits[:, np.arange(RECORDS), labels] += generator.normal(0, 2, RECORDS) + 1.5 * plan.member
    return plan, labels, logits


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_importing_is_cheap_and_loads_nothing_heavy():
    code = (
        "import sys, mia; heavy = {'numpy', 'jax', 'hydra', 'mlflow', 'pandas', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy; assert set(mia.__all__) <= set(dir(mia))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert (Path(mia.__file__).parent / "py.typed").exists()


@pytest.mark.slow
def test_an_audit_loads_nothing_that_it_does_not_need(world, tmp_path):
    plan, labels, logits = world
    np.savez(
        tmp_path / "signals.npz",
        target_logits=logits[0],
        target_member=plan.member[0],
        labels=labels,
        shadow_logits=logits[1:],
        shadow_member=plan.member[1:],
    )
    code = (
        "import sys; from mia.cli.main import dispatch; found = dispatch(sys.argv[1:]); "
        "heavy = {'jax', 'flax', 'mlflow', 'sqlalchemy', 'pandas', 'sklearn', 'altair', 'scipy.stats', "
        "'scipy.optimize', 'mia.data.table', 'mia.train.many'} & set(sys.modules); assert not heavy, heavy; "
        "sys.exit(found)"
    )
    asked = [f"signals={tmp_path / 'signals.npz'}", f"out={tmp_path / 'out'}", "attack=[loss,lira_online]"]
    command = [sys.executable, "-c", code, "audit", *asked, "tracking.enabled=false"]
    subprocess.run(command, check=True, timeout=120, env={**os.environ, "MIA_HOME": str(tmp_path / "home")})


@pytest.mark.slow
@pytest.mark.parametrize("module", ["mia.face", "mia.plans", "mia.results"])
def test_docstrings_are_true(module):
    found = doctest.testmod(importlib.import_module(module))
    assert found.failed == 0
    assert found.attempted > 0 or module == "mia.results"


def test_no_module_is_called_like_a_function_which_importing_it_would_hide():
    modules = {module.name for module in pkgutil.iter_modules(mia.__path__)}
    assert not modules & set(mia.__all__)
    assert mia.compose("train.l2=1e-3").train.l2 == 1e-3
    with pytest.raises(AttributeError, match="has no attribute 'audits'"):
        mia.audits  # noqa: B018


def test_scores_and_areas_are_those_of_an_independent_computation(world):
    plan, labels, logits = world
    result = mia.audit(logits[0], plan.member[0], labels, logits[1:], plan.member[1:])
    own = np.log(softmax(logits)[:, np.arange(RECORDS), labels])
    np.testing.assert_allclose(result.scores["loss"].score, own[0], rtol=1e-6)
    out = np.where(plan.member[1:] == 0, own[1:], np.nan)
    np.testing.assert_allclose(result.scores["calibration"].score, own[0] - np.nanmean(out, axis=0), rtol=1e-6)
    for name, scores in result.scores.items():
        area = roc_auc_score(plan.member[0], scores.score)
        assert result.metrics[f"attack/{name}/auc"] == pytest.approx(area, abs=1e-9)


FORMS = {
    "lists": lambda array: array.tolist(),
    "frames": lambda array: pd.DataFrame(array) if array.ndim == 2 else array,
    "float32": lambda array: array.astype(np.float32) if array.dtype.kind == "f" else array,
    "objects": lambda array: array.astype(object),
}


@pytest.mark.parametrize("form", FORMS)
def test_anything_that_numpy_takes_gives_the_same_scores(world, form):
    plan, labels, logits = world
    plain = mia.audit(logits[0], plan.member[0], labels, logits[1:], plan.member[1:])
    as_form = [FORMS[form](array) for array in (logits[0], plan.member[0], labels, logits[1:], plan.member[1:])]
    given = mia.audit(*as_form)
    assert list(given.scores) == list(plain.scores)
    for name, scores in plain.scores.items():
        np.testing.assert_allclose(given.scores[name].score, scores.score, rtol=2e-4, atol=2e-4)


def test_a_plan_a_folder_memory_maps_and_probabilities_agree(world, tmp_path):
    plan, labels, logits = world
    direct = mia.audit(logits[0], plan.member[0], labels, logits[1:], plan.member[1:])
    for model in range(len(logits)):
        np.save(tmp_path / f"{model}.npy", logits[model])
    by_folder = mia.audit(plan=plan, predictions=tmp_path, labels=labels)
    mapped = np.load(tmp_path / "0.npy", mmap_mode="r")
    by_map = mia.audit(mapped, plan.member[0], labels, logits[1:], plan.member[1:])
    by_function = mia.audit(plan=plan, predictions=lambda k: softmax(logits[k]), labels=labels, kind="probabilities")
    for name, scores in direct.scores.items():
        np.testing.assert_array_equal(by_folder.scores[name].score, scores.score)
        np.testing.assert_array_equal(by_map.scores[name].score, scores.score)
        area = by_function.metrics[f"attack/{name}/auc"]
        assert area == pytest.approx(direct.metrics[f"attack/{name}/auc"], abs=1e-6)


def test_all_models_in_turn_are_means_of_audits_one_by_one(world):
    plan, labels, logits = world
    result = mia.audit(logits=logits, member=plan.member, labels=labels, attacks=["loss", "calibration"])
    areas = []
    for target in range(SHADOWS + 1):
        others = [k for k in range(SHADOWS + 1) if k not in (target, plan.complements[target])]
        own = np.log(softmax(logits)[:, np.arange(RECORDS), labels])
        out = np.where(plan.member[others] == 0, own[others], np.nan)
        areas.append(roc_auc_score(plan.member[target], own[target] - np.nanmean(out, axis=0)))
    assert result.metrics["attack/calibration/auc"] == pytest.approx(np.mean(areas), abs=1e-6)
    assert result.metrics["attack/calibration/auc_sd"] == pytest.approx(np.std(areas, ddof=1), abs=1e-6)
    assert result.metrics["num_targets"] == SHADOWS + 1


def test_losses_are_compared_as_they_are(world):
    """LiRA on minus the loss itself, RMIA on exp(-loss)."""
    plan, _, _ = world
    generator = np.random.default_rng(1)
    loss = generator.exponential(1, (SHADOWS + 1, RECORDS)) + generator.exponential(2, RECORDS) - 0.5 * plan.member
    given = {"target_loss": loss[0], "target_member": plan.member[0], "shadow_loss": loss[1:]}
    given["shadow_member"] = plan.member[1:]
    result = mia.audit(**given)
    assert set(result.scores) == {"loss", "calibration", "lira_online", "lira_offline", "rmia_online", "rmia_offline"}
    np.testing.assert_allclose(result.scores["loss"].score, -loss[0])
    sides = [np.where(plan.member[1:] == kind, -loss[1:], np.nan) for kind in (1, 0)]
    means = [np.nanmean(side, axis=0) for side in sides]
    spread = [np.sqrt(np.nanmean((side - mean) ** 2)) for side, mean in zip(sides, means, strict=True)]
    ratio = norm.logpdf(-loss[0], means[0], spread[0]) - norm.logpdf(-loss[0], means[1], spread[1])
    one_variance = mia.audit(**given, attacks={"lira_online": {"variance": "global"}})
    np.testing.assert_allclose(one_variance.scores["lira_online"].score, ratio, rtol=1e-6)
    p = np.exp(-loss)
    both = [np.nanmean(np.where(plan.member[1:] == kind, p[1:], np.nan), axis=0) for kind in (1, 0)]
    score = p[0] / np.mean(both, axis=0)
    expected = [(one / score >= 1).mean() for one in score]
    np.testing.assert_allclose(result.scores["rmia_online"].score, expected, atol=1.5 / RECORDS)
    assert result.metrics["target/train_loss"] == pytest.approx(loss[0][plan.member[0] == 1].mean())
    with pytest.raises(RequestError, match="entropy needs an answer for each class"):
        mia.audit(target_loss=loss[0], target_member=plan.member[0], attacks="entropy")


def test_scores_made_elsewhere_are_judged(world):
    plan, _, logits = world
    score = logits[0, :, 0]
    result = mia.audit(scores={"theirs": score}, member=plan.member[0])
    assert result.metrics["attack/theirs/auc"] == pytest.approx(roc_auc_score(plan.member[0], score), abs=1e-9)
    assert "attack/theirs/accuracy" not in result.metrics


def test_bounds_on_epsilon_are_given_only_where_independent_coins_drew_the_members():
    """Normal quantiles, shift 1, at delta 1e-6: 1.13346 by the one-run bound, computed independently."""
    quantiles = norm.ppf((np.arange(10_000) + 0.5) / 10_000)
    given = {"scores": {"coin": np.concatenate([quantiles + 1, quantiles])}, "member": np.repeat([1, 0], 10_000)}
    told = mia.audit(**given, independent=True, delta=1e-6)
    assert told.metrics["attack/coin/epsilon_one_run"] == pytest.approx(1.13346, abs=2e-2)
    assert told.metrics["privacy/epsilon_lower_bound"] == told.metrics["attack/coin/epsilon_one_run"]
    assert not any("epsilon" in name for name in mia.audit(**given).metrics)
    unfair = {"scores": {"coin": np.arange(1000)}, "member": np.arange(1000) < 300}
    result = mia.audit(**unfair, independent=True)
    assert not any("epsilon" in name for name in result.metrics)
    assert any("fair coins do not give" in line for line in result.warnings)


def test_a_canary_plan_gives_bounds_over_its_canaries_alone():
    plan = mia.plan(3000, num_shadows=0, protocol="canary", canaries=2000)
    generator = np.random.default_rng(0)
    loss = generator.normal(size=3000) - 3 * (plan.member[0] == 1)
    result = mia.audit(plan=plan, predictions=lambda _: loss, kind="losses", attacks="loss")
    assert result.index.tolist() == plan.canaries.tolist()
    assert result.metrics["attack/loss/epsilon_one_run"] > 1


def test_groups_and_slices_are_judged(world):
    plan, labels, logits = world
    arrays = (logits[0], plan.member[0], labels, logits[1:], plan.member[1:])
    order = np.argsort(plan.member[0], kind="stable")
    groups = np.empty(RECORDS, int)
    groups[order] = np.arange(RECORDS) // 3  # of three records each, all in or all out
    age = np.where(np.arange(RECORDS) % 2, "old", "young")
    result = mia.audit(*arrays, groups=groups, slices={"age": age}, attacks="loss")
    score = result.scores["loss"].score
    means = np.bincount(groups, score) / 3
    area = roc_auc_score(np.bincount(groups, plan.member[0]) > 0, means)
    assert result.metrics["attack/loss/group_auc"] == pytest.approx(area, abs=1e-9)
    largest = mia.audit(*arrays, groups=groups, attacks="loss", group_score="max").metrics["attack/loss/group_auc"]
    assert largest != result.metrics["attack/loss/group_auc"]
    rows = {(row["slice"], row["value"]): row for row in result.slices}
    assert {slice_ for slice_, _ in rows} == {"class", "correct", "confidence", "age"}
    old = age == "old"
    assert rows["age", "old"]["auc"] == pytest.approx(roc_auc_score(plan.member[0][old], score[old]), abs=1e-9)
    assert rows["age", "old"]["members"] == plan.member[0][old].sum()
    with pytest.raises(RequestError, match=r"audit\.group_score='median'"):
        mia.audit(*arrays, groups=groups, group_score="median")


def test_an_attack_can_be_a_function(world):
    plan, labels, logits = world
    arrays = (logits[0], plan.member[0], labels, logits[1:], plan.member[1:])

    def margin(signals: mia.Signals, seed: int):
        assert seed >= 0
        ordered = np.sort(signals.target_outputs, axis=1)
        return ordered[:, -1] - ordered[:, -2]

    result = mia.audit(*arrays, attacks=[margin, "loss"])
    assert list(result.scores) == ["margin", "loss"]
    named = mia.audit(*arrays, attacks={"mine": margin, "lira_online": {"variance": "global"}, "gap": None})
    assert set(named.scores) == {"mine", "lira_online", "gap"}
    np.testing.assert_array_equal(named.scores["mine"].score, result.scores["margin"].score)
    for wrong, message in (
        (lambda *_: np.zeros(3), r"shape \(3,\)"),
        (lambda *_: np.full(RECORDS, np.nan), "all are NaN"),
    ):
        with pytest.raises(RequestError, match=message):
            mia.audit(*arrays, attacks={"wrong": wrong})
    for wrong, message in (("los", "did you mean 'loss'"), ({"loss": {"per_clas": True}}, "per_clas")):
        with pytest.raises(RequestError, match=message):
            mia.audit(*arrays, attacks=wrong)
    with pytest.raises(RequestError, match=r"mia\.audit takes no 'target_logit', did you mean"):
        mia.audit(target_logit=logits[0], target_member=plan.member[0], labels=labels)


def test_a_result_can_be_shown_and_saved(world, tmp_path):
    plan, labels, logits = world
    index = np.array([f"=id{k}" for k in range(RECORDS)])
    result = mia.audit(logits[0], plan.member[0], labels, logits[1:], plan.member[1:], index=index)
    frame = result.frame()
    assert frame.index.name == "attack"
    assert frame.loc["loss", "auc"] == result.metrics["attack/loss/auc"]
    assert frame["auc"].is_monotonic_decreasing
    assert "<table>" in result._repr_html_()
    assert "lira_online" in result._repr_html_()
    folder = result.save(tmp_path / "audit", model="<b>classifier</b>", data="people")
    assert {"metrics.json", "scores.npz", "records.csv", "model-card.md"} <= {path.name for path in folder.iterdir()}
    assert json.loads((folder / "metrics.json").read_text())["attack/loss/auc"] == result.metrics["attack/loss/auc"]
    card = (folder / "model-card.md").read_text()
    assert "\\<b\\>classifier" in card
    assert f"{result.metrics['attack/loss/auc']:.3f}" in card
    records = pd.read_csv(folder / "records.csv")
    assert records["index"].str.startswith("'=id").all()  # no spreadsheet runs it
    digits = records["loss_score"].astype(str).str.replace(r"[-.]|^0+", "", regex=True).str.len()
    assert digits.max() <= 8
    with pytest.raises(RequestError, match="folder="):
        result.save(folder / "metrics.json")


def test_a_full_disk_names_the_folder_and_not_the_store(world, tmp_path, monkeypatch):
    plan, labels, logits = world
    result = mia.audit(logits[0], plan.member[0], labels)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        StorageError, match="out cannot be written: No space left on device; free space there"
    ) as refused:
        result.save(tmp_path / "out")
    assert "MIA_HOME" not in str(refused.value)


def test_linear_regression_forest_and_boosting_as_a_user_would(tmp_path):
    """From a plan to numbers, without a file edited by hand: small models of other programs, and what must be found."""
    from sklearn.datasets import make_classification
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import Ridge

    x, y = make_classification(240, 60, n_informative=8, flip_y=0.1, random_state=0)
    plan = mia.plan(len(x), num_shadows=4)

    def predictions(make, answer):
        def ask(model):
            mine = plan.indices(model)
            return answer(make(model).fit(x[mine], y[mine]))

        return ask

    ridge = predictions(lambda _: Ridge(1e-3), lambda model: (model.predict(x) - y) ** 2)
    losses = mia.audit(plan=plan, predictions=ridge, kind="losses")
    assert losses.metrics["target/train_loss"] < losses.metrics["target/test_loss"]
    assert losses.metrics["attack/loss/auc_low"] > 0.5
    for make in (
        lambda seed: RandomForestClassifier(30, random_state=seed),
        lambda seed: GradientBoostingClassifier(n_estimators=30, random_state=seed),
    ):
        found = mia.audit(plan=plan, predictions=predictions(make, lambda model: model.predict_proba(x)),
                          labels=np.where(y, "yes", "no"), kind="probabilities")  # fmt: skip
        assert found.class_names == ("no", "yes")
        assert found.metrics["attack/loss/auc_low"] > 0.6


def test_the_public_vectors_through_the_face():
    folder = Path(__file__).parents[1] / "../shared/conformance"
    if not folder.is_dir():
        pytest.skip("the conformance files lie beside the repository only")
    with np.load(folder / "public.npz") as file, np.load(folder / "public.expected.npz") as expected:
        result = mia.audit(**{name: file[name] for name in file.files}, attacks=["loss", "rmia_online", "calibration"])
        for name, key in (("loss", "loss"), ("rmia_online", "rmia_online/gamma=1"),
                          ("calibration", "difficulty_calibration_out")):  # fmt: skip
            np.testing.assert_allclose(result.scores[name].score, expected[key], rtol=1e-5, atol=1e-5)


def test_own_training_runs_on_our_splits_and_is_found_in_the_store(tmp_path):
    from sklearn.linear_model import LogisticRegression

    options = mia.compose("split=pool", "split.size=100", "split.num_shadows=2", "attack=[loss,calibration]")
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    calls = []

    def train(indices, seed):
        calls.append((len(indices), seed))
        model = LogisticRegression(max_iter=1000).fit(x[indices], y[indices])
        return lambda records: model.decision_function(np.asarray(records).reshape(len(records), -1).astype(float))

    first = mia.run(options, train, name="logistic", store=tmp_path)
    assert [count for count, _ in calls] == [100] * 3
    assert len({seed for _, seed in calls}) == 3
    assert first.metrics["target/train_accuracy"] > first.metrics["target/test_accuracy"]
    again = mia.run(options, train, name="logistic", store=tmp_path)
    assert len(calls) == 3
    np.testing.assert_array_equal(first.scores["calibration"].score, again.scores["calibration"].score)
    with pytest.raises(RequestError, match="go together"):
        mia.run(options, train)
    with pytest.raises(RequestError, match="returned int, not a function"):
        mia.run(options, lambda *_: 3, name="other", store=tmp_path)


@pytest.mark.slow
def test_a_run_is_in_the_store_where_that_is_asked(tmp_path, monkeypatch):
    from mia.tracking import Tracker, TrackingOptions

    monkeypatch.setenv("MIA_HOME", str(tmp_path))
    options = mia.compose("split.size=40", "split.num_shadows=2", "train.epochs=2", "attack=[loss]", "train.l2=1e-3")
    result = mia.run(options, track=True)
    (run,) = Tracker.open(TrackingOptions(), tmp_path).runs(kind="run")
    assert run.status == "FINISHED"
    assert run.metrics["attack/loss/auc"] == result.metrics["attack/loss/auc"]
    assert (run.params["train.l2"], run.params["attack.loss.per_class"]) == ("0.001", "False")
    mia.run(options)
    assert len(Tracker.open(TrackingOptions(), tmp_path).runs(kind="run")) == 1


def test_rmia_says_where_losses_are_too_large_for_likelihoods():
    generator = np.random.default_rng(0)
    member = generator.integers(0, 2, (5, 200))
    loss = generator.normal(2000, 30, (5, 200)) - 200 * member
    given = {"target_member": member[0], "shadow_member": member[1:], "attacks": ["loss", "rmia_online"]}
    far = mia.audit(target_loss=loss[0], shadow_loss=loss[1:], **given)
    near = mia.audit(target_loss=loss[0] / 500, shadow_loss=loss[1:] / 500, **given)
    assert near.metrics["attack/rmia_online/auc"] > 0.95
    assert far.metrics["attack/rmia_online/auc"] < 0.6
    assert any("200 of 200 losses lie beyond 700" in line for line in far.warnings)
    assert not any("losses lie beyond" in line for line in near.warnings)
