"""The figures of a sweep: one function each, from a study and its files to a figure or nothing.

A function that is decorated with `figure` is drawn in every report that it applies to; its words and its specification
stand in `assets/figures.yaml` under its name. Figures name the data sets of `data_of` and look values up by setting,
attack and metric, so that a choice of attack or metric needs no further data.
"""

from collections.abc import Callable, Sequence
from typing import Any

from mia.metrics.roc import left_edge
from mia.metrics.words import metric_of, metric_words, of_kind
from mia.report import look
from mia.report.evidence import STILL, Evidence
from mia.report.look import Figure, by_category, by_order, choice, specification, templates
from mia.report.sentences import UTILITY, price_words, slope_words
from mia.report.study import KNOWS, KNOWS_NOT, NO_DEFENCE, SIZE, Study, axis_field, key_words, size_words
from mia.report.tables import duration_words

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
    found = choice("metric", "metric", names, list(words.values()), "auc" if "auc" in names else names[0])
    return [found, {"name": "words", "value": words}, {"name": "chances", "value": chances}]


def group_choices(study: Study) -> list[dict[str, Any]]:
    """Return the choice of what is drawn over one another: a place, and a defence with its attacker."""
    found = [choice("panel", "data", list(dict.fromkeys(study.settings["panel"])))]
    found += [choice("defence", "defence", study.defences)] if study.has_defences else []
    whose = [who for who in (KNOWS, KNOWS_NOT) if (study.settings["who"] == who).any()]
    return [*found, choice("who", "the attacker", whose)] if study.has_both else found


def in_group(study: Study) -> str:
    """Return the filter for what is drawn over one another."""
    if not study.has_defences:
        return "datum.panel == panel"
    who = " && (datum.who == who || datum.who == 'either')" if study.has_both else ""
    return f"datum.panel == panel && (datum.defence == '{NO_DEFENCE}' || datum.defence == defence{who})"


