"""The contact sheet: pictures of the records that an attack is surest about.

Takes a result and the data set's pictures, gives a figure. Only for data that are pictures, [height width channels].
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Shaped

from mia.records import Result
from mia.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 8


def most_exposed(result: Result, attack: str, count: int) -> list[int]:
    """Return positions (along `result.index`) of the members with the highest scores, the most exposed first."""
    score = np.where(result.is_member, result.scores[attack].score.astype(float), np.nan)
    order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")
    return [int(k) for k in order[:count] if math.isfinite(score[k])]


def strongest_attack(result: Result) -> str:
    """Return the attack with the highest AUC; among equals the first."""
    return max(
        result.scores, key=lambda name: np.nan_to_num(result.metrics.get(f"attack/{name}/auc", np.nan), nan=-1.0)
    )


def contact_sheet(
    result: Result, images: Shaped[np.ndarray, "N h w c"], attack: str | None = None, count: int = 3 * COLUMNS
) -> "Figure":
    """Return pictures of the `count` members with the highest scores of `attack` (by default the strongest attack)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chosen_attack = attack or strongest_attack(result)
    chosen = most_exposed(result, chosen_attack, count)
    rows = max(1, math.ceil(len(chosen) / COLUMNS))
    figure = Figure(figsize=(1.25 * COLUMNS, 1.6 * rows + 0.5), dpi=style.DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, position in zip(grid.flat, chosen, strict=False):
        _show(axes, images[result.index[position]])
        axes.set_title(_caption(result, chosen_attack, position), fontsize=style.FONT_SIZE - 3, parse_math=False)
    auc = result.metrics.get(f"attack/{chosen_attack}/auc", math.nan)
    title = f"The {len(chosen)} members that {chosen_attack} (AUC {auc:.3f}) is surest about"
    figure.suptitle(title, fontsize=style.FONT_SIZE + 1, parse_math=False)
    return figure


def _show(axes: object, picture: Shaped[np.ndarray, "h w c"]) -> None:
    """Draw a picture; colours are stretched to their range unless they are bytes."""
    values = picture.astype(float)
    low, high = (0.0, 255.0) if picture.dtype == np.uint8 else (float(values.min()), float(values.max()))
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    if scaled.shape[-1] == 3:
        axes.imshow(scaled, interpolation="nearest")  # type: ignore[attr-defined]
    else:
        axes.imshow(scaled[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")  # type: ignore[attr-defined]


def _caption(result: Result, attack: str, position: int) -> str:
    label = int(result.labels[position])
    name = result.class_names[label] if label < len(result.class_names) else f"class {label}"
    return f"#{result.index[position]} {name[:14]}\nscore {result.scores[attack].score[position]:.3g}"
