"""Which defence a run had, and how strong: read from its flat config keys.

Takes params and the keys that the sweep varies, gives a name and a strength. Only what varies counts: an L2 that all
runs share belongs to the study's set-up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mia.report.axes import as_number, is_off
from mia.report.words import defence_words, number_words

SETUP = frozenset(
    f"train.{name}"
    for name in ("epochs", "batch_size", "learning_rate", "learning_rate_decay", "epsilon", "test_records",
                 "optimiser", "optimizer", "momentum", "schedule", "warmup", "name")
)  # fmt: skip
"""Keys of training that are no defence."""
SWITCHES = {
    "early_stopping": ("holdout",),
    "augmentation": ("shift", "cutout", "flip"),
    "adversarial": ("strength",),
    "distillation": ("reference",),
    "dp": ("epsilon", "noise_multiplier", "clipping_norm"),
}
"""Defences of several options, and those of them that switch it on."""
LAST = ("clipping_norm", "reference", "holdout", "flip")
"""Options that say the strength only where no other one varies."""
REVERSED = frozenset({"k", "digits", "epsilon", "patience", "clipping_norm"})
"""Options whose smaller values are the stronger defence."""


@dataclass(frozen=True)
class Defence:
    """A defence as figures need it; no defence has an empty name."""

    name: str = ""
    strength: float = 0.0  # NaN where it is no number
    text: str = ""  # the strength in words
    is_reversed: bool = False  # smaller numbers are stronger

    @property
    def order(self) -> tuple[float, str]:
        """What strengths of one defence are sorted by, the weakest first; not a number comes first of all."""
        if math.isnan(self.strength):
            return -math.inf, self.text
        return -self.strength if self.is_reversed else self.strength, self.text

    @property
    def words(self) -> str:
        """Name and strength."""
        return f"{self.name} {self.text}".strip() if self.name else "no defence"


def is_defence_key(key: str) -> bool:
    """Whether an axis is a defence's, rather than the set-up's."""
    return key.startswith("defence.") or (key.startswith("train.") and key not in SETUP)


def defence_of(params: Mapping[str, str], axes: Sequence[str]) -> Defence:
    """Return the defence in training and on the output of a run, of those that vary."""
    found = [*_in_training(params, axes), *_on_output(params, axes)]
    if len(found) <= 1:
        return found[0] if found else Defence()
    texts = ", ".join(one.text for one in found if one.text)
    return Defence(" + ".join(one.name for one in found), math.nan, texts)


def _in_training(params: Mapping[str, str], axes: Sequence[str]) -> list[Defence]:
    families: dict[str, list[str]] = {}
    for key in axes:
        if key.startswith("train.") and is_defence_key(key) and not _is_off(params.get(key)):
            families.setdefault(key.split(".")[1], []).append(key)
    return [
        _defence(defence_words(family), _strongest_first(family, keys), params)
        for family, keys in families.items()
        if _is_on(family, params)
    ]


def _is_on(family: str, params: Mapping[str, str]) -> bool:
    """Whether a defence of several options is switched on: a patience alone stops nothing."""
    switches = SWITCHES.get(family, ())
    return not switches or any(not _is_off(params.get(f"train.{family}.{name}")) for name in switches)


def _is_off(value: str | None) -> bool:
    return is_off(value) or as_number(value) == math.inf


def _strongest_first(family: str, keys: Sequence[str]) -> list[str]:
    """Return the keys in the order in which they say how strong a defence is; what is left says only how."""
    if family not in SWITCHES:
        return list(keys)
    first = [key for key in keys if key.rpartition(".")[2] not in LAST]
    return first or sorted(keys, key=lambda key: LAST.index(key.rpartition(".")[2]))


def _on_output(params: Mapping[str, str], axes: Sequence[str]) -> list[Defence]:
    name = params.get("defence.name", "none")
    if is_off(name) or not any(key.startswith("defence.") for key in axes):
        return []
    options = [key for key in params if key.startswith("defence.") and key != "defence.name"]
    varied = [key for key in options if key in axes] or options
    return [_defence(defence_words(name), [key for key in varied if as_number(params[key]) is not None], params)]


def _defence(name: str, keys: Sequence[str], params: Mapping[str, str]) -> Defence:
    """Return a defence whose strength is the first of its keys that is a number; a flag that is on is simply there."""
    values = [as_number(params[key]) for key in keys]
    numbers = [value for value in values if value is not None]
    is_flag = all(params[key].strip().lower() == "true" for key in keys)
    if is_flag:
        return Defence(name, 1.0, "")
    texts = [number_words(value) if value is not None else params[key] for key, value in zip(keys, values, strict=True)]
    is_reversed = bool(keys) and keys[0].rpartition(".")[2] in REVERSED
    return Defence(name, numbers[0] if numbers else math.nan, ", ".join(texts), is_reversed)
