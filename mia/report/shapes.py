"""How each shape of series is drawn with matplotlib.

Takes axes and a series, draws, returns what the legend shows. Sets no limits, labels or titles.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mia.report import style
from mia.report.chart import Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = style.LIGHT


def _draw_line(axes: "Axes", series: Series) -> Any:
    colour = COLOURS[series.colour]
    look: dict[str, Any] = {"color": colour, "alpha": series.opacity, "zorder": 3}
    bars = look | {"alpha": 0.55 * series.opacity}
    if series.x_bounds is not None:
        axes.hlines(series.y, *series.x_bounds, linewidth=0.8, **bars)
    if series.y_bounds is not None:
        axes.vlines(series.x, *series.y_bounds, linewidth=0.8, **bars)
    (line,) = axes.plot(
        series.x,
        series.y,
        linestyle="none" if series.shape == "points" else (0, (4, 2)) if series.is_dashed else "-",
        linewidth=series.width,
        marker=None if series.shape == "line" else style.MATPLOTLIB_MARKS[series.mark],
        markersize=8 if series.is_hollow else 5,  # a ring around a filled mark in the same place
        markerfacecolor="none" if series.is_hollow else colour,
        **look,
    )
    return line


def _draw_band(axes: "Axes", series: Series) -> Any:
    low, high = series.y_bounds or (series.y, series.y)
    return axes.fill_between(
        series.x, low, high, color=COLOURS[series.colour], alpha=0.22 * series.opacity, linewidth=0, zorder=2
    )


def _draw_bars(axes: "Axes", series: Series) -> Any:
    lies = series.shape == "hbars"
    look: dict[str, Any] = {
        "color": COLOURS[series.colour],
        "alpha": series.opacity,
        "ecolor": COLOURS["ink"],
        "zorder": 3,
    }
    look["error_kw"] = {"elinewidth": 0.9}
    if lies:
        return axes.barh(series.y, series.x, height=series.thickness, left=series.base,
                         xerr=_errors(series.x, series.x_bounds), **look)  # fmt: skip
    return axes.bar(series.x, series.y, width=series.thickness, bottom=series.base,
                    yerr=_errors(series.y, series.y_bounds), **look)  # fmt: skip


def _draw_area(axes: "Axes", series: Series) -> Any:
    """Steps over equal bins: `x` holds their left ends."""
    return axes.fill_between(
        series.x,
        series.y,
        step="post",
        facecolor=(COLOURS[series.colour], 0.3),
        edgecolor=COLOURS[series.colour],
        linewidth=1.2,
        zorder=3,
    )


SHAPES: Mapping[str, Callable[["Axes", Series], Any]] = {
    "line": _draw_line,
    "points": _draw_line,
    "line+points": _draw_line,
    "bars": _draw_bars,
    "hbars": _draw_bars,
    "band": _draw_band,
    "area": _draw_area,
}


def _errors(values: Sequence[float], bounds: Any) -> np.ndarray | None:
    """Return distances below and above; rounding in stored bounds must not make them negative."""
    if bounds is None:
        return None
    low, high = (np.asarray(side, float) for side in bounds)
    centre = np.asarray(values, float)
    return np.nan_to_num(np.maximum([centre - low, high - centre], 0.0))
