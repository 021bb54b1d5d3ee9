"""Dates and times as people write them: `31.12.2020`, `2020-W05`, `Jan 5, 2020`, `2:30 PM`.

Takes the different texts of one column and how often each stands there; gives days since 1970-01-01 (times of day and
durations alone: hours), or says that the texts can be read in two ways.
"""

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import product

import numpy as np
from jaxtyping import Int

from mia.data.words import LONGEST, NOTHING, Words, bare, has_digit, weigh

_LIKE = re.compile(
    r"\d{1,4}[-./ ]\d{1,2}([-./ ]\d{1,4})?([T ,].*)?|\d{1,2}[-/]\d{4}|\d{1,2}[- .]*[A-Za-z]{3,9}[- .,]*\d{2,4}.*"
    r"|[A-Za-z]{3,9}[- .]*(\d{1,2},? *)?\d{4}.*|\d{4}[- ]?[QW]\d{1,2}(-\d)?|Q\d[-/ ]?\d{4}"
    r"|\d{1,4}年\d{1,2}月(\d{1,2}日)?"
    r"|\d{1,4}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp]\.?[Mm]\.?)?"
)
_DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y",
    "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y",
    "%d. %B %Y", "%Y年%m月%d日",
)  # fmt: skip
_MONTHS = ("%Y-%m", "%Y/%m", "%m/%Y", "%m-%Y", "%b %Y", "%B %Y", "%b-%Y", "%Y年%m月")
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_FORMS = ("iso", "time", "quarter", *(day + time for day, time in product(_DAYS, _TIMES)), *_MONTHS)
_WEEKDAY = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? +", re.IGNORECASE)
_ZONE = re.compile(r" (?:GMT|UTC)$")
_TIME = re.compile(r"(\d{1,4}):(\d{2})(?::(\d{2}(?:\.\d+)?))?(?: ?([AaPp])\.?[Mm]\.?)?")
_QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])|Q([1-4])[-/ ]?(\d{4})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_dates(texts: Sequence[str], counts: Int[np.ndarray, "U"], form: str | None = None) -> Words:
    """Return days since 1970-01-01 (times of day and durations alone: hours) that texts are.

    Args:
        texts: Different ones, without blanks around them.
        counts: How many cells hold each.
        form: As `strptime` has it; None: whatever the texts show.
    """
    if not has_digit(texts):
        return NOTHING
    texts = [
        _ZONE.sub("", _WEEKDAY.sub("", text, count=1)) if len(text) <= LONGEST else "" for text in map(bare, texts)
    ]
    is_like = np.array([_LIKE.fullmatch(text) is not None for text in texts], bool)
    like = float(counts[is_like].sum() / counts.sum())
    if form is None and like <= 1 / 2:
        return NOTHING
    if form is None:
        first = [text for text, is_one in zip(texts, is_like, strict=True) if is_one][:5]
        forms = [one for one in _FORMS if any(_day(text, one) is not None for text in first)]
    else:
        forms = [form]
    readings = {one: [_day(text, one) for text in texts] for one in forms}
    weights = {one: weigh(values, counts) for one, values in readings.items()}
    most = max(weights.values(), default=0)
    if not most:
        return NOTHING
    different = {tuple(values): one for one, values in reversed(readings.items()) if weights[one] == most}
    share = most / int(counts.sum())
    if len(different) > 1:
        return Words(np.empty(0), share, ways=tuple(different.values()), like=like)
    ((values, chosen),) = different.items()
    what = "hours" if _is_time(chosen) else "days since 1970"
    return Words(np.array([math.nan if v is None else v for v in values]), share, what, like=like)


def is_form(text: str) -> bool:
    """Tell whether a text is a format that `strptime` reads some moment with."""
    try:
        moment = datetime.strptime(_EPOCH.strftime(text), text)
    except (ValueError, OverflowError, re.error):
        return False
    return "%" in text and moment.year in (1900, 1970)


def _is_time(form: str) -> bool:
    return form == "time" or form.startswith(("%H", "%I"))


def _day(text: str, form: str) -> float | None:
    if form == "time":
        return _hours(text)
    try:
        if form == "quarter":
            return _first_of_quarter(text)
        if form == "iso":
            if not re.match(r"\d{4}-", text):
                return None
            moment = datetime.fromisoformat(text)
        else:
            moment = datetime.strptime(text, form)
    except (ValueError, OverflowError):
        return None
    if _is_time(form):
        return moment.hour + moment.minute / 60 + moment.second / 3600
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - _EPOCH).total_seconds() / 86400


def _hours(text: str) -> float | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds = int(found[1]), int(found[2]), float(found[3] or 0)
    if found[4]:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if found[4] in "pP" else 0)
    return None if minutes > 59 or seconds >= 60 else hours + minutes / 60 + seconds / 3600


def _first_of_quarter(text: str) -> float | None:
    found = _QUARTER.fullmatch(text)
    if found is None:
        return None
    year, quarter = (found[1], found[2]) if found[1] else (found[4], found[3])
    return float(date(int(year), 3 * int(quarter) - 2, 1).toordinal() - _EPOCH.toordinal())


def day_words(day: float) -> str:
    """Return the date of a number of days since 1970."""
    try:
        return str(date.fromordinal(_EPOCH.toordinal() + math.floor(day)))
    except (ValueError, OverflowError):
        return f"{day:g}"
