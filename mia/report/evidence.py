"""What the files of runs say: curves, classes, records; each read once, as tidy frames.

Takes a study; opens `scores.npz` and `per_class.csv`, never a pickle. A file that is missing or damaged leaves its run
out of the figure. Of several seeds the first is shown, but for paired differences, which average all.
"""

import csv
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from mia.metrics.auc import auc_difference
from mia.metrics.roc import roc
from mia.records import StoredRun
from mia.report.frame import NO_DEFENCE, Row, Study
from mia.report.statistics import Estimate, mean_of_intervals

if TYPE_CHECKING:
    import pandas as pd

MOST_ATTACKS = 5
POINTS = 40  # of a curve: a page holds hundreds of them
RATE = 0.01  # of false positives: a member is exposed when it scores above all but so many non-members
MOST_RECORDS = 20
MOST_CLASS_ROWS = 12_000
Scored = tuple[Float[np.ndarray, "Q"], Bool[np.ndarray, "Q"]]


@dataclass(frozen=True)
class Difference:
    """AUC of a defended setting less that of the same without a defence, on the same records."""

    row: int
    attack: str
    estimate: Estimate


class Evidence:
    """The record-level frames of a study, made when they are asked for."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.attacks = study.attacks[:MOST_ATTACKS]
        self._scores: dict[str, Mapping[str, np.ndarray] | None] = {}

    def scores(self, run: StoredRun) -> Mapping[str, np.ndarray] | None:
        """Return the arrays of a run's `scores.npz`; None where it cannot be read."""
        if run.id not in self._scores:
            self._scores[run.id] = self._read_scores(run)
        return self._scores[run.id]

    def _read_scores(self, run: StoredRun) -> Mapping[str, np.ndarray] | None:
        path = self.study.fetch(run, "scores.npz")
        if path is None:
            return None
        wanted = {"index", "member", *self.attacks}
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files if name in wanted}
        except (OSError, ValueError, zipfile.BadZipFile):
            return None
        return arrays if "member" in arrays else None

    def scored(self, run: StoredRun, attack: str) -> Scored | None:
        """Return an attack's scores and who is a member, without the records that it could not score."""
        arrays = self.scores(run)
        if arrays is None or attack not in arrays:
            return None
        score = arrays[attack].astype(float)
        kept = ~np.isnan(score)
        return score[kept], arrays["member"].astype(bool)[kept]

    @cached_property
    def curves(self) -> "pd.DataFrame":
        """Points of ROC curves: `s`, `a`, false and true positive rates `f` and `t`; the axes' ends are kept."""
        import pandas as pd

        parts = []
        for s, attack in self._each():
            found = self.scored(self.study.rows[s].runs[0], attack)
            if found is not None and found[1].any() and not found[1].all():
                fpr, tpr = roc_line(*found, points=POINTS)
                parts.append(pd.DataFrame({"s": s, "a": attack, "f": drawn_rate(fpr, found[1]), "t": tpr}))
        curves = pd.concat(parts) if parts else pd.DataFrame({"s": [], "a": [], "f": [], "t": []})
        return curves[curves["t"] > 0].round({"f": 6, "t": 5})

    @cached_property
    def nonmembers(self) -> int:
        """The most non-members of any run: what its curve can resolve."""
        found = [self.scores(self.study.rows[s].runs[0]) for s in self.study.finished]
        return max((int((one["member"] == 0).sum()) for one in found if one is not None), default=0)

    @cached_property
    def classes(self) -> "pd.DataFrame":
        """A line per setting, attack and class: precision `v`, `l` to `h`, and `gap`, train - test accuracy.

        A class's gap is the advantage of the attack `gap` on it, which says member if and only if a record is
        classified correctly.
        """
        import pandas as pd

        lines: list[dict[str, Any]] = []
        for s in self.study.finished:
            rows = self._per_class(self.study.rows[s].runs[0])
            gaps = {row["class"]: number(row.get("advantage")) for row in rows if row.get("attack") == "gap"}
            for row in rows:
                value = number(row.get("precision"))
                if row.get("attack") in self.attacks and math.isfinite(value):
                    ends = {"l": number(row.get("precision_low")), "h": number(row.get("precision_high"))}
                    gap = gaps.get(row["class"], math.nan)
                    lines.append({"s": s, "a": row["attack"], "c": row["class"], "v": value, **ends, "gap": gap})
            if len(lines) > MOST_CLASS_ROWS:
                break
        return pd.DataFrame(lines, columns=["s", "a", "c", "v", "l", "h", "gap"])

    def _per_class(self, run: StoredRun) -> Sequence[Mapping[str, str]]:
        path = self.study.fetch(run, "per_class.csv")
        try:
            return read_rows(path) if path else []
        except OSError:
            return []

    def _each(self) -> Iterator[tuple[int, str]]:
        return ((s, attack) for s in self.study.finished for attack in self.attacks)

    # --- against the same without a defence ---------------------------------------------------------------------------

    def plain(self, row: Row) -> int | None:
        """Return the position of the setting at the same place without a defence."""
        place = self._place(row)
        found = (k for k in self.study.finished if not self.study.rows[k].defences)
        return next((k for k in found if self._place(self.study.rows[k]) == place), None)

    def _place(self, row: Row) -> tuple[Any, ...]:
        return tuple(row.values.get(key) for key in self.study.axes)

    @cached_property
    def differences(self) -> list[Difference]:
        """How much each defended setting takes off AUC, under each of the foremost attacks (DeLong, paired)."""
        found = []
        for attack in self.attacks:
            for s in self.study.finished:
                row = self.study.rows[s]
                plain = self.plain(row) if row.defences else None
                if plain is not None and (estimate := self._difference(row, self.study.rows[plain], attack)):
                    found.append(Difference(s, attack, estimate))
        return found

    def _difference(self, row: Row, plain: Row, attack: str) -> Estimate | None:
        """Return the mean over the seeds that both have, of runs on the same records."""
        seeds = self.study.seeds
        before = {seeds[run.id]: run for run in plain.runs}
        pairs = [(run, before[seeds[run.id]]) for run in row.runs if seeds[run.id] in before]
        found = [one for run, other in pairs if (one := self._of_pair(run, other, attack)) is not None]
        return mean_of_intervals(found) if found else None

    def _of_pair(self, run: StoredRun, other: StoredRun, attack: str) -> Any:
        a, b = self.scores(run), self.scores(other)
        if a is None or b is None or any(name not in one for one in (a, b) for name in (attack, "index")):
            return None
        if not np.array_equal(a["index"], b["index"]) or not np.array_equal(a["member"], b["member"]):
            return None
        kept = ~np.isnan(a[attack]) & ~np.isnan(b[attack])
        member = a["member"].astype(bool)[kept]
        if member.all() or not member.any():
            return None
        return auc_difference(a[attack][kept].astype(float), b[attack][kept].astype(float), member)

    @cached_property
    def changes(self) -> "pd.DataFrame":
        """The differences as a frame: `s`, `a`, `v`, `l`, `h`, `sd`, `count`."""
        import pandas as pd

        lines = [(d.row, d.attack, d.estimate.value, d.estimate.low, d.estimate.high, d.estimate.deviation, d.estimate.count)
                 for d in self.differences]  # fmt: skip
        return pd.DataFrame(lines, columns=["s", "a", "v", "l", "h", "sd", "count"])

    # --- exposed records ----------------------------------------------------------------------------------------------

    @cached_property
    def exposure(self) -> "pd.DataFrame":
        """A line per attack, defended setting and fate: `s`, `a`, `defence`, `what`, `count` of members.

        Compared are runs of one seed on the same records, against an attacker who knows.
        """
        import pandas as pd

        lines = []
        for attack, defence, steps in self._exposed():
            before = steps[0][1]
            for s, records in steps:
                counts = {"exposed without a defence, and still": len(records.keys() & before.keys()),
                          "newly exposed": len(records.keys() - before.keys())}  # fmt: skip
                lines += [(s, attack, defence, what, count) for what, count in counts.items()]
        return pd.DataFrame(lines, columns=["s", "a", "defence", "what", "count"])

    @cached_property
    def fates(self) -> "pd.DataFrame":
        """A line per attack, defended setting and most exposed member: `s`, `a`, `defence`, `record`, `order`, `what`."""
        import pandas as pd

        lines = []
        for attack, defence, steps in self._exposed():
            before = steps[0][1]
            worst = sorted(before, key=lambda index: -before[index])[:MOST_RECORDS]
            lines += [
                (s, attack, defence, f"#{index}", k, "exposed" if index in records else "no longer")
                for s, records in steps
                for k, index in enumerate(worst)
            ]
        return pd.DataFrame(lines, columns=["s", "a", "defence", "record", "order", "what"])

    def _exposed(self) -> Iterator[tuple[str, str, list[tuple[int, dict[int, float]]]]]:
        """Yield attack, defence at its place, and the exposed members of each strength; the first is no defence."""
        groups: dict[str, list[int]] = {}
        for s in self.study.finished:
            row = self.study.rows[s]
            if row.defences and row.is_known and self.plain(row) is not None:
                groups.setdefault(", ".join(filter(None, [row.defence, self.study.place(row)])), []).append(s)
        for attack in self.attacks:
            for name, group in groups.items():
                plain = self.plain(self.study.rows[group[0]])
                steps = [
                    (s, self.exposed_records(s, attack)) for s in [*([plain] if plain is not None else []), *group]
                ]
                known = [(s, records) for s, records in steps if records is not None]
                if len(known) == len(steps) > 1 and known[0][1]:
                    yield attack, name, known

    def exposed_records(self, s: int, attack: str) -> dict[int, float] | None:
        """Return the exposed members of a setting's first run and their scores, by index."""
        arrays = self.scores(self.study.rows[s].runs[0])
        if arrays is None or attack not in arrays or "index" not in arrays:
            return None
        score, member = arrays[attack].astype(float), arrays["member"].astype(bool)
        chosen = exposed(score, member)
        return dict(zip(arrays["index"][chosen].tolist(), score[chosen].tolist(), strict=True))


