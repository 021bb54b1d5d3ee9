"""Output defences: neutral strengths, what each keeps, answers that repeat, and MemGuard on published predictions."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest, laplace, norm

from mia.checks import RequestError
from mia.defences import DEFENCES, defend, make_defence, needs_fit, setting
from mia.defences.answer_noise import record_uniforms
from mia.defences.answers import checked
from mia.defences.memguard import fit_classifier
from mia.defences.options import (
    LabelOnlyOptions,
    MemguardOptions,
    NoiseOptions,
    NoneOptions,
    RoundingOptions,
    TemperatureOptions,
    TopKOptions,
)
from mia.metrics.auc import auc
from mia.probabilities import softmax
from mia.registry import ExtensionError

PUBLISHED = Path(__file__).parents[1] / "../shared/conformance/location30.npz"

NEUTRAL = {
    "none": NoneOptions(),
    "top_k of 0": TopKOptions(k=0),
    "top_k of all": TopKOptions(k=5),
    "rounding": RoundingOptions(digits=0),
    "temperature": TemperatureOptions(temperature=1.0),
    "noise": NoiseOptions(scale=0.0),
    "memguard": MemguardOptions(epsilon=0.0),
}
STRONG = {
    "top_k": TopKOptions(k=2),
    "rounding": RoundingOptions(digits=2),
    "temperature": TemperatureOptions(temperature=7.0),
    "label_only": LabelOnlyOptions(),
    "gaussian": NoiseOptions(scale=0.2),
    "laplace": NoiseOptions(distribution="laplace", scale=0.2),
    "memguard": MemguardOptions(epsilon=1.0),
}


def test_a_neutral_strength_is_no_setting_and_needs_no_fit():
    assert all(setting(options) is None for name, options in NEUTRAL.items() if name != "top_k of all")
    assert not any(needs_fit(options) for options in NEUTRAL.values())
    assert [name for name, options in STRONG.items() if needs_fit(options)] == ["memguard"]


ENDS = [RoundingOptions(digits=38), TemperatureOptions(temperature=1e-30), TemperatureOptions(temperature=1e38)]


@pytest.mark.parametrize("options", ENDS, ids=repr)
def test_the_ends_of_the_range_give_finite_answers(options):
    logits = np.random.default_rng(0).normal(0, 1e7, (50, 4)).astype(np.float32)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        outputs, _ = defend(logits, options)
    assert np.isfinite(outputs).all()


def test_each_defence_says_how_strong_it_is():
    said = {name: (setting(options).key, setting(options).words) for name, options in STRONG.items()}
    assert said == {
        "top_k": ("defence.top_k", "top k k = 2"),
        "rounding": ("defence.rounding", "rounding digits = 2"),
        "temperature": ("defence.temperature", "temperature 7"),
        "label_only": ("defence.label_only", "label only"),
        "gaussian": ("defence.noise.gaussian", "noise (gaussian) 0.2"),
        "laplace": ("defence.noise.laplace", "noise (laplace) 0.2"),
        "memguard": ("defence.memguard", "MemGuard budget 1"),
    }


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        (TopKOptions(k=3), TopKOptions(k=1)),
        (RoundingOptions(digits=3), RoundingOptions(digits=1)),
        (TemperatureOptions(temperature=2), TemperatureOptions(temperature=20)),
        (NoiseOptions(scale=0.1), NoiseOptions(scale=0.2)),
        (MemguardOptions(epsilon=0.1), MemguardOptions(epsilon=2.0)),
    ],
    ids=lambda options: options.name,
)
def test_the_stronger_of_two_ranks_higher(weaker, stronger):
    assert setting(weaker).rank < setting(stronger).rank


def test_all_defences_are_found_by_name():
    assert DEFENCES.names() == ["label_only", "memguard", "noise", "none", "rounding", "temperature", "top_k"]


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(scale=3, size=(200, 5)).astype(np.float32)


@pytest.fixture
def own():
    """A model more confident on its members."""
    generator = np.random.default_rng(1)
    bases = generator.normal(size=(2, 300, 5)).astype(np.float32)
    return 6 * bases[0], 2 * bases[1]


@pytest.mark.parametrize("options", NEUTRAL.values(), ids=NEUTRAL)
def test_neutral_strength_is_no_defence_bit_for_bit(options, logits):
    outputs, is_probability = defend(logits, options, seed=3)
    assert outputs is logits
    assert not is_probability


@pytest.mark.parametrize("options", STRONG.values(), ids=STRONG)
def test_records_are_answered_alone_and_always_the_same(options, logits, own):
    defence = make_defence(options, seed=3, fit_on=own)
    together, is_probability = defence(logits)
    before = logits.copy()
    alone = np.concatenate([defence(logits[row : row + 1])[0] for row in range(20)])
    assert np.allclose(alone, together[:20], atol=1e-6)
    assert np.array_equal(defence(logits)[0], together)
    assert np.array_equal(defend(logits, options, seed=3, fit_on=own)[0], together)
    assert np.array_equal(logits, before)
    stacked, _ = defence(logits.reshape(4, 50, 5))
    assert np.array_equal(stacked.reshape(200, 5), together)
    assert together.dtype == np.float32
    if is_probability:
        assert together.min() >= 0
        assert together.sum(axis=1).max() <= 1.03


@pytest.mark.parametrize("name", ["top_k", "temperature", "label_only", "memguard"])
def test_the_predicted_class_stays(name, logits, own):
    outputs, _ = defend(logits, STRONG[name], fit_on=own)
    assert np.array_equal(outputs.argmax(axis=1), logits.argmax(axis=1))


@pytest.mark.parametrize("name", ["label_only", "gaussian", "laplace", "memguard"])
def test_rows_sum_to_one(name, logits, own):
    outputs, is_probability = defend(logits, STRONG[name], fit_on=own)
    assert is_probability
    assert outputs.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_top_k_keeps_the_largest_as_they_are(logits):
    kept, _ = defend(logits, TopKOptions(k=2))
    plain = softmax(logits)
    assert ((kept > 0).sum(axis=1) == 2).all()
    assert np.array_equal(kept[kept > 0], plain[kept > 0])
    assert (np.where(kept > 0, 0, plain).max(axis=1) <= np.where(kept > 0, kept, 1).min(axis=1)).all()


def test_top_1_still_gives_the_confidence(logits):
    """In the paper it leaks more than the label alone."""
    kept, _ = defend(logits, TopKOptions(k=1))
    assert np.array_equal(kept.max(axis=1), softmax(logits).max(axis=1))


def test_top_k_keeps_exactly_k_of_tied_classes():
    kept, _ = defend(np.zeros((1, 4), np.float32), TopKOptions(k=2))
    assert kept.tolist() == [[0.25, 0.25, 0, 0]]


def test_rounding(logits):
    rounded, is_probability = defend(logits, RoundingOptions(digits=1))
    assert is_probability
    assert np.allclose(rounded * 10, np.round(rounded * 10), atol=1e-5)
    assert np.abs(rounded - softmax(logits)).max() <= 0.05 + 1e-6


def test_temperature_flattens(logits):
    confidences = [
        softmax(defend(logits, TemperatureOptions(temperature=t))[0]).max(axis=1) for t in (0.5, 1.0, 2.0, 50.0)
    ]
    assert (np.diff(confidences, axis=0) < 0).all()
    assert confidences[-1].mean() < 0.25


def test_label_only_is_one_number(logits):
    labels, _ = defend(logits, LabelOnlyOptions())
    assert set(np.unique(labels)) == {0, 1}


@pytest.mark.parametrize(("distribution", "law"), [("gaussian", norm), ("laplace", laplace)])
def test_noise_has_the_stated_law(distribution, law):
    """Far from the edge nothing is cut off; the scaling to one takes the mean of the noise away."""
    logits = np.random.default_rng(0).normal(scale=0.01, size=(20_000, 4))
    outputs, _ = defend(logits, NoiseOptions(distribution=distribution, scale=0.001))
    noise = (outputs[:, 0] - softmax(logits)[:, 0] - outputs[:, 1] + softmax(logits)[:, 1]) / 0.001
    generator = np.random.default_rng(1)
    twin = np.subtract(*law.rvs(size=(2, 20_000), random_state=generator))
    assert kstest(noise, twin).pvalue > 0.001


def test_noise_depends_on_record_class_and_seed_only(logits):
    shares = record_uniforms(logits, 5, 3)
    assert np.array_equal(shares, record_uniforms(logits, 5, 3))
    assert len(np.unique(shares)) == shares.size
    assert not np.isclose(shares, record_uniforms(logits, 6, 3)).any()
    assert kstest(record_uniforms(np.arange(20_000.0)[:, None], 0, 1)[:, 0], "uniform").pvalue > 0.001
    assert np.array_equal(record_uniforms(np.array([[0.0]]), 0, 1), record_uniforms(np.array([[-0.0]]), 0, 1))


def test_noise_cannot_be_averaged_away(logits):
    defence = make_defence(NoiseOptions(scale=0.3), seed=1)
    answers = np.mean([defence(logits)[0] for _ in range(5)], axis=0)
    assert np.allclose(answers, defence(logits)[0])


def test_overwhelming_noise_still_gives_probabilities(logits):
    outputs, _ = defend(logits, NoiseOptions(scale=1e6))
    assert np.isfinite(outputs).all()
    assert outputs.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_the_strongest_noise_leaves_an_attack_at_chance(own):
    is_member = np.arange(600) < 300
    plain = softmax(np.concatenate(own)).max(axis=1)
    noisy, _ = defend(np.concatenate(own), NoiseOptions(scale=1e4))
    assert auc(plain, is_member).low > 0.7
    assert auc(noisy.max(axis=1), is_member).low < 0.5 < auc(noisy.max(axis=1), is_member).high


def test_membership_classifier_gradient_is_right():
    generator = np.random.default_rng(0)
    members, nonmembers = (-np.sort(-softmax(s * generator.normal(size=(100, 4)))) for s in (5, 1))
    classifier = fit_classifier(members, nonmembers, seed=0)
    odds, gradient = classifier.log_odds_and_gradient(members)
    assert np.array_equal(odds, classifier.log_odds(members))
    for column in range(4):
        step = 1e-6 * np.eye(4)[column]
        slope = (classifier.log_odds(members + step) - classifier.log_odds(members - step)) / 2e-6
        assert gradient[:, column] == pytest.approx(slope, abs=1e-5)


def test_membership_classifier_tells_members_apart(own):
    members, nonmembers = (-np.sort(-softmax(side)) for side in own)
    classifier = fit_classifier(members, nonmembers, seed=0)
    right = np.mean(classifier.log_odds(members) > 0) / 2 + np.mean(classifier.log_odds(nonmembers) < 0) / 2
    assert right > 0.75


def test_memguard_leaves_its_classifier_undecided(own):
    defence = make_defence(MemguardOptions(epsilon=2.0), seed=0, fit_on=own)
    logits = np.concatenate(own)
    before, after = (-np.sort(-p) for p in (softmax(logits), defence(logits)[0]))
    undecided = np.abs(defence.classifier.log_odds(after)) < 0.01
    assert undecided.all()
    assert (np.abs(defence.classifier.log_odds(before)) < 0.01).mean() < 0.05


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 0.5])
def test_memguard_keeps_its_budget(epsilon, own):
    """The expectation over the coin is at most epsilon for each record, so the mean over records is too."""
    logits = np.concatenate(own)
    spent = np.mean(
        [
            np.abs(defend(logits, MemguardOptions(epsilon=epsilon), seed=s, fit_on=own)[0] - softmax(logits)).sum(1)
            for s in (0, 1)
        ]
    )
    assert spent <= epsilon + 0.02


def test_memguard_protects_more_with_a_larger_budget(own):
    logits = np.concatenate(own)
    changed = []
    for epsilon in (0.01, 0.05, 2.0):
        outputs, _ = defend(logits, MemguardOptions(epsilon=epsilon), fit_on=own)
        changed.append((np.abs(outputs - softmax(logits)).sum(axis=1) > 1e-4).mean())
    assert changed[0] < changed[1] < changed[2]


def accuracy_of_class_thresholds(target, shadow):
    """A threshold on the true class's confidence per class, the best on the shadow."""
    outputs, labels, member = target
    shadow_outputs, shadow_labels, shadow_member = shadow
    score, shadow_score = outputs[np.arange(len(labels)), labels], shadow_outputs[np.arange(1000), shadow_labels]
    correct = 0
    for label in np.unique(labels):
        own = shadow_labels == label
        values, is_member = shadow_score[own], shadow_member[own]
        best = max(values, key=lambda t: np.mean(values[is_member] >= t) + np.mean(values[~is_member] < t))
        correct += ((score[labels == label] >= best) == member[labels == label]).sum()
    return correct / len(labels)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="needs ../shared/conformance/location30.npz")
