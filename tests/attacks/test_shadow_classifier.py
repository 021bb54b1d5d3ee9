import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shadow_answers import EVERY, overfitted, shuffled
from sklearn.metrics import roc_auc_score

from mia.attacks import run_attack
from mia.attacks.shadow_classifier import (
    ShadowLogisticOptions,
    ShadowMlpOptions,
    ShadowSvmOptions,
    classifiers,
    shadow_svm,
    workers,
)
from mia.attacks.shadow_classifier.classifiers import Pair
from mia.attacks.shadow_classifier.search import Choice
from mia.attacks.shadow_classifier.words import _of_edge
from mia.checks import RequestError
from mia.records import Signals

CONFORMANCE = Path(__file__).parents[2] / "../shared/conformance/public.npz"
SMALL = {"records": 160, "shadows": 3}


def accuracy(scores, is_member):
    return (scores.is_predicted == is_member).mean()


@pytest.mark.skipif(not CONFORMANCE.exists(), reason="the shared conformance files are not here")
def test_agrees_with_plain_scikit_learn_on_the_conformance_file():
    with np.load(CONFORMANCE) as file:
        is_member = file["target_member"] == 1
        signals = Signals(
            labels=file["labels"],
            is_candidate=file["target_member"] >= 0,
            target_outputs=file["target_logits"],
            shadow_outputs=file["shadow_logits"],
            shadow_membership=file["shadow_member"],
            shadow_own=file["shadow_member"] >= 0,
        )
    scores = run_attack("shadow_svm", signals, ShadowSvmOptions(), 0)
    said = scores.is_predicted
    assert accuracy(scores, is_member) == pytest.approx(0.593, abs=0.02)
    assert is_member[said].mean() == pytest.approx(0.606, abs=0.02)
    assert said[is_member].mean() == pytest.approx(0.532, abs=0.02)
    assert roc_auc_score(is_member, scores.score) == pytest.approx(0.613, abs=0.02)


@pytest.mark.parametrize("features", ["probabilities", "top_k", "logits"])
@pytest.mark.parametrize("name", EVERY)
def test_every_classifier_finds_members(name, features):
    signals, is_member = overfitted(records=200, shadows=5)
    scores = run_attack(name, signals, EVERY[name](features=features, top_k=2), 0)
    assert accuracy(scores, is_member) > 0.6
    assert roc_auc_score(is_member, scores.score) > 0.65
    assert np.array_equal(scores.is_predicted, scores.score > 0)
    assert (scores.num_in == 5).all()
    assert (scores.num_out == 5).all()


@pytest.mark.parametrize("name", EVERY)
def test_a_model_of_all_classes_finds_members(name):
    signals, is_member = overfitted(records=200, shadows=4, classes=4)
    scores = run_attack(name, signals, EVERY[name](per_class=False), 0)
    assert roc_auc_score(is_member, scores.score) > 0.7


def test_models_that_learnt_nothing_give_chance():
    signals, is_member = overfitted(records=300, effect=0.0)
    scores = run_attack("shadow_svm", signals, ShadowSvmOptions(), 0)
    assert accuracy(scores, is_member) == pytest.approx(0.5, abs=0.09)


@pytest.mark.parametrize("name", EVERY)
def test_the_same_inputs_give_the_same_bits(name):
    signals, _ = overfitted(**SMALL)
    one, two = (run_attack(name, signals, EVERY[name](), 7) for _ in range(2))
    assert np.array_equal(one.score, two.score)
    assert one.details == two.details


def test_worker_processes_change_no_bit(monkeypatch):
    signals, _ = overfitted(**SMALL)
    here = run_attack("shadow_svm", signals, ShadowSvmOptions(), 0)
    monkeypatch.setattr(workers, "LITTLE", -1.0)
    monkeypatch.setattr(workers, "count_cores", lambda: 2)
    steps = []
    there = run_attack("shadow_svm", signals, ShadowSvmOptions(), 0, lambda *step: steps.append(step))
    assert np.array_equal(here.score, there.score)
    assert here.details == there.details
    assert steps == [(done, len(steps)) for done in range(1, len(steps) + 1)]


@pytest.mark.parametrize("per_class", [True, False])
def test_order_of_records_and_shadows_does_not_matter(per_class):
    signals, _ = overfitted(records=120, shadows=5)
    moved, order = shuffled(signals)
    one, two = (run_attack("shadow_svm", given, ShadowSvmOptions(per_class=per_class), 0) for given in (signals, moved))
    assert one.details == two.details
    assert np.allclose(one.score[order], two.score, atol=1e-9)


