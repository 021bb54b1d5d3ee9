"""How much less a defended setting leaks than the same setting without a defence, on the same records.

Takes a sweep and the files of its runs; gives differences of AUC with intervals (DeLong, paired), a chart and rows for
`differences.csv`. Runs are compared only where seed, records and members are the same; several seeds are averaged.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mia.metrics.auc import auc_difference
from mia.records import StoredRun
from mia.report.chart import Axis, Chart, Exhibit, Guide, Series, Variants
from mia.report.exposed import Cell
from mia.report.files import Files
from mia.report.lines import grouped
from mia.report.overlays import MOST_ATTACKS
from mia.report.settings import Setting, Sweep

MOST = 40


@dataclass(frozen=True)
class Difference:
    """AUC of a defended setting less that without a defence, with its 95% interval."""

    setting: Setting
    attack: str
    value: float
    low: float
    high: float
    seeds: int


def differences(sweep: Sweep, files: Files) -> list[Difference]:
    """Return the difference of every defended setting under each of the foremost attacks."""
    found = []
    for settings in grouped(sweep.finished, lambda s: s.place).values():
        plain = next((s for s in settings if not s.defence.name), None)
        if plain is not None:
            defended = [s for s in settings if s.defence.name]
            found += [_difference(s, plain, a, files) for a in sweep.attacks[:MOST_ATTACKS] for s in defended]
    return [one for one in found if one is not None]


def _difference(setting: Setting, plain: Setting, attack: str, files: Files) -> Difference | None:
    before = {run.params.get("seed", ""): run for run in plain.runs}
    pairs = [(run, before[run.params.get("seed", "")]) for run in setting.runs if run.params.get("seed", "") in before]
    found = [_of_pair(run, other, attack, files) for run, other in pairs]
    known = [one for one in found if one is not None]
    if not known:
        return None
    value = float(np.mean([middle for middle, _ in known]))
    half = math.sqrt(sum(half**2 for _, half in known)) / len(known)
    return Difference(setting, attack, value, value - half, value + half, len(known))


def _of_pair(run: StoredRun, other: StoredRun, attack: str, files: Files) -> tuple[float, float] | None:
    """Return the difference of two runs and half its interval; None where their records differ."""
    a, b = files.scores(run), files.scores(other)
    if a is None or b is None or any(name not in arrays for arrays in (a, b) for name in (attack, "index")):
        return None
    if not np.array_equal(a["index"], b["index"]) or not np.array_equal(a["member"], b["member"]):
        return None
    is_scored = ~np.isnan(a[attack]) & ~np.isnan(b[attack])
    member = a["member"].astype(bool)[is_scored]
    if member.all() or not member.any():
        return None
    estimate = auc_difference(a[attack][is_scored].astype(float), b[attack][is_scored].astype(float), member)
    return estimate.value, (estimate.high - estimate.low) / 2


def difference_rows(found: Sequence[Difference]) -> list[dict[str, Cell]]:
    """Return rows for `differences.csv`."""
    return [
        {"setting": d.setting.words, "attack": d.attack, "auc_difference": d.value, "auc_difference_low": d.low,
         "auc_difference_high": d.high, "seeds": d.seeds}
        for d in found
    ]  # fmt: skip


def difference_exhibits(found: Sequence[Difference]) -> list[Exhibit]:
    """Return the differences of each attack as dots around zero."""
    groups = grouped(found, lambda d: (d.attack, d.setting.place))
    variants: Variants = {
        key: [_chart(key[1], sorted(ones, key=lambda d: -d.value)[-MOST:])] for key, ones in groups.items()
    }
    choices: tuple[str, ...] = ("attack", "data")
    if len({place for _, place in groups}) == 1:
        variants, choices = {(attack,): charts for (attack, _), charts in variants.items()}, ("attack",)
    caption = (
        "Difference to the same data, size and seed without a defence, on the same records, with 95% intervals "
        f"(DeLong, paired). Right of zero the defence makes it worse. At most {MOST} settings are shown."
    )
    title = "How much each defence takes off, record by record"
    return [Exhibit("differences", title, caption, variants, choices)] if variants else []


def _chart(place: str, found: Sequence[Difference]) -> Chart:
    rows = list(enumerate(found))
    series = [
        _dots(name, [(row, d) for row, d in rows if d.setting.is_adaptive == is_known], is_known=is_known)
        for is_known, name in ((True, "attacker knows the defence"), (False, "attacker does not know"))
        if any(d.setting.is_adaptive == is_known for d in found)
    ]
    y = Axis("", ticks={float(row): d.setting.defence.words for row, d in rows}, limits=(-0.6, len(found) - 0.4))
    best = min(found, key=lambda d: (not d.setting.is_adaptive, d.value))
    title = f"{best.attack}: AUC {best.value:+.3f} with {best.setting.defence.words}{f', {place}' if place else ''}"
    height = max(0.7, 0.35 + 0.06 * len(found))
    return Chart(title, Axis("AUC, less that without a defence"), y, series, [Guide(0.0, is_vertical=True)], height)


def _dots(name: str, rows: Sequence[tuple[int, Difference]], *, is_known: bool) -> Series:
    found = [d for _, d in rows]
    return Series(
        name,
        [d.value for d in found],
        [float(row) for row, _ in rows],
        shape="points",
        is_hollow=not is_known,
        x_bounds=([d.low for d in found], [d.high for d in found]),
        hover=[f"{d.setting.words}\n{d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}]" for d in found],
    )
