"""Predictions that any other program made, attacked and judged.

Takes an .npz file of the audit format; gives signals, the truth to judge by, and a `Result`. Trains nothing, and never
reads pickled objects.

The file: `target_logits [N C]` or `target_probabilities`; `target_member [N]` (1, 0, or -1 for not evaluated);
`labels [N]`; `shadow_logits [K N C]` or `shadow_probabilities`; `shadow_member [K N]`; optionally
`population_logits [K+1 Z C]` (or `population_probabilities`; the target last) and `population_labels [Z]`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mia.checks import RequestError
from mia.data.arrays import read_npz
from mia.records import IN, UNUSED, AttackTask, Signals

KNOWN = (
    "target_logits", "target_probabilities", "target_member", "labels", "shadow_logits", "shadow_probabilities",
    "shadow_member", "population_logits", "population_probabilities", "population_labels", "index", "class_names",
)  # fmt: skip
REQUIRED = ("labels", "target_member")
SUM_TOLERANCE = 1e-3
NO_SHADOWS = "there are no shadows: only gap and scores without thresholds, which are calibrated on nothing"


@dataclass(frozen=True)
class Audit:
    """A file of predictions, checked."""

    tasks: tuple[AttackTask, ...]  # the target; index: of the candidates, along the file's record axis
    class_names: tuple[str, ...]
    warnings: tuple[str, ...]


def read_audit(path: Path) -> Audit:
    """Read and check a file.

    Raises:
        RequestError: no such file, unknown or missing arrays, shapes that disagree, values that cannot be.
    """
    arrays = _load(path)
    _check_names(arrays, path)
    kinds = [kind for kind in ("logits", "probabilities") if f"target_{kind}" in arrays]
    if len(kinds) != 1:
        raise RequestError(f"signals={path} must hold target_logits or target_probabilities, one of the two")
    kind = kinds[0]
    target = _outputs(arrays, f"target_{kind}", 2)
    count, classes = target.shape
    labels = _integers(arrays, "labels", (count,), range(classes), "class numbers from 0 to C-1")
    member = _integers(arrays, "target_member", (count,), (-1, 0, 1), "1, 0 or -1")
    shadows, membership = _shadows(arrays, kind, target.shape)
    population, population_labels = _population(arrays, kind, len(shadows), classes)
    is_candidate = member != UNUSED
    if not is_candidate.any():
        raise RequestError("target_member has no record of membership 1 or 0: there is nothing to evaluate")
    signals = Signals(
        labels=labels,
        is_candidate=is_candidate,
        target_outputs=target,
        shadow_outputs=shadows,
        shadow_membership=membership,
        shadow_own=membership != UNUSED,
        is_probability=kind == "probabilities",
        population_outputs=population,
        population_labels=population_labels,
    )
    names = tuple(map(str, arrays["class_names"])) if "class_names" in arrays else ()
    if names and len(names) != classes:
        raise RequestError(f"class_names has {len(names)} names for {classes} classes")
    warnings = () if len(shadows) else (NO_SHADOWS,)
    task = AttackTask(signals, np.flatnonzero(is_candidate), member[is_candidate] == IN)
    return Audit((task,), names, warnings)


def _load(path: Path) -> Mapping[str, np.ndarray]:
    optional = tuple(name for name in KNOWN if name not in REQUIRED)
    return read_npz(str(path), f"signals={path}", REQUIRED, optional, is_strict=True)


def _check_names(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    for name in ("shadow", "population"):
        kinds = [kind for kind in ("logits", "probabilities") if f"{name}_{kind}" in arrays]
        partner = "shadow_member" if name == "shadow" else "population_labels"
        if bool(kinds) != (partner in arrays) or len(kinds) > 1:
            raise RequestError(f"signals={path} must hold {partner} and {name}_logits (or _probabilities) together")


def _outputs(arrays: Mapping[str, np.ndarray], name: str, dimensions: int) -> np.ndarray:
    """Return an array of logits or probabilities, as floats."""
    array = arrays[name]
    if array.ndim != dimensions or array.dtype.kind not in "fiu" or 0 in array.shape[1:]:
        raise RequestError(f"{name} has shape {array.shape} and type {array.dtype}, not {dimensions} axes of numbers")
    if array.shape[-1] < 2:
        raise RequestError(f"{name} has {array.shape[-1]} classes; at least 2 are needed")
    array = array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
    if not np.isfinite(array).all():
        raise RequestError(f"{name} holds {int((~np.isfinite(array)).sum())} values that are NaN or infinite")
    if name.endswith("probabilities"):
        sums = array.sum(axis=-1)
        if (array < 0).any() or np.abs(sums - 1).max(initial=0) > SUM_TOLERANCE:
            worst = float(sums.flat[np.abs(sums - 1).argmax()])
            raise RequestError(
                f"{name} must be 0 or more and sum to 1 per record; a sum is {worst:.4g}: are they logits?"
            )
    return array


def _integers(
    arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...], allowed: object, words: str
) -> np.ndarray:
    array = arrays[name]
    if array.shape != shape:
        raise RequestError(f"{name} has shape {array.shape}, the other arrays ask for {shape}")
    if array.dtype.kind not in "iufb":
        raise RequestError(f"{name} has type {array.dtype}, it must hold {words}")
    values = np.unique(array)
    wrong = [value for value in values.tolist() if value not in allowed]  # type: ignore[operator]
    if wrong:
        raise RequestError(f"{name} holds {wrong[0]!r}, it must hold {words}")
    return array.astype(np.int8 if "member" in name else np.int32)


def _shadows(arrays: Mapping[str, np.ndarray], kind: str, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    if "shadow_member" not in arrays:
        return np.empty((0, *shape), np.float32), np.empty((0, shape[0]), np.int8)
    name = f"shadow_{kind}"
    if name not in arrays:
        raise RequestError(f"shadow predictions must be {kind}, as the target's are: give {name}")
    outputs = _outputs(arrays, name, 3)
    if outputs.shape[1:] != shape:
        raise RequestError(
            f"{name} has shape {outputs.shape}, the target's predictions ask for (K, {shape[0]}, {shape[1]})"
        )
    return outputs, _integers(arrays, "shadow_member", outputs.shape[:2], (-1, 0, 1), "1, 0 or -1")


def _population(
    arrays: Mapping[str, np.ndarray], kind: str, num_shadows: int, classes: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    if "population_labels" not in arrays:
        return None, None
    name = f"population_{kind}"
    if name not in arrays:
        raise RequestError(f"population predictions must be {kind}, as the target's are: give {name}")
    outputs = _outputs(arrays, name, 3)
    if outputs.shape[0] != num_shadows + 1 or outputs.shape[2] != classes:
        raise RequestError(
            f"{name} has shape {outputs.shape}, it must be ({num_shadows + 1}, Z, {classes}): shadows, then the target"
        )
    labels = _integers(arrays, "population_labels", outputs.shape[1:2], range(classes), "class numbers from 0 to C-1")
    return outputs, labels