def test_memguard_does_to_published_predictions_what_the_published_memguard_does():
    """Thresholds on confidence: .763 without, .691 with the authors' MemGuard, .687 for correctness alone."""
    with np.load(PUBLISHED) as file:
        data = dict(file)
    given = []
    for side, seed in (("target", 0), ("shadow", 1)):
        logits = np.log(np.maximum(data[f"{side}_probabilities"], 1e-30))
        member = data[f"{side}_member"] == 1
        outputs, _ = defend(logits, MemguardOptions(epsilon=1.0), seed=seed, fit_on=(logits[member], logits[~member]))
        assert np.array_equal(outputs.argmax(axis=1), logits.argmax(axis=1))
        given.append((softmax(logits), outputs, data[f"{side}_labels"], member))
    plain, guarded = ([(side[kind], *side[2:]) for side in given] for kind in (0, 1))
    assert accuracy_of_class_thresholds(*plain) == pytest.approx(0.763, abs=0.003)
    assert accuracy_of_class_thresholds(*guarded) == pytest.approx(0.691, abs=0.02)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda logits: logits, "answered with ndarray, not with (outputs, is_probability)"),
        (lambda logits: (logits, "yes"), "answered with tuple, not with (outputs, is_probability)"),
        (lambda logits: (logits[:, :1], False), "of shape (40, 1), not with floats of (40, 5)"),
        (lambda logits: (logits > 0, False), "answered with bool"),
        (lambda logits: (logits * np.nan, False), "answered with values that are no numbers"),
        (lambda logits: (logits, True), "answered with probabilities that are below 0 or do not sum to 1"),
    ],
)
def test_answers_of_another_package_s_defence_are_checked(answer, said):
    logits = np.random.default_rng(0).normal(size=(40, 5))
    with pytest.raises(RequestError) as error:
        checked("defence=theirs of them", lambda: answer)(logits)
    assert str(error.value).startswith("defence=theirs of them ")
    assert said in str(error.value)


