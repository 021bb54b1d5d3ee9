"""What a figure shows, before anyone draws it: charts as plain values.

One description serves both renderers: `draw.py` makes matplotlib figures (PNG, PDF, SVG), `interactive.py` the data for
the page. Holds no numerics and no drawing. Colours and marks are roles of `style.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class Exhibit:
    """A figure of the report: panels, and where a choice helps, one set of panels for each choice.

    The keys of `variants` hold one value for each of `choices`; the first variant is the one that is printed.
    """

    name: str  # of its files
    title: str
    caption: str
    variants: Mapping[tuple[str, ...], Sequence[Chart]]
    choices: Sequence[str] = field(default=())  # what can be chosen, such as "attack"

    @property
    def charts(self) -> Sequence[Chart]:
        """The panels of the first variant."""
        return next(iter(self.variants.values()))
