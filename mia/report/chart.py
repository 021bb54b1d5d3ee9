"""What a figure shows, before anyone draws it: charts as plain values.

One description serves both renderers: `draw.py` makes matplotlib figures (PNG, PDF, SVG), `interactive.py` the data for
the page. Holds no numerics and no drawing. Colours and marks are roles of `style.py`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

Bounds = tuple[Sequence[float], Sequence[float]]
"""Lower and upper ends of the intervals around values, absolute."""


@dataclass(frozen=True)
class Axis:
    """One axis: its label, scale, limits, and names for positions where they are not plain numbers."""

    label: str
    is_log: bool = False
    limits: tuple[float, float] | None = None
    ticks: Mapping[float, str] | None = None


@dataclass(frozen=True)
class Series:
    """Values that belong together and share one entry of the legend. NaN leaves a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    shape: str = "line"  # line, points, line+points, bars (upright), hbars (lying: x is the length), band, area
    colour: str = "c0"
    mark: str = "circle"
    is_hollow: bool = False
    is_dashed: bool = False
    width: float = 1.8
    opacity: float = 1.0
    x_bounds: Bounds | None = None
    y_bounds: Bounds | None = None  # of a band: its edges
    base: Sequence[float] | None = None  # where each bar starts
    thickness: float = 0.8  # of bars, in units of their axis
    labels: Sequence[str] = ()  # drawn beside the points
    hover: Sequence[str] = ()  # one text per point for the interactive page
    in_legend: bool = True
    group: str = ""  # what the page shows and hides together; the name if empty


@dataclass(frozen=True)
class Guide:
    """A thin reference line across the whole chart, with a few words."""

    value: float
    text: str = ""
    is_vertical: bool = False


@dataclass(frozen=True)
class Chart:
    """One panel."""

    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    guides: Sequence[Guide] = ()
    height: float = 1.0  # relative to an ordinary panel; long lists need more


Variants = dict[tuple[str, ...], Sequence[Chart]]
"""Panels by what was chosen."""


@dataclass(frozen=True)
class Exhibit:
    """A figure of the report: panels, and where a choice helps, one set of panels for each choice.

    The keys of `variants` hold one value for each of `choices`. The page shows the first; the first is printed, and
    one for each further value of the choice `print_each`.
    """

    name: str  # of its files
    title: str
    caption: str
    variants: Mapping[tuple[str, ...], Sequence[Chart]]
    choices: Sequence[str] = ()  # what can be chosen, such as "attack"
    print_each: str = ""

    @property
    def charts(self) -> Sequence[Chart]:
        """The panels of the first variant."""
        return next(iter(self.variants.values()))

    def options(self) -> list[list[str]]:
        """Return the values of each choice, in the order in which they appear."""
        return [list(dict.fromkeys(key[place] for key in self.variants)) for place in range(len(self.choices))]

    def printed(self) -> dict[str, Sequence[Chart]]:
        """Return the panels that become files, by file name."""
        first = next(iter(self.variants))
        files = {self.name: self.charts}
        if self.print_each in self.choices:
            place = list(self.choices).index(self.print_each)
            for key, charts in self.variants.items():
                if key != first and key[:place] + key[place + 1 :] == first[:place] + first[place + 1 :]:
                    files[f"{self.name}_{file_words(key[place])}"] = charts
        return files


def shared_limits(charts: Sequence[Chart], axis: str, limits: tuple[float, float]) -> list[Chart]:
    """Return the charts with the same limits along "x" or "y", so that panels can be compared."""
    return [replace(chart, **{axis: replace(getattr(chart, axis), limits=limits)}) for chart in charts]


def extent(chart: Chart, axis: str) -> list[float]:
    """Return all values that must be seen along "x" or "y": points, ends of intervals, guides."""
    sides = [side for s in chart.series for side in (getattr(s, axis), *(getattr(s, f"{axis}_bounds") or ()))]
    return [v for side in sides for v in side] + [g.value for g in chart.guides if g.is_vertical == (axis == "x")]


def file_words(text: str) -> str:
    """Return text as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "other"
