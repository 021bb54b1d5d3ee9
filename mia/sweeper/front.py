"""The front of a search as rows and words: what was found, and what fresh seeds confirm."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mia.sweeper.space import Space
from mia.sweeper.study import Point


@dataclass(frozen=True)
class Confirmed:
    """A point of the front, and its values with fresh seeds: none where nobody asked."""

    point: Point
    again: tuple[tuple[float, ...], ...]


def front_rows(points: Sequence[Confirmed], metrics: Sequence[str], space: Space) -> list[dict[str, object]]:
    """Return a row for each point: its keys, each metric as found, and the mean and deviation of fresh seeds."""
    rows = []
    for one in points:
        row: dict[str, object] = {key.lstrip("+"): text for key, text in space.spelt(one.point.choices).items()}
        for place, name in enumerate(metrics):
            row[f"found {name}"] = one.point.values[place]
            again = [values[place] for values in one.again]
            if again:
                mean = sum(again) / len(again)
                row[f"confirmed {name}"] = mean
                if len(again) > 1:
                    spread = sum((value - mean) ** 2 for value in again) / (len(again) - 1)
                    row[f"sd {name}"] = math.sqrt(spread)
        rows.append(row)
    return rows


def front_words(rows: Sequence[dict[str, object]], confirm: int, *, has_epsilon: bool) -> list[str]:
    """Return the front in lines, and what must be known to read it."""
    lines = [f"the front: {len(rows)} points"]
    for row in rows:
        keys = [f"{key}={value}" for key, value in row.items() if isinstance(value, str)]
        numbers = [f"{key} {value:.3f}" for key, value in row.items() if isinstance(value, float)]
        lines.append(f"  {' '.join(keys)}: {', '.join(numbers)}")
    if not confirm:
        lines.append("the best of many look better than they are: hydra.sweeper.confirm=3 runs them with fresh seeds")
    if has_epsilon:
        lines.append("privacy/epsilon is of one training: choosing among trials on the same records costs more")
    return lines