def quoted(text: str) -> str:
    """Return text that can stand between single quotes in an expression."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def number_axis(field: str, title: str, values: Sequence[float]) -> dict[str, Any]:
    """Return an axis with ticks at the values, logarithmic where they spread over more than a factor of eight."""
    known = sorted(set(values))
    kind = "log" if known[0] > 0 and known[-1] / known[0] >= 8 else "linear"
    text = f"format(datum.value, '{',~r' if known[-1] >= 1 else '~g'}')"  # a format of the axis would lose digits
    axis = {"values": known, "labelExpr": text, "grid": False}
    scale = {"type": kind, "zero": False, "nice": False, "padding": 14}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def made(study: Study, name: str, choices: Sequence[Any], file: str = "", **values: Any) -> Figure:
    """Return the figure of a template, with the words and the dashes that tell attackers apart where there are both."""
    both = templates()["parts"]["both"] if study.has_both else {"dash": None, "knowing": ""}
    spec = specification(templates()[name], choices, leakage=LEAKAGE, **both, **values)
    about = spec.pop("about")
    return Figure(file or name, about["title"], " ".join(about["caption"].split()), spec)


# --- figures ----------------------------------------------------------------------------------------------------------


@figure
def grid(study: Study, _: Evidence) -> Figure | None:
    """Size against strength: utility beside leakage under both attackers, as numbers on colours."""
    rows = [study.rows[k] for k in study.finished]
    counts = {name: len({(r.strength, r.size) for r in rows if r.defence == name}) for name in study.defences}
    names = [name for name, count in counts.items() if count > len(study.sizes)]
    if len(study.sizes) < 2 or not names:
        return None
    attackers = [(f", attacker {KNOWS}", KNOWS_NOT), (f", attacker {KNOWS_NOT}", KNOWS)]
    return made(
        study, "grid",
        [attack_choice(study.attacks), *metric_choice(study), choice("defence", "defence", names)],
        attackers=[{"who": who, "other": other} for who, other in (attackers if study.has_both else [("", KNOWS_NOT)])],
        utility=f"'{UTILITY}'", words=metric_words(UTILITY), height=max(90, 46 * len(study.sizes)),
        strengths=study.strengths(), sizes=[f"n = {size_words(size)}" for size in study.sizes],
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
    return made(
        study, "frontier", [attack_choice(study.attacks), *metric_choice(study)], places=places[:MOST_PANELS],
        utility=f"'{UTILITY}'", field=f"{field}:N", lines=study.has_defences,
        text=f"{text} ? '' : datum.strength" if study.has_defences else "''",
        whose=" against the attacker who knows" if study.has_both else "", price=price_words(study, study.attacks[0]),
        **by_category(list(dict.fromkeys(settings[field])), NO_DEFENCE),
    )  # fmt: skip


def _lines(study: Study, by: str, of_defence: Callable[[str], dict[str, Any]], **shared: str) -> Figure:
    """Return a panel for each defence at each of the other places: a metric, a line for each value of a field."""
    panels = [
        {"title": ", ".join(filter(None, [defence, other])), "defence": quoted(defence), "other": quoted(other)}
        | of_defence(defence)
        for other in dict.fromkeys(study.settings["other"])
        for defence in study.defences
    ][:MOST_PANELS]
    choices = [attack_choice(study.attacks), *metric_choice(study, UTILITY)]
    what, line = {"strength": ("the strength of the defence", "size"), "size": ("size", "strength")}[by]
    shared |= {"y": "shared", "strokeDash": "shared"}
    return made(study, "lines", choices, f"leakage_by_{by}", what=what, line=line, panels=panels, shared=shared)


@figure
def by_strength(study: Study, _: Evidence) -> Figure | None:
    """A panel per defence: a metric over its strengths, a line per size."""
    if not study.has_defences:
        return None
    sizes = by_order([f"n = {size_words(size)}" for size in study.sizes])
    axis = {"field": "strength", "type": "nominal", "title": "strength", "axis": {"labelAngle": 0}}

    def of_defence(name: str) -> dict[str, Any]:
        order = study.strengths(name)
        return {"x": {**axis, "sort": order, "scale": {"domain": order}}, "field": "n:N", **sizes}

    return _lines(study, "strength", of_defence, x="independent", color="shared", shape="shared")


@figure
def by_size(study: Study, _: Evidence) -> Figure | None:
    """A panel per defence: a metric over the sizes, a line per strength."""
    if not study.has_defences or len(study.sizes) < 2:
        return None
    x = number_axis("size", "size of the training set", study.sizes)

    def of_defence(name: str) -> dict[str, Any]:
        return {"x": x, "field": "strength:N", **by_order(study.strengths(name), "none")}

    return _lines(study, "size", of_defence, x="shared", color="independent", shape="independent")


@figure
def trend(study: Study, _: Evidence) -> Figure | None:
    """All metrics of an attack, and the test accuracy, against the first number that varies."""
    key = next(iter(study.number_axes), "")
    if not key or study.has_defences:
        return None
    field, word = axis_field(key), key_words(key)
    rest = list(dict.fromkeys(study.settings[f"rest_{field}"]))
    names = {m: metric_words(m) for m in [*_having(study, TOGETHER), UTILITY]}
    kept = " || ".join(f"(datum.m == '{m}'{'' if m == UTILITY else ' && datum.a == attack'})" for m in names)
    return made(
        study, "trend", [attack_choice(study.attacks), choice("setting", "setting", rest)],
        f"leakage_by_{word.replace(' ', '_')}", what=word, slope=slope_words(study) if key == SIZE else "", kept=kept,
        field="name:N", x_field=field, rest_field=f"rest_{field}",
        x=number_axis(field, word, list(study.settings[field])),
        named="{" + ", ".join(f"'{m}': '{text}'" for m, text in names.items()) + "}[datum.m]",
        **by_category(list(names.values())),
    )  # fmt: skip


def _having(study: Study, metrics: Sequence[str]) -> list[str]:
    return [name for name in metrics if (study.points["m"] == name).any()]


def _metric_panels(study: Study, *metrics: str) -> list[dict[str, Any]]:
    chances = {name: about.chance if (about := metric_of(name)) else None for name in _having(study, metrics)}
    return [
        {"metric": f"'{name}'", "title": metric_words(name), "chance": "null" if chance is None else str(chance)}
        for name, chance in chances.items()
    ]


@figure
def compared(study: Study, _: Evidence) -> Figure | None:
    """Settings beside one another where they differ in words, such as data sets or models."""
    is_word = any(isinstance(study.rows[k].values.get(key), str) for key in study.axes for k in study.finished)
    if len(study.finished) < 2 or not is_word or study.has_defences:
        return None
    panels = _metric_panels(study, "precision", "recall", "auc", UTILITY)
    return made(study, "settings", [attack_choice(study.attacks)], metrics=panels)


@figure
def attacks(study: Study, _: Evidence) -> Figure | None:
    """The attacks beside one another, for one setting at a time."""
    panels = _metric_panels(study, "auc", "accuracy", "tpr_at_1pct_fpr")
    if len(study.attacks) < 2 or not panels:
        return None
    choices = [choice("setting", "setting", list(study.settings["words"]))]
    return made(study, "attacks", choices, metrics=panels, attacks=list(study.attacks))


@figure
def roc(study: Study, evidence: Evidence) -> Figure | None:
    """ROC curves of several settings over one another, on logarithmic axes."""
    if not len(evidence.curves):
        return None
    count = evidence.nonmembers
    limits = [{"at": str(rate), "label": name} for rate, name in ((0.001, "0.1%"), (0.01, "1%")) if rate * count > 1]
    return made(study, "roc", [attack_choice(evidence.attacks), *group_choices(study)], low=left_edge(count),
                count=f"{count:,}", limits=limits, in_group=in_group(study), colours=look.BY_LABEL)  # fmt: skip


@figure
def per_class(study: Study, evidence: Evidence) -> Figure | None:
    """Precision by class of several settings."""
    if not len(evidence.classes):
        return None
    is_named = evidence.classes["c"].nunique() <= MOST_NAMED
    choices = [attack_choice(evidence.attacks), *group_choices(study)]
    return made(study, "per_class", choices, named=is_named, step=24 if is_named else 6, in_group=in_group(study),
                colours=look.BY_LABEL, marks=look.BY_LABEL_MARKS)  # fmt: skip


@figure
def differences(study: Study, evidence: Evidence) -> Figure | None:
    """How much each defence takes off AUC, record by record."""
    if not len(evidence.changes):
        return None
    places = [{"panel": place, "title": place or "all"} for place in dict.fromkeys(study.settings["panel"])]
    choices, categories = [attack_choice(evidence.attacks)], by_category(study.defences)
    return made(study, "differences", choices, places=places, field="defence:N", **categories)


@figure
def exposure(study: Study, evidence: Evidence) -> Figure | None:
    """Which records stop being exposed as a defence grows stronger."""
    if not len(evidence.exposure):
        return None
    names = list(dict.fromkeys(evidence.exposure["defence"]))
    choices = [attack_choice(evidence.attacks), choice("exposed", "defence", names)]
    return made(study, "exposure", choices, strengths=study.strengths(), still=STILL.capitalize())


@figure
def gap(study: Study, evidence: Evidence) -> Figure | None:
    """Leakage against overfitting, of settings and of classes."""
    if sum(study.estimate(k, "target/generalization_gap").is_known for k in study.finished) < 2:
        return None
    classes = evidence.classes
    has_classes = bool(classes["gap"].notna().any())
    choices = [attack_choice(evidence.attacks), *metric_choice(study), *(group_choices(study) if has_classes else [])]
    return made(
        study, "gap", choices, field="defence:N", classes=has_classes, in_group=in_group(study),
        named=classes["c"].nunique() <= MOST_NAMED // 2, label_colours=look.BY_LABEL, label_marks=look.BY_LABEL_MARKS,
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
    more = f"The {len(shown)} longest of {len(totals)} settings are shown." if len(totals) > len(shown) else ""
    total = duration_words(sum(seconds * len(study.rows[k].runs) for k, seconds in totals.items()))
    stages = [name.removeprefix("time/").removesuffix("_seconds") for name in dict.fromkeys(timed["m"])]
    return made(study, "cost", [], shown=shown, total=total, more=more, field="stage:N", **by_category(stages))
