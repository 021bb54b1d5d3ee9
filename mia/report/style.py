"""How figures look: colours, marks and sizes, the same for matplotlib and for the interactive page.

Charts name colours by role ("ink", "c0" ...); this module gives the colour of a role in the light and the dark theme.
Categories take the palette of Okabe and Ito (colour-blind safe, without its yellow, which vanishes on white); ordered
values take a ramp that also reads in grey. Nobody needs colour alone: series differ in marks as well.
"""

from collections.abc import Sequence

LIGHT = {
    "ink": "#1b1f24",
    "quiet": "#6b7280",
    "grid": "#e3e6ea",
    "paper": "#ffffff",
    "c0": "#0072b2",
    "c1": "#d55e00",
    "c2": "#009e73",
    "c3": "#cc79a7",
    "c4": "#e69f00",
    "c5": "#56b4e9",
    "c6": "#7a5195",
    "s0": "#352a87",
    "s1": "#2c5aa0",
    "s2": "#1f829c",
    "s3": "#2ea178",
    "s4": "#7fa82a",
    "s5": "#c58c00",
    "s6": "#d95f0e",
    "s7": "#a8173b",
}
DARK = LIGHT | {
    "ink": "#e8eaed",
    "quiet": "#9aa3af",
    "grid": "#31363f",
    "paper": "#16191f",
    "c0": "#4aa8e0",
    "c1": "#f0803c",
    "c2": "#2cc79a",
    "c6": "#b393d3",
    "s0": "#9c94f0",
    "s1": "#6f9fe8",
    "s2": "#4fb9d0",
    "s3": "#4cc99a",
    "s4": "#a3cc4f",
    "s5": "#e6b32e",
    "s6": "#f58a45",
    "s7": "#ec5f7f",
}
NUM_CATEGORIES = 7
NUM_STEPS = 8
MARKS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "pentagon", "hexagon", "star")
MATPLOTLIB_MARKS = dict(zip(MARKS, "os^DvpH*", strict=True))

FONT_SIZE = 9.5  # points
PANEL_WIDTH, PLOT_HEIGHT = 4.6, 2.75  # inches
DPI = 150


def category_colour(position: int) -> str:
    """Return the colour role of the category at `position`; after seven they repeat (marks then tell them apart)."""
    return f"c{position % NUM_CATEGORIES}"


def category_mark(position: int) -> str:
    """Return the mark of the category at `position`."""
    return MARKS[position % len(MARKS)]


def line_colours(names: Sequence[str]) -> list[str]:
    """Return a ramp over lines that stand for ordered settings; a first line of "no defence" is ink."""
    has_plain = bool(names) and names[0] == "no defence"
    return [*(["ink"] if has_plain else []), *ramp(len(names) - has_plain)]


def ramp(count: int) -> Sequence[str]:
    """Return `count` colour roles for ordered values, spread over the ramp from cold to hot."""
    if count <= 1:
        return ("s1",) * count
    return tuple(f"s{round(k * (NUM_STEPS - 1) / (count - 1))}" for k in range(count))
