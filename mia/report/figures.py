"""The figures of a sweep that show settings: one function each, from a study to a figure or nothing.

A function that is decorated with `figure` is drawn in every report whose study it applies to; add one and it is there.
Figures name the data sets "settings", "points" and "paths" (see `data_of`), and look values up by setting, attack and
metric, so that a choice of attack or metric needs no further data.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mia.metrics.words import METRICS, metric_of, metric_words, of_kind
from mia.report.evidence import Evidence, defence_names
from mia.report.frame import KNOWS, KNOWS_NOT, NO_DEFENCE, SIZE, Study, axis_field, key_words, size_words
from mia.report.look import (
    HEIGHT,
    WIDTH,
    Figure,
    by_category,
    by_order,
    choice,
    dashes,
    guide,
    labels,
    layer,
    looked_up,
    looks,
    near,
    panels,
)
from mia.report.sentences import price_words, slope_words

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

UTILITY = "target/test_accuracy"
GAP = "target/generalization_gap"
BARS = "Bars: the 95% interval of a run, or of the mean over seeds."
MOST_ATTACKS, MOST_ROWS, MOST_PANELS = 12, 40, 12
Make = Callable[[Study, Evidence], Figure | None]
FIGURES: list[Make] = []


def figure(make: Make) -> Make:
    """Draw a figure in every report that it applies to, after those declared before."""
    FIGURES.append(make)
    return make


def sweep_figures(study: Study, evidence: Evidence) -> list[Figure]:
    """Return what a study can show, the most telling first."""
    from altair.utils.schemapi import debug_mode

    import mia.report.closer  # noqa: F401 - declares the figures of records and classes

    with debug_mode(False):  # checking each part against the schema takes ten times as long; tests check the whole
        return [one for make in FIGURES if (one := make(study, evidence)) is not None] if study.attacks else []


def data_of(study: Study, evidence: Evidence) -> dict[str, "pd.DataFrame"]:
    """Return every data set that figures name.

    "settings": a line per setting; "points": a value per setting, attack and metric, with the key `k`; "paths": the
    settings on each defence's line, the one without a defence at the start of each.
    """
    import pandas as pd

    if not study.finished:
        return {}
    points = study.points
    shown = {one.name for one in METRICS}
    points = points[points["m"].isin(shown) | points["m"].str.startswith("time/")].drop(columns="count")
    points = points.assign(k=points["s"].astype(str) + "|" + points["a"] + "|" + points["m"])
    settings = study.settings
    plain, strong = settings[settings["defence"] == NO_DEFENCE], settings[settings["defence"] != NO_DEFENCE]
    starts = [
        plain[plain["place"] == place].head(1).assign(line=defence, who=who)
        for (place, defence, who), _ in strong.groupby(["place", "defence", "who"], sort=False)
    ]
    paths = pd.concat([*starts, strong.assign(line=strong["defence"])]) if len(strong) else strong.assign(line="")
    return {
        "settings": settings, "points": points, "paths": paths.drop(columns=["run", "command"]),
        "curves": evidence.curves, "classes": evidence.classes, "changes": evidence.changes,
        "exposure": evidence.exposure, "fates": evidence.fates,
    }  # fmt: skip


# --- choices ----------------------------------------------------------------------------------------------------------


def attack_choice(study: Study, attacks: Sequence[str] = ()) -> dict[str, Any]:
    """Return the choice of the attack."""
    return choice("attack", "attack", list(attacks or study.attacks[:MOST_ATTACKS]))


def metric_choice(study: Study, *, start: str = "auc", also: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the choice of the leakage metric, its names for titles and what guessing achieves."""
    known = {metric for metric in study.points["m"].unique()}
    names = [one.name for one in of_kind("leakage") if one.name in known] + [name for name in also if name in known]
    names = names or [start]
    words = {name: metric_words(name) for name in names}
    chances = {name: about.chance for name in names if (about := metric_of(name)) and about.chance is not None}
    return [
        choice("metric", "metric", names, list(words.values()), start if start in names else names[0]),
        {"name": "words", "value": words},
        {"name": "chances", "value": chances},
    ]


LEAKAGE = "=words[metric] + (indexof(metric, '/') < 0 ? ' of ' + attack : '')"
CHANCE = "chances[metric]"


