"""What the files of runs say: curves, classes, records; each read once, as tidy frames.

Takes a study; opens `scores.npz` and `per_class.csv`, never a pickle. A file that is missing or damaged leaves its run
out of the figure. Of several seeds the first is shown, but for paired differences, which average all.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mia.metrics.auc import auc_difference
from mia.metrics.estimates import Estimate, mean_of_intervals
from mia.metrics.roc import drawn_rate, thinned_roc
from mia.metrics.words import METRICS
from mia.records import StoredRun
from mia.report import found, searched
from mia.report.searched import Searched
from mia.report.study import NO_DEFENCE, Row, Study
from mia.tables import number, read_rows

if TYPE_CHECKING:
    import pandas as pd

MOST_ATTACKS, MOST_LINES = 5, 12_000
OTHERS = ("slices", "exposure", "fates", "repeats", "agreement", "confirmed", "sweeps", "trials")
POINTS = 40  # of a curve: a page holds hundreds of them
Known = tuple[np.ndarray, np.ndarray, np.ndarray]  # index, membership, score


@dataclass(frozen=True)
class Difference:
    """AUC of a defended setting less that of the same without a defence, on the same records."""

    row: int
    attack: str
    estimate: Estimate


class Evidence:
    """The record-level frames of a study, made when they are asked for."""

    def __init__(self, study: Study, searched: Searched | None = None) -> None:
        self.study, self.searched = study, searched or Searched()
        self.attacks = study.attacks[:MOST_ATTACKS]
        self._scores: dict[str, Mapping[str, np.ndarray]] = {}

    def scores(self, run: StoredRun) -> Mapping[str, np.ndarray]:
        """Return `index`, `member` and the foremost attacks' scores of a run; nothing where they cannot be read."""
        if run.id not in self._scores:
            self._scores[run.id] = _read_scores(self.study.fetch(run, "scores.npz"), {"index", "member", *self.attacks})
        return self._scores[run.id]

    @cached_property
    def by_setting(self) -> list[tuple[int, str, list[Known]]]:
        """Setting, attack, and index, membership and score of each run that has scores of members and of others."""
        found = []
        for s in self.study.finished:
            for attack in self.attacks:
                having = [arrays for run in self.study.rows[s].runs if attack in (arrays := self.scores(run))]
                runs = [_known(arrays, attack) for arrays in having]
                if runs := [one for one in runs if one[1].any() and not one[1].all()]:
                    found.append((s, attack, runs))
        return found

    @cached_property
    def curves(self) -> "pd.DataFrame":
        """Points of ROC curves: `s`, `a`, false and true positive rates `f` and `t`; the axes' ends are kept."""
        import pandas as pd

        parts = [pd.DataFrame({"s": [], "a": [], "f": [], "t": []})]
        for s, attack, ((_, member, score), *_) in self.by_setting:
            fpr, tpr = thinned_roc(score, member, POINTS)
            parts.append(pd.DataFrame({"s": s, "a": attack, "f": drawn_rate(fpr, member), "t": tpr}))
        curves = pd.concat(parts[1:] or parts)
        return curves[curves["t"] > 0].round({"f": 6, "t": 5})

    @cached_property
    def nonmembers(self) -> int:
        """The most non-members of any run: what its curve can resolve."""
        return max((int((~member).sum()) for _, _, ((_, member, _), *_) in self.by_setting), default=0)

    @cached_property
    def classes(self) -> "pd.DataFrame":
        """A line per setting, attack and class: precision `v`, `l` to `h`, and `gap`, train - test accuracy.

        A class's gap is the advantage of the attack `gap` on it, which says member if and only if a record is
        classified correctly.
        """
        lines = self._table("per_class.csv", "precision", {"c": "class", "advantage": "advantage"})
        gaps = lines[lines["a"] == "gap"].set_index(["s", "c"])["advantage"].map(number).rename("gap")
        lines = lines[lines["a"].isin(self.attacks) & lines["v"].notna()].drop(columns="advantage")
        return lines.join(gaps, on=["s", "c"])

    @cached_property
    def slices(self) -> "pd.DataFrame":
        """A line per setting, attack, property `p` and its value `c`: AUC `v`, `l` to `h`, and whether it `differs`."""
        names = {"p": "slice", "c": "value", "differs": "is_different"}
        lines = self._table("slices.csv", "auc", names)
        lines["differs"] = lines["differs"].map(number) > 0
        return lines[lines["a"].isin(self.attacks) & lines["v"].notna()]

    def _table(self, file: str, metric: str, names: Mapping[str, str]) -> "pd.DataFrame":
        """Return what the first run of each setting stored in a file: `s`, `a`, a metric, and columns by new names."""
        import pandas as pd

        lines: list[list[Any]] = []
        for s in self.study.finished:
            for row in read_rows(self.study.fetch(self.study.rows[s].runs[0], file)) if len(lines) < MOST_LINES else ():
                ends = (number(row.get(f"{metric}{end}")) for end in ("", "_low", "_high"))
                lines.append([s, row.get("attack", ""), *ends, *(row.get(name) or "" for name in names.values())])
        return pd.DataFrame(lines, columns=["s", "a", "v", "l", "h", *names])

    # --- against the same without a defence ---------------------------------------------------------------------------

    def plain(self, row: Row) -> int | None:
        """Return the position of the setting at the same place without a defence."""
        rows = self.study.rows
        return next((k for k in self.study.finished if not rows[k].defences and rows[k].place == row.place), None)

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
        before = {self.study.seeds[run.id]: run for run in plain.runs}
        pairs = [(run, before.get(self.study.seeds[run.id])) for run in row.runs]
        found = [_of_pair(self.scores(run), self.scores(other), attack) for run, other in pairs if other]
        known = [one for one in found if one is not None]
        return mean_of_intervals(known) if known else None

    @cached_property
    def changes(self) -> "pd.DataFrame":
        """The differences as a frame: `s`, `a`, `v`, `l`, `h`, `sd`."""
        import pandas as pd

        lines = [(d.row, d.attack, e.value, e.low, e.high, e.deviation) for d in self.differences for e in [d.estimate]]
        return pd.DataFrame(lines, columns=["s", "a", "v", "l", "h", "sd"])

    # --- what a search found ------------------------------------------------------------------------------------------

    confirmed = cached_property(lambda self: searched.confirmed(self.searched))
    sweeps = cached_property(lambda self: searched.sweeps_of(self.study, self.searched))
    trials = cached_property(lambda self: searched.trials(self.study))

    # --- who is found -------------------------------------------------------------------------------------------------

    exposure = cached_property(found.exposure)
    fates = cached_property(found.fates)
    repeats = cached_property(found.repeated)
    agreement = cached_property(found.agreeing)
    listed = cached_property(found.listed)


