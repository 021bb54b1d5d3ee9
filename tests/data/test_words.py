"""Numbers and dates as people write them: what is written in one way is read back, what could be two things is not."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mia.data.dates import read_dates
from mia.data.words import read_numbers

STYLES = [(".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", "\u00a0"), (".", "'"), (",", "\u2019")]
DECORATIONS = ["{}", "${}", "{} €", "{} %", "CHF {}", "{} kg"]


def written(value, point, group):
    """Return a number of two decimals in a style."""
    return f"{value:,.2f}".replace(",", "\0").replace(".", point).replace("\0", group)


def once(texts):
    return np.ones(len(texts), int)


@given(
    st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=10, unique=True),
    st.sampled_from(STYLES),
    st.sampled_from(DECORATIONS),
)
def test_numbers_are_read_as_they_were_written(hundredths, style, decoration):
    values = [*(value / 100 for value in hundredths), 1_234_567.25]
    texts = list(dict.fromkeys(decoration.format(written(value, *style)) for value in values))
    found = read_numbers(texts, once(texts))
    assert (found.share, found.ways) == (1, ())
    np.testing.assert_array_equal(found.values, list(dict.fromkeys(values)))


@given(st.lists(st.integers(1, 999), min_size=1, max_size=10, unique=True), st.sampled_from([",", "."]))
def test_groups_of_three_alone_settle_nothing_but_a_point_is_a_decimal_mark(thousands, mark):
    texts = [f"{value}{mark}500" for value in thousands]
    found = read_numbers(texts, once(texts))
    if mark == ",":
        assert found.ways == ("data.decimal=comma", "data.thousands=comma")
    else:
        np.testing.assert_array_equal(found.values, [value + 0.5 for value in thousands])
    as_comma = read_numbers(texts, once(texts), thousands=mark)
    np.testing.assert_array_equal(as_comma.values, [value * 1000 + 500 for value in thousands])


@given(st.lists(st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31)), min_size=1, max_size=10, unique=True))
def test_dates_of_every_year_are_days_since_1970(days):
    texts = [day.isoformat() for day in days]
    found = read_dates(texts, once(texts))
    np.testing.assert_array_equal(found.values, [(day - dt.date(1970, 1, 1)).days for day in days])


@given(st.lists(st.dates(dt.date(1000, 1, 1)), min_size=1, max_size=10, unique=True), st.booleans())
def test_the_order_of_day_and_month_is_read_only_where_a_day_shows_it(days, is_month_first):
    form = "%m/%d/%Y" if is_month_first else "%d/%m/%Y"
    texts = [day.strftime(form) for day in days]
    found = read_dates(texts, once(texts))
    if any(day.day > 12 for day in days) or all(day.day == day.month for day in days):
        np.testing.assert_array_equal(found.values, [(day - dt.date(1970, 1, 1)).days for day in days])
    else:
        assert set(found.ways) == {"%m/%d/%Y", "%d/%m/%Y"}
    told = read_dates(texts, once(texts), form)
    np.testing.assert_array_equal(told.values, [(day - dt.date(1970, 1, 1)).days for day in days])


@given(st.lists(st.text("0123456789.,'eE+-()%$€ \u00a0/:TZkgxJan", max_size=12), min_size=1, max_size=6, unique=True))
@example(["\u0660\u0661", "\u00b2", "\u2460", "1e999999", "9" * 400, "0001-01-01T00:00:00+23:59"])
def test_any_text_is_read_or_left(texts):
    for decimal, thousands in ((None, None), (",", None), (None, ","), (",", ".")):
        found = read_numbers(texts, once(texts), decimal, thousands)
        assert len(found.values) in (0, len(texts))
        assert not np.isinf(found.values).any()
    assert len(read_dates(texts, once(texts)).values) in (0, len(texts))


@pytest.mark.parametrize(
    "text", ["18-25", "1st", "id_7", "1_000", "10.0.0.1", "555-1234", "A4", "#5", "5/7", "--5", "5 5 5", ""]
)
def test_what_is_no_number_is_left(text):
    assert read_numbers([text], once([text])).share == 0