def knowing(study: Study) -> str:
    """Return what filled and hollow marks mean, where there are both."""
    return (
        " Filled marks: the attacker knows the defence; hollow marks, dashed lines: does not." if study.has_both else ""
    )


def marked(chart: "alt.Chart", **encoding: Any) -> list["alt.Chart"]:
    """Return the points of settings, filled where the attacker knows, with what a click and a hover show."""
    import altair as alt

    tip = [alt.Tooltip("words:N", title="setting"), *encoding.pop("tooltip")]
    base = chart.encode(**encoding, tooltip=tip)
    hollow, full = f"datum.who == '{KNOWS_NOT}'", f"datum.who != '{KNOWS_NOT}'"
    return [
        base.transform_filter(hollow).mark_point(filled=False, size=60, strokeWidth=1.6),
        base.transform_filter(full).mark_point(filled=True, opacity=1, size=60),
    ]


# --- figures ----------------------------------------------------------------------------------------------------------


@figure
def grid(study: Study, _: Evidence) -> Figure | None:
    """Size against strength: utility beside leakage under both attackers, as numbers on colours."""
    import altair as alt

    rows = [study.rows[k] for k in study.finished]
    counts = {name: len({(r.strength, r.size) for r in rows if r.defence == name}) for name in defence_names(study)}
    names = [name for name, count in counts.items() if count > len(study.sizes)]
    if len(study.sizes) < 2 or not names:
        return None
    order = list(dict.fromkeys(study.settings.sort_values("order")["strength"]))
    base = alt.Chart(alt.NamedData("settings")).transform_filter(
        f"datum.defence == defence || datum.defence == '{NO_DEFENCE}'"
    )

    def cells(metric: str, title: Any, kept: str, colours: Sequence[str]) -> dict[str, Any]:
        least = f"min(datum.lo, isValid({CHANCE}) ? {CHANCE} : datum.lo)" if metric == "metric" else "datum.lo"
        chart = looked_up(base, metric).transform_filter("isValid(datum.v)")
        chart = chart.transform_joinaggregate(lo="min(v)", hi="max(v)").transform_filter(kept)
        chart = chart.transform_calculate(
            share=f"(datum.v - {least}) / max(datum.hi - {least}, 0.1)",  # small differences look small
            text="format(datum.v, '.3f')",
            ends="datum.vl < datum.vh ? format(datum.vl, '.3f') + '-' + format(datum.vh, '.3f') : ''",
        )
        x = alt.X("strength:N", title="strength", sort=order, axis=alt.Axis(labelAngle=0, labelOverlap=True))
        y = alt.Y("n:N", title=None, sort=[f"n = {size_words(size)}" for size in study.sizes])
        chart = chart.encode(x=x, y=y)
        ink = {"condition": {"test": "datum.share > 0.55", "value": "#fffffe"}, "value": "#10151b"}
        colour = alt.Color("share:Q", scale=alt.Scale(domain=[0, 1], range=list(colours)), legend=None)
        tip = [alt.Tooltip("words:N", title="setting"), alt.Tooltip("vt:N", title="value")]
        height = max(90, 46 * len(study.sizes))
        return layer(
            chart.mark_rect(cornerRadius=3, stroke="#ffffff", strokeWidth=1).encode(color=colour, tooltip=tip),
            chart.mark_text(fontSize=12, dy=-5, fontWeight=600).encode(text="text:N", color=ink),
            chart.mark_text(fontSize=9, dy=9).encode(text="ends:N", color=ink),
            title=title,
            width=WIDTH,
            height=height,
        )

    blue, red = ("#e9f2f9", "#0a4f86"), ("#fdeee3", "#a63a06")
    leakage = {"text": {"expr": f"{LEAKAGE[1:]} + who"}}
    known = [cells(f"'{UTILITY}'", metric_words(UTILITY), f"datum.who != '{KNOWS_NOT}'", blue)]
    for who, kept in ((KNOWS, f"datum.who != '{KNOWS_NOT}'"), (KNOWS_NOT, f"datum.who != '{KNOWS}'")):
        if study.has_both or who == KNOWS:
            title = {"text": {"expr": leakage["text"]["expr"].replace("+ who", f"+ ', attacker {who}'")}}
            known.append(cells("metric", title if study.has_both else {"text": {"expr": LEAKAGE[1:]}}, kept, red))
    params = [attack_choice(study), *metric_choice(study), choice("defence", "defence", names)]
    chart = panels(known, 3, least=330, color="independent", y="shared") | {"params": params}
    caption = "Each cell: the value, and its 95% interval below. Darker is higher; none: without a defence."
    return Figure("grid", "Size against strength", caption, chart)


