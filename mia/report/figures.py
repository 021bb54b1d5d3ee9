"""The figures of a sweep: one function each, from a study and its files to a figure or nothing.

A function that is decorated with `figure` is drawn in every report that it applies to; its specification stands in
`assets/figures.yaml`. Figures name the data sets of `data_of` and look values up by setting, attack and metric, so that
a choice of attack or metric needs no further data.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mia.metrics.words import METRICS, metric_of, metric_words, of_kind
from mia.report import look
from mia.metrics.roc import left_edge
from mia.report.evidence import STILL, Evidence
from mia.report.frame import KNOWS, KNOWS_NOT, NO_DEFENCE, SIZE, Study, axis_field, key_words, size_words
from mia.report.look import Figure, by_category, by_order, choice, specification, templates
from mia.report.sentences import UTILITY, price_words, slope_words

if TYPE_CHECKING:
    import pandas as pd

BARS = "Bars: the 95% interval of a run, or of the mean over seeds."
LEAKAGE = "=words[metric] + (indexof(metric, '/') < 0 ? ' of ' + attack : '')"
TOGETHER = ("precision", "recall", "accuracy", "auc")
MOST_ATTACKS, MOST_ROWS, MOST_PANELS, MOST_NAMED = 12, 30, 12, 30
Make = Callable[[Study, Evidence], Figure | None]
FIGURES: list[Make] = []


def figure(make: Make) -> Make:
    """Draw a figure in every report that it applies to, after those declared before."""
    FIGURES.append(make)
    return make


def sweep_figures(study: Study, evidence: Evidence) -> list[Figure]:
    """Return what a study can show, the most telling first."""
    return [one for make in FIGURES if (one := make(study, evidence)) is not None] if study.attacks else []


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
        "exposure": evidence.exposure, "fates": evidence.fates,
    }  # fmt: skip


# --- what figures share -----------------------------------------------------------------------------------------------


def attack_choice(attacks: Sequence[str]) -> dict[str, Any]:
    """Return the choice of the attack."""
    return choice("attack", "attack", attacks[:MOST_ATTACKS])


def metric_choice(study: Study, *also: str) -> list[dict[str, Any]]:
    """Return the choice of the leakage metric, its names for titles and what guessing achieves."""
    known = set(study.points["m"])
    names = [name for name in (*(one.name for one in of_kind("leakage")), *also) if name in known] or ["auc"]
    words = {name: metric_words(name) for name in names}
    chances = {name: one.chance for name in names if (one := metric_of(name)) and one.chance is not None}
    start = "auc" if "auc" in names else names[0]
    found = choice("metric", "metric", names, list(words.values()), start)
    return [found, {"name": "words", "value": words}, {"name": "chances", "value": chances}]


def group_choices(study: Study) -> list[dict[str, Any]]:
    """Return the choice of what is drawn over one another: a place, and a defence with its attacker."""
    settings = study.settings
    found = [choice("panel", "data", list(dict.fromkeys(settings["panel"])))]
    found += [choice("defence", "defence", study.defences)] if study.has_defences else []
    whose = [who for who in (KNOWS, KNOWS_NOT) if (settings["who"] == who).any()]
    return [*found, choice("who", "the attacker", whose, KNOWS)] if study.has_both else found


def in_group(study: Study) -> str:
    """Return the filter for what is drawn over one another."""
    if not study.has_defences:
        return "datum.panel == panel"
    who = " && (datum.who == who || datum.who == 'either')" if study.has_both else ""
    return f"datum.panel == panel && (datum.defence == '{NO_DEFENCE}' || datum.defence == defence{who})"


def quoted(text: str) -> str:
    """Return text that can stand between single quotes in an expression."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def dash(study: Study) -> Any:
    """Return what dashes the lines of attackers who do not know; None where all know."""
    return specification(templates()["parts"]["attacker"]) if study.has_both else None


def knowing(study: Study) -> str:
    """Return what filled and hollow marks mean, where there are both."""
    return " Filled marks: the attacker knows the defence; hollow marks, dashed lines: does not." if study.has_both else ""


