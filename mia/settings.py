"""What a defence says of itself: its name for people, its strength, which end is stronger.

An options class declares a `Strength` once; `setting_of` reads an instance by it. Reports, console, help and the README
ask for settings and know no defence by name. Takes plain dataclasses; imports nothing heavy.
"""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Strength:
    """What an options class knows of the defence that it sets."""

    label: str  # for people: "L2", "top k", "DP-SGD"
    field: str = ""  # the field that says how strong; empty: the defence is there or it is not
    neutral: Any = 0  # its value at which the defence is exactly none
    is_lower_stronger: bool = False  # smaller values are the stronger defence: k of top k, epsilon of DP
    symbol: str = ""  # before the value in text, if that helps: "k =", "epsilon"
    kinds: tuple[str, ...] = ()  # fields that make it another defence: the distribution of noise


@dataclass(frozen=True)
class Setting:
    """One defence as it is set in one experiment; a neutral one has no setting."""

    key: str  # one per defence, whatever its strength: "train.l2", "train.dp", "defence.noise.laplace"
    label: str  # for people: "L2", "noise (laplace)"
    strength: float = math.nan  # NaN: it has none, or it is no number
    text: str = ""  # the strength as people write it: "5e-3", "k = 3"; empty: there is none
    is_lower_stronger: bool = False

    @property
    def rank(self) -> float:
        """Sorts strengths of one defence, the weakest first; without a number: 0."""
        if math.isnan(self.strength):
            return 0.0
        return -self.strength if self.is_lower_stronger else self.strength

    @property
    def words(self) -> str:
        """Label and strength."""
        return f"{self.label} {self.text}".strip()


def setting_of(options: Any, strength: Strength, key: str) -> Setting | None:
    """Return how a defence is set, or None where it is neutral.

    Args:
        options: An instance of the options class.
        strength: What that class declares.
        key: The defence's key, such as `train.dp` or `defence.top_k`; kinds are appended.
    """
    kinds = [str(getattr(options, name)) for name in strength.kinds]
    label = f"{strength.label} ({', '.join(kinds)})" if kinds else strength.label
    key = ".".join([key, *kinds])
    if not strength.field:
        return Setting(key, label)
    value = getattr(options, strength.field)
    if value is None or value == strength.neutral:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    text = number_words(value) if is_number else str(value)
    return Setting(
        key,
        label,
        float(value) if is_number else math.nan,
        f"{strength.symbol} {text}".strip(),
        strength.is_lower_stronger,
    )


def number_words(value: float) -> str:
    """Return a number as people write it: 2500, 0.5, 5e-3."""
    if 0 < abs(value) < 0.01:
        mantissa, _, exponent = f"{value:.6g}".partition("e")
        if exponent:
            return f"{mantissa}e{int(exponent)}"
        mantissa, _, exponent = f"{value:.5e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return str(int(value)) if float(value).is_integer() else f"{value:g}"


def duration_words(seconds: float, form: str = ".3g") -> str:
    """Return a duration in the largest unit of which there are two at least: 36.3 minutes; `form` says how exact."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:{form}} {unit}"
    return f"{seconds:{form}} seconds"
