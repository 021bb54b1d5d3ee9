"""Small checks for values that come from people; each error names the argument, its value and what would be right.

Takes plain values, returns them unchanged, raises `RequestError`. Never prints and never imports anything heavy.
"""

import difflib
import math
from collections.abc import Iterable


class RequestError(ValueError):
    """The request was wrong (exit code 2): the message is one line that says what is wrong and what would be right."""

    def __init__(self, message: object = "") -> None:
        """Take the message; what a terminal would obey rather than show, out of a file or a name, is escaped."""
        super().__init__(printable(str(message)))


def printable(text: str) -> str:
    """Return a text with escapes in place of control codes, line breaks and all else that is not shown."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def positive(name: str, value: float) -> float:
    """Return `value`, a finite number above zero.

    Raises:
        RequestError: `value` is zero, negative, infinite or not a number.
    """
    if not math.isfinite(value) or value <= 0:
        raise RequestError(f"{name}={value!r} must be a number above 0")
    return value


def non_negative(name: str, value: float) -> float:
    """Return `value`, a finite number of at least zero.

    Raises:
        RequestError: `value` is negative, infinite or not a number.
    """
    if not math.isfinite(value) or value < 0:
        raise RequestError(f"{name}={value!r} must be a number of 0 or more")
    return value


def at_least(name: str, value: int, smallest: int) -> int:
    """Return `value`, a whole number of at least `smallest`.

    Raises:
        RequestError: `value` is smaller.
    """
    if value < smallest:
        raise RequestError(f"{name}={value!r} must be at least {smallest}")
    return value


def fraction(name: str, value: float, *, below_one: bool = False) -> float:
    """Return `value`, a share between 0 and 1 (1 itself excluded with `below_one`).

    Raises:
        RequestError: `value` lies outside.
    """
    if not 0 <= value <= 1 or (below_one and value == 1):
        raise RequestError(f"{name}={value!r} must lie in [0, 1{')' if below_one else ']'}")
    return value


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """Return `value`, one of the `known` names.

    Raises:
        RequestError: an unknown name; the message lists the known ones and the one that was probably meant.
    """
    names = list(known)
    if value not in names:
        raise RequestError(f"{name}={value!r} is not known{did_you_mean(value, names)}; known: {', '.join(names)}")
    return value


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """Return ', did you mean X?' for the known name closest to `value`, or an empty string."""
    close = difflib.get_close_matches(value, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