def exposed(score: Float[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"]) -> Bool[np.ndarray, "Q"]:
    """Return which members score above all but `RATE` of the non-members; ties with them do not count."""
    others = np.sort(score[~is_member & ~np.isnan(score)])[::-1]
    allowed = math.floor(len(others) * RATE * (1 + 1e-12))
    threshold = others[allowed] if allowed < len(others) else -np.inf
    return is_member & (np.nan_to_num(score, nan=-np.inf) > threshold)


def roc_line(
    score: Float[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"], points: int = 240
) -> tuple[Float[np.ndarray, "P"], Float[np.ndarray, "P"]]:
    """Return false and true positive rates at both ends and at about `points` log-spaced thresholds in between.

    Records of equal score are counted together; no score may be NaN.
    """
    curve = roc(score, is_member)
    if not curve.num_members or not curve.num_nonmembers:
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    fpr, tpr = curve.fpr, curve.tpr
    if len(fpr) <= points:
        return fpr, tpr
    wanted = np.geomspace(0.5 / curve.num_nonmembers, 1, points)
    kept = np.unique([0, *(np.searchsorted(fpr, wanted, side="right") - 1), len(fpr) - 1])
    return fpr[kept], tpr[kept]


def drawn_rate(fpr: Float[np.ndarray, "P"], is_member: Bool[np.ndarray, "Q"]) -> Float[np.ndarray, "P"]:
    """Return rates for a logarithmic axis: what lies at zero is drawn at its left edge."""
    return np.maximum(fpr, left_edge(int((~is_member).sum())))


def left_edge(num_nonmembers: int) -> float:
    """Return where the axis begins: half of the smallest rate that so many non-members can show."""
    return 0.5 / max(num_nonmembers, 5)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the lines of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(value: Any) -> float:
    """Return a cell as a number; NaN for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def defence_names(study: Study) -> list[str]:
    """Return the names of the defences that vary, in the order of tables, without "no defence"."""
    return [name for name in dict.fromkeys(study.rows[k].defence for k in study.finished) if name != NO_DEFENCE]