def test_what_the_target_says_of_others_changes_no_score():
    signals, _ = overfitted(**SMALL)
    outputs = signals.target_outputs.copy()
    outputs[80:] = outputs[80:][::-1]
    changed = replace(signals, target_outputs=outputs)
    one, two = (run_attack("shadow_svm", given, ShadowSvmOptions(), 0) for given in (signals, changed))
    assert one.details == two.details
    assert np.allclose(one.score[:80], two.score[:80], atol=1e-9)


def test_records_outside_own_and_unused_ones_have_no_influence():
    signals, _ = overfitted(own_share=0.6, **SMALL)
    is_own = signals.shadow_own.copy()
    membership = signals.shadow_membership.copy()
    membership[:, :10] = -1
    signals = replace(signals, shadow_membership=membership)
    is_used = is_own & (membership >= 0)
    outputs = np.where(is_used[..., None], signals.shadow_outputs, 99).astype(np.float32)
    changed = replace(
        signals, shadow_outputs=outputs, shadow_membership=np.where(is_used, membership, 1 - membership % 2)
    )
    changed = replace(changed, shadow_own=is_used)
    one, two = (
        run_attack("shadow_logistic", given, ShadowLogisticOptions(), 0)
        for given in (replace(signals, shadow_own=is_used), changed)
    )
    assert np.array_equal(one.score, two.score)


@pytest.mark.parametrize("shadows", [1, 2, 3])
def test_few_shadows(shadows):
    signals, is_member = overfitted(records=200, shadows=shadows)
    scores = run_attack("shadow_svm", signals, ShadowSvmOptions(), 0)
    assert accuracy(scores, is_member) > 0.6
    text = " ".join(scores.warnings)
    assert ("with one shadow the folds split its records" in text) == (shadows == 1)
    assert (f"{shadows} shadows make {shadows} folds instead of 5" in text) == (shadows > 1)


def test_a_class_without_members_is_served_by_the_model_of_all():
    signals, is_member = overfitted(records=240, shadows=4, classes=3)
    is_own = signals.shadow_own & ~((signals.labels == 2) & (signals.shadow_membership == 1))
    scores = run_attack("shadow_svm", replace(signals, shadow_own=is_own), ShadowSvmOptions(), 0)
    assert np.isfinite(scores.score).all()
    assert roc_auc_score(is_member[signals.labels == 2], scores.score[signals.labels == 2]) > 0.6
    (line,) = [line for line in scores.warnings if "too few" in line]
    assert line.startswith(
        "shadow_svm: too few records of shadows for a model of their own in class 2 (class 2 has 0 in"
    )
    assert line.endswith("a model of all classes scores their records")
    assert {"C/class_0", "gamma/class_1", "cv_accuracy/all_classes"} <= set(scores.details)
    assert "C/class_2" not in scores.details


def test_a_class_that_shadows_never_saw_is_served_by_the_model_of_all():
    signals, _ = overfitted(records=120, shadows=4, classes=3)
    seen = replace(signals, shadow_own=signals.shadow_own & (signals.labels != 1))
    scores = run_attack("shadow_svm", seen, ShadowSvmOptions(), 0)
    assert np.isfinite(scores.score).all()


def test_records_that_no_model_can_serve_are_not_scored():
    signals, _ = overfitted(records=120, shadows=4)
    is_own = signals.shadow_own & (signals.shadow_membership == 0)
    scores = shadow_svm(replace(signals, shadow_own=is_own), ShadowSvmOptions(), 0)
    assert np.isnan(scores.score).all()
    assert not scores.is_predicted.any()
    assert (scores.num_in == 0).all()
    assert "their records are not scored" in scores.warnings[0]
    with pytest.raises(RequestError, match="can score none of the 120 records"):
        run_attack("shadow_svm", replace(signals, shadow_own=is_own), ShadowSvmOptions(), 0)


def test_no_shadows_at_all():
    signals, _ = overfitted(shadows=0, records=40)
    with pytest.raises(RequestError, match="attack=shadow_svm needs shadow models"):
        run_attack("shadow_svm", signals, ShadowSvmOptions(), 0)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("features", ["probabilities", "logits"])
