"""Where no model knows anything, every attack is at chance: its ranking, its rule, and whom it can score at all."""

import numpy as np
import pytest
from null_cases import area, null_case

from mia.attacks import ATTACKS, run_attack
from mia.checks import RequestError

VARIANTS = [
    ("calibration", {}),
    ("lira_online", {"variance": "global"}),
    ("lira_online", {"variance": "per_record"}),
    ("lira_online", {"variance": "moderated"}),
    ("lira_offline", {"variance": "global"}),
    ("lira_offline", {"variance": "moderated"}),
    ("lira_offline", {"variance": "per_record"}),
    ("lira_offline", {"variance": "per_record", "offline": "density", "location": "median"}),
    ("rmia_online", {}),
    ("rmia_offline", {}),
    ("rmia_offline", {"a": "auto"}),
    ("base_online", {}),
    ("base_offline", {}),
    ("pmia", {}),
    ("pmia", {"variance": "moderated", "location": "median"}),
    ("gap", {}),
    ("loss", {}),
    ("confidence", {}),
    ("modified_entropy", {}),
]
COMPARING = [one for one in VARIANTS if "shadows" in ATTACKS[one[0]].needs]
ANSWERS = ("constant", "alike", "label", "votes", "digits0", "digits2", "logits")
RECORDS, SEEDS = 400, 8


def rates(name, options, design, kind, models, target, unused=0.0):
    """Return AUC, balanced accuracy (NaN without a rule) and the excess of scored members, a row per seed."""
    found = []
    for seed in range(SEEDS):
        signals, is_member = null_case(seed, design, kind, models, target, RECORDS, unused)
        try:
            scores = run_attack(name, signals, ATTACKS[name].options(**options), seed)
        except RequestError:  # too few shadows, for any record
            continue
        scored = ~np.isnan(scores.score)
        if not (scored & is_member).any() or not (scored & ~is_member).any():
            continue
        said = scores.is_predicted
        balanced = np.nan
        if said is not None:
            balanced = (1 + said[scored & is_member].mean() - said[scored & ~is_member].mean()) / 2
        share = scored[is_member].mean() - scored[~is_member].mean()
        found.append((area(scores.score[scored], is_member[scored]), balanced, share, scored.mean()))
    return np.array(found).reshape(-1, 4)


def assert_chance(found):
    """Check means against what chance allows, from the number of records scored: 4.5 standard errors."""
    if not len(found):
        return
    scored = found[:, 3].mean() * RECORDS
    error = np.sqrt(1 / 3 / scored / len(found))  # of an area; of a balanced accuracy it is at most 1.7 times as much
    assert abs(found[:, 0].mean() - 0.5) < 4.5 * error
    if not np.isnan(found[:, 1]).all():
        assert abs(np.nanmean(found[:, 1]) - 0.5) < 4.5 * 1.7 * error
    share = found[:, 3].mean()
    assert abs(found[:, 2].mean()) < 4.5 * np.sqrt(4 * share * (1 - share) / RECORDS / len(found)) + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize(("design", "target"), [("pairs", 0), ("pairs", 1), ("balanced", 0), ("coins", 0)])
@pytest.mark.parametrize("models", [4, 9, 20])
def test_nobody_finds_members_where_nothing_was_learnt(design, target, kind, models):
    for name, options in VARIANTS:
        assert_chance(rates(name, options, design, kind, models, target))


@pytest.mark.parametrize(("design", "target"), [("pairs", 1), ("balanced", 0)])
@pytest.mark.parametrize(("kind", "models"), [("label", 20), ("votes", 5), ("digits1", 3)])
def test_nobody_finds_members_in_a_few_designs(design, target, kind, models):
    for name, options in COMPARING:
        assert_chance(rates(name, options, design, kind, models, target))


@pytest.mark.slow
@pytest.mark.parametrize("design", ["pairs", "balanced"])
@pytest.mark.parametrize("models", [33, 52, 64])
def test_nobody_finds_members_among_many_models(design, models):
    for kind in ("label", "logits"):
        for name, options in COMPARING:
            assert_chance(rates(name, options, design, kind, models, 1))


@pytest.mark.slow
@pytest.mark.parametrize("design", ["pairs", "balanced", "coins"])
@pytest.mark.parametrize("models", [9, 20])
def test_records_that_shadows_may_not_use_change_nothing(design, models):
    for kind in ("votes", "logits"):
        for name, options in COMPARING:
            assert_chance(rates(name, options, design, kind, models, 1, unused=0.25))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [("shadow_forest", {"trees": 20}), ("shadow_boosting", {"rounds": 10}), ("shadow_logistic", {})],
)
@pytest.mark.parametrize(("design", "target"), [("pairs", 1), ("balanced", 0)])
def test_classifiers_find_no_members_either(name, options, design, target):
    for kind in ("alike", "votes"):
        assert_chance(rates(name, options, design, kind, 8, target))


@pytest.mark.parametrize("kind", ["constant", "uniform"])
@pytest.mark.parametrize(("name", "options"), [one for one in VARIANTS if one[0] != "gap"])
def test_a_constant_model_ranks_nobody(name, options, kind):
    """Equal answers are equal to the last digit, whatever the class and however many of them a mean is of."""
    for design in ("balanced", "pairs", "coins"):
        signals, _ = null_case(0, design, "uniform" if name in ("entropy", "modified_entropy") else kind, 12)
        if kind == "constant":
            signals.labels[:] = 1
        scores = run_attack(name, signals, ATTACKS[name].options(**options), 0)
        scored = ~np.isnan(scores.score)  # by chance, no shadow of a record's may be OUT
        assert len(set(scores.score[scored])) == 1
        assert scores.is_predicted is None or len(set(scores.is_predicted[scored])) == 1


def test_a_constant_answer_of_three_classes_has_one_modified_entropy():
    signals, _ = null_case(0, "coins", "uniform", 4)
    for name in ("entropy", "modified_entropy"):
        scores = run_attack(name, signals, ATTACKS[name].options(per_class=False), 0).score
        assert len(set(scores)) == 1
        assert len(set(signals.labels)) == 3
