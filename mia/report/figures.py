"""The figures of a sweep: which of them a study can fill, and with what.

A figure stands in `assets/figures.yaml` under `sweep`: its words, what the reader may choose, the data of `Evidence`
without which it is not drawn, and its specification. A function of its name here, where there is one, yields the values
that the specification asks for beyond those that all share, once for each figure to be drawn.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mia.metrics.roc import left_edge
from mia.metrics.words import metric_of, metric_words, of_kind
from mia.report import look
from mia.report.evidence import Evidence
from mia.report.found import OVER_SEEDS, STILL
from mia.report.look import Figure, by_category, by_order, choice, filled, templates
from mia.report.sentences import UTILITY, price_words, slope_words
from mia.report.study import KNOWS, KNOWS_NOT, NO_DEFENCE, SIZE, Study, axis_field, key_words, size_words
from mia.report.tables import duration_words

LEAKAGE = "=words[metric] + (indexof(metric, '/') < 0 ? ' of ' + attack : '')"
TOGETHER = ("precision", "recall", "accuracy", "auc")
MOST_ATTACKS, MOST_ROWS, MOST_PANELS, MOST_NAMED = 12, 30, 12, 30
Values = dict[str, Any]  # "file" and "choices" among them are the figure's own name and what may be chosen only there
Make = Callable[[Study, Evidence], Iterator[Values]]
FIGURES: dict[str, Make] = {}


def figure(make: Make) -> Make:
    """Let a function say what the figure of its name is filled with."""
    FIGURES[make.__name__] = make
    return make


def sweep_figures(study: Study, evidence: Evidence) -> list[Figure]:
    """Return what a study can show, the most telling first."""
    if not study.attacks:
        return []
    wanted = {
        name: one
        for name, one in templates()["sweep"].items()
        if "needs" not in one["about"] or len(getattr(evidence, one["about"]["needs"]))
    }
    shared = shared_values(study)
    values = {
        name: [shared | one for one in (FIGURES[name](study, evidence) if name in FIGURES else [{}])] for name in wanted
    }
    return filled(wanted, shared_choices(study, evidence), values)


# --- what figures share -----------------------------------------------------------------------------------------------


def shared_values(study: Study) -> Values:
    """Return what many specifications ask for; the dashes tell attackers apart where there are both."""
    both = templates()["parts"]["both"] if study.has_both else {"dash": None, "knowing": ""}
    panels = dict.fromkeys(study.settings["panel"])
    return {
        **both, "leakage": LEAKAGE, "utility": f"'{UTILITY}'", "in_group": in_group(study),
        "places": [{"panel": place, "title": place or "all"} for place in panels][:MOST_PANELS],
        "strengths": study.strengths(), "sizes": [f"n = {size_words(size)}" for size in study.sizes],
        "label_colours": look.BY_LABEL["colours"], "label_marks": look.BY_LABEL["marks"],
    }  # fmt: skip


def shared_choices(study: Study, evidence: Evidence) -> dict[str, list[dict[str, Any]]]:
    """Return what the reader may choose, by the names that figures ask for.

    A "group" is what is drawn over one another: a place, and a defence with its attacker.
    """
    group = [choice("panel", "data", list(dict.fromkeys(study.settings["panel"])))]
    group += [choice("defence", "defence", study.defences)] if study.has_defences else []
    whose = [who for who in (KNOWS, KNOWS_NOT) if (study.settings["who"] == who).any()]
    group += [choice("who", "the attacker", whose)] if study.has_both else []
    return {
        "attack": [choice("attack", "attack", study.attacks[:MOST_ATTACKS])],
        "attack with scores": [choice("attack", "attack", evidence.attacks)],
        "metric": metric_choice(study), "metric or utility": metric_choice(study, UTILITY), "group": group,
        "setting": [choice("setting", "setting", list(study.settings["words"]))],
        "property": [choice("property", "property", list(dict.fromkeys(evidence.slices["p"])))],
        "shown": [choice("shown", "defence", ["all", *(study.defences if len(study.defences) > 1 else [])])],
    }  # fmt: skip


def metric_choice(study: Study, *also: str) -> list[dict[str, Any]]:
    """Return the choice of the leakage metric, its names for titles and what guessing achieves."""
    names = _having(study, [*(one.name for one in of_kind("leakage")), *also]) or ["auc"]
    words = {name: metric_words(name) for name in names}
    chances = {name: one.chance for name in names if (one := metric_of(name)) and one.chance is not None}
    found = choice("metric", "metric", names, list(words.values()), "auc" if "auc" in names else names[0])
    return [found, {"name": "words", "value": words}, {"name": "chances", "value": chances}]


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


def _having(study: Study, metrics: Sequence[str]) -> list[str]:
    known = set(study.points["m"])
    return [name for name in metrics if name in known]


def _metric_panels(study: Study, *metrics: str) -> list[dict[str, Any]]:
    chances = {name: about.chance if (about := metric_of(name)) else None for name in _having(study, metrics)}
    return [
        {"metric": f"'{name}'", "title": metric_words(name), "chance": "null" if chance is None else str(chance)}
        for name, chance in chances.items()
    ]


# --- figures ----------------------------------------------------------------------------------------------------------


@figure
def grid(study: Study, _: Evidence) -> Iterator[Values]:
    """Size against strength: utility beside leakage under both attackers, as numbers on colours."""
    rows = [study.rows[k] for k in study.finished]
    counts = {name: len({(r.strength, r.size) for r in rows if r.defence == name}) for name in study.defences}
    names = [name for name, count in counts.items() if count > len(study.sizes)]
    attackers = [(f", attacker {KNOWS}", KNOWS_NOT), (f", attacker {KNOWS_NOT}", KNOWS)]
    if len(study.sizes) > 1 and names:
        whose = attackers if study.has_both else [("", KNOWS_NOT)]
        yield {"choices": [choice("defence", "defence", names)], "words": metric_words(UTILITY),
               "attackers": [{"who": who, "other": other} for who, other in whose],
               "height": max(90, 46 * len(study.sizes))}  # fmt: skip


@figure
def frontier(study: Study, _: Evidence) -> Iterator[Values]:
    """Utility against leakage: one line per defence, points labelled by strength."""
    settings = study.settings[[study.estimate(k, UTILITY).is_known for k in study.settings["s"]]]
    counts = settings["panel"].value_counts(sort=False)
    places = [{"panel": place, "title": place or "all"} for place, count in counts.items() if count > 1]
    field = "defence" if study.has_defences else "label"
    text = "datum.strength == 'on'" + (f" || datum.who == '{KNOWS_NOT}'" if study.has_both else "")
    if places:
        yield {"places": places[:MOST_PANELS], "field": f"{field}:N", "lines": study.has_defences,
               "text": f"{text} ? '' : datum.strength" if study.has_defences else "''",
               "whose": " against the attacker who knows" if study.has_both else "",
               "price": price_words(study, study.attacks[0]),
               **by_category(list(dict.fromkeys(settings[field])), NO_DEFENCE)}  # fmt: skip


@figure
def fronts(_: Study, evidence: Evidence) -> Iterator[Values]:
    """The Pareto fronts of several sweeps over one another."""
    yield {"field": "sweep:N", **by_category(list(dict.fromkeys(evidence.sweeps["sweep"])))}


@figure
def confirmed(_: Study, evidence: Evidence) -> Iterator[Values]:
    """The front as found, and as fresh seeds confirm it."""
    names = [name.removeprefix("found ") for name in evidence.searched.front[0] if name.startswith("found ")]
    words = [metric_words(one) + (f" of {one.split('/')[1]}" if one.startswith("attack/") else "") for one in names]
    yield {"found_y": words[0], "found_x": words[1]}


@figure
def trials(_: Study, evidence: Evidence) -> Iterator[Values]:
    """All settings across their keys."""
    yield {"keys": list(dict.fromkeys(evidence.trials["key"]))}


@figure
def lines(study: Study, _: Evidence) -> Iterator[Values]:
    """A panel for each defence at each of the other places: over its strengths a line per size, and the reverse."""
    panels = [
        {"title": ", ".join(filter(None, [defence, other])), "defence": defence, "other": quoted(other)}
        for other in dict.fromkeys(study.settings["other"])
        for defence in study.defences
    ][:MOST_PANELS]
    sizes = {"field": "n:N", **by_order([f"n = {size_words(size)}" for size in study.sizes])}
    x = number_axis("size", "size of the training set", study.sizes)
    by_strength, by_size = [], []
    for one in panels:
        order, name = study.strengths(one["defence"]), {"defence": quoted(one["defence"])}
        axis = {
            "field": "strength",
            "type": "nominal",
            "title": "strength",
            "axis": templates()["parts"]["strength_axis"],
        }
        by_strength.append(one | name | sizes | {"x": {**axis, "sort": order, "scale": {"domain": order}}})
        by_size.append(one | name | {"x": x, "field": "strength:N", **by_order(order, "none")})
    shared = {"y": "shared", "strokeDash": "shared"}
    if panels:
        own = {"x": "independent", "color": "shared", "shape": "shared"}
        yield {"file": "leakage_by_strength", "what": "the strength of the defence", "line": "size",
               "panels": by_strength, "shared": shared | own}  # fmt: skip
    if panels and len(study.sizes) > 1:
        own = {"x": "shared", "color": "independent", "shape": "independent"}
        yield {"file": "leakage_by_size", "what": "size", "line": "strength", "panels": by_size, "shared": shared | own}


@figure
def trend(study: Study, _: Evidence) -> Iterator[Values]:
    """All metrics of an attack, and the test accuracy, against the first number that varies."""
    key = next(iter(study.number_axes), "")
    if not key or study.has_defences:
        return
    field, word = axis_field(key), key_words(key)
    names = {m: metric_words(m) for m in [*_having(study, TOGETHER), UTILITY]}
    kept = [f"(datum.m == '{m}'{'' if m == UTILITY else ' && datum.a == attack'})" for m in names]
    rest = list(dict.fromkeys(study.settings[f"rest_{field}"]))
    yield {
        "file": f"leakage_by_{word.replace(' ', '_')}", "choices": [choice("setting", "setting", rest)], "what": word,
        "slope": slope_words(study) if key == SIZE else "", "kept": " || ".join(kept),
        "field": "name:N", "x_field": field, "rest_field": f"rest_{field}",
        "x": number_axis(field, word, list(study.settings[field])),
        "named": "{" + ", ".join(f"'{m}': '{text}'" for m, text in names.items()) + "}[datum.m]",
        **by_category(list(names.values())),
    }  # fmt: skip


@figure
def course(study: Study, _: Evidence) -> Iterator[Values]:
    """Leakage beside utility against each number but the size that varies beside defences."""
    for key in study.number_axes if study.has_defences else ():
        field, word = axis_field(key), key_words(key)
        rest = list(dict.fromkeys(study.settings[f"rest_{field}"]))
        if key != SIZE:
            yield {
                "file": f"leakage_by_{word.replace(' ', '_')}", "choices": [choice("place", "data", rest)],
                "what": word, "field": "label:N", "rest_field": f"rest_{field}",
                "x": number_axis(field, word, list(study.settings[field])),
                **by_order(list(dict.fromkeys(study.settings["label"])), NO_DEFENCE),
            }  # fmt: skip


@figure
def settings(study: Study, _: Evidence) -> Iterator[Values]:
    """Settings beside one another where they differ in words, such as data sets or models."""
    is_word = any(isinstance(study.rows[k].values.get(key), str) for key in study.axes for k in study.finished)
    if len(study.finished) > 1 and is_word and not study.has_defences:
        yield {"metrics": _metric_panels(study, "precision", "recall", "auc", UTILITY)}


@figure
def attacks(study: Study, _: Evidence) -> Iterator[Values]:
    """The attacks beside one another, for one setting at a time."""
    panels = _metric_panels(study, "auc", "accuracy", "tpr_at_1pct_fpr")
    if len(study.attacks) > 1 and panels:
        yield {"metrics": panels, "attacks": list(study.attacks)}


@figure
def roc(_: Study, evidence: Evidence) -> Iterator[Values]:
    """ROC curves of several settings over one another, on logarithmic axes."""
    count = evidence.nonmembers
    limits = [{"at": str(rate), "label": name} for rate, name in ((0.001, "0.1%"), (0.01, "1%")) if rate * count > 1]
    yield {"low": left_edge(count), "count": f"{count:,}", "limits": limits}


@figure
def per_class(_: Study, evidence: Evidence) -> Iterator[Values]:
    """Precision by class of several settings."""
    if evidence.classes["c"].nunique() > MOST_NAMED:
        yield {"named": False, "height": {"step": 6}, "offset": None}
    else:  # settings beside one another in the row of their class
        yield {"named": True, "height": {"step": 30, "for": "position"}, "offset": {"field": "label", "sort": None}}


@figure
def differences(study: Study, _: Evidence) -> Iterator[Values]:
    """How much each defence takes off AUC, record by record."""
    yield {"field": "defence:N", **by_category(study.defences)}


@figure
def exposure(_: Study, evidence: Evidence) -> Iterator[Values]:
    """Which records stop being exposed as a defence grows stronger."""
    names = list(dict.fromkeys(evidence.exposure["defence"]))
    yield {"choices": [choice("exposed", "defence", names)], "still": STILL.capitalize()}


@figure
def over_seeds(_: Study, __: Evidence) -> Iterator[Values]:
    """Which members are found with any seed, with every seed."""
    yield {"field": "what:N", **by_category(list(OVER_SEEDS.values()))}


@figure
def agreement(study: Study, _: Evidence) -> Iterator[Values]:
    """Whether attacks find the same members."""
    yield {"attacks": list(study.attacks)}


@figure
def gap(study: Study, evidence: Evidence) -> Iterator[Values]:
    """Leakage against overfitting, of settings and of classes."""
    classes = evidence.classes
    group = shared_choices(study, evidence)["group"] if classes["gap"].notna().any() else []
    if sum(study.estimate(k, "target/generalization_gap").is_known for k in study.finished) > 1:
        yield {"field": "defence:N", "choices": group, "classes": bool(group),
               "named": classes["c"].nunique() <= MOST_NAMED // 2,
               **by_category([*study.defences, NO_DEFENCE], NO_DEFENCE)}  # fmt: skip


@figure
def cost(study: Study, _: Evidence) -> Iterator[Values]:
    """Seconds per stage of the settings that took longest."""
    timed = study.points[study.points["m"].str.match(r"time/.+_seconds") & (study.points["m"] != "time/total_seconds")]
    timed = timed[timed["v"] > 0]
    totals = timed.groupby("s")["v"].sum().sort_values(ascending=False)
    shown = [study.words(study.rows[k]) for k in totals.index[:MOST_ROWS]]
    more = f"The {len(shown)} longest of {len(totals)} settings are shown." if len(totals) > len(shown) else ""
    total = duration_words(sum(seconds * len(study.rows[k].runs) for k, seconds in totals.items()))
    stages = [name.removeprefix("time/").removesuffix("_seconds") for name in dict.fromkeys(timed["m"])]
    if shown:
        yield {"shown": shown, "total": total, "more": more, "field": "stage:N", **by_category(stages)}