def data_of(study: Study, evidence: Evidence) -> dict[str, "pd.DataFrame"]:
    """Return every data set that figures name.

    "settings": a line per setting; "points": a value per setting, attack and metric, with the key `k`; "paths": the
    settings on each defence's line, the one without a defence at the start of each; and those of `Evidence`.
    """
    import pandas as pd

    if not study.finished:
        return {}
    points, settings = study.points, study.settings
    shown = points["m"].isin([one.name for one in METRICS]) | points["m"].str.startswith("time/")
    points = points[shown].assign(k=points["s"].astype(str) + "|" + points["a"] + "|" + points["m"])
    plain, strong = settings[settings["defence"] == NO_DEFENCE], settings[settings["defence"] != NO_DEFENCE]
    starts = [
        plain[plain["place"] == place].head(1).assign(line=defence, who=who)
        for (place, defence, who), _ in strong.groupby(["place", "defence", "who"], sort=False)
    ]
    paths = pd.concat([*starts, strong.assign(line=strong["defence"])])
    return {
        "settings": settings, "points": points, "paths": paths.drop(columns=["run", "command"]),
        "curves": evidence.curves, "classes": evidence.classes, "changes": evidence.changes,
        **{name: getattr(evidence, name) for name in OTHERS},
    }  # fmt: skip


def _read_scores(path: Path | None, wanted: set[str]) -> Mapping[str, np.ndarray]:
    if path is None:
        return {}
    try:  # opened here: numpy leaves what is damaged open
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name in wanted}
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile):
        return {}
    return arrays if {"index", "member"} <= arrays.keys() else {}


def _known(arrays: Mapping[str, np.ndarray], attack: str) -> Known:
    """Return the records that an attack could score."""
    kept = ~np.isnan(arrays[attack])
    return arrays["index"][kept], arrays["member"].astype(bool)[kept], arrays[attack][kept].astype(float)


def _of_pair(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], attack: str) -> Any:
    """Return the difference of two runs' AUC, or None where their records differ."""
    if attack not in a or attack not in b or any(not np.array_equal(a[name], b[name]) for name in ("index", "member")):
        return None
    kept = ~np.isnan(a[attack]) & ~np.isnan(b[attack])
    member = a["member"].astype(bool)[kept]
    if member.all() or not member.any():
        return None
    return auc_difference(a[attack][kept].astype(float), b[attack][kept].astype(float), member)