def number_axis(field: str, title: str, values: Sequence[float]) -> dict[str, Any]:
    """Return an axis with ticks at the values, logarithmic where they spread over more than a factor of eight."""
    known = sorted(set(values))
    kind = "log" if known[0] > 0 and known[-1] / known[0] >= 8 else "linear"
    axis = {"values": known, "format": ",~r" if known[-1] >= 1 else "~g", "grid": False}
    scale = {"type": kind, "zero": False, "nice": False, "padding": 14}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def made(name: str, title: str, caption: str, choices: Sequence[Any], template: str = "", **values: Any) -> Figure:
    """Return a figure by the template of its name, or another."""
    return Figure(name, title, caption.strip(), specification(templates()[template or name], choices, **values))


# --- figures ----------------------------------------------------------------------------------------------------------


@figure
def grid(study: Study, _: Evidence) -> Figure | None:
    """Size against strength: utility beside leakage under both attackers, as numbers on colours."""
    rows = [study.rows[k] for k in study.finished]
    counts = {name: len({(r.strength, r.size) for r in rows if r.defence == name}) for name in study.defences}
    names = [name for name, count in counts.items() if count > len(study.sizes)]
    if len(study.sizes) < 2 or not names:
        return None
    least = "isValid(chances[metric]) ? min(datum.lo, chances[metric]) : datum.lo"
    utility = {"title": metric_words(UTILITY), "metric": f"'{UTILITY}'", "other": KNOWS_NOT, "least": "datum.lo",
               "colours": ["#e9f2f9", "#0a4f86"]}  # fmt: skip
    attackers = [(KNOWS, KNOWS_NOT), (KNOWS_NOT, KNOWS)] if study.has_both else [("", KNOWS_NOT)]
    cells = [
        {"title": {"text": {"expr": f"{LEAKAGE[1:]} + '{f', attacker {who}' if who else ''}'"}}, "metric": "metric",
         "other": other, "least": least, "colours": ["#fdeee3", "#a63a06"]}
        for who, other in attackers
    ]  # fmt: skip
    return made(
        "grid", "Size against strength",
        "Each cell: the value, and its 95% interval below. Darker is higher; none: without a defence.",
        [attack_choice(study.attacks), *metric_choice(study), choice("defence", "defence", names)],
        cells=[utility, *cells], height=max(90, 46 * len(study.sizes)), strengths=study.strengths(),
        sizes=[f"n = {size_words(size)}" for size in study.sizes],
    )  # fmt: skip


@figure
def frontier(study: Study, _: Evidence) -> Figure | None:
    """Utility against leakage: one line per defence, points labelled by strength."""
    settings = study.settings[[study.estimate(k, UTILITY).is_known for k in study.settings["s"]]]
    counts = settings["panel"].value_counts(sort=False)
    places = [{"panel": place, "title": place or "all"} for place, count in counts.items() if count > 1]
    if not places:
        return None
    field = "defence" if study.has_defences else "label"
    text = "datum.strength == 'on'" + (f" || datum.who == '{KNOWS_NOT}'" if study.has_both else "")
    front = "Wide grey line: the Pareto front" + (" against the attacker who knows." if study.has_both else ".")
    what = f"Up and to the left is better; numbers are strengths. {BARS}{knowing(study)} {front}"
    return made(
        "frontier", "Utility against leakage", f"{what} {price_words(study, study.attacks[0])}",
        [attack_choice(study.attacks), *metric_choice(study)], places=places[:MOST_PANELS], leakage=LEAKAGE,
        utility=f"'{UTILITY}'", field=f"{field}:N", lines=study.has_defences, dash=dash(study),
        text=f"{text} ? '' : datum.strength" if study.has_defences else "''",
        **by_category(list(dict.fromkeys(settings[field])), NO_DEFENCE),
    )  # fmt: skip


def _lines(study: Study, name: str, title: str, caption: str, of_defence: Callable[[str], dict[str, Any]], **shared: str) -> Figure:
    """Return a panel for each defence at each of the other places: a metric, a line for each value of a field."""
    panels = [
        {"title": ", ".join(filter(None, [defence, other])), "defence": quoted(defence), "other": quoted(other)}
        | of_defence(defence)
        for other in dict.fromkeys(study.settings["other"])
        for defence in study.defences
    ][:MOST_PANELS]
    choices = [attack_choice(study.attacks), *metric_choice(study, UTILITY)]
    caption = f"{caption} {BARS}{knowing(study)}"
    return made(name, title, caption, choices, "lines", panels=panels, leakage=LEAKAGE, dash=dash(study),
                shared={"y": "shared", "strokeDash": "shared"} | shared)  # fmt: skip


