"""What a model says of records: of all of them, written with the model, or of those that somebody has asked about.

Answers beside a model grow: `<pool>/answers/<k>.npz` holds `records`, positions in the pool's data set, and `logits`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from mia.store.beside import read_beside, remove_beside, write_beside

KIND = "answers"


@dataclass(frozen=True)
class Answers:
    """One model's logits on some records of a data set."""

    logits: Float[np.ndarray, "R C"]
    records: Int[np.ndarray, "R"] | None = None  # sorted, without repeats; None: the first R of the data set

    def has(self, records: Int[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
        """Tell which of some records the model has been asked about."""
        if self.records is None:
            return records < len(self.logits)
        return np.isin(records, self.records)

    def of(self, records: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n C"]:
        """Return the logits of records, all of which the model has been asked about."""
        return self.logits[records if self.records is None else np.searchsorted(self.records, records)]

    def joined(self, other: "Answers") -> "Answers":
        """Return these and those of further records."""
        mine, theirs = (np.arange(len(one.logits)) if one.records is None else one.records for one in (self, other))
        records, first = np.unique(np.concatenate([mine, theirs]), return_index=True)
        return Answers(np.concatenate([self.logits, other.logits])[first], records)


def read_kept(pool: Path, model: int) -> Answers | None:
    """Return the answers that lie beside a model; None where there are none, or they are not what they were."""
    found = read_beside(pool, KIND, model)
    return Answers(found["logits"], found["records"]) if found is not None and _is_sound(found) else None


def keep(pool: Path, model: int, answers: Answers) -> None:
    """Write answers beside a model, in place of those that lay there.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    assert answers.records is not None, "answers on all records lie with the model"
    write_beside(pool, KIND, model, {"records": answers.records.astype(np.int64), "logits": answers.logits})


def forget(pool: Path, model: int) -> None:
    """Remove what lies beside a model that is written anew."""
    remove_beside(pool, KIND, model)


def _is_sound(found: Mapping[str, np.ndarray]) -> bool:
    if set(found) != {"records", "logits"}:
        return False
    records, logits = found["records"], found["logits"]
    if records.dtype.kind != "i" or records.ndim != 1 or logits.dtype.kind != "f" or logits.ndim != 2:
        return False
    is_sorted = bool((np.diff(records) > 0).all()) and not (len(records) and records[0] < 0)
    return is_sorted and len(records) == len(logits) and bool(np.isfinite(logits).all())
