"""A plan and the predictions of the models that were trained by it: one file per model, or a function.

Takes a plan, a folder (`0.npy` the target's, `k.npy` shadow k's) or a function of the model's number, and labels; gives
an `Audit`. Files are read one after another, through memory maps: no more is in memory than the attacks need.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mia.checks import RequestError, one_of
from mia.plans import Plan
from mia.predictions.audit import Audit
from mia.predictions.forms import one_target
from mia.predictions.reading import FORMATS, read_array, read_arrays
from mia.predictions.tidy import KINDS, tidy_column, tidy_member, tidy_outputs

Predictions = Callable[[int], Any]
"""From a model's number, 0 for the target, to what it says about all records: [N C], or [N] where these are losses."""
MOST_IN_MEMORY = 2 << 30
"""Bytes of predictions above which they are gathered in a temporary file rather than in memory."""


def audit_of_plan(plan: Plan, predictions: Predictions | Path, kind: str, beside: Mapping[str, Any]) -> Audit:
    """Return the target of the plan, with what its shadows say.

    Args:
        plan: Who trained on what.
        predictions: A folder of files or a function.
        kind: `logits`, `probabilities` or `losses`.
        beside: `labels` and whatever else is known of the records, by name.

    Raises:
        RequestError: a model's predictions are missing, or do not go with the plan or with one another.
    """
    one_of("kind", kind, KINDS)
    ask = predictions if callable(predictions) else files_of_models(predictions, plan.num_models)
    notes: list[str] = []
    outputs = _gather(ask, plan, kind, notes)
    member = plan.evaluated
    if plan.labels is not None:
        beside = {**beside, "labels": plan.labels}
        notes.append("the labels are the plan's, wrong ones for its canaries, as models were trained with them")
    arrays = {**beside, "independent": plan.protocol == "canary" or beside.get("independent", False)}
    return one_target(arrays, kind, outputs[0], member[0], outputs[1:], member[1:], list(dict.fromkeys(notes)))


def files_of_models(folder: Path, count: int) -> Predictions:
    """Return a function that reads the predictions of a model from its file.

    Raises:
        RequestError: a file is missing, there are two for a model, or there is one for a model that the plan lacks.
    """
    where = f"predictions={folder}"
    if not folder.is_dir():
        raise RequestError(f"{where} is no folder; it must hold 0.npy, the target's, to {count - 1}.npy, shadows'")
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in FORMATS and path.stem.isdecimal():
            number = int(path.stem)
            if number in found:
                raise RequestError(f"{where} holds two files for model {number}: {found[number].name} and {path.name}")
            found[number] = path
    missing = [str(model) for model in range(count) if model not in found]
    if missing:
        raise RequestError(
            f"{where} lacks {missing[0]}.npy{f' and {len(missing) - 1} more' if missing[1:] else ''}: the plan has "
            f"{count} models, 0 the target and 1 to {count - 1} its shadows"
        )
    strange = sorted(set(found) - set(range(count)))
    if strange:
        raise RequestError(f"{where} holds {found[strange[0]].name}, the plan has {count} models: 0 to {count - 1}")
    return lambda model: read_array(found[model], f"{where}/{found[model].name}")


def _gather(ask: Predictions, plan: Plan, kind: str, notes: list[str]) -> Float[np.ndarray, "M N C"]:
    """Return all models' outputs, in the precision of the target's."""
    outputs: np.ndarray | None = None
    for model in range(plan.num_models):
        name = f"predictions of model {model}"
        found: list[str] = []
        one = tidy_outputs(name, ask(model), kind, 2, found)
        notes += [line.replace(name, "predictions") for line in found]
        if len(one) != plan.num_records:
            raise RequestError(f"{name} are of {len(one):,} records, the plan has {plan.num_records:,}")
        if outputs is None:
            outputs = _room((plan.num_models, *one.shape), one.dtype)
        if one.shape != outputs.shape[1:]:
            raise RequestError(
                f"{name} have {one.shape[1]} classes, the target's {outputs.shape[2]}; a model that never saw a class "
                "lacks its column: add one of probability 0"
            )
        outputs[model] = one
    assert outputs is not None, "a plan has models"
    return outputs


def _room(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an array to be filled: in memory, or in a file that vanishes with it."""
    if int(np.prod(shape)) * dtype.itemsize <= MOST_IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def read_labels(path: Path) -> dict[str, Any]:
    """Return `labels` of a file, with whatever else an archive or a table holds beside them.

    Raises:
        RequestError: the file cannot be read, or holds no labels.
    """
    where = f"labels={path}"
    if path.suffix != ".npy":
        arrays = read_arrays(path, where)
        if "labels" in arrays:
            return dict(arrays)
        if len(arrays) != 1:
            raise RequestError(f"{where} holds {', '.join(sorted(arrays)[:5])}, but no labels")
        return {"labels": next(iter(arrays.values()))}
    return {"labels": read_array(path, where)}


def read_plan(path: str | Path) -> Plan:
    """Return a plan that was saved, or any .npz file with `member [M N]`.

    Raises:
        RequestError: the file cannot be read, or holds no membership.
    """
    where = f"plan={path}"
    arrays = read_arrays(Path(path), where)
    if "member" not in arrays:
        raise RequestError(f"{where} holds {', '.join(sorted(arrays)[:5]) or 'nothing'}, but no member [K+1 N]")
    member = tidy_member("member", arrays["member"], (None, None))
    if not member.size:
        raise RequestError(f"{where} holds member of shape {member.shape}: no model or no record")
    labels = tidy_column(f"{where}: labels", arrays["labels"], member.shape[1]) if "labels" in arrays else None
    return Plan(
        member,
        _text(arrays.get("protocol"), "pool"),
        _number(arrays.get("seed"), where),
        _canaries(arrays, member, where),
        labels,
    )


def _text(given: Any, otherwise: str) -> str:
    return otherwise if given is None else str(given)


def _number(given: Any, where: str) -> int:
    if given is None:
        return 0
    if np.shape(given) not in ((), (1,)) or np.asarray(given).dtype.kind not in "iu":
        raise RequestError(f"{where} holds a seed that is no whole number")
    return int(np.asarray(given).reshape(()))


def _canaries(arrays: Any, member: np.ndarray, where: str) -> np.ndarray | None:
    if "canaries" not in arrays:
        return None
    canaries = arrays["canaries"]
    if canaries.ndim != 1 or canaries.dtype.kind not in "iu" or not canaries.size or canaries.max() >= member.shape[1]:
        raise RequestError(f"{where} holds canaries of shape {canaries.shape}; they must be numbers of records")
    return canaries.astype(np.int64)