@figure
def by_strength(study: Study, _: Evidence) -> Figure | None:
    """A panel per defence: a metric over its strengths, a line per size."""
    if not study.has_defences:
        return None
    sizes = by_order([f"n = {size_words(size)}" for size in study.sizes])

    def of_defence(name: str) -> dict[str, Any]:
        order = study.strengths(name)
        x = {"field": "strength", "type": "nominal", "title": "strength", "sort": order, "scale": {"domain": order},
             "axis": {"labelAngle": 0}}  # fmt: skip
        return {"x": x, "field": "n:N", **sizes}

    return _lines(study, "leakage_by_strength", "Leakage against the strength of the defence", "One line per size.",
                  of_defence, x="independent", color="shared", shape="shared")  # fmt: skip


@figure
def by_size(study: Study, _: Evidence) -> Figure | None:
    """A panel per defence: a metric over the sizes, a line per strength."""
    if not study.has_defences or len(study.sizes) < 2:
        return None
    x = number_axis("size", "size of the training set", study.sizes)
    return _lines(study, "leakage_by_size", "Leakage against size, for each strength", "One line per strength.",
                  lambda name: {"x": x, "field": "strength:N", **by_order(study.strengths(name), "none")},
                  x="shared", color="independent", shape="independent")  # fmt: skip


@figure
def trend(study: Study, _: Evidence) -> Figure | None:
    """All metrics of an attack, and the test accuracy, against the first number that varies."""
    key = next(iter(study.number_axes), "")
    if not key or study.has_defences:
        return None
    field, word = axis_field(key), key_words(key)
    rest = list(dict.fromkeys(study.settings[f"rest_{field}"]))
    metrics = [m for m in TOGETHER if (study.points["m"] == m).any()]
    names = {m: metric_words(m) for m in [*metrics, UTILITY]}
    kept = " || ".join([f"datum.m == '{UTILITY}'", *(f"(datum.m == '{m}' && datum.a == attack)" for m in metrics)])
    slope = slope_words(study) if key == SIZE else ""
    return made(
        f"leakage_by_{word.replace(' ', '_')}", f"Leakage against {word}",
        f"Precision, recall, accuracy and AUC of the attack, and the target's test accuracy. {BARS} {slope}",
        [attack_choice(study.attacks), choice("setting", "setting", rest)], "trend", kept=kept, x_field=field,
        rest_field=f"rest_{field}", field="name:N", x=number_axis(field, word, list(study.settings[field])),
        named="{" + ", ".join(f"'{m}': '{text}'" for m, text in names.items()) + "}[datum.m]",
        **by_category(list(names.values())),
    )  # fmt: skip


def _metric_panels(study: Study, metrics: Sequence[str]) -> list[dict[str, Any]]:
    shown = [name for name in metrics if (study.points["m"] == name).any()]
    chances = {name: about.chance if (about := metric_of(name)) else None for name in shown}
    return [{"metric": name, "title": metric_words(name), "chance": "null" if (c := chances[name]) is None else str(c)}
            for name in shown]  # fmt: skip


@figure
def compared(study: Study, _: Evidence) -> Figure | None:
    """Settings beside one another where they differ in words, such as data sets or models."""
    is_word = any(isinstance(study.rows[k].values.get(key), str) for key in study.axes for k in study.finished)
    if len(study.finished) < 2 or not is_word or study.has_defences:
        return None
    panels = _metric_panels(study, ["precision", "recall", "auc", UTILITY])
    panels = [one | {"metric": f"'{one['metric']}'"} for one in panels]
    return made("settings", "The settings compared", f"{BARS} Dashed: guessing.", [attack_choice(study.attacks)], metrics=panels)


@figure
def attacks(study: Study, _: Evidence) -> Figure | None:
    """The attacks beside one another, for one setting at a time."""
    panels = _metric_panels(study, ["auc", "accuracy", "tpr_at_1pct_fpr"])
    if len(study.attacks) < 2 or not panels:
        return None
    choices = [choice("setting", "setting", list(study.settings["words"]))]
    return made("attacks", "The attacks compared", f"{BARS} Dashed: guessing.", choices, metrics=panels, attacks=list(study.attacks))


