"""What people really have, one small input each, and its right outcome: a refusal with its words, or a true value."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from field_makers import (
    RECORDS,
    csv_of,
    deep_png,
    dictionary,
    files,
    frame,
    npy,
    npz,
    parquet,
    pets,
    picture,
    special,
    table,
)

from mia.records import Dataset

PICTURES = {name: picture(pixels) for name, pixels in pets().items()}
GREY16 = np.arange(20, dtype=np.uint16).reshape(4, 5) * 3000
COLOUR16 = np.arange(60, dtype=np.uint16).reshape(4, 5, 3) * 1000
MEASURE = {"size": [f"{v}.5" for v in range(RECORDS)]}
X4, Y = np.zeros((6, 3, 8, 9), np.uint8), np.array([0, 1] * 3)
X4[:] = np.arange(6)[:, None, None, None] + np.arange(3)[:, None, None] * 10
TABLE = np.arange(12.0).reshape(6, 2)


@dataclass(frozen=True)
class Case:
    """One input, how it is asked for, and what must come of it."""

    data: str  # which data set reads it
    make: Callable[[Any], Any]  # folder -> path
    options: dict[str, Any] = field(default_factory=dict)
    refused: tuple[str, ...] = ()  # words of the one line
    check: Callable[[Dataset], Any] | None = None  # of the data set that comes out
    notes: tuple[str, ...] = ()  # words that must stand in the notes, one per note


def column(data, name):
    (group,) = (group for group in data.features if group.name == name)
    return data.x[:, group.start : group.stop]


def is_number(name, values):
    """Check that a column holds these numbers, standardised, and nothing else."""

    def check(data):
        full = np.array([values[i % len(values)] for i in range(RECORDS)], float)
        x = column(data, name)
        assert x.shape == (RECORDS, 1)
        np.testing.assert_allclose(x[:, 0], (full - full.mean()) / full.std(), rtol=1e-5, atol=1e-6)

    return check


def has_categories(name, count):
    def check(data):
        assert column(data, name).shape[1] == count
        (row,) = (row for row in data.columns if row.name == name)
        assert (row.kind, row.values) == ("category", count)

    return check


def has_classes(*names):
    def check(data):
        assert data.class_names == names

    return check


def has_records(count):
    def check(data):
        assert len(data.x) == len(data.y) == count

    return check


def number(texts, values, **options):
    return Case("table", table({"a": texts}), options, check=is_number("a", values))


def unread(texts, *words, **options):
    return Case("table", table({"a": texts}), options, refused=("column 'a'", *words))


def raw(text, *words, encoding="utf-8", **options):
    return Case("table", table(text=text, encoding=encoding), options, refused=words)


def plain(**extra):
    return table({"b": [f"{i}.5" for i in range(RECORDS)], **extra})


DAYS = ["2020-01-31", "1969-12-31", "2020-02-01"]
TWO_WAYS = ("can be read in two ways", "data.decimal=comma", "data.thousands=comma")

NUMBERS = {
    "thousands, as one cell shows": number(["12,345", "1,234,567", "999"], [12345, 1234567, 999]),
    "thousands or decimals": unread(["12,345", "23,456"], *TWO_WAYS),
    "thousands, as the option says": number(["12,345", "23,456"], [12345, 23456], thousands="comma"),
    "decimals, as the option says": number(["12,345", "23,456"], [12.345, 23.456], decimal=","),
    "decimal commas": number(["3,14", "2,5", "-1,0"], [3.14, 2.5, -1]),
    "points for thousands": number(["1.234,56", "7,1"], [1234.56, 7.1]),
    "points alone are decimals": number(["1.234", "12.500"], [1.234, 12.5]),
    "a decimal point where the option says comma": unread(["3.14", "2.5"], decimal="comma", kinds={"a": "number"}),
    "percent": number(["35 %", "7%", "12.5%"], [35, 7, 12.5]),
    "percent and not": unread(["35%", "7%", "0.35"], "numbers but also text, such as '0.35'"),
    "currency before": number(["$1,234.50", "$3.00", "($12.25)"], [1234.5, 3, -12.25]),
    "currency behind": number(["3,50 €", "1.200,00 €"], [3.5, 1200]),
    "two currencies": unread(["$5", "$6", "€7"], "such as '€7'"),
    "currency codes": number(["EUR 5", "EUR 7.5"], [5, 7.5]),
    "spaces that do not break": number(["1\u00a0234", "12\u00a0345\u00a0678"], [1234, 12345678]),
    "thin spaces": number(["1\u202f234,5", "2\u2009345,25"], [1234.5, 2345.25]),
    "apostrophes": number(["1'234.5", "12\u2019345"], [1234.5, 12345]),
    "groups of two": number(["12,34,567", "5,000.5"], [1234567, 5000.5]),
    "a true minus": number(["\u22125", "7"], [-5, 7]),
    "a minus behind": number(["5-", "7"], [-5, 7]),
    "exponents": number(["1e3", "2.5E-1"], [1000, 0.25]),
    "units": number(["5 kg", "7.5 kg"], [5, 7.5]),
    "blanks around": number([" 5 ", "7\t"], [5, 7]),
    "other digits": number(["\uff11\uff12", "\uff13"], [12, 3]),
    "nan is a word": unread(["1.5", "2.5", "nan"], "such as 'nan'", "data.missing_values=['nan']"),
    "infinite": unread(["1.5", "2.5", "-inf"], "infinite values, first in record 2"),
    "too large": unread(["1e400", "2", "3"], "such as '1e400'"),
    "Arabic digits and marks": number(
        ["\u0661\u066c\u0662\u0663\u0664\u066b\u0665", "\u0667\u066b\u0665"], [1234.5, 7.5]
    ),
    "full-width forms": number(["\uff11\uff12\uff0e\uff15", "\uff0d\uff13"], [12.5, -3]),
    "hair spaces": number(["1\u200a234", "12\u3000345\u2008678"], [1234, 12345678]),
    "a raised point": number(["3\u00b714", "2\u00b75"], [3.14, 2.5]),
    "a sign of per cent before": number(["%35", "%7,5"], [35, 7.5]),
    "a currency outside parentheses": number(["$ (1,234.00)", "$ 3.50"], [-1234, 3.5]),
    "powers of ten": number(["1.5\u00d710^3", "2x10^-2"], [1500, 0.02]),
    "Fortran's exponents": number(["1.5D+03", "2.5D-01"], [1500, 0.25]),
    "kept from a spreadsheet": number(['="12.5"', '="7"'], [12.5, 7]),
    "kept from a spreadsheet by a mark": number(["'12.5", "'7"], [12.5, 7]),
    "marks that nobody sees": number(["\u200b5", "\ufeff7", "\u200f9.5"], [5, 7, 9.5]),
    "units per units": number(["5 km/h", "7.5 km/h"], [5, 7.5]),
    "two ways of writing": unread(["1,234.50", "1.234,50"], "written in several ways"),
    "suffixes that scale": unread(
        [f"{i}k" if i % 3 else f"{i}.5M" for i in range(24)], "but also text, such as '0.5M'"
    ),
    "units that change": unread([f"{i} kg" if i % 3 else f"{i} g" for i in range(24)], "but also text, such as '3 g'"),
    "about": unread([f"~{i}" for i in range(24)], "look like numbers", "'data.kinds={a: category}'"),
    "fractions": unread([f"{i}/{i + 1}" for i in range(40, 64)], "look like numbers"),
    "places": unread([f"{i}.85\u00b0 N" for i in range(24)], "look like numbers"),
    "telephone numbers": unread([f"+49 30 1234{i:02}" for i in range(24)], "identifiers"),
    "telephone numbers as the option says": Case(
        "table",
        table({"a": [f"+49 30 1234{i:02}" for i in range(24)]}),
        {"kinds": {"a": "category"}},
        check=has_categories("a", 24),
    ),
    "few sizes are categories": Case("table", table({"a": ["10x20", "30x40"]}), check=has_categories("a", 2)),
    "numbers in names are categories": Case(
        "table", plain(a=[f"district {i}" for i in range(24)]), check=has_categories("a", 24)
    ),
    "larger than all whole numbers that can be told apart": Case(
        "table", plain(a=[str(2**53 + i) for i in range(24)]), notes=("too large to tell apart",)
    ),
    "the same in Parquet": Case(
        "parquet",
        parquet({"a": [2**62 + i for i in range(24)], "b": [i / 2 for i in range(24)]}),
        notes=("too large to tell apart",),
    ),
    "underscores are text": Case("table", table({"a": ["1_000", "2_000"]}), check=has_categories("a", 2)),
    "ranges are text": Case("table", table({"a": ["18-25", "26-35"]}), check=has_categories("a", 2)),
    "ordinals are text": Case("table", table({"a": ["1st", "9th", "10th", "11th"]}), check=has_categories("a", 4)),
    "number as the option says": unread(["x", "y"], "such as 'x'", kinds={"a": "number"}),
    "category as the option says": Case(
        "table", table({"a": ["12,345", "7"]}), {"kinds": {"a": "category"}}, check=has_categories("a", 2)
    ),
    "left out as the option says": Case(
        "table", plain(a=["12,345"]), {"kinds": {"a": "drop"}}, check=lambda data: data.x.shape[1] == 1
    ),
    "an unknown kind": Case("table", plain(), {"kinds": {"b": "numbr"}}, refused=("data.kinds.b", "'number'")),
    "numbers as text in Parquet": Case(
        "parquet", parquet({"a": ["1,5", "2,25"] * 12}), check=is_number("a", [1.5, 2.25])
    ),
    "leading zeros": Case("table", plain(zip=["01234", "99999", "12345"]), notes=("begin with 0",)),
}
DATES = {
    "ISO dates": number(DAYS, [18292, -1, 18293]),
    "ISO moments": number(["2020-01-31T12:00:00Z", "2020-02-01 00:00"], [18292.5, 18293]),
    "days first": number(["31.12.2020", "1.2.2020"], [18627, 18293]),
    "months first": number(["12/31/2020", "1/2/2020"], [18627, 18263]),
    "days or months first": unread(["1/2/2020", "3/4/2020"], "dates such as", "date:%d/%m/%Y", "date:%m/%d/%Y"),
    "as the option says": number(["1/2/2020", "3/4/2020"], [18293, 18355], kinds={"a": "date:%d/%m/%Y"}),
    "names of months": number(["5 Jan 2020", "31 Dec 2020"], [18266, 18627]),
    "dates and text": unread([*DAYS, "soon"], "dates but also text, such as 'soon'"),
    "no dates, though the option says so": unread(["x", "y"], "dates but also text", kinds={"a": "date"}),
    "times": number(["12:30", "06:00"], [12.5, 6]),
    "afternoons": number(["2:30 PM", "12:15 am"], [14.5, 0.25]),
    "durations": number(["100:30:00", "0:45:36"], [100.5, 0.76]),
    "days of the week": number(["Fri, 31 Jan 2020", "Sat, 01 Feb 2020"], [18292, 18293]),
    "months": number(["Jan 2020", "Feb 2020"], [18262, 18293]),
    "quarters": number(["2020Q1", "2020-Q2"], [18262, 18353]),
    "weeks": number(["2020-W01", "2020-W02"], [18260, 18267]),
    "Japanese dates": number(["2020\u5e741\u670831\u65e5", "2020\u5e742\u67081\u65e5"], [18292, 18293]),
    "other languages": unread([f"{i} f\u00e9vrier 2020" for i in range(1, 25)], "look like numbers, dates"),
    "two forms": unread(["2020-01-31", "1/2/2020"], "written in several ways"),
    "no separators": Case(
        "table", plain(a=[f"202001{i:02}" for i in range(1, 25)]), notes=("dates without separators",)
    ),
    "no separators as the option says": number(
        [f"202001{i:02}" for i in range(1, 25)], list(range(24)), kinds={"a": "date:%Y%m%d"}
    ),
    "dates in Parquet": Case(
        "parquet",
        parquet({"a": [dt.date(2020, 1, 31), dt.date(1969, 12, 31)] * 12}),
        check=is_number("a", [18292, -1]),
    ),
}
MISSING = {
    "NA, None and null are values": Case(
        "table", table({"a": ["NA", "None", "null", "x", ""]}), check=has_categories("a", 5)
    ),
    "NA, None and null as the option says": Case(
        "table",
        table({"a": ["NA", "None", "null", "x", ""]}),
        {"missing_values": ["NA", "None", None]},
        check=has_categories("a", 2),
    ),
    "a class named None": Case(
        "table", table({"a": [1.5, 2.5], "class": ["None", "NA", "null"]}), check=has_classes("NA", "None", "null")
    ),
    "a class that is missing": Case(
        "table",
        table({"a": [1.5, 2.5], "class": ["None", "x", "y"]}),
        {"missing_values": ["None"]},
        refused=("data.label='class' has no value in 8 of 24 records",),
    ),
    "NA among numbers": unread(["1.5", "2.5", "NA"], "such as 'NA'", "data.missing_values=['NA']"),
    "NA among numbers as the option says": Case(
        "table",
        table({"a": ["1.5", "2.5", "NA"]}),
        {"missing_values": ["NA"], "missing": "indicator"},
        check=lambda data: np.testing.assert_array_equal(column(data, "a is missing")[:6, 0], [0, 0, 1, 0, 0, 1]),
    ),
    "a question mark is a value": Case("table", table({"a": ["?", "x", ""]}), check=has_categories("a", 3)),
    "codes for missing in Parquet": Case(
        "parquet",
        parquet({"a": [1.5, -999.0, 2.5, 3.5] * 6}),
        {"missing_values": ["-999"], "missing": "indicator"},
        check=lambda data: np.testing.assert_array_equal(column(data, "a is missing")[:4, 0], [0, 1, 0, 0]),
    ),
    "an empty column": unread([""], "holds no values", "data.drop=['a']"),
}
LABELS = {
    "a dot": Case(
        "table",
        plain(**{"class": [">50K", "<=50K", ">50K.", "<=50K."]}),
        notes=("'<=50K' and '<=50K.'", "'>50K' and '>50K.'"),
    ),
    "a blank": Case("table", plain(**{"class": ["yes", "no", "yes "]}), notes=("'yes' and 'yes '",)),
    "a capital": Case("table", plain(**{"class": ["yes", "no", "Yes"]}), notes=("'Yes' and 'yes'",)),
    "a fraction of nothing": Case("table", plain(**{"class": ["1", "0", "1.0"]}), notes=("'1' and '1.0'",)),
    "ten is not one": Case("table", plain(**{"class": ["1.0", "10", "2.0"]}), check=lambda d: d.notes == ()),
    "marks and alphabets": Case(
        "table",
        plain(
            **{"class": ["A", "\u0410", "non-smoker", "non smoker", "e\u0301", "\u00e9", "yes;", "yes", "'no'", "no"]}
        ),
        notes=("'A' and '\u0410'", "'non smoker' and 'non-smoker'", "'yes' and 'yes;'", "no"),
    ),
    "a grade above": Case("table", plain(**{"class": ["A", "A+", "A-", "<5", ">5"]}), check=lambda d: d.notes == ()),
    "not a number, in Parquet": Case(
        "parquet",
        parquet({"a": [1.5, 2.5] * 12, "class": [0.0, 1.0, float("nan")] * 8}),
        refused=("has no value in 8",),
    ),
    "lists": Case("parquet", parquet({"a": [1.5, 2.5] * 12, "class": [[1], [2]] * 12}), refused=("which are no text",)),
    "folders": Case(
        "images",
        files(
            {
                f"{animal}/{i}.png": picture(pets(animal.encode()[0])[f"cat/{i}.png"])
                for animal in ("Dog", "dog", "cat")
                for i in range(3)
            }
        ),
        notes=("'Dog' and 'dog'",),
    ),
    "an escape code": Case("table", plain(**{"class": ["no", "\x1b[31myes"]}), refused=("not printable", "\\x1b")),
    "a column of categories": Case("table", plain(a=["Rome", "rome", "Oslo"]), notes=("'Rome' and 'rome'",)),
}
HEADERS = {
    "none, and the label is looked for": Case(
        "table",
        table(text=csv_of({"5.1": ["4.5", "6.5"], "3.5": ["2.5", "1.5"]}).replace("class", "no", 1)),
        refused=("data.label='class' is no column", "data.header=false"),
    ),
    "none, and the first record's label is a name": Case(
        "table",
        table(text=csv_of({"5.1": [f"{i}.5" for i in range(24)], "x": ["x", "y"]}).replace("class", "no", 1)),
        {"label": "no"},
        notes=("the first line looks like a record",),
    ),
    "none, as the option says": Case(
        "table",
        table({"a": ["1.5", "2.5", "4.0"]}, header=False),
        {"label": "c2", "header": False},
        check=is_number("c1", [1.5, 2.5, 4.0]),
    ),
    "two of one name": raw("a,a,class\n" + "1,2,x\n2,1,y\n" * 5, "two columns of one name", "'a'"),
    "two of one name but for a blank": raw("a, a ,class\n" + "1,2,x\n2,1,y\n" * 5, "two columns of one name"),
    "two of one name but for how an accent is written": raw(
        "\u00e9,e\u0301,class\n" + "1,2,x\n2,1,y\n" * 5, "two columns of one name"
    ),
    "a title above": raw("My table\n\na,b,class\n" + "1,2,x\n2,1,y\n" * 5, "remove the lines above its header"),
    "two byte order marks": Case(
        "table", table(text="\ufeff\ufeff" + csv_of(MEASURE)), check=lambda d: column(d, "size")
    ),
    "no name": raw("a,,class\n" + "1,2,x\n2,1,y\n" * 5, "column without a name", "data.drop=['Unnamed: 1']"),
    "a NUL": raw("a\0b,class\n" + "1,x\n2,y\n" * 5, "NUL bytes"),
    "an escape code": raw("a\x1b[2J,class\n" + "1,x\n2,y\n" * 5, "name is not printable", "\\x1b"),
    "a line break": raw('"a\nb",class\n' + "1,x\n2,y\n" * 5, "name is not printable", "\\n"),
    "a direction mark": raw("a\u202eb,class\n" + "1,x\n2,y\n" * 5, "name is not printable"),
    "a byte order mark": Case("table", table(text="\ufeff" + csv_of(MEASURE)), check=lambda d: column(d, "size")),
    "only a header": raw("a,class\n", "holds 0 records"),
    "nothing": raw("", "it is empty"),
    "years": Case(
        "table", table({"2019": [1.5, 2.5], "2020": [3.5, 1.5], "b": ["x", "y"]}), check=has_records(RECORDS)
    ),
}
FORMS = {
    "semicolons": Case("table", table(MEASURE, separator=";"), refused=("data.separator=semicolon",)),
    "semicolons as the option says": Case(
        "table",
        table({"a": ["1,5", "2,25"]}, separator=";"),
        {"separator": "semicolon"},
        check=is_number("a", [1.5, 2.25]),
    ),
    "tabs": Case("table", table(MEASURE, separator="\t"), refused=("data.separator=tab",)),
    "tabs in a .tsv": Case("table", table(MEASURE, separator="\t", name="mine.tsv"), check=has_records(RECORDS)),
    "Windows lines": Case("table", table(MEASURE, end="\r\n"), check=has_records(RECORDS)),
    "old lines": Case("table", table(MEASURE, end="\r"), check=has_records(RECORDS)),
    "another encoding": raw(
        csv_of({"a": ["Köln", "Rome"]}), "not UTF-8", "byte 0xf6", "data.encoding", encoding="latin-1"
    ),
    "another encoding as the option says": Case(
        "table", table({"a": ["Köln", "Rome"]}, encoding="cp1252"), {"encoding": "cp1252"}, check=has_categories("a", 2)
    ),
    "the wrong encoding": Case(
        "table",
        table({"a": ["Köln", "Rome"]}),
        {"encoding": "ascii"},
        refused=("not written in data.encoding='ascii'",),
    ),
    "UTF-16": raw(csv_of(MEASURE), "data.encoding=utf-16", encoding="utf-16"),
    "UTF-16 as the option says": Case(
        "table", table(MEASURE, encoding="utf-16"), {"encoding": "utf-16"}, check=has_records(RECORDS)
    ),
    "UTF-16 without a mark": raw(csv_of(MEASURE), "data.encoding=utf-16-le", encoding="utf-16-le"),
    "UTF-16 without a mark, as the option says": Case(
        "table", table(MEASURE, encoding="utf-16-be"), {"encoding": "utf-16-be"}, check=has_records(RECORDS)
    ),
    "UTF-16 with a mark beside the option": Case(
        "table",
        table(text="\ufeff" + csv_of(MEASURE), encoding="utf-16-le"),
        {"encoding": "utf-16-le"},
        check=has_records(RECORDS),
    ),
    "UTF-32": raw(csv_of(MEASURE), "data.encoding=utf-32", encoding="utf-32"),
    "the separator in a line of its own": Case(
        "table", table(text="sep=;\n" + csv_of({"a": ["1,5", "2,25"]}, ";")), check=is_number("a", [1.5, 2.25])
    ),
    "packed": Case("table", table(content=b"\x1f\x8b\x08" + b"x" * 50), refused=("packed by gzip; unpack it",)),
    "an old workbook": Case("table", table(content=b"\xd0\xcf\x11\xe0" + b"x" * 50), refused=("old workbook",)),
    "Parquet called CSV": Case("table", table(content=b"PAR1" + b"\0" * 50), refused=("call it .parquet",)),
    "CSV called Parquet": Case("table", table(MEASURE, name="mine.parquet"), refused=("it is no Parquet file",)),
    "categories of pandas that are numbers": Case(
        "parquet",
        lambda folder: frame(folder, {"a": ["1", "2", "7"] * 8, "b": [1.5, 2.5] * 12}),
        check=has_categories("a", 3),
    ),
    "a dictionary of numbers as text": Case(
        "parquet", parquet({"a": dictionary(["1,5", "2,25"] * 12)}), check=is_number("a", [1.5, 2.25])
    ),
    "a format of dates that is none": Case(
        "table", plain(), {"kinds": {"b": "date:%Q"}}, refused=("data.kinds.b='date:%Q' must have a format",)
    ),
    "a slice with escape codes": Case(
        "table", plain(a=["x", "\x1b[31my"]), {"slices": ["a"]}, refused=("data.slices='a' holds a value", "\\x1b")
    ),
    "no encoding": Case("table", plain(), {"encoding": "rot13"}, refused=("data.encoding='rot13' is not known",)),
    "a workbook": Case("table", table(content=b"PK\x03\x04" + b"x" * 100), refused=("workbook",)),
    "a longer line": raw("a,class\n1,x\n1,2,y\n", "line 3 has 3 cells, the first line 2"),
    "a shorter line": raw("a,b,class\n1,2,x\n1,y\n", "line 3 has 2 cells, the first line 3"),
    "an open quotation mark": raw('a,class\n1,"x\n2,y\n', "a quotation mark opens and none closes"),
    "text behind a quotation mark": raw('a,class\n"1"2,x\n', "text follows a closing quotation mark"),
    "a huge cell": raw("a,class\n" + "x" * 200_000 + ",y\n", "a cell of more than 131,072 characters"),
    "separators alone": Case(
        "table", table(text=csv_of(MEASURE) + ",\n,\n"), check=has_records(RECORDS), notes=("2 lines",)
    ),
    "names no path can have": Case(
        "table", lambda folder: folder / ("x" * 300 + ".csv"), refused=("cannot be looked for",)
    ),
    "special characters in the path": Case(
        "table", table(MEASURE, name="a %41 #ü'{}$[x]=,\\;~/\u202f &.csv"), check=has_records(RECORDS)
    ),
    "a FIFO": Case("table", special("fifo"), refused=("neither a file nor a folder",)),
    "a device": Case("table", special("device"), refused=("neither a file nor a folder",)),
    "a folder": Case("table", special("folder"), refused=("is a folder",)),
    "a dangling link": Case("table", special("dangling"), refused=("does not exist",)),
    "a link to itself": Case("table", special("loop"), refused=("does not exist",)),
    "pictures in a FIFO": Case("images", special("fifo"), refused=("neither a file nor a folder",)),
    "arrays in a device": Case("arrays", special("device"), refused=("neither a file nor a folder",)),
}
DOUBTS = {
    "an identifier": Case("table", plain(a=[f"id{i}" for i in range(24)]), notes=("a different text in every record",)),
    "a row number": Case("table", plain(a=list(range(1, 25))), notes=("counts the records",)),
    "copies": Case("table", table({"a": [1.5, 2.5, 3.5, 4.5]}), notes=("20 of 24 records (83.3%) are exact copies",)),
    "copies are left out": Case(
        "table", table({"a": [1.5, 2.5, 3.5, 4.5]}), {"duplicates": "drop"}, check=has_records(4), notes=("20 records",)
    ),
    "classes of one record": Case("table", table({"a": [5.5]}), notes=("identical in 2 classes: 'no', 'yes'",)),
    "copies among arrays": Case(
        "arrays", npz(x=np.repeat(TABLE[:3], 2, axis=0), y=np.array([0, 0, 1, 1, 0, 1])), notes=("2 of 6",)
    ),
    "copies among pictures": Case("images", files({**PICTURES, "cat/x.png": PICTURES["cat/0.png"]}), notes=("1 of 9",)),
    "minus nothing": Case(
        "arrays", npz(x=np.array([[0.0], [-0.0], [1], [2]]), y=np.array([0, 0, 1, 1])), notes=("1 of 4",)
    ),
    "whose record it is": Case(
        "table",
        plain(who=["ann", "bob", "eve"]),
        {"group": "who"},
        check=lambda d: d.x.shape[1] == 1 and d.groups.tolist() == [0, 1, 2] * 8,
    ),
    "nobody's record": Case(
        "table", plain(who=["ann", ""]), {"group": "who"}, refused=("data.group='who' has no value in 12",)
    ),
    "slices": Case(
        "table",
        plain(sex=["f", "m", "f"], age=[31.5, 22.0, 40.0]),
        {"slices": ["sex", "age"]},
        check=lambda d: (
            d.slices["sex"][:3].tolist() == ["f", "m", "f"]
            and d.slices["age"][:3].tolist() == [31.5, 22, 40]
            and d.x.shape[1] == 4
        ),
    ),
    "slices that are left out of the features": Case(
        "table",
        plain(sex=["f", "m"]),
        {"slices": ["sex"], "drop": ["sex"]},
        check=lambda d: d.slices["sex"][0] == "f" and d.x.shape[1] == 1,
    ),
    "slices that are not there": Case("table", plain(), {"slices": ["sx"]}, refused=("data.slices='sx' is no column",)),
}
IMAGES = {
    "16-bit colour": Case(
        "images", files({**PICTURES, "cat/x.png": deep_png(COLOUR16)}), refused=("'cat/x.png' with 16", "data.depth=8")
    ),
    "16-bit grey": Case("images", files({**PICTURES, "cat/x.png": deep_png(GREY16)}), refused=("'cat/x.png' with 16",)),
    "16-bit colour as the option says": Case(
        "images",
        files({f"{c}/{i}.png": deep_png(COLOUR16 + 256 * i + (c == "dog")) for c in ("cat", "dog") for i in range(3)}),
        {"depth": 8},
        check=lambda d: np.testing.assert_array_equal(d.x[1], (COLOUR16 + 256) >> 8),
        notes=("6 of 6 pictures have 16 bits per channel",),
    ),
    "16-bit grey as the option says": Case(
        "images",
        files(
            {f"{c}/{i}.png": deep_png(GREY16 + 256 * i + 999 * (c == "dog")) for c in ("cat", "dog") for i in range(3)}
        ),
        {"depth": 8},
        check=lambda d: np.testing.assert_array_equal(d.x[0, ..., 0], GREY16 >> 8),
        notes=("6 of 6 pictures have 16 bits",),
    ),
    "notes beside pictures": Case(
        "images",
        files({**PICTURES, "notes.txt": b"x", "cat/notes.txt": b"y", "cat/Thumbs.db": b"z", "cat/.DS_Store": b"a"}),
        check=has_records(8),
        notes=("2 files are no pictures and were left out: 'cat/notes.txt', 'notes.txt'",),
    ),
    "notes alone": Case(
        "images", files({"cat/a.txt": b"x", "dog/b.txt": b"y"}), refused=("'cat/a.txt', which is no readable picture",)
    ),
    "a broken picture": Case(
        "images", files({**PICTURES, "cat/x.png": b"no"}), refused=("'cat/x.png', which is no readable picture",)
    ),
    "a picture in a format of phones": Case(
        "images", files({**PICTURES, "cat/x.heic": b"no"}), refused=("'cat/x.heic'",)
    ),
    "an empty file": Case(
        "images", files({**PICTURES, "cat/x.jpg": b""}), refused=("'cat/x.jpg', which is no readable",)
    ),
    "a member named . in a zip": Case("images", files({".": b"", **PICTURES}, "zip"), check=has_records(8)),
    "a member named . in a tar": Case("images", files({".": b"x", **PICTURES}, "tar"), check=has_records(8)),
    "a member that climbs": Case("images", files({**PICTURES, "../x.png": b"x"}, "tar"), refused=("unsafe name",)),
    "transparency": Case(
        "images",
        files({name: picture(pixels, mode="RGBA") for name, pixels in pets().items()}),
        check=has_records(8),
        notes=("8 of 8 pictures have transparency, which is ignored",),
    ),
    "grey among colour": Case(
        "images",
        files({**PICTURES, "cat/x.png": picture(pets()["cat/0.png"][..., 0])}),
        check=lambda d: d.x.shape == (9, 4, 5, 3),
        notes=("1 of 9 pictures are grey and became colour",),
    ),
}
ARRAYS = {
    "channels first or high": Case("arrays", npz(x=X4, y=Y), refused=("(6, 3, 8, 9)", "data.layout=channels_first")),
    "channels first as the option says": Case(
        "arrays",
        npz(x=X4, y=Y),
        {"layout": "channels_first"},
        check=lambda d: d.x.shape == (6, 8, 9, 3) and d.x[2, 0, 0].tolist() == [2, 12, 22],
        notes=("moved to the end",),
    ),
    "three high as the option says": Case(
        "arrays", npz(x=X4, y=Y), {"layout": "channels_last"}, check=lambda d: d.x.shape == (6, 3, 8, 9)
    ),
    "a layout of no pictures": Case(
        "arrays", npz(x=TABLE, y=Y), {"layout": "channels_first"}, refused=("data.layout=channels_first needs",)
    ),
    "names of bytes": Case(
        "arrays", npz(x=TABLE, y=Y, class_names=np.array([b"a", b"b"])), refused=("class_names", "must be text")
    ),
    "names in a square": Case(
        "arrays", npz(x=TABLE, y=Y, class_names=np.array([["a"], ["b"]])), refused=("class_names of shape (2, 1)",)
    ),
    "names with escape codes": Case(
        "arrays", npz(x=TABLE, y=Y, class_names=np.array(["a", "\x1b"])), refused=("not printable",)
    ),
    "a member that is no array": Case(
        "arrays", npz(x=TABLE, raw=[("y", b"no array")]), refused=("'y', which is no .npy array",)
    ),
    "a stranger that is no array": Case(
        "arrays", npz(x=TABLE, y=Y, raw=[("notes.txt", b"hello")]), check=has_records(6)
    ),
    "two of one name": Case(
        "arrays", npz(x=TABLE, y=Y, raw=[("x", npy(TABLE + 1))]), refused=("two arrays named 'x'",)
    ),
    "bfloat16": Case(
        "arrays",
        npz(x=np.array([[16256], [16384], [16448], [0]], "<u2").view("V2"), y=np.array([0, 1, 0, 1])),
        check=lambda d: d.x[:, 0].tolist() == [1, 2, 3, 0],
    ),
    "a pickle": Case("arrays", npz(x=TABLE, raw=[("y.npy", b"\x80\x04N.")]), refused=("no .npy array",)),
    "objects": Case(
        "arrays", npz(x=TABLE, raw=[("y.npy", npy(np.array([None] * 6, object)))]), refused=("pickled objects",)
    ),
    "no zip": Case("arrays", table(content=b"\x93NUMPY", name="mine.npz"), refused=("damaged, or no .npz file",)),
}
CASES = {
    f"{group}: {name}": case
    for group, cases in {
        "numbers": NUMBERS,
        "dates": DATES,
        "missing": MISSING,
        "labels": LABELS,
        "headers": HEADERS,
        "forms": FORMS,
        "doubts": DOUBTS,
        "pictures": IMAGES,
        "arrays": ARRAYS,
    }.items()
    for name, case in cases.items()
}