def test_labels_alone_with_their_exact_zeros(name, features):
    signals, is_member = overfitted(records=200, shadows=5)

    def hard(outputs):
        return np.eye(outputs.shape[-1], dtype=np.float32)[outputs.argmax(-1)]

    signals = replace(
        signals,
        target_outputs=hard(signals.target_outputs),
        shadow_outputs=hard(signals.shadow_outputs),
        is_probability=True,
    )
    scores = run_attack(name, signals, EVERY[name](features=features), 0)
    correct = signals.target_outputs.argmax(-1) == signals.labels
    assert np.array_equal(scores.is_predicted, correct)
    assert accuracy(scores, is_member) > 0.55


def test_the_edge_of_the_wide_grid_is_named_with_its_classes():
    choices = {label: Choice(Pair(1.0, 0.1), 0.6, 100, label == 1) for label in (0, 1)}
    assert _of_edge(choices, ShadowSvmOptions(grid="wide")).endswith("edge of grid=wide in class 1")
    assert _of_edge({0: choices[0]}, ShadowSvmOptions(grid="wide")) == ""


def test_the_studys_own_grid_is_no_reason_to_warn():
    signals, _ = overfitted(records=160, shadows=5)
    scores = run_attack("shadow_svm", signals, ShadowSvmOptions(), 0)
    on_edge = [
        label
        for label in (0, 1)
        if scores.details[f"C/class_{label}"] in {0.1, 10} or scores.details[f"gamma/class_{label}"] in {0.001, 0.1}
    ]
    assert on_edge, "the case was made so that the corner is chosen"
    assert not [line for line in scores.warnings if "edge" in line]


def test_cut_rows_are_said():
    signals, _ = overfitted(records=200, shadows=12)
    scores = run_attack("shadow_svm", signals, ShadowSvmOptions(max_rows=600), 0)
    (line,) = [line for line in scores.warnings if "max_rows=600" in line]
    assert "6 of 12 shadows" in line
    assert scores.details["rows/class_0"] == 600
    assert (scores.num_in == 6).all()


def test_an_unbalanced_choice_of_rows_is_said():
    signals, _ = overfitted(records=300, shadows=4)
    is_own = signals.shadow_own & ((signals.shadow_membership == 0) | (np.arange(300) < 60))
    scores = run_attack("shadow_logistic", replace(signals, shadow_own=is_own), ShadowLogisticOptions(), 0)
    assert any("% of the shadows' rows are members" in line for line in scores.warnings)


def test_a_fit_that_stops_early_is_said():
    signals, _ = overfitted(**SMALL)
    scores = run_attack("shadow_mlp", signals, ShadowMlpOptions(epochs=2), 0)
    assert any("of classes 0, 1 stopped before it had converged" in line for line in scores.warnings)


def test_only_classes_of_candidates_are_fitted():
    signals, _ = overfitted(**SMALL)
    scores = run_attack("shadow_svm", replace(signals, is_candidate=signals.labels == 1), ShadowSvmOptions(), 0)
    assert len(scores.score) == 80
    assert "C/class_0" not in scores.details


@pytest.fixture
def _without_intelex(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearnex.svm", None)
    classifiers._svm.cache_clear()
    yield
    monkeypatch.undo()
    classifiers._svm.cache_clear()


def test_plain_scikit_learn_chooses_and_predicts_the_same(request):
    pytest.importorskip("sklearnex")
    signals, _ = overfitted(records=600, shadows=3)
    options = ShadowSvmOptions(grid="study")
    fast = run_attack("shadow_svm", signals, options, 0)
    request.getfixturevalue("_without_intelex")
    plain = run_attack("shadow_svm", signals, options, 0)
    assert (fast.details.pop("library"), plain.details.pop("library")) == ("sklearnex", "sklearn")
    pairs = [key for key in fast.details if key.startswith(("C/", "gamma/"))]
    assert [fast.details[key] for key in pairs] == [plain.details[key] for key in pairs]
    assert (fast.is_predicted == plain.is_predicted).mean() >= 0.999


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": "huge"}, r"attack\.shadow_svm\.grid='huge' is not known"),
        ({"search": "half"}, r"attack\.shadow_svm\.search='half' is not known"),
        ({"features": "logit"}, "did you mean 'logits'"),
        ({"folds": 1}, r"attack\.shadow_svm\.folds=1 must be at least 2"),
        ({"max_rows": 7}, r"attack\.shadow_svm\.max_rows=7 must be 0"),
    ],
)
def test_impossible_options_are_refused(changes, message):
    with pytest.raises(RequestError, match=message):
        ShadowSvmOptions(**changes)
