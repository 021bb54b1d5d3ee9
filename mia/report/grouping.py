"""Stored runs to settings: what belongs together, and what each setting is called.

Takes stored runs, gives a `Sweep`. Of each configuration the latest attempt counts; runs that differ in their seed only
are one setting, and so are both attackers where there is no defence to know of.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mia.records import StoredRun
from mia.report.axes import SEED, as_number, find_axes, latest_attempts, subset
from mia.report.defence import defence_of
from mia.report.settings import ADAPTIVE, Setting, Sweep, is_other_key


def read_sweep(runs: Iterable[StoredRun]) -> Sweep:
    """Return a sweep's runs grouped by all that varies except the seed; of each configuration the latest attempt."""
    counted = latest_attempts(runs)
    axes = find_axes(counted)
    groups: dict[tuple[str, ...], list[StoredRun]] = {}
    for run in counted:
        groups.setdefault(subset(run.params, axes), []).append(run)
    named = naming_axes(axes, list(groups))
    settings = _merged([_setting(group, axes, named) for group in groups.values()])
    return Sweep(tuple(axes), tuple(sorted(settings, key=_order)), _attacks(settings))


def _merged(settings: Sequence[Setting]) -> list[Setting]:
    """Return settings without those that repeat another against the other attacker, there being nothing to know."""
    kept: list[Setting] = []
    for setting in settings:
        twin = next((k for k, other in enumerate(kept) if _are_twins(setting, other)), None)
        if twin is None:
            kept.append(setting)
        elif _differ(_results(setting), _results(kept[twin])):  # all runs share a defence that does not vary
            kept[twin] = replace(kept[twin], knowledge_matters=True)
            kept.append(replace(setting, knowledge_matters=True))
        else:
            kept[twin] = _joined(kept[twin], setting)
    return kept


def _joined(a: Setting, b: Setting) -> Setting:
    """Return the setting with more finished runs; those of the other are repeats, or unfinished still."""
    main, other = (a, b) if len(a.runs) >= len(b.runs) else (b, a)
    unfinished = (*main.unfinished, *other.unfinished)
    return replace(main, unfinished=unfinished, repeats=(*main.repeats, *other.runs))


def _are_twins(a: Setting, b: Setting) -> bool:
    """Whether two settings without a defence of their own differ in the attacker's knowledge only."""
    rest = [{key: value for key, value in s.values.items() if key != ADAPTIVE} for s in (a, b)]
    return not a.defence.name and not b.defence.name and rest[0] == rest[1]


def _results(setting: Setting) -> dict[str, dict[str, float]]:
    """Return by seed what a run found out, without how long it took."""
    return {
        run.params.get(SEED, ""): {k: v for k, v in run.metrics.items() if k.startswith(("attack/", "target/"))}
        for run in setting.runs
    }


def _differ(a: Mapping[str, Mapping[str, float]], b: Mapping[str, Mapping[str, float]]) -> bool:
    return any(not np.array_equal([*a[s].values()], [b[s].get(k, math.nan) for k in a[s]], equal_nan=True)
               for s in a.keys() & b.keys())  # fmt: skip


def naming_axes(axes: Sequence[str], places: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the other axes that name a set-up; of those that always change together the first is enough."""
    kept = [k for k, axis in enumerate(axes) if is_other_key(axis)]
    count = len({tuple(place[k] for k in kept) for place in places})
    for position in reversed(kept):
        rest = [k for k in kept if k != position]
        if len({tuple(place[k] for k in rest) for place in places}) == count:
            kept = rest
    return tuple(axes[k] for k in kept)


def _setting(runs: Sequence[StoredRun], axes: Sequence[str], named: tuple[str, ...]) -> Setting:
    params = runs[0].params
    by_seed = sorted(runs, key=lambda run: as_number(run.params.get(SEED)) or 0)
    return Setting(
        values={axis: params[axis] for axis in axes if axis in params},
        runs=tuple(run for run in by_seed if run.status == "FINISHED"),
        unfinished=tuple(run for run in by_seed if run.status != "FINISHED"),
        defence=defence_of(params, axes),
        knowledge_matters=bool(defence_of(params, axes).name),
        named=named,
    )


def _order(setting: Setting) -> tuple[str, float, str, tuple[float, str], bool]:
    size = -1.0 if math.isnan(setting.size) else setting.size
    return setting.other, size, setting.defence.name, setting.defence.order, not setting.is_adaptive


def _attacks(settings: Sequence[Setting]) -> tuple[str, ...]:
    """Return the attacks' names: those of most settings first, then by mean AUC."""
    areas: dict[str, list[float]] = {}
    for setting in settings:
        for name in dict.fromkeys(
            m.split("/")[1] for run in setting.runs for m in run.metrics if m.startswith("attack/")
        ):
            areas.setdefault(name, []).append(setting.estimate(f"attack/{name}/auc").value)
    return tuple(sorted(areas, key=lambda name: (-len(areas[name]), -float(np.nan_to_num(np.mean(areas[name]))))))