@figure
def frontier(study: Study, _: Evidence) -> Figure | None:
    """Utility against leakage: one line per defence, points labelled by strength."""
    import altair as alt

    attack = next(
        (a for a in study.attacks for k in study.finished if study.estimate(k, f"attack/{a}/auc").is_known), ""
    )
    known = [k for k in study.finished if study.estimate(k, UTILITY).is_known]
    if len(known) < 2 or not attack:
        return None
    settings = study.settings[study.settings["s"].isin(known)]
    kinds = by_category(
        list(dict.fromkeys(settings["defence"] if study.has_defences else settings["label"])), NO_DEFENCE
    )
    field = "defence" if study.has_defences else "label"
    spots = [place for place, count in settings["panel"].value_counts(sort=False).items() if count > 1][:MOST_PANELS]
    if not spots:
        return None
    colour, shape = looks(field, kinds)
    x = alt.X("v:Q", title=LEAKAGE, scale=near())
    y = alt.Y("u:Q", title=metric_words(UTILITY), scale=near())
    utility = f"'{UTILITY}'"

    def of(name: str, place: str) -> "alt.Chart":
        chart = alt.Chart(alt.NamedData(name)).transform_filter(alt.FieldEqualPredicate(field="panel", equal=place))
        return looked_up(looked_up(chart), utility, "u").transform_filter("isValid(datum.v) && isValid(datum.u)")

    def panel(place: str) -> dict[str, Any]:
        all_of, lines = of("settings", place), of("paths", place)
        fair = all_of.transform_filter(f"datum.who != '{KNOWS_NOT}'")
        fair = fair.transform_window(best="max(u)", sort=[alt.SortField("v"), alt.SortField("u", order="descending")])
        front = fair.transform_filter("datum.u >= datum.best").mark_line(
            interpolate="step-after", strokeWidth=7, opacity=0.3, color="#6b7280"
        )
        layers = [guide(CHANCE, title=LEAKAGE), front.encode(x=x, y=y, order="v:Q")]
        layers.append(
            all_of.mark_rule(opacity=0.35).encode(x=alt.X("vl:Q", title=LEAKAGE), x2="vh:Q", y=y, color=colour)
        )
        layers.append(
            all_of.mark_rule(opacity=0.35).encode(
                x=x, y=alt.Y("ul:Q", title=metric_words(UTILITY)), y2="uh:Q", color=colour
            )
        )
        if study.has_defences:
            line = lines.mark_line(strokeWidth=1.4).encode(
                x=x, y=y, order="order:Q", color=alt.Color("line:N", title=None, scale=colour["scale"])
            )
            if study.has_both:
                line = line.encode(strokeDash=dashes("who", KNOWS, KNOWS_NOT))
            layers.append(line.encode(detail=["line:N", "who:N"]))
        tip = [alt.Tooltip("vt:N", title="leakage"), alt.Tooltip("ut:N", title=metric_words(UTILITY))]
        layers += marked(all_of, x=x, y=y, color=colour, shape=shape, tooltip=tip)
        plain = all_of.transform_filter(f"datum.defence == '{NO_DEFENCE}'")  # once more, over all others
        layers += marked(plain, x=x, y=y, color=colour, shape=shape, tooltip=tip)[1:]
        text = "datum.strength == 'on' ? '' : datum.strength" if study.has_defences else "''"
        layers.append(
            labels(
                all_of.encode(x=x, y=y), f"datum.who == '{KNOWS_NOT}' && {str(study.has_both).lower()} ? '' : {text}"
            )
        )
        return layer(*layers, title=place or "all", width=WIDTH + 60, height=HEIGHT + 60)

    chart = panels(
        [panel(place) for place in spots],
        2,
        least=380,
        x="shared",
        y="independent",
        color="shared",
        shape="shared",
        strokeDash="shared",
    )
    chart |= {"params": [attack_choice(study), *metric_choice(study)]}
    front = "Wide grey line: the Pareto front" + (" against the attacker who knows." if study.has_both else ".")
    caption = f"Up and to the left is better; numbers are strengths. {BARS}{knowing(study)} {front} {price_words(study, attack)}"
    return Figure("frontier", "Utility against leakage", caption.strip(), chart)


