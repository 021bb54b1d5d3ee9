"""What a search may try: Hydra's own sweep syntax read as axes, and a trial's numbers spelt as overrides.

Takes parsed overrides; gives axes. A list of numbers keeps its order, so that a sampler knows what lies beside what;
names, variants of a sweep file among them, have none. A variant that lists values or a range has axes of its own, which
are asked for only where it is chosen. Knows nothing of Optuna.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from mia.checks import RequestError

Choice = str | int | float
TELLING = ("seed", "split", "model", "train", "defence")
"""Roots of keys that make another experiment whenever their values differ; of others that depends."""
MOST = 20_000
"""Values, or configurations of a grid, that are listed; a range in a sweep file can list more than any memory holds."""


@dataclass(frozen=True)
class Interval:
    """Any number of an interval, its ends included."""

    low: float
    high: float
    is_log: bool = False
    is_integer: bool = False

    def spell(self, chosen: Choice) -> str:
        """Return the value as one would type it."""
        if self.is_integer:
            return str(int(chosen))
        return repr(min(max(float(f"{chosen:.4g}"), self.low), self.high))  # what a person can read and type again

    def find(self, text: str) -> Choice | None:
        """Return the choice that a value is, or None if it lies outside."""
        value = _number(text)
        if value is None or not self.low <= value <= self.high or (self.is_integer and value != int(value)):
            return None
        return int(value) if self.is_integer else value


@dataclass(frozen=True)
class Ordered:
    """One of some numbers; the choice is its place among them, rising."""

    values: tuple[str, ...]

    def spell(self, chosen: Choice) -> str:
        """Return the value as one would type it."""
        return self.values[int(chosen)]

    def find(self, text: str) -> Choice | None:
        """Return the choice that a value is, or None if it is none of them."""
        value = _number(text)
        return next((place for place, one in enumerate(self.values) if float(one) == value), None)


@dataclass(frozen=True)
class Names:
    """One of some names."""

    values: tuple[str, ...]

    def spell(self, chosen: Choice) -> str:
        """Return the value as one would type it."""
        return str(chosen)

    def find(self, text: str) -> Choice | None:
        """Return the choice that a value is, or None if it is none of them."""
        return next((one for one in self.values if one.lower() == text.lower()), None)


Axis = Interval | Ordered | Names


@dataclass(frozen=True)
class Space:
    """What all trials share, and what they differ in."""

    fixed: tuple[str, ...]
    axes: Mapping[str, Axis]  # by key, with the signs before it
    branches: Mapping[tuple[str, str], Mapping[str, Axis]] = field(default_factory=dict)  # by an axis and its value
    variants: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)  # what else those stand for

    def active(self, chosen: Mapping[str, Choice]) -> dict[str, Axis]:
        """Return the axes that count beside some choices, by name: their own by key, a variant's as "VARIANT: KEY"."""
        found = dict(self.axes)
        for (axis, value), own in self.branches.items():
            if chosen.get(axis) == value:
                found |= {f"{value}: {key}": one for key, one in own.items()}
        return found

    def spelt(self, chosen: Mapping[str, Choice]) -> dict[str, str]:
        """Return what a trial chose, by key, as one would type it."""
        return {name.rpartition(": ")[2]: axis.spell(chosen[name]) for name, axis in self.active(chosen).items()}

    def overrides(self, chosen: Mapping[str, Choice]) -> list[str]:
        """Return the overrides of a trial."""
        return [*self.fixed, *(f"{key}={text}" for key, text in self.spelt(chosen).items())]

    def candidates(self, params: Mapping[str, str]) -> list[dict[str, Choice]]:
        """Return the choices that a run's values may have come from; none if the run lies outside or does not say.

        Which variant of a sweep file a run was is not stored: every variant that its values do not contradict may be.
        """
        if not all(_may_be(one, params) for one in self.fixed):
            return []
        found: list[dict[str, Choice]] = [{}]
        for key, axis in self.axes.items():
            options = self._choices(key, axis, params)
            found = [{**one, **more} for one in found for more in options]
        return found

    def _choices(self, key: str, axis: Axis, params: Mapping[str, str]) -> list[dict[str, Choice]]:
        """Return what a run may have chosen on an axis, with what it chose on those of the variant."""
        variants = self.variants.get(key)
        if variants is None or not isinstance(axis, Names):
            text = _param(key, params)
            choice = axis.find(text) if text is not None else None
            return [] if choice is None else [{key: choice}]
        found: list[dict[str, Choice]] = []
        for name in axis.values:
            chosen: dict[str, Choice | None] = {key: name}
            for one, branch in self.branches.get((key, name), {}).items():
                text = _param(one, params)
                chosen[f"{name}: {one}"] = branch.find(text) if text is not None else None
            known = {one: choice for one, choice in chosen.items() if choice is not None}
            if len(known) == len(chosen) and all(_may_be(one, params) for one in variants.get(name, ())):
                found.append(known)
        return found


