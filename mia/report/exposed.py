"""The records of one run by exposure: one row per candidate record.

Takes a `Result`, gives rows for `records.csv`. Ranks count from 1, the most exposed; equal scores share the best rank.
"""

import csv
import io
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from mia.records import Result
from mia.report.run import attack_order

Cell = str | int | float


def record_rows(result: Result) -> list[dict[str, Cell]]:
    """Return index, class, membership, confidence, score and rank under each attack; most exposed members first.

    The order is that of the attack with the highest AUC; a score that could not be had is an empty cell.
    """
    attacks = attack_order(result.metrics, list(result.scores))
    scores = {name: result.scores[name].score.astype(float) for name in attacks}
    ranks = {name: _ranks(score) for name, score in scores.items()}
    order = np.arange(len(result.index))
    if attacks:
        order = np.lexsort((ranks[attacks[0]], ~result.is_member))
    return [_row(result, scores, ranks, int(position)) for position in order]


def _row(
    result: Result,
    scores: dict[str, Float[np.ndarray, "Q"]],
    ranks: dict[str, Int[np.ndarray, "Q"]],
    position: int,
) -> dict[str, Cell]:
    label = int(result.labels[position])
    row: dict[str, Cell] = {
        "index": int(result.index[position]),
        "label": label,
        "class": result.class_names[label] if label < len(result.class_names) else str(label),
        "member": int(result.is_member[position]),
        "confidence": float(result.confidence[position]),
    }
    for name, score in scores.items():
        value = float(score[position])
        row[f"{name}_score"] = value if not math.isnan(value) else ""
        row[f"{name}_rank"] = int(ranks[name][position]) if not math.isnan(value) else ""
    return row


def _ranks(score: Float[np.ndarray, "Q"]) -> Int[np.ndarray, "Q"]:
    """Return 1 + the number of records with a higher score; NaN ranks last."""
    known = np.where(np.isnan(score), -np.inf, score)
    rising = np.sort(known)
    return 1 + len(known) - np.searchsorted(rising, known, side="right")


def csv_text(rows: Sequence[dict[str, Cell]]) -> str:
    """Return rows as CSV with a header; columns in the order they first appear."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
