"""The figures of a sweep: which of them a study can fill, and with what.

A figure stands in `assets/figures.yaml` under `sweep`, and says there which data of `Evidence` it needs, what the
reader may choose, by what its marks differ, which metrics are its panels. What else its specification asks for is
yielded by the function of its name here, where there is one, once for each figure to be drawn.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mia.metrics.roc import FPR_LIMITS, left_edge
from mia.metrics.words import metric_of, metric_words, of_kind
from mia.report.evidence import Evidence
from mia.report.look import BY_LABEL, Figure, by_category, by_order, choice, filled, templates
from mia.settings import duration_words
from mia.study.sentences import price_words, slope_words
from mia.study.study import KNOWS, KNOWS_NOT, NO_DEFENCE, SIZE, UTILITY, Study, axis_field, key_words, size_words

LEAKAGE = "=words[metric] + (indexof(metric, '/') < 0 ? ' of ' + attack : '')"
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
    wanted, values = {}, {}
    shared = _shared(study, evidence)
    for name, template in templates()["sweep"].items():
        about = template["about"]
        if "needs" not in about or len(getattr(evidence, about["needs"])):
            own = shared | _declared(study, evidence, about)
            wanted[name] = template
            values[name] = [own | one for one in (FIGURES[name](study, evidence) if name in FIGURES else [{}])]
    return filled(wanted, _choices(study, evidence), values)


# --- what figures share -----------------------------------------------------------------------------------------------


def _shared(study: Study, evidence: Evidence) -> Values:
    """Return what many specifications ask for; the dashes tell attackers apart where there are both."""
    both = templates()["parts"]["both"] if study.has_both else {"dash": None, "knowing": ""}
    count = evidence.nonmembers
    in_group = "datum.panel == panel"  # what is drawn over one another
    if study.has_defences:
        who = " && (datum.who == who || datum.who == 'either')" if study.has_both else ""
        in_group += f" && (datum.defence == '{NO_DEFENCE}' || datum.defence == defence{who})"
    return {
        **both, "leakage": LEAKAGE, "utility": f"'{UTILITY}'", "in_group": in_group, "attacks": list(study.attacks),
        "places": _places(_unique(study.settings["panel"])), "strengths": study.strengths(),
        "sizes": [f"n = {size_words(size)}" for size in study.sizes],
        "label_colours": BY_LABEL["colours"], "label_marks": BY_LABEL["marks"],
        "low": left_edge(count), "count": f"{count:,}",
        "limits": [{"at": str(rate), "label": f"{100 * rate:g}%"} for rate in FPR_LIMITS.values() if rate * count > 1],
    }  # fmt: skip


def _declared(study: Study, evidence: Evidence, about: Values) -> Values:
    """Return what follows from a figure's `by`, a column of a data set, and its `metrics`, those that there are."""
    found: Values = {}
    if "by" in about:
        data, column = about["by"].split(".")
        found = {"field": f"{column}:N", **by_category(_unique(getattr(evidence, data)[column]), NO_DEFENCE)}
    having = _having(study, about.get("metrics", ()))
    chances = [one.chance if (one := metric_of(name)) else None for name in having]
    panels = [{"metric": f"'{name}'", "title": metric_words(name), "chance": "null" if chance is None else str(chance)}
              for name, chance in zip(having, chances, strict=True)]  # fmt: skip
    return found | {"metrics": panels}


def _choices(study: Study, evidence: Evidence) -> dict[str, list[dict[str, Any]]]:
    """Return what the reader may choose, by the names that figures ask for.

    A "group" is what is drawn over one another: a place, and a defence with its attacker.
    """
    settings = study.settings
    group = [choice("panel", "data", _unique(settings["panel"]))]
    group += [choice("defence", "defence", study.defences)] if study.has_defences else []
    whose = [who for who in (KNOWS, KNOWS_NOT) if (settings["who"] == who).any()]
    group += [choice("who", "the attacker", whose)] if study.has_both else []
    return {
        "attack": [choice("attack", "attack", study.attacks[:MOST_ATTACKS])],
        "attack with scores": [choice("attack", "attack", evidence.attacks)],
        "metric": _metric_choice(study), "metric or utility": _metric_choice(study, UTILITY), "group": group,
        "setting": [choice("setting", "setting", list(settings["words"]))],
        "property": [choice("property", "property", _unique(evidence.slices["p"]))],
        "shown": [choice("shown", "defence", ["all", *(study.defences if len(study.defences) > 1 else [])])],
        "exposed": [choice("exposed", "defence", _unique(evidence.exposure["defence"]))],
    }  # fmt: skip


