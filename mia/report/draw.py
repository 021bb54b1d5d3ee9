"""Charts to matplotlib figures and files.

Uses `Figure` and the Agg canvas directly, never pyplot, so that nothing global is touched and threads may draw.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mia.report import style
from mia.report.chart import Chart
from mia.report.layout import EDGE, LINE, MOST_COLUMNS, Panel, lay_out, legend_columns
from mia.report.panel import draw_chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf")


def draw_figure(charts: Sequence[Chart], title: str = "") -> "Figure":
    """Return a figure with one panel for each chart, a shared legend below where the panels show the same series."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sheet = lay_out(charts, title)
    figure = Figure(figsize=(sheet.width, sheet.height), dpi=style.DPI)
    FigureCanvasAgg(figure)
    shared: Mapping[str, Any] = {}
    for chart, panel in zip(charts, sheet.panels, strict=True):
        axes = figure.add_axes((panel.left, panel.bottom, panel.width, panel.height))
        handles = draw_chart(axes, chart, panel)
        if sheet.has_shared_legend:
            shared = max(shared, handles, key=len)
        elif len(handles) > 1:
            _add_legend(axes, handles, sheet.width / min(len(charts), MOST_COLUMNS), **_below(panel))
    if len(shared) > 1:
        _add_legend(figure, shared, sheet.width, loc="lower center", bbox_to_anchor=(0.5, 0.0))
    if title and len(charts) > 1:
        place = 1 - EDGE / 2 / sheet.height
        figure.suptitle(title, y=place, va="top", fontsize=style.FONT_SIZE + 2, parse_math=False)
    return figure


def _below(panel: Panel) -> dict[str, Any]:
    """Return where a panel's own legend goes."""
    width, height = panel.size
    anchor = (EDGE - panel.room_left) / width, -(panel.room_below + EDGE / 2) / height
    return {"loc": "upper left", "bbox_to_anchor": anchor}


def _add_legend(owner: "Figure | Axes", handles: Mapping[str, Any], width: float, **place: Any) -> None:
    legend = owner.legend(
        list(handles.values()),
        [f" {name}" if name.startswith("_") else name for name in handles],
        ncols=legend_columns(list(handles), width),
        fontsize=style.FONT_SIZE - 0.5,
        frameon=False,
        borderaxespad=0.2,
        labelspacing=(LINE * 72 * 1.1 - style.FONT_SIZE) / style.FONT_SIZE / 1.6,
        **place,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def save_figure(figure: "Figure", stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write `stem`.png and .pdf (whose text stays text); return the paths."""
    import matplotlib as mpl

    paths = []
    for kind in formats:
        path = stem.with_suffix(f".{kind}")
        with mpl.rc_context({"pdf.fonttype": 42}):
            figure.savefig(path, format=kind)
        paths.append(path)
    return paths
