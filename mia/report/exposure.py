"""Which records stop being exposed as a defence grows stronger.

Takes a sweep and the files of its runs; gives the exhibit. A member is exposed when the attack scores it above all but
1% of the non-members of the same run. Compared are runs of one seed on the same records, against an attacker who knows.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from mia.records import StoredRun
from mia.report.chart import Axis, Chart, Exhibit, Series, Variants
from mia.report.files import Files
from mia.report.lines import grouped
from mia.report.overlays import MOST_ATTACKS, scores_of
from mia.report.settings import Setting, Sweep

RATE = 0.01
MOST_RECORDS = 20


def exposure_exhibits(sweep: Sweep, files: Files) -> list[Exhibit]:
    """Return how many members stay exposed over the strengths of each defence, and the fate of the most exposed."""
    variants: Variants = {}
    for attack in sweep.attacks[:MOST_ATTACKS]:
        for place, settings in grouped(sweep.finished, lambda s: s.place).items():
            plain = next((s for s in settings if not s.defence.name), None)
            strong = [s for s in settings if s.defence.name and s.is_adaptive]
            for name, group in grouped(strong, lambda s: s.defence.name).items():
                charts = _charts(name, [plain, *group] if plain else [], attack, files)
                if charts:
                    variants[attack, f"{name}, {place}" if place else name] = charts
    caption = (
        "Exposed: a member that the attack scores above 99% of the non-members. Left: how many are exposed at each "
        "strength. Right: the members most exposed without a defence; a filled mark where they still are."
    )
    title = "Which records stop being exposed"
    return [Exhibit("exposure", title, caption, variants, ("attack", "defence"))] if variants else []


def exposed(score: Float[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"]) -> Bool[np.ndarray, "Q"]:
    """Return which members score above all but `RATE` of the non-members; ties with them do not count."""
    others = np.sort(score[~is_member & ~np.isnan(score)])[::-1]
    allowed = math.floor(len(others) * RATE * (1 + 1e-12))
    threshold = others[allowed] if allowed < len(others) else -np.inf
    return is_member & (np.nan_to_num(score, nan=-np.inf) > threshold)


def _charts(name: str, settings: Sequence[Setting], attack: str, files: Files) -> list[Chart]:
    runs = _same_seed(settings)
    if len(runs) < 2:
        return []
    before = _exposed_records(runs[0], attack, files)
    after = [_exposed_records(run, attack, files) for run in runs]
    if not before or any(records is None for records in after):
        return []
    labels = [s.defence.text or "on" if s.defence.name else "none" for s in settings]
    sets = [records or {} for records in after]
    return [_count_chart(name, before, sets, labels), _fate_chart(before, sets, labels)]


def _same_seed(settings: Sequence[Setting]) -> list[StoredRun]:
    """Return one run of each setting, all of the first seed that all have; none if there is no such seed."""
    by_setting = [{run.params.get("seed", ""): run for run in s.runs} for s in settings]
    shared = [seed for seed in (by_setting[0] if by_setting else {}) if all(seed in runs for runs in by_setting)]
    return [runs[shared[0]] for runs in by_setting] if shared else []


def _exposed_records(run: StoredRun, attack: str, files: Files) -> Mapping[int, float] | None:
    """Return the exposed members and their scores, by index."""
    found, arrays = scores_of(run, attack, files), files.scores(run)
    if found is None or arrays is None or "index" not in arrays:
        return None
    score, member = found
    chosen = exposed(score, member)
    return dict(zip(arrays["index"][chosen].tolist(), score[chosen].tolist(), strict=True))


def _count_chart(
    name: str, before: Mapping[int, float], sets: Sequence[Mapping[int, float]], labels: Sequence[str]
) -> Chart:
    still = [float(len(records.keys() & before.keys())) for records in sets]
    new = [float(len(records.keys() - before.keys())) for records in sets]
    x = [float(k) for k in range(len(sets))]
    hover = [
        f"{label}: {a:.0f} still exposed, {b:.0f} newly exposed" for label, a, b in zip(labels, still, new, strict=True)
    ]
    series = [
        Series("exposed without a defence, and still", x, still, shape="bars", colour="c1", hover=hover),
        Series("newly exposed", x, new, shape="bars", colour="c5", base=still, hover=hover),
    ]
    title = f"{name}: {still[-1]:.0f} of {len(before):,} exposed members remain at {labels[-1]}"
    ticks = dict(zip(x, labels, strict=True))
    return Chart(title, Axis("strength", ticks=ticks), Axis("exposed members"), series)


def _fate_chart(before: Mapping[int, float], sets: Sequence[Mapping[int, float]], labels: Sequence[str]) -> Chart:
    worst = sorted(before, key=lambda index: -before[index])[:MOST_RECORDS]
    points = [
        (float(k), float(len(worst) - 1 - row), index in records)
        for k, records in enumerate(sets)
        for row, index in enumerate(worst)
    ]
    series = []
    for name, wanted, colour in (("exposed", True, "c1"), ("no longer", False, "quiet")):
        chosen = [(x, y) for x, y, is_exposed in points if is_exposed == wanted]
        if chosen:
            x, y = zip(*chosen, strict=True)
            hover = [f"record {worst[len(worst) - 1 - int(b)]} at {labels[int(a)]}: {name}" for a, b in chosen]
            series.append(Series(name, x, y, shape="points", colour=colour, is_hollow=not wanted, hover=hover))
    ticks = {float(len(worst) - 1 - row): f"#{index}" for row, index in enumerate(worst)}
    return Chart(
        f"Most exposed without a defence: {len(worst)} of {len(before):,} members",
        Axis("strength", ticks={float(k): label for k, label in enumerate(labels)}, limits=(-0.5, len(labels) - 0.5)),
        Axis("record", ticks=ticks, limits=(-0.7, len(worst) - 0.3)),
        series,
        height=1.25,
    )
