"""The sentences over figures and under tables: the cheapest defence, the slope over sizes, what changed most.

Takes a study, gives text; empty where there is nothing to say for sure.
"""

import math

import numpy as np

from mia.metrics.power_law import PowerLaw, fit_power_law
from mia.metrics.words import metric_words
from mia.report.frame import SIZE, Study
from mia.report.statistics import best_difference

UTILITY = "target/test_accuracy"
PRICE = 0.01
"""Test accuracy that the sentence over the frontier is ready to pay."""
MOST_PLACES = 4


def price_words(study: Study, attack: str, metric: str = "auc") -> str:
    """Return which defence leaks least at (almost) no measured cost, at each place.

    The best of many looks better than it is: the difference to no defence has the interval of a choice among all
    defended settings of the place, and the baseline's own uncertainty is in it.
    """
    name = f"attack/{attack}/{metric}"
    lines = []
    places: dict[str, list[int]] = {}
    for k in study.finished:
        row = study.rows[k]
        if (
            (row.is_known or not row.is_defended)
            and study.estimate(k, name).is_known
            and study.estimate(k, UTILITY).is_known
        ):
            places.setdefault(study.place(row), []).append(k)
    for place, known in places.items():
        plain = next((k for k in known if not study.rows[k].defences), None)
        defended = [k for k in known if study.rows[k].defences]
        if plain is None:
            continue
        least = study.estimate(plain, UTILITY).value - PRICE
        cheap = [k for k in defended if study.estimate(k, UTILITY).value >= least]
        if not cheap:
            continue
        best = min(cheap, key=lambda k: study.estimate(k, name).value)
        change = best_difference(study.estimate(best, name), study.estimate(plain, name), len(defended))
        if change.high < 0:  # by more than luck
            row = study.rows[best]
            numbers = f"{change.value:+.3f}, {change.low:+.3f} to {change.high:+.3f}"
            lines.append(f"{f'{place}: ' if place else ''}{row.defence} {row.strength} ({numbers})")
    if not lines or len(lines) > MOST_PLACES:
        return ""
    what = f"Lowest {metric_words(metric)} of {attack} at a measured cost of at most one point of test accuracy"
    return f"{what}, against no defence, with intervals that allow for the choice: {'; '.join(lines)}."


def slope_words(study: Study) -> str:
    """Return the slopes of log(TPR - FPR) against log(examples per class), for the attacks that have one.

    Classes do not vary with the size, so that examples per class go as the size does.
    """
    if [key for key in study.axes if key != SIZE] or study.has_defences:
        return ""
    found = []
    for attack in study.attacks:
        for unit in ("0.1pct", "1pct"):
            law = _law(study, attack, unit)
            if law is not None:
                value, low, high = law.slope
                out = f", {law.num_left_out} sizes without leakage left out" if law.num_left_out else ""
                found.append(f"{attack} {value:.2f} ({low:.2f} to {high:.2f}) at {unit.replace('pct', '%')} FPR{out}")
                break
    what = "Slope of log(TPR - FPR) against log(examples per class), with its 95% interval (Student's)"
    return f"{what}: {'; '.join(found)}. About -1/2 is published (arXiv 2402.06674)." if found else ""


def _law(study: Study, attack: str, unit: str) -> PowerLaw | None:
    found = []
    for k in study.finished:
        tpr = study.estimate(k, f"attack/{attack}/tpr_at_{unit}_fpr")
        fpr = study.estimate(k, f"attack/{attack}/fpr_reached_at_{unit}")
        if tpr.is_known and fpr.is_known:
            found.append((study.rows[k].size, tpr.value, fpr.value, study.rows[k].size * tpr.count))
    if not found:
        return None
    sizes, tpr_of, fpr_of, trials = np.array(found).T
    return fit_power_law(sizes, tpr_of, fpr_of, members=trials, nonmembers=trials)


def change_words(study: Study) -> str:
    """Return what changed most: the settings of lowest and highest leakage, where their intervals are apart."""
    if not study.attacks:
        return ""
    name = f"attack/{study.attacks[0]}/auc"
    fair = [k for k in study.finished if study.rows[k].is_known and study.estimate(k, name).is_known]
    if len(fair) < 2:
        return ""
    low, high = (pick(fair, key=lambda k: study.estimate(k, name).value) for pick in (min, max))
    a, b = study.estimate(low, name), study.estimate(high, name)
    if not a.high < b.low:
        return f"AUC of {study.attacks[0]}: no two settings are apart by more than their intervals."
    words = f"AUC of {study.attacks[0]}: {b.value:.3f} ({study.words(study.rows[high])})"
    words += f" to {a.value:.3f} ({study.words(study.rows[low])})"
    before, after = study.estimate(high, UTILITY).value, study.estimate(low, UTILITY).value
    cost = f"; test accuracy {before:.3f} to {after:.3f}" if math.isfinite(before) and math.isfinite(after) else ""
    return f"What changed most: {words}{cost}."