def _lines(
    study: Study, spots: Sequence[tuple[str, str]], data: str, x: "Callable[[str], alt.X]", line: str, names: Any
) -> list[Any]:
    """Return a panel for each expression in `spots`: a metric against `x`, a line for each value of `line`."""
    import altair as alt

    y = alt.Y("v:Q", title=LEAKAGE, scale=near())
    found = []
    for title, kept in spots:
        colour, shape = looks(line, names(title))
        base = looked_up(alt.Chart(alt.NamedData(data)).transform_filter(kept)).transform_filter("isValid(datum.v)")
        base = base.encode(x=x(title))
        detail = ["who:N"] if study.has_both else []
        line_mark = base.mark_line(strokeWidth=1.5).encode(y=y, color=colour, detail=detail, order="order:Q")
        if line != "label" and study.has_both:
            line_mark = line_mark.encode(strokeDash=dashes("who", KNOWS, KNOWS_NOT))
        bars = base.mark_rule(opacity=0.4).encode(y=alt.Y("vl:Q", title=LEAKAGE), y2="vh:Q", color=colour)
        tip = [alt.Tooltip("vt:N", title="value")]
        dots = marked(base, y=y, color=colour, shape=shape, tooltip=tip)
        layers = [guide(CHANCE, is_vertical=False, title=LEAKAGE), line_mark, bars, *dots]
        found.append(layer(*layers, title=title, width=WIDTH, height=HEIGHT - 20))
    return found


@figure
def by_strength(study: Study, _: Evidence) -> Figure | None:
    """A panel per defence: a metric over its strengths, a line per size."""
    import altair as alt

    spots = _defence_spots(study)
    if not spots:
        return None
    sizes = by_order([f"n = {size_words(size)}" for size in study.sizes] or ["n = ?"])
    settings = study.settings

    def x(title: str) -> "alt.X":
        mine = settings[settings["defence"].isin([NO_DEFENCE, title.split(", ")[0]])].sort_values("order")
        order = list(dict.fromkeys(mine["strength"]))
        return alt.X(
            "strength:N", title="strength", sort=order, scale=alt.Scale(domain=order), axis=alt.Axis(labelAngle=0)
        )

    found = _lines(study, spots, "paths", x, "n", lambda _: sizes)
    chart = panels(
        found, 3, least=330, room=100, x="independent", y="shared", color="shared", shape="shared", strokeDash="shared"
    )
    chart |= {"params": [attack_choice(study), *metric_choice(study, also=[UTILITY])]}
    return Figure(
        "leakage_by_strength",
        "Leakage against the strength of the defence",
        f"One line per size. {BARS}{knowing(study)}",
        chart,
    )


@figure
def by_size(study: Study, _: Evidence) -> Figure | None:
    """A panel per defence: a metric over the sizes, a line per strength."""
    spots = _defence_spots(study)
    if not spots or len(study.sizes) < 2:
        return None
    settings = study.settings

    def names(title: str) -> Any:
        mine = settings[settings["defence"].isin([NO_DEFENCE, title.split(", ")[0]])].sort_values("order")
        return by_order(list(dict.fromkeys(mine["strength"])), "none")

    found = _lines(
        study, spots, "paths", lambda _: number_axis("size", "size of the training set", study.sizes), "strength", names
    )
    chart = panels(
        found,
        3,
        least=330,
        room=100,
        x="shared",
        y="shared",
        color="independent",
        shape="independent",
        strokeDash="shared",
    )
    chart |= {"params": [attack_choice(study), *metric_choice(study, also=[UTILITY])]}
    return Figure(
        "leakage_by_size",
        "Leakage against size, for each strength",
        f"One line per strength. {BARS}{knowing(study)}",
        chart,
    )


def _defence_spots(study: Study) -> list[tuple[str, str]]:
    """Return title and filter of a panel for each defence at each of the other places."""
    others = list(dict.fromkeys(study.settings["other"])) if study.finished else []
    return [
        (", ".join(filter(None, [name, other])), f"datum.line == '{quoted(name)}' && datum.other == '{quoted(other)}'")
        for other in others
        for name in defence_names(study)
    ][:MOST_PANELS]


