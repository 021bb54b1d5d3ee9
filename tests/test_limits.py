"""The gate: exceeded where even the lower end lies above, and never passed because nothing was measured."""

import pytest

from mia.attacks import is_owners
from mia.checks import RequestError
from mia.limits import LimitOptions, check_limits, spell_limits

METRICS = {
    "attack/loss/auc": 0.7, "attack/loss/auc_low": 0.62, "attack/loss/auc_high": 0.78,
    "attack/gap/auc": 0.6, "attack/gap/auc_low": 0.55,
    "attack/loss/null_auc": 0.9, "attack/loss/null_auc_low": 0.9, "attack/loss/placebo_auc_low": 0.9,
    "attack/loss/tpr_at_0.1pct_fpr": 0.03, "attack/loss/tpr_at_0.1pct_fpr_low": 0.02,
    "attack/loss/epsilon_one_run": 1.5, "attack/gap/epsilon_one_run": float("nan"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "exceeded"),
    [
        ({}, []),
        ({"auc": 0.61}, ["limit.auc=0.61 is exceeded: loss has at least 0.62 (0.7)"]),
        ({"auc": 0.62}, []),  # at the limit is not above it
        ({"auc": 0.69}, []),  # the value is above, its interval is not
        ({"tpr_at_0_1pct_fpr": 0.01}, ["limit.tpr_at_0.1pct_fpr=0.01 is exceeded: loss has at least 0.02 (0.03)"]),
        ({"epsilon": 1}, ["limit.epsilon=1 is exceeded: attack/loss/epsilon_one_run has at least 1.5"]),
        ({"epsilon": 2}, []),
    ],
)
def test_a_limit_is_exceeded_where_the_lower_end_of_any_attack_lies_above(limits, exceeded):
    verdict = check_limits(METRICS, LimitOptions(**limits), is_owners)
    assert list(verdict.exceeded) == exceeded
    assert verdict.unchecked == ()


def test_what_no_attack_measured_is_said():
    verdict = check_limits({"attack/loss/auc": 0.7}, LimitOptions(auc=0.6, epsilon=1), is_owners)
    assert verdict.exceeded == ()
    assert [line.split(" was")[0] for line in verdict.unchecked] == ["limit.auc=0.6", "limit.epsilon=1"]
    assert ["no attack has auc" in verdict.unchecked[0], "no attack has epsilon (" in verdict.unchecked[1]] == [
        True
    ] * 2


def test_what_only_the_owner_can_do_does_not_count_and_is_said():
    owners = {
        "attack/gradient_norm/auc": 0.8, "attack/gradient_norm/auc_low": 0.75,
        "attack/gradient_norm/epsilon_one_run": 3, "privacy/epsilon_lower_bound": 2.5,
    }  # fmt: skip
    verdict = check_limits(METRICS | owners, LimitOptions(auc=0.65, epsilon=2), is_owners)
    assert (verdict.exceeded, verdict.unchecked) == ((), ())
    words = "does not count what only the model's owner can do:"
    assert verdict.not_counted == (
        f"limit.auc=0.65 {words} gradient_norm has at least 0.75 (0.8)",
        f"limit.epsilon=2 {words} attack/gradient_norm/epsilon_one_run has at least 3",
    )
    verdict = check_limits(METRICS | owners, LimitOptions(auc=0.61), is_owners)
    assert verdict.exceeded == ("limit.auc=0.61 is exceeded: loss has at least 0.62 (0.7)",)
    verdict = check_limits(owners, LimitOptions(auc=0.9), is_owners)
    assert verdict.unchecked == ("limit.auc=0.9 was not checked: no attack but the owner's has auc",)
    assert verdict.not_counted == ()


def test_the_name_with_a_dot_is_understood():
    assert spell_limits(["limit.tpr_at_0.1pct_fpr=.01", "limit.auc=.6", "a=limit.tpr_at_0.1pct_fpr"]) == [
        "limit.tpr_at_0_1pct_fpr=.01", "limit.auc=.6", "a=limit.tpr_at_0.1pct_fpr",
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [{"auc": 1.5}, {"tpr_at_1pct_fpr": -0.1}, {"epsilon": -1}])
def test_impossible_limits_are_refused(wrong):
    with pytest.raises(RequestError, match=r"^limit\."):
        LimitOptions(**wrong)
