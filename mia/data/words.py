"""Numbers as people write them: `12,345`, `1.234,56`, `€ 5`, `(120)`, `35 %`.

Takes the different texts of one column and how often each stands there; gives values, or says that the texts can be
read in two ways. A column is written in one way, so what one cell leaves open another may settle; what none settles is
never guessed.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float, Int

_CODES = "USD|EUR|GBP|JPY|CHF|CNY|INR|RUB|BRL|KRW|SEK|NOK|DKK|PLN|CZK|HUF|AUD|CAD|NZD|MXN|ZAR|TRY|Rs\\.?|R\\$|US\\$"
_CURRENCY = rf"(?:[$€£¥₹₽₩₺₫₪฿¢]|\b(?:{_CODES})(?![A-Za-z]))"
_POWER = r"[eEdD][-+]?\d+| ?[x\u00d7*] ?10 ?(?:\^|\*\*)? ?[-+]?\d+"
_WORD = r"(?!(?:st|nd|rd|th)\b)[^\W\d_]{1,5}"
_NUMBER = re.compile(
    rf"(?P<open>\()? *(?P<sign>[-+])? *(?P<before>{_CURRENCY}|%)? *(?P<inside>\()? *(?P<inner>[-+])? *"
    rf"(?P<core>\d[\d.,' ]*|[.,]\d+)(?P<exponent>{_POWER})? *"
    rf"(?P<after>{_CURRENCY}|[%‰]|°[CF]?|{_WORD}(?:[²³]|\^?[23]|/{_WORD})?)?(?P<trailing>-)? *(?P<close>\))?"
)
_MARKS = {
    "\u2212": "-", "\u2013": "-", "\u2019": "'", "\u066b": ".", "\u066c": "'", "\u066a": "%", "\u00b7": ".",
    "\u02d9": ".", "\u2044": "/",
}  # fmt: skip
"""What stands in other scripts for marks of ours: a true minus, Arabic marks, a raised point."""
_SAME = {chr(0xFEE0 + code): chr(code) for code in range(0x21, 0x7F)} | _MARKS  # full-width forms, too
_DECIMALS = (".", ",")
_THOUSANDS = ("", ",", ".", " ", "'")
_NAMES = {".": "point", ",": "comma", " ": "spaces", "'": "apostrophes"}
_DIGIT = re.compile(r"\d")
_FEW = 10
LONGEST = 60
"""Characters of a number or a date."""


@dataclass(frozen=True)
class Words:
    """What texts mean."""

    values: Float[np.ndarray, "U"]  # one per text; NaN: it is none
    share: float  # of the cells that have a value
    how: str = ""  # how they were read, where that is not plain
    ways: tuple[str, ...] = ()  # two ways to read them that differ, where nothing settles which: nothing is read then
    like: float = 0.0  # share of the cells that could be read in one way or another, if not all in the same


NOTHING = Words(np.empty(0), 0.0)


def read_numbers(
    texts: Sequence[str], counts: Int[np.ndarray, "U"], decimal: str | None = None, thousands: str | None = None
) -> Words:
    """Return the numbers that texts are; the way that makes sense of most cells.

    Args:
        texts: Different ones, without blanks around them.
        counts: How many cells hold each.
        decimal: "." or ","; None: whatever the texts show.
        thousands: What stands between groups of three digits; None: whatever the texts show.
    """
    if not has_digit(texts):
        return NOTHING
    texts = [bare(text) for text in texts]
    found = [_NUMBER.fullmatch(text) if len(text) <= LONGEST else None for text in texts]
    found = [match if match and _is_closed(match) else None for match in found]
    kinds = Counter[str]()
    for match, count in zip(found, counts.tolist(), strict=True):
        if match:
            kinds[_unit(match)] += count
    if not kinds:
        return NOTHING
    unit = kinds.most_common(1)[0][0]
    cores = [_core(match, unit) if match else None for match in found]
    readings = {way: _values(cores, *way) for way in _ways(cores, decimal, thousands)}
    weights = {way: weigh(values, counts) for way, values in readings.items()}
    most = max(weights.values(), default=0)
    like = 1.0 if most == counts.sum() else _share_like(found, counts)
    if not most:  # too large, or with other marks than the options say
        return Words(np.full(len(texts), math.nan), 0.0, like=like)
    best = {way: values for way, values in readings.items() if weights[way] == most}
    if (".", "") in best and decimal is None and thousands is None:  # as programs write numbers
        best = {(".", ""): best[".", ""]}
    share = most / int(counts.sum())
    values_of = next(iter(best.values()))
    if share < 1 and re.search(r"[^\W\d_]", unit) and sum(value is not None for value in values_of) < _FEW:
        return NOTHING  # "2B", "3B", "none": names of things
    different = {tuple(values): way for way, values in reversed(best.items())}
    if len(different) > 1:
        return Words(np.empty(0), share, ways=tuple(_way(*way) for way in different.values()), like=like)
    (way,) = different.values()
    signs = [_sign(match) if match else 1 for match in found]
    values = np.array([math.nan if v is None else v * s for v, s in zip(best[way], signs, strict=True)])
    return Words(values, share, _how(unit, *way, texts), like=like)


def bare(text: str) -> str:
    """Return a text as it would be typed: no marks of direction or width, no quotes that keep a spreadsheet off."""
    if not text.isascii():
        text = "".join(
            " " if unicodedata.category(letter) == "Zs" else _SAME.get(letter, letter)
            for letter in text
            if unicodedata.category(letter) != "Cf"
        ).strip()
    quoted = re.fullmatch(r"""="(.*)"|'([^']+)""", text)
    return text if quoted is None else (quoted[1] or quoted[2] or "").strip()


def has_digit(texts: Iterable[str]) -> bool:
    """Tell whether there is a digit in any text."""
    return _DIGIT.search(" ".join(texts)) is not None


def weigh(values: Iterable[float | None], counts: Int[np.ndarray, "U"]) -> int:
    """Return how many cells have a value."""
    return sum(count for count, value in zip(counts.tolist(), values, strict=True) if value is not None)


def look_like_values(texts: Sequence[str], counts: Int[np.ndarray, "U"]) -> float:
    """Return the share of cells that look like numbers, dates or identifiers: digits come first, or are the most."""
    is_like = np.array([_is_like_a_value(bare(text)) for text in texts], bool)
    return float(counts[is_like].sum() / counts.sum())


def _is_like_a_value(text: str) -> bool:
    digits, letters = len(_DIGIT.findall(text)), sum(map(str.isalpha, text))
    return digits > 0 and (re.match(r"[^\w\s]{0,3}\d", text) is not None or digits > letters)


def is_plain(text: str) -> bool:
    """Tell whether a text is a number as programs write it."""
    return re.fullmatch(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", text, re.ASCII) is not None


def _ways(cores: Sequence[str | None], decimal: str | None, thousands: str | None) -> list[tuple[str, str]]:
    """Return the pairs of decimal mark and what sets thousands apart that can matter for these texts."""
    marks = set().union(*(core for core in cores if core))
    return [
        (point, group)
        for point, group in product(_DECIMALS, _THOUSANDS)
        if point not in (group, thousands)
        and decimal in (None, point)
        and (group in marks or not group if thousands is None else group in ("", thousands))
    ]


def _unit(match: re.Match[str]) -> str:
    return " ".join(filter(None, (match["before"], match["after"])))


def _is_closed(match: re.Match[str]) -> bool:
    """Tell whether parentheses open and close once, and there is one sign at most."""
    signs = sum(map(bool, match.group("open", "inside", "sign", "inner", "trailing")))
    return (match["open"] or match["inside"] or "") == ("(" if match["close"] else "") and signs <= 1


def _core(match: re.Match[str], unit: str) -> str | None:
    """Return digits and separators of a number of this unit; None: it is of another unit."""
    core = match["core"].rstrip()
    is_zero = not core.strip("0.,")
    return core + _exponent(match["exponent"] or "") if _unit(match) == unit or is_zero else None


def _exponent(text: str) -> str:
    return f"e{re.split(r'10|[eEdD]', text, maxsplit=1)[1].strip('^* ')}" if text else ""


def _share_like(found: Sequence[re.Match[str] | None], counts: Int[np.ndarray, "U"]) -> float:
    """Return the share of cells that are numbers, whatever their units and marks."""
    patterns = [_pattern(point, group) for point, group in product(_DECIMALS, _THOUSANDS) if point != group]
    is_like = [
        match is not None and any(pattern.fullmatch(match["core"].rstrip()) for pattern in patterns) for match in found
    ]
    return float(counts[np.array(is_like, bool)].sum() / counts.sum())


def _sign(match: re.Match[str]) -> int:
    marks = match.group("sign", "inner", "trailing")
    return -1 if match["close"] or any(mark and mark != "+" for mark in marks) else 1


def _pattern(point: str, group: str) -> re.Pattern[str]:
    p, g = re.escape(point), re.escape(group)
    grouped = rf"\d{{1,3}}(?:{g}\d{{2,3}})*{g}\d{{3}}|" if group else ""  # in India groups of two
    return re.compile(rf"(?:(?:{grouped}\d+)(?:{p}\d*)?|{p}\d+)(?:[eE][-+]?\d+)?")


def _values(cores: Sequence[str | None], point: str, group: str) -> list[float | None]:
    pattern = _pattern(point, group)
    values: list[float | None] = []
    for core in cores:
        if core is None or not pattern.fullmatch(core):
            values.append(None)
            continue
        value = float((core.replace(group, "") if group else core).replace(point, "."))
        values.append(value if math.isfinite(value) else None)
    return values


def _way(point: str, group: str) -> str:
    return f"data.decimal={_NAMES[point]}" if not group else f"data.thousands={_NAMES[group].removesuffix('s')}"


def _how(unit: str, point: str, group: str, texts: Sequence[str]) -> str:
    parts = []
    if re.fullmatch(_CURRENCY, unit):
        parts.append(f"amounts in {unit}")
    elif unit:
        parts.append(f"numbers in {unit}")
    if point == "," and any("," in text for text in texts):
        parts.append("decimal comma")
    if group and any(re.search(rf"\d{re.escape(group)}\d", text) for text in texts):
        parts.append(f"thousands set apart by {_NAMES[group]}")
    if any("(" in text for text in texts):
        parts.append("negative in parentheses")
    return ", ".join(parts)
