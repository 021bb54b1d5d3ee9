"""Who is found: exposed records as a defence grows stronger, over seeds, by several attacks, and as an honest list.

Takes the evidence of a study, gives tidy frames. `s` is a setting, `a` an attack. Of several seeds the first is shown,
but for what is about seeds.
"""

from typing import TYPE_CHECKING

import numpy as np

from mia.metrics.discoveries import FALSE_DISCOVERY, benjamini_hochberg, combine_p_values, conformal_p_values
from mia.metrics.over_seeds import agreement, align, found_at_fpr, repeats
from mia.metrics.roc import exposed

if TYPE_CHECKING:
    import pandas as pd

    from mia.records import StoredRun
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
Steps = list[tuple[int, dict[int, float]]]


def exposure(evidence: "Evidence") -> "pd.DataFrame":
    """A line per attack, defended setting and fate: `s`, `a`, `defence`, `what`, `count` of members.

    Compared are runs of one seed on the same records, against an attacker who knows.
    """
    import pandas as pd

    lines = [
        (s, attack, defence, what, count)
        for attack, defence, steps in _steps(evidence)
        for s, now in steps
        for before in [steps[0][1].keys()]
        for what, count in ((STILL, len(now.keys() & before)), (NEW, len(now.keys() - before)))
    ]
    return pd.DataFrame(lines, columns=["s", "a", "defence", "what", "count"])


def fates(evidence: "Evidence") -> "pd.DataFrame":
    """A line per attack, defended setting and most exposed member; `record` says which, `what` if still."""
    import pandas as pd

    lines = [
        (s, attack, defence, f"#{index}", k, "exposed" if index in now else "no longer")
        for attack, defence, steps in _steps(evidence)
        for s, now in steps
        for k, index in enumerate(sorted(steps[0][1], key=lambda one: -steps[0][1][one])[:MOST_RECORDS])
    ]
    return pd.DataFrame(lines, columns=["s", "a", "defence", "record", "place", "what"])


def _steps(evidence: "Evidence") -> list[tuple[str, str, Steps]]:
    """Return attack, defence at its place, and the exposed members of each strength; the first is no defence."""
    study = evidence.study
    groups: dict[str, list[int]] = {}
    for s in study.finished:
        row = study.rows[s]
        plain = evidence.plain(row)
        if row.defences and row.is_known and plain is not None:
            groups.setdefault(", ".join(filter(None, [row.defence, row.place])), [plain]).append(s)
    found = []
    for attack in evidence.attacks:
        for name, group in groups.items():
            steps = [(s, _exposed_records(evidence, study.rows[s].runs[0], attack)) for s in group]
            if all(now is not None for _, now in steps) and steps[0][1]:
                found.append((attack, name, [(s, now or {}) for s, now in steps]))
    return found


def _exposed_records(evidence: "Evidence", run: "StoredRun", attack: str) -> dict[int, float] | None:
    """Return the exposed members and their scores, by index."""
    arrays = evidence.scores(run)
    if attack not in arrays:
        return None
    score = arrays[attack].astype(float)
    chosen = exposed(score, arrays["member"].astype(bool))
    return dict(zip(arrays["index"][chosen].tolist(), score[chosen].tolist(), strict=True))


def repeated(evidence: "Evidence") -> "pd.DataFrame":
    """A line per setting of several seeds, attack and `what` is found again: share `v`, `l` to `h`, of `n` members."""
    import pandas as pd

    lines = []
    for s, attack, runs in evidence.by_setting:
        if len(runs) < 2:
            continue
        found = [found_at_fpr(score, member, RATE) for _, member, score in runs]
        index = [one for one, *_ in runs]
        members = align(index, [member.astype(np.int8) for _, member, _ in runs], -1)[1].astype(np.int8)
        metrics = repeats(align(index, found, fill=False)[1], members)
        for name, words in OVER_SEEDS.items():
            if name in metrics:
                ends = (metrics.get(f"{name}{end}", metrics[name]) for end in ("_low", "_high"))
                lines.append((s, attack, words, metrics[name], *ends, int(metrics["num_members"])))
    return pd.DataFrame(lines, columns=["s", "a", "what", "v", "l", "h", "n"])


def agreeing(evidence: "Evidence") -> "pd.DataFrame":
    """A line per setting and pair of attacks `a`, `b`: the Jaccard index `v` of what they find, `both` how many."""
    import pandas as pd

    lines: list[tuple[int, str, str, float, int]] = []
    by_setting: dict[int, dict[str, np.ndarray]] = {}
    for s, attack, runs in evidence.by_setting:
        _, member, score = runs[0]
        by_setting.setdefault(s, {})[attack] = found_at_fpr(score, member, RATE)[member]
    for s, found in by_setting.items():
        for row in agreement({name: one for name, one in found.items() if one.any()}):
            a, b = str(row["attack"]), str(row["other"])
            shared = float(row["jaccard"]), int(row["found_by_both"])
            lines += [(s, a, b, *shared), (s, b, a, *shared)]
    return pd.DataFrame(lines, columns=["s", "a", "b", "v", "both"])


def listed(evidence: "Evidence") -> "pd.DataFrame":
    """A line per setting, attack and exposed member: `record`, `p`, `q`, and how many `seeds` asked about it.

    Of every list that ends at a `q` of `FALSE_DISCOVERY`, a share of that many at most is false on average: conformal
    p-values against the target's own non-members, combined over seeds, and Benjamini and Hochberg's procedure.
    """
    import pandas as pd

    lines = []
    for s, attack, runs in evidence.by_setting:
        index = [one[member] for one, member, _ in runs]
        values = [conformal_p_values(score[member], score[~member]) for _, member, score in runs]
        records, aligned = align(index, values, np.nan)
        p = combine_p_values(aligned)
        q, seeds = benjamini_hochberg(p), np.sum(~np.isnan(aligned), axis=0)
        chosen = np.flatnonzero(np.nan_to_num(q, nan=2.0) <= FALSE_DISCOVERY)
        lines += [
            (s, attack, int(records[k]), float(p[k]), float(q[k]), int(seeds[k]))
            for k in chosen[np.argsort(p[chosen], kind="stable")]
        ]
    return pd.DataFrame(lines, columns=["s", "a", "record", "p", "q", "seeds"])