def _param(key: str, params: Mapping[str, str]) -> str | None:
    """Return the value that a run stored for the key of an override; None if it did not."""
    plain = key.lstrip("+~")
    return params.get(plain, params.get(f"{plain}.name"))


def _may_be(override: str, params: Mapping[str, str]) -> bool:
    """Tell whether a run may have been made with an override: whether what it stored does not say otherwise."""
    key, is_pair, value = override.partition("=")
    stored = _param(key, params)
    value = value.strip("'\"")
    is_told = is_pair and key.lstrip("+").partition(".")[0] in TELLING
    if not is_told or stored is None or "${" in value or value.startswith(("[", "{")):
        return True
    number, other = _number(value), _number(stored)
    if number is not None and other is not None:
        return number == other
    return value.lower().replace("null", "none") == stored.lower()


def read_space(
    overrides: Sequence[Override], variants: Mapping[str, Mapping[str, Sequence[Override]]] | None = None
) -> Space:
    """Return the space that overrides describe.

    Args:
        overrides: What is fixed, and what varies.
        variants: Of sweep files, by file and name: what each stands for. What is listed there varies in that variant,
            unless its key is given outside.

    Raises:
        RequestError: nothing varies, or an interval is empty.
    """
    last = {one.get_key_element(): one for one in overrides if not one.is_hydra_override()}
    fixed, axes = [], {}
    for key, one in last.items():
        if one.is_sweep_override():
            axes[key] = _axis(one)
        else:
            fixed.append(str(one.input_line) if one.is_delete() else f"{key}={one.get_value_element_as_str()}")
    if not axes:
        raise RequestError(
            "a search needs something to vary: KEY=interval(0,1), KEY=tag(log,interval(1e-5,1e-1)), KEY=A,B,C"
        )
    branches, fixed_in = {}, dict[str, dict[str, tuple[str, ...]]]()
    for key, axis in axes.items():
        if not isinstance(axis, Names):
            continue
        for name, stands_for in (variants or {}).get(key.lstrip("+"), {}).items():
            fixed_in.setdefault(key, {})[name] = tuple(
                f"{one.get_key_element()}={one.get_value_element_as_str()}"
                for one in stands_for
                if not one.is_sweep_override() and not one.is_delete() and one.get_key_element() not in last
            )
            own = {one.get_key_element(): _axis(one) for one in stands_for if one.is_sweep_override()}
            if name in axis.values and (own := {key: one for key, one in own.items() if key not in last}):
                branches[key, name] = own
    return Space(tuple(fixed), axes, branches, fixed_in)


def _axis(one: Override) -> Axis:
    value = one.value()
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        is_log = "log" in value.tags
        if low is None or high is None or not low < high or (is_log and low <= 0):
            raise RequestError(f"{one.input_line} must rise" + (" from a number above 0" if is_log else ""))
        return Interval(low, high, is_log, isinstance(low, int) and isinstance(high, int))
    if listed := log_range(one):
        return Ordered(tuple(dict.fromkeys(listed)))
    if (
        isinstance(value, RangeSweep)
        and isinstance(value.start, int)
        and isinstance(value.step, int)
        and value.step == 1
    ):
        assert isinstance(value.stop, int)
        if value.stop <= value.start:
            raise RequestError(f"{one.input_line} lists nothing")
        return Interval(value.start, value.stop - 1, is_integer=True)
    values = list(dict.fromkeys(one.sweep_string_iterator()))
    if not values:
        raise RequestError(f"{one.input_line} lists nothing")
    numbers = [_number(text) for text in values]
    if all(number is not None for number in numbers):
        return Ordered(tuple(sorted(values, key=float)))
    return Names(tuple(values))


def log_range(one: Override) -> list[str]:
    """Return the values of `tag(log,range(START,STOP,COUNT))`, both ends among them; none for any other list.

    Raises:
        RequestError: it does not rise from a number above 0 in two steps or more.
    """
    found = one.value()
    if not isinstance(found, RangeSweep) or "log" not in found.tags:
        return []
    low, high, count = float(found.start or 0), float(found.stop or 0), int(found.step)
    if not 0 < low < high or count < 2 or count != found.step or count > MOST:
        raise RequestError(f"{one.input_line} must rise from a number above 0: tag(log,range(1e-5,1e-1,5)) gives five")
    return [f"{low * (high / low) ** (k / (count - 1)):.4g}" for k in range(count)]


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
