"""The figures of a sweep: those that make sense for what it varies.

Takes stored runs and a callable that finds their files; gives exhibits, or matplotlib figures by file name.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mia.records import StoredRun
from mia.report.attacks import attack_exhibits
from mia.report.chart import Exhibit
from mia.report.comparison import comparison_exhibits
from mia.report.costs import cost_exhibits
from mia.report.exposure import exposure_exhibits
from mia.report.files import Fetch, Files, no_files
from mia.report.frontier import frontier_exhibits
from mia.report.gaps import gap_exhibits
from mia.report.grouping import read_sweep
from mia.report.overlays import overlay_exhibits
from mia.report.paired import Difference, difference_exhibits, differences
from mia.report.settings import Sweep
from mia.report.strengths import strength_exhibits
from mia.report.trends import trend_exhibits

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sweep_figures(runs: Iterable[StoredRun], fetch: Fetch = no_files) -> dict[str, "Figure"]:
    """Return the figures of a sweep's summary by file name; those that need files only where `fetch` finds them."""
    from mia.report.draw import draw_figure

    exhibits = sweep_exhibits(read_sweep(runs), Files(fetch))
    return {name: draw_figure(charts, one.title) for one in exhibits for name, charts in one.printed().items()}


def sweep_exhibits(sweep: Sweep, files: Files, compared: Iterable[Difference] | None = None) -> list[Exhibit]:
    """Return what a sweep can show, the most telling first.

    Args:
        sweep: settings with their runs.
        files: the runs' scores and tables.
        compared: paired differences, where they are known already.
    """
    if not sweep.finished:
        return []
    found = list(differences(sweep, files) if compared is None else compared)
    return [
        *frontier_exhibits(sweep),
        *strength_exhibits(sweep),
        *trend_exhibits(sweep),
        *difference_exhibits(found),
        *comparison_exhibits(sweep),
        *attack_exhibits(sweep),
        *overlay_exhibits(sweep, files),
        *exposure_exhibits(sweep, files),
        *gap_exhibits(sweep, files),
        *cost_exhibits(sweep),
    ]
