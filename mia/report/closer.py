"""The figures of a sweep that look closer: at curves, classes and records.

Same form as `figures.py`: one function each, from a study and its files to a figure or nothing.
"""

from collections.abc import Sequence
from typing import Any

from mia.report.evidence import Evidence, defence_names, left_edge
from mia.report.figures import (
    BARS,
    GAP,
    LEAKAGE,
    attack_choice,
    duration_words,
    figure,
    in_group,
    knowing,
    marked,
    metric_choice,
    of_settings,
    quoted,
)
from mia.report.frame import KNOWS, NO_DEFENCE, Study
from mia.report.look import (
    GUIDE,
    HEIGHT,
    INK,
    MARKS,
    QUIET,
    RAMP,
    WIDTH,
    Figure,
    by_category,
    choice,
    guide,
    labels,
    layer,
    looked_up,
    looks,
    near,
    panels,
    unit,
)

MOST_LABELS = 12
MOST_NAMED = 30
"""More classes than these are drawn without their names."""


def group_choices(study: Study) -> list[Any]:
    """Return the choice of what is drawn over one another: a place, and a defence with its attacker."""
    found = [choice("panel", "data", list(dict.fromkeys(study.settings["panel"])))]
    if study.has_defences:
        found.append(choice("defence", "defence", defence_names(study)))
    if study.has_both:
        whose = [who for who in dict.fromkeys(study.settings["who"]) if who != "either"]
        found.append(choice("who", "the attacker", whose, start=KNOWS))
    return found


def label_looks() -> tuple[Any, Any]:
    """Return colour and mark of the settings that are drawn over one another, the legend naming no other ones."""
    import altair as alt

    colours = [INK, *(RAMP[k] for k in (0, 2, 4, 6, 7, 5, 3, 1))]  # cold to hot for up to four strengths
    found = []
    for kind, values in ((alt.Color, colours), (alt.Shape, ["circle", *MARKS])):
        sort = alt.EncodingSortField("s", op="min")
        found.append(kind("label:N", title=None, sort=sort, scale=alt.Scale(range=values), legend=alt.Legend()))
    return found[0], found[1]


def log_axis(field: str, title: str, low: float) -> Any:
    """Return an options dictionary of a logarithmic axis of rates."""
    import altair as alt

    values = [10.0**-k for k in range(6, -1, -1) if 10.0**-k >= low]
    percent = alt.Axis(values=values, format="~%", grid=True)
    return {
        "shorthand": f"{field}:Q",
        "title": title,
        "axis": percent,
        "scale": alt.Scale(type="log", domain=[low, 1], nice=False, clamp=True),
    }


def roc_layers(data: Any, colour: Any, dash: Any, low: float, limits: Sequence[tuple[float, str]]) -> list[Any]:
    """Return curves on logarithmic axes with chance and guides, whose names stand above the plot."""
    import altair as alt

    x = alt.X(**log_axis("f", "false positive rate", low))
    y = alt.Y(**log_axis("t", "true positive rate", low))
    ends = alt.Chart(alt.Data(values=[{"f": low, "t": low}, {"f": 1, "t": 1}]))
    layers = [ends.mark_line(**GUIDE).encode(x=x, y=y)]
    layers += [guide(str(rate), name, title="false positive rate") for rate, name in limits]
    line = data.mark_line(strokeWidth=1.8, clip=True).encode(x=x, y=y, color=colour, order="f:Q")
    return [*layers, line.encode(strokeDash=dash) if dash is not None else line]


