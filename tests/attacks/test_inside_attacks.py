"""Attacks that look into models or at records: what must not change a score, what they may see, chance under null."""

from dataclasses import replace

import numpy as np
import pytest
from glass_models import glass_signals, moved, permuted, relabelled, reordered
from null_cases import area

from mia.attacks import ATTACKS, run_attack
from mia.attacks.bmia import fit_relation
from mia.attacks.laplace import fit_posterior, slope_of_phi
from mia.attacks.quantile import margin
from mia.checks import RequestError
from mia.probabilities import softmax
from mia.records import LastLayer

INSIDE = ("bmia", "gradient_norm", "quantile")
QUICK = {"quantile": {"rounds": 5}}


def run(name, signals, **options):
    return run_attack(name, signals, ATTACKS[name].options(**{**QUICK.get(name, {}), **options}), 0)


@pytest.mark.parametrize("name", INSIDE)
def test_the_order_of_records_and_a_constant_on_the_logits_change_nothing(name):
    signals, _ = glass_signals()
    plain = run(name, signals)
    order = np.random.default_rng(1).permutation(len(plain.score))
    np.testing.assert_allclose(run(name, permuted(signals, order)).score, plain.score[order], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(run(name, moved(signals, 8.0)).score, plain.score, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["bmia", "gradient_norm"])
def test_the_names_of_classes_change_nothing(name):
    signals, _ = glass_signals()
    found = run(name, relabelled(signals, np.array([2, 0, 1])))
    np.testing.assert_allclose(found.score, run(name, signals).score, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", INSIDE)
def test_the_order_of_a_pair_of_shadows_changes_nothing(name):
    signals, _ = glass_signals(shadows=2)
    np.testing.assert_allclose(run(name, reordered(signals, [1, 0])).score, run(name, signals).score, rtol=1e-9)


def test_bmia_judges_each_record_by_one_shadow_whatever_others_there_are():
    signals, _ = glass_signals(shadows=6)
    few = run("bmia", reordered(signals, [0, 1]))
    many = run("bmia", signals)
    np.testing.assert_array_equal(few.score, many.score)
    assert (many.num_out == 1).all()


def test_a_record_that_no_shadow_has_left_out_has_no_score():
    signals, _ = glass_signals(shadows=1)
    scores = run("bmia", signals)
    np.testing.assert_array_equal(np.isnan(scores.score), signals.shadow_membership[0] == 1)
    assert scores.is_predicted is not None
    assert "lack the 1 OUT shadows" in " ".join(scores.warnings)


@pytest.mark.parametrize("name", ["bmia", "quantile"])
def test_an_attacker_looks_into_shadows_alone(name):
    signals, _ = glass_signals()
    run(name, signals)
    assert 0 not in signals.models.seen
    assert not ATTACKS[name].is_owners


@pytest.mark.parametrize("name", ["bmia", "gradient_norm", pytest.param("quantile", marks=pytest.mark.slow)])
def test_nobody_finds_members_where_nothing_was_learnt(name):
    areas, placebos = [], []
    for seed in range(8):
        signals, is_member = glass_signals(seed, records=200)
        scores = run(name, signals)
        areas.append(area(scores.score, is_member))
        placebos.append(area(scores.placebo, is_member))
    error = np.sqrt(1 / 3 / 200 / 8)
    assert abs(np.mean(areas) - 0.5) < 4.5 * error
    assert abs(np.mean(placebos) - 0.5) < 4.5 * error


@pytest.mark.parametrize("name", ["bmia", "quantile"])
def test_members_are_found_where_there_is_something_to_find(name):
    signals, is_member = glass_signals(records=400, effect=8.0)
    scores = run(name, signals)
    assert area(scores.score, is_member) > 0.85
    assert (scores.is_predicted == is_member).mean() > 0.7


@pytest.mark.parametrize(("name", "lacking"), [(name, need) for name in INSIDE for need in ("features", "models")])
def test_a_file_of_predictions_cannot_be_looked_into(name, lacking):
    signals = replace(glass_signals()[0], **{lacking: None})
    if lacking in ATTACKS[name].needs:
        with pytest.raises(RequestError, match=r"leave it out|look into"):
            run(name, signals)
    else:
        run(name, signals)


@pytest.mark.parametrize("name", ["bmia", "quantile"])
def test_without_records_known_to_be_no_members_it_says_so(name):
    signals = replace(glass_signals()[0], population_outputs=None, population_labels=None)
    with pytest.raises(RequestError, match="surely not trained on"):
        run(name, signals)


@pytest.mark.parametrize("name", ["bmia", "quantile"])
def test_records_of_shadows_serve_where_there_is_no_population(name):
    """Under `disjoint` what is not in question was never the target's."""
    signals = glass_signals(records=300)[0]
    signals = replace(signals, population_outputs=None, population_labels=None, is_candidate=np.arange(300) % 3 == 0)
    assert not np.isnan(run(name, signals).score).any()


@pytest.mark.slow
def test_quantile_rules_at_its_false_positive_rate():
    rates = []
    for seed in range(6):
        signals, is_member = glass_signals(seed, records=1000, population=600)
        scores = run("quantile", signals, alpha=0.1, rounds=30)
        rates.append(scores.is_predicted[~is_member].mean())
    assert abs(np.mean(rates) - 0.1) < 0.03  # 4 standard errors, those of the threshold included


def test_margin_by_hand():
    signals, _ = glass_signals()
    found = margin(np.array([[3.0, 1.0, 2.5], [3.0, 1.0, 2.5]]), np.array([0, 1]), signals)
    np.testing.assert_allclose(found, [0.5, -2.0])


def test_the_slope_of_phi_is_its_derivative():
    generator = np.random.default_rng(0)
    z, labels, step = generator.normal(size=(6, 4)), generator.integers(0, 4, 6), 1e-6
    found = slope_of_phi(softmax(z), labels)
    for c in range(4):
        moved_by = np.eye(4)[c] * step
        numeric = (phi_of(z + moved_by, labels) - phi_of(z - moved_by, labels)) / (2 * step)
        np.testing.assert_allclose(found[:, c], numeric, rtol=1e-6, atol=1e-8)


def phi_of(z, labels):
    records = np.arange(len(labels))
    others = z.copy()
    others[records, labels] = -np.inf
    return z[records, labels] - np.log(np.exp(others).sum(1))


def test_the_posterior_is_the_full_one_where_all_records_are_alike():
    """Kronecker factors are exact then: the matrix is n times (covariance of the answer) x (outer product)."""
    generator = np.random.default_rng(0)
    one, kernel, bias = generator.normal(size=4), generator.normal(size=(4, 3)), generator.normal(size=3)
    taught = LastLayer(np.tile(one, (7, 1)), kernel, bias)
    posterior = fit_posterior(taught)
    p = softmax((one @ kernel + bias)[None])[0]
    inputs = np.append(one, 1)
    full = 7 * np.kron(np.diag(p) - np.outer(p, p), np.outer(inputs, inputs)) + posterior.prior * np.eye(15)
    x, labels = generator.normal(size=(5, 4)), np.array([0, 1, 2, 0, 1])
    slope = slope_of_phi(softmax(x @ kernel + bias), labels)
    rows = np.einsum("nc,nd->ncd", slope, np.c_[x, np.ones(5)]).reshape(5, -1)
    expected = np.einsum("na,ab,nb->n", rows, np.linalg.inv(full), rows)
    np.testing.assert_allclose(posterior.variance(LastLayer(x, kernel, bias), labels), expected, rtol=1e-6)


def test_the_prior_is_where_the_evidence_is_highest():
    generator = np.random.default_rng(1)
    kernel, bias = generator.normal(size=(4, 3)), generator.normal(size=3)
    posterior = fit_posterior(LastLayer(generator.normal(size=(50, 4)), kernel, bias))
    size = sum(np.square(one - one.mean(-1, keepdims=True)).sum() for one in (kernel, bias))
    curvature = posterior.precision - posterior.prior

    def evidence(prior):
        return 0.5 * (curvature.size * np.log(prior) - prior * size - np.log(curvature + prior).sum())

    assert evidence(posterior.prior) > max(evidence(posterior.prior * 1.05), evidence(posterior.prior / 1.05))


def test_a_relation_is_found_again():
    generator = np.random.default_rng(2)
    own, variance = generator.normal(0, 3, 20_000), generator.gamma(2, 1, 20_000)
    attacked = 0.5 + 0.8 * own + generator.normal(size=20_000) * np.sqrt(0.3 + 0.6 * variance)
    found = fit_relation(attacked, own, variance)
    np.testing.assert_allclose(
        [found.start, found.slope, found.constant, found.factor], [0.5, 0.8, 0.3, 0.6], atol=0.06
    )


def test_members_pull_less_at_the_target():
    """The norm is (|x|^2 + 1)^.5 |p - y|: surer of the true class, lower."""
    signals, _ = glass_signals()
    scores = run("gradient_norm", signals)
    p = softmax(signals.target_outputs)
    p[np.arange(120), signals.labels] -= 1
    expected = -np.sqrt((np.square(signals.features.x).sum(1) + 1) * np.square(p).sum(1))
    np.testing.assert_allclose(scores.score, expected, rtol=1e-9)
    assert "the owner's view" in scores.warnings[0]
    assert scores.stand_in is not None
    assert run("gradient_norm", signals, stand_ins=0).is_predicted is None


def test_loss_iqr_is_the_spread_of_a_records_losses():
    signals, _ = glass_signals(records=40)
    trace = np.linspace(0, 1, 9)[:, None] * np.arange(40)
    scores = run("loss_iqr", replace(signals, trace=trace))
    np.testing.assert_allclose(scores.score, np.arange(40) / 2)
    skipping = run("loss_iqr", replace(signals, trace=np.concatenate([trace[:1] + 99, trace])), skip=1)
    np.testing.assert_allclose(skipping.score, scores.score)
    with pytest.raises(RequestError, match=r"train\.trace=true"):
        run("loss_iqr", signals)
    with pytest.raises(RequestError, match="skip=8"):
        run("loss_iqr", replace(signals, trace=trace), skip=8)


def test_loss_tnr_lets_nearly_all_members_through():
    signals, is_member = glass_signals(records=400, effect=6.0)
    scores = run_attack("loss_tnr", signals, ATTACKS["loss_tnr"].options(fnr=0.05), 0, is_member=is_member)
    assert (~scores.is_predicted[is_member]).mean() == 0.05
    assert scores.details["tnr"] == (~scores.is_predicted[~is_member]).mean()
    plain = run_attack("loss", signals, ATTACKS["loss"].options(), 0)
    np.testing.assert_array_equal(scores.score, plain.score)
    with pytest.raises(RequestError, match="membership"):
        run_attack("loss_tnr", signals, ATTACKS["loss_tnr"].options(), 0)