def _metric_choice(study: Study, *also: str) -> list[dict[str, Any]]:
    """Return the choice of the leakage metric, its names for titles and what guessing achieves."""
    names = _having(study, [*(one.name for one in of_kind("leakage")), *also]) or ["auc"]
    words = {name: metric_words(name) for name in names}
    chances = {name: one.chance for name in names if (one := metric_of(name)) and one.chance is not None}
    found = choice("metric", "metric", names, list(words.values()), "auc" if "auc" in names else names[0])
    return [found, {"name": "words", "value": words}, {"name": "chances", "value": chances}]


def _having(study: Study, metrics: Sequence[str]) -> list[str]:
    known = set(study.points["m"])
    return [name for name in metrics if name in known]


def _unique(values: Any) -> list[Any]:
    return list(dict.fromkeys(values))


def _places(panels: Sequence[str]) -> list[Values]:
    return [{"panel": panel, "title": panel or "all"} for panel in panels][:MOST_PANELS]


def _quoted(text: str) -> str:
    """Return text that can stand between single quotes in an expression."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _number_axis(field: str, title: str, values: Sequence[float]) -> dict[str, Any]:
    """Return an axis with ticks at the values, logarithmic where they spread over more than a factor of eight."""
    known = sorted(set(values))
    kind = "log" if known[0] > 0 and known[-1] / known[0] >= 8 else "linear"
    text = f"format(datum.value, '{',~r' if known[-1] >= 1 else '~g'}')"  # a format of the axis would lose digits
    axis = {"values": known, "labelExpr": text, "grid": False}
    scale = {"type": kind, "zero": False, "nice": False, "padding": 14}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": axis}


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
    field = "defence" if study.has_defences else "label"
    text = "datum.strength == 'on'" + (f" || datum.who == '{KNOWS_NOT}'" if study.has_both else "")
    if places := _places([place for place, count in counts.items() if count > 1]):
        yield {"places": places, "field": f"{field}:N", "lines": study.has_defences,
               "text": f"{text} ? '' : datum.strength" if study.has_defences else "''",
               "whose": " against the attacker who knows" if study.has_both else "",
               "price": price_words(study, study.attacks[0]),
               **by_category(_unique(settings[field]), NO_DEFENCE)}  # fmt: skip


@figure
def confirmed(_: Study, evidence: Evidence) -> Iterator[Values]:
    """The front as found, and as fresh seeds confirm it."""
    y, x = (metric_words(one) + (f" of {one.split('/')[1]}" if one.startswith("attack/") else "")
            for one in evidence.searched.goals)  # fmt: skip
    yield {"found_y": y, "found_x": x}


@figure
def lines(study: Study, _: Evidence) -> Iterator[Values]:
    """A panel for each defence at each of the other places: over its strengths a line per size, and the reverse."""
    sizes = {"field": "n:N", **by_order([f"n = {size_words(size)}" for size in study.sizes])}
    size, strength = _number_axis("size", "size of the training set", study.sizes), templates()["parts"]["strength_x"]
    by_strength, by_size = [], []
    for other in _unique(study.settings["other"]):
        for defence in study.defences:
            order, title = study.strengths(defence), ", ".join(filter(None, [defence, other]))
            panel = {"title": title, "defence": _quoted(defence), "other": _quoted(other)}
            rising = {**strength, "sort": order, "scale": {"domain": order}}
            by_strength.append(panel | sizes | {"x": rising, "joined": "datum.ordered"})
            by_size.append(panel | {"x": size, "joined": "true", "field": "strength:N", **by_order(order, "none")})
    both = [("strength", "size", by_strength, "shared", "independent"),
            ("size", "strength", by_size, "independent", "shared")]  # fmt: skip
    for what, line, panels, own, x in both:
        if panels and (what == "strength" or len(study.sizes) > 1):
            yield {"file": f"leakage_by_{what}", "line": line, "panels": panels[:MOST_PANELS],
                   "what": "the strength of the defence" if what == "strength" else what,
                   "shared": {"y": "shared", "strokeDash": "shared", "x": x, "color": own, "shape": own}}  # fmt: skip


def _along(study: Study, key: str) -> Values:
    """Return what a figure along a number asks for: its axis, and a choice of what else varies."""
    field, word = axis_field(key), key_words(key)
    rest = f"rest_{field}"
    return {"file": f"leakage_by_{word.replace(' ', '_')}", "what": word, "x_field": field, "rest_field": rest,
            "choices": [choice("rest", "data", _unique(study.settings[rest]))],
            "x": _number_axis(field, word, list(study.settings[field]))}  # fmt: skip


@figure
def trend(study: Study, _: Evidence) -> Iterator[Values]:
    """All metrics of an attack, and the test accuracy, against the first number that varies."""
    names = {m: metric_words(m) for m in [*_having(study, ("precision", "recall", "accuracy", "auc")), UTILITY]}
    kept = [f"(datum.m == '{m}'{'' if m == UTILITY else ' && datum.a == attack'})" for m in names]
    for key in study.number_axes[:1] if not study.has_defences else ():
        yield {**_along(study, key), "slope": slope_words(study) if key == SIZE else "", "kept": " || ".join(kept),
               "named": "{" + ", ".join(f"'{m}': '{text}'" for m, text in names.items()) + "}[datum.m]",
               "field": "name:N", **by_category(list(names.values()))}  # fmt: skip


@figure
def course(study: Study, _: Evidence) -> Iterator[Values]:
    """Leakage beside utility against each number but the size that varies beside defences."""
    for key in [key for key in study.number_axes if key != SIZE] if study.has_defences else ():
        yield {**_along(study, key), "field": "label:N", **by_order(_unique(study.settings["label"]), NO_DEFENCE)}


@figure
def settings(study: Study, _: Evidence) -> Iterator[Values]:
    """Settings beside one another where they differ in words, such as data sets or models."""
    is_word = any(isinstance(study.rows[k].values.get(key), str) for key in study.axes for k in study.finished)
    if len(study.finished) > 1 and is_word and not study.has_defences:
        yield {}


@figure
def attacks(study: Study, _: Evidence) -> Iterator[Values]:
    """The attacks beside one another, for one setting at a time."""
    if len(study.attacks) > 1 and _having(study, templates()["sweep"]["attacks"]["about"]["metrics"]):
        yield {}


@figure
def per_class(_: Study, evidence: Evidence) -> Iterator[Values]:
    """Precision by class of several settings."""
    if evidence.classes["c"].nunique() > MOST_NAMED:
        yield {"named": False, "height": {"step": 6}, "offset": None}
    else:  # settings beside one another in the row of their class
        yield {"named": True, "height": {"step": 30, "for": "position"}, "offset": {"field": "label", "sort": None}}


@figure
def gap(study: Study, evidence: Evidence) -> Iterator[Values]:
    """Leakage against overfitting, of settings and of classes."""
    classes = evidence.classes
    group = _choices(study, evidence)["group"] if classes["gap"].notna().any() else []
    if sum(study.estimate(k, "target/generalization_gap").is_known for k in study.finished) > 1:
        yield {"choices": group, "classes": bool(group), "named": classes["c"].nunique() <= MOST_NAMED // 2}


@figure
def cost(study: Study, _: Evidence) -> Iterator[Values]:
    """Seconds per stage of the settings that took longest."""
    timed = study.points[study.points["m"].str.match(r"time/.+_seconds") & (study.points["m"] != "time/total_seconds")]
    timed = timed[timed["v"] > 0]
    totals = timed.groupby("s")["v"].sum().sort_values(ascending=False)
    shown = [study.words(study.rows[k]) for k in totals.index[:MOST_ROWS]]
    total = duration_words(sum(seconds * len(study.rows[k].runs) for k, seconds in totals.items()))
    stages = [name.removeprefix("time/").removesuffix("_seconds") for name in _unique(timed["m"])]
    if shown:
        more = f"The {len(shown)} longest of {len(totals)} settings are shown." if len(totals) > len(shown) else ""
        yield {"shown": shown, "total": total, "more": more, "field": "stage:N", **by_category(stages)}