@figure
def roc(study: Study, evidence: Evidence) -> Figure | None:
    """ROC curves of several settings over one another, on logarithmic axes."""
    import altair as alt

    if not len(evidence.curves):
        return None
    colour, _ = label_looks()
    curves = of_settings("curves").transform_filter("datum.a == attack").transform_filter(in_group(study))
    curves = curves.encode(tooltip=[alt.Tooltip("words:N", title="setting"), alt.Tooltip("f:Q", format=".3%", title="FPR"),
                                    alt.Tooltip("t:Q", format=".2%", title="TPR")])  # fmt: skip
    low = left_edge(evidence.nonmembers)
    limits = [(rate, name) for rate, name in ((0.001, "0.1%"), (0.01, "1%")) if rate * evidence.nonmembers > 1]
    params = [attack_choice(study, evidence.attacks), *group_choices(study)]
    layers = roc_layers(curves, colour, None, low, limits)
    chart = layer(*layers, usermeta={"most": 620}, width=WIDTH + 140, height=WIDTH + 40, params=params)
    caption = (
        "Logarithmic axes: what counts is the left end, where few non-members are accused. Dashed diagonal: guessing; "
        f"the axes begin at half of one in {evidence.nonmembers:,} non-members. The first seed is drawn."
    )
    return Figure("roc", "True against false positives", caption, chart)


@figure
def per_class(study: Study, evidence: Evidence) -> Figure | None:
    """Precision by class of several settings."""
    import altair as alt

    if not len(evidence.classes):
        return None
    colour, shape = label_looks()
    number = evidence.classes["c"].nunique()
    base = of_settings("classes").transform_filter("datum.a == attack").transform_filter(in_group(study))
    base = base.encode(y=alt.Y("c:N", title=None, sort=alt.EncodingSortField("v", op="max", order="descending"),
                               axis=alt.Axis(labels=number <= MOST_NAMED, ticks=number <= MOST_NAMED)))  # fmt: skip
    x = alt.X("v:Q", title="precision", scale=near())
    layers = [
        guide("0.5", title="precision"),
        base.mark_rule(opacity=0.45, color=QUIET).encode(x=alt.X("l:Q", title="precision"), x2="h:Q"),
        *marked(
            base, x=x, color=colour, shape=shape, tooltip=["c:N", alt.Tooltip("v:Q", format=".3f", title="precision")]
        ),
    ]
    params = [attack_choice(study, evidence.attacks), *group_choices(study)]
    height = max(120, (24 if number <= MOST_NAMED else 6) * number)
    chart = layer(*layers, usermeta={"room": 120, "most": 620}, width=WIDTH + 100, height=height, params=params)
    return Figure(
        "per_class",
        "Precision by class",
        "Bars: 95% intervals. At the dashed line the attack guesses. The first seed is drawn.",
        chart,
    )


@figure
def differences(study: Study, evidence: Evidence) -> Figure | None:
    """How much each defence takes off AUC, record by record."""
    import altair as alt

    if not len(evidence.changes):
        return None
    names = by_category(defence_names(study), NO_DEFENCE)
    colour, shape = looks("defence", names)
    found = []
    for place in list(dict.fromkeys(study.settings["panel"])):
        base = (
            of_settings("changes")
            .transform_filter("datum.a == attack")
            .transform_filter(f"datum.panel == '{quoted(place)}'")
        )
        base = base.transform_calculate(
            vt="format(datum.v, '+.3f') + ' [' + format(datum.l, '+.3f') + ', ' + format(datum.h, '+.3f') + ']'"
            " + (isValid(datum.sd) ? ' (sd ' + format(datum.sd, '.3f') + ' of ' + datum.count + ' seeds)' : '')"
        )
        base = base.encode(y=alt.Y("label:N", title=None, sort=alt.EncodingSortField("v", op="min")))
        x = alt.X("v:Q", title="AUC, less that without a defence", scale=near(zero=True))
        layers = [
            guide("0", "no change", title="AUC, less that without a defence"),
            base.mark_rule(opacity=0.6).encode(
                x=alt.X("l:Q", title="AUC, less that without a defence"), x2="h:Q", color=colour
            ),
            *marked(base, x=x, color=colour, shape=shape, tooltip=[alt.Tooltip("vt:N", title="difference")]),
        ]
        count = study.settings[(study.settings["panel"] == place) & (study.settings["defence"] != NO_DEFENCE)][
            "label"
        ].nunique()
        found.append(layer(*layers, title=place or "all", width=WIDTH, height=max(60, 15 * count)))
    chart = panels(found, 2, least=420, room=170, x="shared", y="independent", color="shared", shape="shared")
    chart |= {"params": [attack_choice(study, evidence.attacks)]}
    caption = (
        "Difference to the same data, size and seed without a defence, on the same records, with the 95% interval "
        f"(DeLong, paired) of these very models; right of zero the defence makes it worse.{knowing(study)}"
    )
    return Figure("differences", "How much each defence takes off, record by record", caption, chart)


