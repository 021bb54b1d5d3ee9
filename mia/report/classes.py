"""Precision by class, as bars around one half.

Takes rows of per-class tables (`attack`, `class`, `precision`, `precision_low`, `precision_high`), gives a chart.
"""

import math
from collections.abc import Mapping, Sequence

from mia.report import style
from mia.report.chart import Axis, Chart, Guide, Series

Row = Mapping[str, str | float]
MOST_NAMED = 30
"""More classes than these are drawn without their names, sorted by precision."""


def class_chart(
    attack: str, settings: Sequence[tuple[str, Sequence[Row]]], class_names: Sequence[str] = ()
) -> Chart | None:
    """Return an attack's precision by class as grouped bars, or None when no row holds one.

    Args:
        attack: the attack's name, for the title.
        settings: of each group of bars its name, and rows, of which those of `attack` count.
        class_names: names for classes that the rows give by number.
    """
    tables = [(name, _precisions(rows, attack)) for name, rows in settings]
    tables = [(name, table) for name, table in tables if table]
    if not tables:
        return None
    first = tables[0][1]
    classes = sorted(first, key=lambda c: -first[c][0]) if len(first) > MOST_NAMED else list(first)
    thickness = 0.8 / len(tables)
    colours = ["c0"] if len(tables) == 1 else style.line_colours([name for name, _ in tables])
    series = [
        _bars(name or "precision", [table.get(c, (math.nan,) * 3) for c in classes], classes, colour,
              shift=(k - (len(tables) - 1) / 2) * thickness, thickness=thickness)
        for k, ((name, table), colour) in enumerate(zip(tables, colours, strict=True))
    ]  # fmt: skip
    named = {float(k): _class_name(c, class_names) for k, c in enumerate(classes)}
    is_many = len(classes) > MOST_NAMED
    x = Axis(f"{len(classes)} classes, sorted by precision" if is_many else "class", ticks={} if is_many else named)
    low = min((v for s in series for v in (s.y_bounds or (s.y,))[0] if math.isfinite(v)), default=0.5)
    y = Axis("precision", limits=(max(0.0, min(0.4, low - 0.03)), 1.02))
    return Chart(_title(attack, first, class_names), x, y, series, [Guide(0.5, "chance")])


def _precisions(rows: Sequence[Row], attack: str) -> dict[str, tuple[float, float, float]]:
    """Return precision, low and high by class; classes without a precision are left out."""
    table = {}
    for row in rows:
        value = number(row.get("precision"))
        if str(row.get("attack")) == attack and math.isfinite(value):
            low, high = number(row.get("precision_low")), number(row.get("precision_high"))
            table[str(row["class"])] = (
                value,
                low if math.isfinite(low) else value,
                high if math.isfinite(high) else value,
            )
    return table


def number(value: str | float | None) -> float:
    """Return a cell as a number; NaN for what is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _bars(
    name: str,
    values: Sequence[tuple[float, ...]],
    classes: Sequence[str],
    colour: str,
    *,
    shift: float,
    thickness: float,
) -> Series:
    y, low, high = ([row[k] for row in values] for k in range(3))
    hover = [f"{c}: {v:.3f} [{a:.3f}, {b:.3f}]" for c, (v, a, b) in zip(classes, values, strict=True)]
    x = [k + shift for k in range(len(values))]
    return Series(
        name, x, y, shape="bars", colour=colour, y_bounds=(low, high), thickness=0.92 * thickness, hover=hover
    )


def _title(attack: str, table: Mapping[str, tuple[float, ...]], class_names: Sequence[str]) -> str:
    lowest, highest = min(table, key=lambda c: table[c][0]), max(table, key=lambda c: table[c][0])
    if len(table) == 1:
        return f"{attack}: precision by class"
    return (
        f"{attack}: precision by class, from {table[lowest][0]:.2f} ({_class_name(lowest, class_names)}) "
        f"to {table[highest][0]:.2f} ({_class_name(highest, class_names)})"
    )


def _class_name(label: str, names: Sequence[str]) -> str:
    return names[int(label)] if label.isdigit() and int(label) < len(names) else label
