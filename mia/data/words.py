"""Numbers and dates as people write them: `12,345`, `1.234,56`, `€ 5`, `(120)`, `35 %`, `31.12.2020`.

Takes the different texts of one column and how often each stands there; gives values, or says that the texts can be
read in two ways. A column is written in one way, so what one cell leaves open another may settle; what none settles is
never guessed.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import product

import numpy as np
from jaxtyping import Float, Int

_SPACES = " \u00a0\u2007\u2009\u202f"  # also those that do not break, and thin ones
_CODES = "USD|EUR|GBP|JPY|CHF|CNY|INR|RUB|BRL|KRW|SEK|NOK|DKK|PLN|CZK|HUF|AUD|CAD|NZD|MXN|ZAR|TRY|Rs\\.?|R\\$|US\\$"
_CURRENCY = rf"(?:[$€£¥₹₽₩₺₫₪฿¢]|\b(?:{_CODES})(?![A-Za-z]))"
_GAP = f"[{_SPACES}]*"
_NUMBER = re.compile(
    rf"(?P<open>\()?{_GAP}(?P<sign>[-+\u2212\u2013])?{_GAP}(?P<before>{_CURRENCY})?{_GAP}(?P<inner>[-+\u2212])?{_GAP}"
    rf"(?P<core>\d[\d.,'\u2019{_SPACES}]*|[.,]\d+)(?P<exponent>[eE][-+]?\d+)?{_GAP}"
    rf"(?P<after>{_CURRENCY}|[%\u2030]|°[CF]?|(?!(?:st|nd|rd|th)\b)[^\W\d_]{{1,5}}[²³]?)?(?P<trailing>-)?{_GAP}(?P<close>\))?"
)
_DECIMALS = (".", ",")
_THOUSANDS = ("", ",", ".", " ", "'")
_NAMES = {".": "point", ",": "comma", " ": "spaces", "'": "apostrophes"}
_DATE_LIKE = re.compile(
    r"\d{1,4}[-./ ]\d{1,2}([-./ ]\d{1,4})?([T ,].*)?|\d{1,2}[- .]*[A-Za-z]{3,9}[- .,]*\d{2,4}.*"
    r"|[A-Za-z]{3,9}[- .]*\d{1,2},? *\d{4}.*|\d{1,2}:\d{2}(:\d{2})?"
)
_DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y",
    "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y",
    "%d. %B %Y", "%Y-%m",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGIT = re.compile(r"\d")
_FEW = 10
_LONGEST = 60  # characters of a number or a date


@dataclass(frozen=True)
class Words:
    """What texts mean."""

    values: Float[np.ndarray, "U"]  # one per text; NaN: it is none
    share: float  # of the cells that have a value
    how: str = ""  # how they were read, where that is not plain
    ways: tuple[str, ...] = ()  # two ways to read them that differ, where nothing settles which: nothing is read then


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
    if not _DIGIT.search(" ".join(texts)):
        return NOTHING
    found = [_NUMBER.fullmatch(text) if len(text) <= _LONGEST else None for text in texts]
    kinds = Counter[str]()
    for match, count in zip(found, counts.tolist(), strict=True):
        if match and bool(match["open"]) == bool(match["close"]):
            kinds[_unit(match)] += count
    if not kinds:
        return NOTHING
    unit = kinds.most_common(1)[0][0]
    cores = [_core(match, unit) if match else None for match in found]
    readings = {way: _values(cores, *way) for way in _ways(cores, decimal, thousands)}
    weights = {way: _weight(values, counts) for way, values in readings.items()}
    most = max(weights.values(), default=0)
    if not most:
        return NOTHING
    best = {way: values for way, values in readings.items() if weights[way] == most}
    if (".", "") in best and decimal is None and thousands is None:  # as programs write numbers
        best = {(".", ""): best[".", ""]}
    share = most / int(counts.sum())
    values_of = next(iter(best.values()))
    if share < 1 and re.search(r"[^\W\d_]", unit) and sum(value is not None for value in values_of) < _FEW:
        return NOTHING  # "2B", "3B", "none": names of things
    different = {tuple(values): way for way, values in reversed(best.items())}
    if len(different) > 1:
        return Words(np.empty(0), share, ways=tuple(_way(*way) for way in different.values()))
    (way,) = different.values()
    signs = [_sign(match) if match else 1 for match in found]
    values = np.array([math.nan if v is None else v * s for v, s in zip(best[way], signs, strict=True)])
    return Words(values, share, _how(unit, *way, texts))


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


def _weight(values: Sequence[float | None], counts: Int[np.ndarray, "U"]) -> int:
    return sum(count for count, value in zip(counts.tolist(), values, strict=True) if value is not None)


def _unit(match: re.Match[str]) -> str:
    return " ".join(filter(None, (match["before"], match["after"])))


def _core(match: re.Match[str], unit: str) -> str | None:
    """Return digits and separators of a number of this unit; None: it is of another unit, or no number."""
    if (
        bool(match["open"]) != bool(match["close"])
        or sum(map(bool, match.group("open", "sign", "inner", "trailing"))) > 1
    ):
        return None
    core = re.sub(f"[{_SPACES}]", " ", match["core"].rstrip(_SPACES)).replace("\u2019", "'")
    is_zero = not core.strip("0.,")
    return core + (match["exponent"] or "") if _unit(match) == unit or is_zero else None


def _sign(match: re.Match[str]) -> int:
    marks = match.group("sign", "inner", "trailing")
    return -1 if match["open"] or any(mark and mark != "+" for mark in marks) else 1


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
    if group and any(re.search(rf"\d{_as_written(group)}\d", text) for text in texts):
        parts.append(f"thousands set apart by {_NAMES[group]}")
    if any(text.startswith("(") for text in texts):
        parts.append("negative in parentheses")
    return ", ".join(parts)


def _as_written(group: str) -> str:
    return {" ": f"[{_SPACES}]", "'": "['\u2019]"}.get(group, re.escape(group))


def read_dates(texts: Sequence[str], counts: Int[np.ndarray, "U"], form: str | None = None) -> Words:
    """Return days since 1970-01-01 (times of day alone: hours) that texts are.

    Args:
        texts: Different ones, without blanks around them.
        counts: How many cells hold each.
        form: As `strptime` has it; None: whatever the texts show.
    """
    if not _DIGIT.search(" ".join(texts)):
        return NOTHING
    is_like = np.array([len(text) <= _LONGEST and _DATE_LIKE.fullmatch(text) is not None for text in texts], bool)
    if form is None and counts[is_like].sum() <= counts.sum() / 2:
        return NOTHING
    if form is None:
        first = [text for text, like in zip(texts, is_like, strict=True) if like][:5]
        forms = ["iso", "%H:%M", "%H:%M:%S", *(day + time for day, time in product(_DAYS, _TIMES))]
        forms = [one for one in forms if any(_day(text, one) is not None for text in first)]
    else:
        forms = [form]
    readings = {one: [_day(text, one) for text in texts] for one in forms}
    weights = {one: _weight(values, counts) for one, values in readings.items()}
    most = max(weights.values(), default=0)
    if not most:
        return NOTHING
    different = {tuple(values): one for one, values in reversed(readings.items()) if weights[one] == most}
    share = most / int(counts.sum())
    if len(different) > 1:
        return Words(np.empty(0), share, ways=tuple(different.values()))
    ((values, chosen),) = different.items()
    what = "hours" if chosen.startswith("%H") else "days since 1970"
    return Words(np.array([math.nan if v is None else v for v in values]), share, what)


def _day(text: str, form: str) -> float | None:
    try:
        if form == "iso":
            if not re.match(r"\d{4}-", text):
                return None
            moment = datetime.fromisoformat(text)
        else:
            moment = datetime.strptime(text, form)
    except (ValueError, OverflowError):
        return None
    if form.startswith("%H"):
        return moment.hour + moment.minute / 60 + moment.second / 3600
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - _EPOCH).total_seconds() / 86400


def day_words(day: float) -> str:
    """Return the date of a number of days since 1970."""
    try:
        return str(date.fromordinal(_EPOCH.toordinal() + math.floor(day)))
    except (ValueError, OverflowError):
        return f"{day:g}"