@figure
def exposure(study: Study, evidence: Evidence) -> Figure | None:
    """Which records stop being exposed as a defence grows stronger."""
    import altair as alt

    if not len(evidence.exposure):
        return None
    names = list(dict.fromkeys(evidence.exposure["defence"]))
    order = list(dict.fromkeys(study.settings.sort_values("order")["strength"]))
    x = alt.X("strength:N", title="strength", sort=order, axis=alt.Axis(labelAngle=0))
    counts = of_settings("exposure", "named").transform_filter("datum.a == attack && datum.defence == exposed")
    counts = counts.transform_calculate(rank="datum.what == 'newly exposed' ? 1 : 0")
    stack = ["exposed without a defence, and still", "newly exposed"]
    bars = counts.mark_bar().encode(
        x=x, y=alt.Y("count:Q", title="exposed members"), order=alt.Order("rank:Q"),
        color=alt.Color("what:N", title=None, scale=alt.Scale(domain=stack, range=["#d55e00", "#4f9fd6"])),
        tooltip=["strength:N", "what:N", "count:Q"],
    )  # fmt: skip
    fates = of_settings("fates", "named").transform_filter("datum.a == attack && datum.defence == exposed")
    fate = fates.mark_point(size=55, strokeWidth=1.5).encode(
        x=x, y=alt.Y("record:N", title=None, sort=alt.EncodingSortField("order", op="min")),
        color=alt.Color("what:N", title=None, scale=alt.Scale(domain=["exposed", "no longer"], range=["#d55e00", QUIET])),
        fill=alt.Fill("what:N", title=None, scale=alt.Scale(domain=["exposed", "no longer"], range=["#d55e00", "transparent"]), legend=None),
        tooltip=["record:N", "strength:N", "what:N"],
    )  # fmt: skip
    size = {"width": WIDTH, "height": HEIGHT + 60}
    both = [
        unit(bars, title="How many are exposed", **size),
        unit(fate, title="The most exposed without a defence", **size),
    ]
    chart = panels(both, 2, least=380, room=80, color="independent", x="independent", fill="independent")
    chart |= {"params": [attack_choice(study, evidence.attacks), choice("exposed", "defence", names)]}
    caption = "Exposed: a member that the attack scores above 99% of the non-members, against an attacker who knows the defence. The first seed is shown."
    return Figure("exposure", "Which records stop being exposed", caption, chart)