def of_settings(data: str, rename: str = "defence") -> "alt.Chart":
    """Return a chart over data with the field `s`, with what is known of the setting.

    Args:
        data: the name of the data set.
        rename: the field that takes the setting's defence, where the data have a field `defence` of their own.
    """
    import altair as alt

    fields = ["words", "label", "panel", "defence", "strength", "order", "who", "run", "command"]
    source = alt.LookupData(data=alt.NamedData("settings"), key="s", fields=fields)
    names = [rename if field == "defence" else field for field in fields]
    return alt.Chart(alt.NamedData(data)).transform_lookup(lookup="s", from_=source, as_=names)


def in_group(study: Study) -> str:
    """Return the filter for settings that are drawn over one another: a place, a defence and its attacker."""
    found = ["datum.panel == panel"]
    if study.has_defences:
        who = " && (datum.who == who || datum.who == 'either')" if study.has_both else ""
        found.append(f"(datum.defence == '{NO_DEFENCE}' || datum.defence == defence{who})")
    return " && ".join(found)


def quoted(text: str) -> str:
    """Return text that can stand between single quotes in an expression."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def number_axis(field: str, title: str, values: Sequence[float]) -> "alt.X":
    """Return an axis with ticks at the values, logarithmic where they spread over more than a factor of eight."""
    import altair as alt

    known = sorted(set(values))
    is_log = known[0] > 0 and known[-1] / known[0] >= 8
    scale = alt.Scale(type="log" if is_log else "linear", zero=False, nice=False, padding=14)
    axis = alt.Axis(values=known, format=",~r" if known[-1] >= 1 else "~g", labelOverlap="greedy", grid=False)
    return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)


TOGETHER = ("precision", "recall", "accuracy", "auc")


@figure
def trend(study: Study, _: Evidence) -> Figure | None:
    """All metrics of an attack, and the test accuracy, against the first number that varies."""
    import altair as alt

    key = next(iter(study.number_axes), "")
    if not key or study.has_defences:
        return None
    field = axis_field(key)
    rest = list(dict.fromkeys(study.settings[f"rest_{field}"]))
    values = [float(value) for value in study.settings[field]]
    if len(set(values)) < 2 or len(rest) > 60:
        return None
    metrics = [m for m in TOGETHER if (study.points["m"] == m).any()]
    names = [*(metric_words(m) for m in metrics), metric_words(UTILITY)]
    kept = " || ".join([f"(datum.m == '{UTILITY}')", *(f"(datum.m == '{m}' && datum.a == attack)" for m in metrics)])
    source = alt.LookupData(
        data=alt.NamedData("settings"), key="s", fields=["words", field, f"rest_{field}", "run", "who"]
    )
    chart = alt.Chart(alt.NamedData("points")).transform_filter(kept).transform_lookup(lookup="s", from_=source)
    chart = chart.transform_filter(f"datum.rest_{field} == setting").transform_calculate(
        name="{%s}[datum.m]" % ", ".join(f"'{m}': '{metric_words(m)}'" for m in [*metrics, UTILITY]),
        vt=f"{_tip}",
    )
    colour, shape = looks("name", by_category(names))
    x = number_axis(field, key_words(key), values)
    y = alt.Y("v:Q", title="value", scale=alt.Scale(domain=[0, 1]))
    layers = [
        guide("0.5", is_vertical=False, title="value"),
        chart.mark_line(strokeWidth=1.6).encode(x=x, y=y, color=colour),
        chart.mark_rule(opacity=0.45, clip=True).encode(x=x, y=alt.Y("l:Q", title="value"), y2="h:Q", color=colour),
        *marked(chart, x=x, y=y, color=colour, shape=shape,
                tooltip=[alt.Tooltip("name:N", title="metric"), alt.Tooltip("vt:N", title="value")]),
    ]  # fmt: skip
    params = [attack_choice(study), choice("setting", "setting", rest)]
    drawn = layer(*layers, usermeta={"most": 640, "room": 100}, width=2 * WIDTH - 60, height=HEIGHT + 50, params=params)
    word = key_words(key)
    slope = slope_words(study) if key == SIZE else ""
    caption = f"Precision, recall, accuracy and AUC of the attack, and the target's test accuracy. {BARS} {slope}"
    return Figure(f"leakage_by_{word.replace(' ', '_')}", f"Leakage against {word}", caption.strip(), drawn)


_tip = "format(datum.v, '.3f') + (datum.l < datum.h ? ' [' + format(datum.l, '.3f') + ', ' + format(datum.h, '.3f') + ']' : '')"


@figure
def compared(study: Study, _: Evidence) -> Figure | None:
    """Settings beside one another where they differ in words, such as data sets or models."""
    is_word = any(isinstance(study.rows[k].values.get(key), str) for key in study.axes for k in study.finished)
    if len(study.finished) < 2 or not is_word or study.has_defences:
        return None
    order = [study.words(study.rows[k]) for k in study.finished][:MOST_ROWS]
    shown = [m for m in ("precision", "recall", "auc") if (study.points["m"] == m).any()]
    found = [_dots(study, "settings", "words", order, f"'{m}'", metric_words(m)) for m in [*shown, UTILITY]]
    chart = panels(found, 2, least=380, room=190, x="independent", y="shared") | {"params": [attack_choice(study)]}
    return Figure("settings", "The settings compared", f"{BARS} Dashed: guessing.", chart)


def _dots(
    study: Study, data: str, field: str, order: Sequence[str], metric: str, title: str, kept: str = "true"
) -> dict[str, Any]:
    """Return estimates with their intervals as lying dots, one row for each value of `field`."""
    import altair as alt

    about = metric_of(metric.strip("'"))
    base = looked_up(alt.Chart(alt.NamedData(data)).transform_filter(kept), metric).transform_filter("isValid(datum.v)")
    base = base.encode(y=alt.Y(f"{field}:N", sort=list(order), title=None))
    x = alt.X("v:Q", title=title, scale=near())
    chance = str(about.chance) if about and about.chance is not None else "null"
    return layer(
        guide(chance, title=title),
        base.mark_rule(strokeWidth=1.5, color="#0072b2").encode(x=alt.X("vl:Q", title=title), x2="vh:Q"),
        base.mark_point(filled=True, size=60, opacity=1, color="#0072b2").encode(
            x=x, tooltip=[alt.Tooltip("words:N", title="setting"), alt.Tooltip("vt:N", title=title)]
        ),
        width=WIDTH,
        height=max(70, 20 * len(order)),
        title=title,
    )


@figure
def attacks(study: Study, _: Evidence) -> Figure | None:
    """The attacks beside one another, for one setting at a time."""
    import altair as alt

    shown = [m for m in ("auc", "accuracy", "tpr_at_1pct_fpr") if (study.points["m"] == m).any()]
    if len(study.attacks) < 2 or not shown:
        return None
    names = [study.words(study.rows[k]) for k in study.finished]
    found = []
    for metric in shown:
        about = metric_of(metric)
        title = metric_words(metric)
        source = alt.LookupData(data=alt.NamedData("settings"), key="s", fields=["words", "run"])
        base = alt.Chart(alt.NamedData("points")).transform_filter(f"datum.m == '{metric}'")
        base = base.transform_lookup(lookup="s", from_=source).transform_filter("datum.words == setting")
        base = base.transform_calculate(vt=_tip).encode(y=alt.Y("a:N", sort=list(study.attacks), title=None))
        x = alt.X("v:Q", title=title, scale=near())
        found.append(layer(
            guide(str(about.chance) if about else "null", title=title),
            base.mark_rule(strokeWidth=1.5, color="#0072b2").encode(x=alt.X("l:Q", title=title), x2="h:Q"),
            base.mark_point(filled=True, size=60, opacity=1, color="#0072b2").encode(
                x=x, tooltip=[alt.Tooltip("a:N", title="attack"), alt.Tooltip("vt:N", title=title)]),
            width=WIDTH - 60, height=max(80, 22 * len(study.attacks))))  # fmt: skip
    chart = panels(found, 3, least=330, room=140, x="independent", y="shared") | {
        "params": [choice("setting", "setting", names)]
    }
    return Figure("attacks", "The attacks compared", f"{BARS} Dashed: guessing.", chart)


def duration_words(seconds: float) -> str:
    """Return a duration in the largest unit that fits."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"
