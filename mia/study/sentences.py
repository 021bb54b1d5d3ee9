"""What is said of a study: the cheapest defence, the slope over sizes, what changed most, what runs warned about.

Takes a study or its runs, gives text; empty where there is nothing to say for sure.
"""

import re
from collections.abc import Sequence

import numpy as np

from mia.metrics.estimates import best_difference
from mia.metrics.power_law import fit_power_law
from mia.metrics.words import FAILED, metric_words
from mia.records import StoredRun
from mia.study.study import SIZE, UTILITY, Study

PRICE = 0.01  # test accuracy that the sentence over the frontier is ready to pay
MOST_PLACES = 4


def price_words(study: Study, attack: str, metric: str = "auc") -> str:
    """Return which defence leaks least at (almost) no measured cost, at each place.

    The best of many looks better than it is: the difference to no defence has the interval of a choice among all
    defended settings of the place, and the baseline's own uncertainty is in it.
    """
    name, lines = f"attack/{attack}/{metric}", []
    known = study.fair(name, UTILITY)
    for place in dict.fromkeys(study.rows[k].place for k in known):
        here = [k for k in known if study.rows[k].place == place]
        defended = [k for k in here if study.rows[k].defences]
        for plain in [k for k in here if not study.rows[k].defences][:1] if defended else ():
            least = study.estimate(plain, UTILITY).value - PRICE
            cheap = [k for k in defended if study.estimate(k, UTILITY).value >= least]
            best = min(cheap, key=lambda k: study.estimate(k, name).value, default=plain)
            change = best_difference(study.estimate(best, name), study.estimate(plain, name), len(defended))
            if cheap and change.high < 0:  # by more than luck
                numbers = f"{change.value:+.3f}, {change.low:+.3f} to {change.high:+.3f}"
                lines.append(f"{place and f'{place}: '}{study.rows[best].words} ({numbers})")
    if not lines or len(lines) > MOST_PLACES:
        return ""
    what = f"Lowest {metric_words(metric)} of {attack} at a measured cost of at most one point of test accuracy"
    return f"{what}, against no defence, with intervals that allow for the choice: {'; '.join(lines)}."


def slope_words(study: Study) -> str:
    """Return the slopes of log(TPR - FPR) against log(examples per class), for the attacks that have one.

    Classes do not vary with the size, so that examples per class go as the size does.
    """
    if study.axes != (SIZE,) or study.has_defences:
        return ""
    found = []
    for attack in study.attacks:
        for unit in ("0.1pct", "1pct"):
            rates = [[study.estimate(k, f"attack/{attack}/{name}") for k in study.finished]
                     for name in (f"tpr_at_{unit}_fpr", f"fpr_reached_at_{unit}")]  # fmt: skip
            tpr, fpr = (np.array([one.value for one in each]) for each in rates)
            sizes, kept = np.array([study.rows[k].size for k in study.finished]), np.isfinite(tpr) & np.isfinite(fpr)
            trials = (sizes * [one.count for one in rates[0]])[kept]
            law = fit_power_law(sizes[kept], tpr[kept], fpr[kept], members=trials, nonmembers=trials)
            if law is not None:
                value, low, high = law.slope
                out = f", {law.num_left_out} sizes without leakage left out" if law.num_left_out else ""
                found.append(f"{attack} {value:.2f} ({low:.2f} to {high:.2f}) at {unit.replace('pct', '%')} FPR{out}")
                break
    what = "Slope of log(TPR - FPR) against log(examples per class), with its 95% interval (Student's)"
    return f"{what}: {'; '.join(found)}. About -1/2 is published (arXiv 2402.06674)." if found else ""


def change_words(study: Study) -> str:
    """Return what changed most: the settings of lowest and highest leakage, where their intervals are apart."""
    name = f"attack/{next(iter(study.attacks), '')}/auc"
    fair = study.fair(name)
    if len(fair) < 2:
        return ""
    low, high = (pick(fair, key=lambda k: study.estimate(k, name).value) for pick in (min, max))
    a, b = study.estimate(low, name), study.estimate(high, name)
    if not a.high < b.low:
        return f"AUC of {study.attacks[0]}: no two settings are apart by more than their intervals."
    words = f"{b.value:.3f} ({study.words(study.rows[high])}) to {a.value:.3f} ({study.words(study.rows[low])})"
    before, after = study.estimate(high, UTILITY), study.estimate(low, UTILITY)
    cost = f"; test accuracy {before.value:.3f} to {after.value:.3f}" if before.is_known and after.is_known else ""
    return f"What changed most: AUC of {study.attacks[0]} {words}{cost}."


# --- runs -------------------------------------------------------------------------------------------------------------


def failure_words(run: StoredRun) -> str:
    """Return what became of an unfinished run, and why, in one line."""
    reason = " ".join(run.tags.get("mia.error", "").split())
    status = {"FAILED": "failed", "KILLED": "was interrupted", "RUNNING": "is not finished"}.get(run.status, run.status)
    return f"{status}: {reason}" if reason else status


def shared_warnings(runs: Sequence[StoredRun]) -> list[tuple[str, int]]:
    """Return every warning of runs once, with the number of runs that gave it: failed controls, then the most frequent.

    Warnings that differ in their numbers only are one, however many numbers they list: the first stands for all.
    """
    number = r"(?<![\w.])\d+(?:,\d{3})*"
    said: dict[str, tuple[str, set[str]]] = {}
    for run in runs:
        for line in filter(str.strip, run.tags.get("mia.warnings", "").splitlines()):
            said.setdefault(re.sub(rf"{number}(?:, {number})*", "#", line), (line, set()))[1].add(run.id)
    found = ((line, len(whose)) for line, whose in said.values())
    return sorted(found, key=lambda one: (FAILED not in one[0], -one[1]))
