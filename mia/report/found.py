"""Who is found: exposed records as a defence grows stronger, over seeds, by several attacks, and as an honest list.

Takes the evidence of a study, gives tidy frames. `s` is a setting, `a` an attack. Of several seeds the first is shown,
but for what is about seeds.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mia.metrics.discoveries import exposed_members
from mia.metrics.over_seeds import agreement, found_at_fpr, repeats_at_fpr
from mia.metrics.roc import exposed
from mia.study.study import framed

if TYPE_CHECKING:
    from mia.report.evidence import Evidence

MOST_RECORDS = 20
RATE = 0.01  # false positives at which somebody is found
STILL, NEW = "without a defence and still", "newly exposed"
OVER_SEEDS = {
    "coverage": "found with any seed",
    "found_per_seed": "found with one seed",
    "stability": "found with every seed",
    "false_coverage": "accused with any seed",
}


@framed("s a defence what count")
def exposure(evidence: "Evidence") -> Iterable[Any]:
    """A line per attack, defended setting and fate: `s`, `a`, `defence`, `what`, `count` of members.

    Compared are runs of one seed on the same records, against an attacker who knows.
    """
    for attack, defence, s, before, now in _steps(evidence):
        for what, count in ((STILL, len(now.keys() & before)), (NEW, len(now.keys() - before))):
            yield s, attack, defence, what, count


@framed("s a defence record place what")
def fates(evidence: "Evidence") -> Iterable[Any]:
    """A line per attack, defended setting and most exposed member; `record` says which, `what` if still."""
    for attack, defence, s, before, now in _steps(evidence):
        for k, index in enumerate(sorted(before, key=lambda one, of=before: -of[one])[:MOST_RECORDS]):  # type: ignore[misc]
            yield s, attack, defence, f"#{index}", k, "exposed" if index in now else "no longer"


def _steps(evidence: "Evidence") -> Iterator[tuple[str, str, int, dict[int, float], dict[int, float]]]:
    """Yield attack, defence at its place, setting, and the exposed members without a defence and at this strength.

    The first setting of each defence is the one without. Members are given with their scores, by index.
    """
    study = evidence.study
    groups: dict[str, list[int]] = {}
    for s in study.finished:
        row = study.rows[s]
        plain = evidence.plain(row)
        if row.defences and row.is_known and plain is not None:
            groups.setdefault(", ".join(filter(None, [row.defence, row.place])), [plain]).append(s)
    for attack in evidence.attacks:
        for name, group in groups.items():
            having = [arrays for s in group if attack in (arrays := evidence.scores(study.rows[s].runs[0]))]
            members = [_exposed(arrays, attack) for arrays in having]
            if len(members) == len(group) and members[0]:
                yield from ((attack, name, s, members[0], now) for s, now in zip(group, members, strict=True))


def _exposed(arrays: Mapping[str, np.ndarray], attack: str) -> dict[int, float]:
    score = arrays[attack].astype(float)
    chosen = exposed(score, arrays["member"].astype(bool))
    return dict(zip(arrays["index"][chosen].tolist(), score[chosen].tolist(), strict=True))


@framed("s a what v l h n")
def repeated(evidence: "Evidence") -> Iterable[Any]:
    """A line per setting of several seeds, attack and `what` is found again: share `v`, `l` to `h`, of `n` members."""
    for s, attack, runs in evidence.by_setting:
        metrics = repeats_at_fpr(runs, RATE) if len(runs) > 1 else {}
        for name in [name for name in OVER_SEEDS if name in metrics]:
            ends = (metrics.get(f"{name}{end}", metrics[name]) for end in ("_low", "_high"))
            yield s, attack, OVER_SEEDS[name], metrics[name], *ends, int(metrics["num_members"])


@framed("s a b v both")
def agreeing(evidence: "Evidence") -> Iterable[Any]:
    """A line per setting and pair of attacks, as `agreement` has them: Jaccard index `v`, and how many `both` find."""
    by_setting: dict[int, dict[str, np.ndarray]] = {}
    for s, attack, ((_, member, score), *_) in evidence.by_setting:
        by_setting.setdefault(s, {})[attack] = found_at_fpr(score, member, RATE)[member]
    return ((s, *pair) for s, found in by_setting.items() for pair in agreement(found))


@framed("s a record p q seeds")
def listed(evidence: "Evidence") -> Iterable[Any]:
    """A line per setting, attack and exposed member: those of `exposed_members`."""
    return ((s, attack, *one) for s, attack, runs in evidence.by_setting for one in exposed_members(runs))
