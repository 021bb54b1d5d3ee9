"""What the files of runs say: curves, classes, records; each read once, as tidy frames.

Takes a study; opens `scores.npz` and tables, never a pickle. A file that is missing or damaged leaves its run out of
the figure. Of several seeds the first is shown, but for paired differences, which average all.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mia.metrics.comparison import paired_auc
from mia.metrics.estimates import Estimate, mean_of_intervals
from mia.metrics.over_seeds import Judged
from mia.metrics.roc import drawn_rate, thinned_roc
from mia.metrics.words import METRICS
from mia.records import StoredRun
from mia.report import found, searched
from mia.report.look import Figure, data_names
from mia.report.searched import Searched
from mia.stored_result import stored_scores
from mia.study.study import NO_DEFENCE, Row, Study, framed, is_ordered
from mia.tables import number, read_rows

if TYPE_CHECKING:
    import pandas as pd

MOST_ATTACKS, MOST_LINES = 5, 12_000
POINTS = 40  # of a curve: a page holds hundreds of them


def roc_points(score: np.ndarray, is_member: np.ndarray, points: int) -> Iterator[tuple[float, float]]:
    """Yield false and true positive rates for logarithmic axes, whose left end stands for no false positive."""
    fpr, tpr = thinned_roc(score, is_member, points)
    return ((f, t) for f, t in zip(drawn_rate(fpr, is_member).tolist(), tpr.tolist(), strict=True) if t > 0)


def table_lines(
    rows: Iterable[Mapping[str, Any]], metric: str, attacks: Collection[str], **names: str
) -> Iterator[dict[str, Any]]:
    """Yield what a table says of some attacks, where it is known: `a`, metric `v`, `l` to `h`, columns by new names."""
    for row in rows:
        value, low, high = (number(row.get(f"{metric}{end}")) for end in ("", "_low", "_high"))
        if math.isfinite(value) and str(row.get("attack")) in attacks:
            own = {new: str(row.get(old, "")) for new, old in names.items()}
            yield {"a": str(row["attack"]), "v": value, "l": low, "h": high} | own


class Evidence:
    """The record-level frames of a study, made when they are asked for."""

    def __init__(self, study: Study, searched: Searched | None = None) -> None:
        self.study, self.searched, self.settings = study, searched or Searched(), study.settings
        self.attacks = study.attacks[:MOST_ATTACKS]
        self._scores: dict[str, Mapping[str, np.ndarray]] = {}

    def scores(self, run: StoredRun) -> Mapping[str, np.ndarray]:
        """Return `index`, `member` and the foremost attacks' scores of a run; nothing where they cannot be read."""
        if run.id not in self._scores:
            self._scores[run.id] = stored_scores(run, self.study.fetch, self.attacks)
        return self._scores[run.id]

    @cached_property
    def by_setting(self) -> list[tuple[int, str, list[Judged]]]:
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
    @framed("s a f t")
    def curves(self) -> Iterable[Any]:
        """Points of ROC curves: `s`, `a`, false and true positive rates `f` and `t`; the axes' ends are kept."""
        for s, attack, ((_, member, score), *_) in self.by_setting:
            yield from ((s, attack, round(f, 6), round(t, 5)) for f, t in roc_points(score, member, POINTS))

    @cached_property
    def nonmembers(self) -> int:
        """The most non-members of any run: what its curve can resolve."""
        return max((int((~member).sum()) for _, _, ((_, member, _), *_) in self.by_setting), default=0)

    @cached_property
    @framed("s a v l h c gap")
    def classes(self) -> Iterable[Any]:
        """A line per setting, attack and class: precision `v`, `l` to `h`, and `gap`, train - test accuracy.

        A class's gap is the advantage of the attack `gap` on it, which says member if and only if a record is
        classified correctly.
        """

        def lines(rows: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
            gaps = {row.get("class"): number(row.get("advantage")) for row in rows if row.get("attack") == "gap"}
            found = table_lines(rows, "precision", self.attacks, c="class")
            return ({**line, "gap": gaps.get(line["c"], math.nan)} for line in found)

        return self._stored("per_class.csv", lines)

    @cached_property
    @framed("s a v l h p c differs")
    def slices(self) -> Iterable[Any]:
        """A line per setting, attack, property `p` and its value `c`: AUC `v`, `l` to `h`, and whether it `differs`."""
        return self._stored("slices.csv", lambda rows: slice_lines(rows, self.attacks))

    def _stored(
        self, file: str, lines: Callable[[list[dict[str, str]]], Iterable[dict[str, Any]]]
    ) -> Iterator[dict[str, Any]]:
        """Yield the lines made of a table that the first run of each setting stored, until there are too many."""
        left = MOST_LINES
        for s in self.study.finished:
            if left > 0:
                made = list(lines(read_rows(self.study.fetch(self.study.rows[s].runs[0], file))))
                left -= len(made)
                yield from ({"s": s, **line} for line in made)

    # --- against the same without a defence ---------------------------------------------------------------------------

    def plain(self, row: Row) -> int | None:
        """Return the position of the setting at the same place without a defence."""
        rows = self.study.rows
        return next((k for k in self.study.finished if not rows[k].defences and rows[k].place == row.place), None)

    @cached_property
    def differences(self) -> list[tuple[int, str, Estimate]]:
        """How much each defended setting takes off AUC: setting, attack, difference (DeLong, paired).

        The mean over the seeds that both have, of runs on the same records.
        """
        rows, seeds, found = self.study.rows, self.study.seeds, []
        defended = [(s, plain) for s in self.study.finished if rows[s].defences
                    for plain in [self.plain(rows[s])] if plain is not None]  # fmt: skip
        for attack in self.attacks:
            for s, plain in defended:
                before = {seeds[run.id]: run for run in rows[plain].runs}
                pairs = [(run, before[seeds[run.id]]) for run in rows[s].runs if seeds[run.id] in before]
                made = [paired_auc(self.scores(run), self.scores(other), attack) for run, other in pairs]
                if known := [one for one in made if one is not None]:
                    found.append((s, attack, mean_of_intervals(known)))
        return found

    @cached_property
    @framed("s a defence v l h sd")
    def changes(self) -> Iterable[Any]:
        """The differences as a frame: `s`, `a`, the name of the `defence`, `v`, `l`, `h`, `sd`."""
        for s, attack, e in self.differences:
            yield s, attack, self.study.rows[s].defence, e.value, e.low, e.high, e.deviation

    exposure, fates = cached_property(found.exposure), cached_property(found.fates)
    repeats, agreement = cached_property(found.repeated), cached_property(found.agreeing)
    listed = cached_property(found.listed)
    sweeps, trials = cached_property(searched.sweeps_of), cached_property(searched.trials)
    confirmed = cached_property(searched.confirmed)

    # --- the data sets that figures name ------------------------------------------------------------------------------

    @cached_property
    def points(self) -> "pd.DataFrame":
        """A value per setting, attack and metric that figures show, with the key `k`."""
        points = self.study.points
        shown = points["m"].isin([one.name for one in METRICS]) | points["m"].str.startswith("time/")
        return points[shown].assign(k=points["s"].astype(str) + "|" + points["a"] + "|" + points["m"])

    @cached_property
    def paths(self) -> "pd.DataFrame":
        """The settings on each defence's `line`, led by the one without a defence; whether a line is `ordered`."""
        import pandas as pd

        settings = self.study.settings.drop(columns=["run", "command"])
        plain, strong = settings[settings["defence"] == NO_DEFENCE], settings[settings["defence"] != NO_DEFENCE]
        one_line = strong.groupby(["place", "defence", "who"], sort=False)
        ordered = one_line["s"].transform(lambda line: is_ordered([self.study.rows[s].defences for s in line]))
        strong = strong.assign(line=strong["defence"], ordered=ordered.astype(bool))
        starts = [
            plain[plain["place"] == place].head(1).assign(line=defence, who=who, ordered=strong["ordered"][line[0]])
            for (place, defence, who), line in one_line.groups.items()
        ]
        return pd.concat([*starts, strong])


def data_of(figures: Iterable[Figure], evidence: Evidence) -> dict[str, "pd.DataFrame"]:
    """Return the data sets that figures name, each an attribute of `Evidence`."""
    return {name: getattr(evidence, name) for name in sorted(data_names([one.spec for one in figures]))}


def slice_lines(rows: Iterable[Mapping[str, Any]], attacks: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield what `slices.csv` says of AUC: `table_lines` with a property `p`, its value `c`, and if it `differs`."""
    found = table_lines(rows, "auc", attacks, p="slice", c="value", differs="is_different")
    return ({**line, "differs": number(line["differs"]) > 0} for line in found)


def _known(arrays: Mapping[str, np.ndarray], attack: str) -> Judged:
    """Return the records that an attack could score."""
    kept = ~np.isnan(arrays[attack])
    return arrays["index"][kept], arrays["member"].astype(bool)[kept], arrays[attack][kept].astype(float)