def test_another_package_s_defence_cannot_change_what_a_model_said_and_is_named_where_it_fails():
    logits = np.ones((4, 3))
    with pytest.raises(ExtensionError, match="defence=theirs failed: ValueError: output array is read-only"):
        checked("defence=theirs", lambda: lambda seen: (np.negative(seen, out=seen), False))(logits)
    assert (logits == 1).all()
    with pytest.raises(ExtensionError, match="defence=theirs failed: ZeroDivisionError"):
        checked("defence=theirs", lambda: 1 / 0)
    with pytest.raises(RequestError, match="defence=theirs gave int, not a function"):
        checked("defence=theirs", lambda: 1)
    outputs, is_probability = checked("defence=theirs", lambda: lambda seen: (seen / 3, True))(logits)
    np.testing.assert_array_equal(outputs, 1 / 3)
    assert is_probability is True


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TopKOptions(k=-1), "defence.k=-1 must be at least 0"),
        (lambda: RoundingOptions(digits=-2), "defence.digits=-2 must be at least 0"),
        (lambda: RoundingOptions(digits=39), "defence.digits=39 must be at most 38"),
        (lambda: TemperatureOptions(temperature=0.0), "defence.temperature=0.0 must be a number above 0"),
        (lambda: TemperatureOptions(temperature=1e-300), "defence.temperature=1e-300 must lie in [1e-30, 1e+38]"),
        (lambda: TemperatureOptions(temperature=1e39), "defence.temperature=1e+39 must lie in [1e-30, 1e+38]"),
        (lambda: NoiseOptions(scale=-0.5), "defence.scale=-0.5 must be a number of 0 or more"),
        (
            lambda: NoiseOptions(distribution="gausian"),
            "defence.distribution='gausian' is not known, did you mean 'gaus",
        ),
        (lambda: MemguardOptions(epsilon=float("nan")), "defence.epsilon=nan must be a number of 0 or more"),
    ],
)
def test_impossible_options_are_refused_by_their_key(make, message):
    with pytest.raises(RequestError) as refused:
        make()
    assert str(refused.value).startswith(message)