@figure
def gap(study: Study, evidence: Evidence) -> Figure | None:
    """Leakage against overfitting, of settings and of classes."""
    import altair as alt

    known = [k for k in study.finished if study.estimate(k, GAP).is_known]
    if len(known) < 2 or not study.attacks:
        return None
    colour, shape = looks("defence", by_category([*defence_names(study), NO_DEFENCE], NO_DEFENCE))
    base = looked_up(looked_up(alt.Chart(alt.NamedData("settings"))), f"'{GAP}'", "g").transform_filter(
        "isValid(datum.v) && isValid(datum.g)"
    )
    x = alt.X("g:Q", title="train - test accuracy of the target", scale=near())
    y = alt.Y("v:Q", title=LEAKAGE, scale=near())
    tip = [alt.Tooltip("gt:N", title="gap"), alt.Tooltip("vt:N", title="leakage")]
    layers = [
        base.mark_rule(opacity=0.35).encode(x=x, y=alt.Y("vl:Q", title=LEAKAGE), y2="vh:Q", color=colour),
        *marked(base, x=x, y=y, color=colour, shape=shape, tooltip=tip),
    ]
    found = [layer(*layers, title="Each setting", width=WIDTH, height=HEIGHT)]
    if evidence.classes["gap"].notna().any():
        classes = (
            of_settings("classes")
            .transform_filter("datum.a == attack && isValid(datum.gap)")
            .transform_filter(in_group(study))
        )
        colours, shapes = label_looks()
        cx = alt.X("gap:Q", title="train - test accuracy of the class", scale=near())
        cy = alt.Y("v:Q", title="=('precision of ' + attack)", scale=near())
        points = marked(classes, x=cx, y=cy, color=colours, shape=shapes,
                        tooltip=[alt.Tooltip("c:N", title="class"), alt.Tooltip("v:Q", format=".3f", title="precision")])  # fmt: skip
        layers = [guide("0.5", is_vertical=False, title="=('precision of ' + attack)"), *points]
        if evidence.classes["c"].nunique() <= MOST_LABELS:
            layers.append(labels(classes.encode(x=cx, y=cy), "datum.order == 0 ? datum.c : ''"))
        found.append(layer(*layers, title="Each class", width=WIDTH, height=HEIGHT))
    chart = panels(
        found, 2, least=380, room=100, color="independent", shape="independent", x="independent", y="independent"
    )
    params = [attack_choice(study, evidence.attacks), *metric_choice(study)]
    chart |= {"params": [*params, *(group_choices(study) if len(found) > 1 else [])]}
    return Figure(
        "gap", "Leakage against the train - test gap", f"Overfitting is what leaks. {BARS}{knowing(study)}", chart
    )


@figure
def cost(study: Study, _: Evidence) -> Figure | None:
    """Seconds per stage of the settings that took longest."""
    import altair as alt

    timed = study.points[study.points["m"].str.match(r"time/.+_seconds") & (study.points["m"] != "time/total_seconds")]
    timed = timed[timed["v"] > 0]
    if not len(timed):
        return None
    totals = timed.groupby("s")["v"].sum().sort_values(ascending=False)
    order = [study.words(study.rows[k]) for k in totals.index[:30]]
    stages = list(dict.fromkeys(timed["m"]))
    source = alt.LookupData(data=alt.NamedData("settings"), key="s", fields=["words", "run"])
    base = alt.Chart(alt.NamedData("points")).transform_filter(
        "test(/^time[/].+_seconds$/, datum.m) && datum.m != 'time/total_seconds'"
    )
    base = base.transform_lookup(lookup="s", from_=source).transform_calculate(
        stage="replace(replace(datum.m, 'time/', ''), '_seconds', '')"
    )
    base = base.transform_filter(alt.FieldOneOfPredicate(field="words", oneOf=order))
    names, colours, _ = by_category([stage.removeprefix("time/").removesuffix("_seconds") for stage in stages])
    chart = base.mark_bar().encode(
        x=alt.X("sum(v):Q", title="seconds per run"),
        y=alt.Y("words:N", sort=order, title=None, axis=alt.Axis(labelLimit=230)),
        color=alt.Color("stage:N", title=None, scale=alt.Scale(domain=names, range=colours)),
        tooltip=[
            alt.Tooltip("words:N", title="setting"),
            "stage:N",
            alt.Tooltip("sum(v):Q", title="seconds", format=",.1f"),
        ],
    )
    drawn = unit(chart, width=2 * WIDTH - 120, height=max(80, 17 * len(order)), usermeta={"room": 250, "most": 760})
    more = f" The {len(order)} longest of {len(totals)} settings are shown." if len(totals) > len(order) else ""
    runs = {k: len(study.rows[k].runs) for k in totals.index}
    total = sum(seconds * runs[k] for k, seconds in totals.items())
    caption = f"{duration_words(total)} in all; means per run.{more} Settings whose models another run had trained show no time for training."
    return Figure("cost", "Time per stage", caption, drawn)