@figure
def roc(study: Study, evidence: Evidence) -> Figure | None:
    """ROC curves of several settings over one another, on logarithmic axes."""
    if not len(evidence.curves):
        return None
    count = evidence.nonmembers
    limits = [{"at": str(rate), "label": name} for rate, name in ((0.001, "0.1%"), (0.01, "1%")) if rate * count > 1]
    caption = (
        "Logarithmic axes: what counts is the left end, where few non-members are accused. Dashed diagonal: guessing; "
        f"the axes begin at half of one in {count:,} non-members. The first seed is drawn."
    )
    choices = [attack_choice(evidence.attacks), *group_choices(study)]
    return made("roc", "True against false positives", caption, choices, low=left_edge(count), limits=limits,
                in_group=in_group(study), colours=look.BY_LABEL)  # fmt: skip


@figure
def per_class(study: Study, evidence: Evidence) -> Figure | None:
    """Precision by class of several settings."""
    if not len(evidence.classes):
        return None
    is_named = evidence.classes["c"].nunique() <= MOST_NAMED
    caption = "Bars: 95% intervals. At the dashed line the attack guesses. The first seed is drawn."
    choices = [attack_choice(evidence.attacks), *group_choices(study)]
    return made("per_class", "Precision by class", caption, choices, named=is_named, step=24 if is_named else 6,
                in_group=in_group(study), colours=look.BY_LABEL, marks=["circle", *look.MARKS])  # fmt: skip


@figure
def differences(study: Study, evidence: Evidence) -> Figure | None:
    """How much each defence takes off AUC, record by record."""
    if not len(evidence.changes):
        return None
    caption = (
        "Difference to the same data, size and seed without a defence, on the same records, with the 95% interval "
        f"(DeLong, paired) of these very models; right of zero the defence makes it worse.{knowing(study)}"
    )
    places = [{"panel": place, "title": place or "all"} for place in dict.fromkeys(study.settings["panel"])]
    return made("differences", "How much each defence takes off, record by record", caption,
                [attack_choice(evidence.attacks)], places=places, field="defence:N", **by_category(study.defences))  # fmt: skip


@figure
def exposure(study: Study, evidence: Evidence) -> Figure | None:
    """Which records stop being exposed as a defence grows stronger."""
    if not len(evidence.exposure):
        return None
    caption = (
        "Exposed: a member that the attack scores above 99% of the non-members, against an attacker who knows the "
        f"defence. {STILL.capitalize()}: exposed without a defence, and at this strength, too. The first seed is shown."
    )
    names = list(dict.fromkeys(evidence.exposure["defence"]))
    choices = [attack_choice(evidence.attacks), choice("exposed", "defence", names)]
    return made("exposure", "Which records stop being exposed", caption, choices, strengths=study.strengths())


@figure
def gap(study: Study, evidence: Evidence) -> Figure | None:
    """Leakage against overfitting, of settings and of classes."""
    if sum(study.estimate(k, "target/generalization_gap").is_known for k in study.finished) < 2:
        return None
    classes = evidence.classes
    has_classes = bool(classes["gap"].notna().any())
    choices = [attack_choice(evidence.attacks), *metric_choice(study), *(group_choices(study) if has_classes else [])]
    return made(
        "gap", "Leakage against the train - test gap", f"Overfitting is what leaks. {BARS}{knowing(study)}", choices,
        field="defence:N", leakage=LEAKAGE, classes=has_classes, named=classes["c"].nunique() <= MOST_NAMED // 2,
        in_group=in_group(study), label_colours=look.BY_LABEL, label_marks=["circle", *look.MARKS],
        **by_category([*study.defences, NO_DEFENCE], NO_DEFENCE),
    )  # fmt: skip


@figure
def cost(study: Study, _: Evidence) -> Figure | None:
    """Seconds per stage of the settings that took longest."""
    timed = study.points[study.points["m"].str.match(r"time/.+_seconds") & (study.points["m"] != "time/total_seconds")]
    timed = timed[timed["v"] > 0]
    if not len(timed):
        return None
    totals = timed.groupby("s")["v"].sum().sort_values(ascending=False)
    shown = [study.words(study.rows[k]) for k in totals.index[:MOST_ROWS]]
    more = f" The {len(shown)} longest of {len(totals)} settings are shown." if len(totals) > len(shown) else ""
    total = duration_words(sum(seconds * len(study.rows[k].runs) for k, seconds in totals.items()))
    caption = f"{total} in all; means per run.{more} Settings whose models another run had trained show no time for training."
    stages = [name.removeprefix("time/").removesuffix("_seconds") for name in dict.fromkeys(timed["m"])]
    return made("cost", "Time per stage", caption, [], shown=shown, field="stage:N", **by_category(stages))


def duration_words(seconds: float) -> str:
    """Return a duration in the largest unit that fits."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"
