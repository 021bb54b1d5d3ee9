"""A CSV or Parquet file becomes columns as they are written: text, or what Parquet says they are.

Takes a path and how to read it, gives Arrow arrays by name. Decides nothing about what a column means; says what is
wrong with a file in plain words, with the option that helps.
"""

import codecs
import csv
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mia.checks import RequestError
from mia.data.parquet_file import read_parquet
from mia.data.validate import locate

if TYPE_CHECKING:
    import pyarrow as pa

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
_CELLS_AT_ONCE = 1 << 16  # few enough to stay in the processor's cache
_SUFFIXES = (".csv", ".tsv", ".parquet")
_OUR_WORDS = {
    "unexpected end of data": "a quotation mark opens and none closes",
    "expected after": "text follows a closing quotation mark; marks inside a quoted cell must be doubled",
    "new-line character": "a line ends in another way than the others",
    "field larger than field limit": "a cell of more than 131,072 characters: does a quotation mark never close?",
}
_OTHER_FILES = {
    b"\xff\xfe\0\0": "it begins as UTF-32 does; set data.encoding=utf-32",
    b"\xff\xfe": "it begins as UTF-16 does; set data.encoding=utf-16",
    b"\xfe\xff": "it begins as UTF-16 does; set data.encoding=utf-16",
    b"PK\x03\x04": "it is a zip, perhaps a workbook; export it as CSV",
    b"\xd0\xcf\x11\xe0": "it is an old workbook or document; export it as CSV",
    b"\x1f\x8b": "it is packed by gzip; unpack it",
    b"PAR1": "it is a Parquet file; call it .parquet",
    b"%PDF": "it is a PDF; export the table as CSV",
}
"""What files that are no CSV begin with."""
_SEPARATOR_LINE = re.compile(r"sep=([^\w\s\"']|\t)\r?\n?", re.IGNORECASE)


class CsvReader(Protocol):
    """What `csv.reader` gives."""

    line_num: int


class Reading(Protocol):
    """How a file is to be read; `mia.data.table.TableOptions` says what each means."""

    path: str
    separator: str | None
    encoding: str | None
    header: bool


@dataclass(frozen=True)
class Sheet:
    """A table as it is written."""

    names: list[str]
    columns: list["pa.Array"]  # one array each, as long as each other
    coded: tuple[str, ...] = ()  # columns that the file itself calls categories, though their values are no text
    notes: tuple[str, ...] = ()

    @property
    def num_records(self) -> int:
        """How many rows there are."""
        return len(self.columns[0]) if self.columns else 0


def read_sheet(options: Reading, where: str, check_header: Callable[[list[str], Sequence["Hint"]], None]) -> Sheet:
    """Return a file's columns.

    Args:
        options: Where it lies, and how it is to be read.
        where: What messages begin with.
        check_header: Called with the names and with other ways to read the first line, before the rest is read.

    Raises:
        RequestError: no such file, or one that cannot be read as its name says.
    """
    path = locate(options.path, where, "a .csv or .parquet file")
    if path.is_dir():
        raise RequestError(f"{where} is a folder; it must be a .csv or .parquet file")
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise RequestError(f"{where} ends in {suffix!r}; it must be a .csv or .parquet file")
    try:
        if suffix == ".parquet":
            return Sheet(*read_parquet(path, where, lambda raw: _checked(raw, check_header)))
        return _read_csv(path, where, options, check_header)
    except UnicodeError as error:
        raise RequestError(f"{where} {_encoding_words(error, options)}") from error
    except csv.Error as error:
        raise RequestError(f"{where} cannot be read as {suffix} ({_csv_words(error)})") from error
    except OSError as error:
        raise RequestError(f"{where} cannot be read ({error.strerror or 'the disk fails'})") from error
    except MemoryError as error:
        raise RequestError(f"{where} does not fit into memory") from error


def _checked(raw: Sequence[str], check_header: Callable[[list[str], Sequence["Hint"]], None]) -> list[str]:
    names = _named(list(map(_name, raw)))
    check_header(names, ())
    return names


@dataclass(frozen=True)
class Hint:
    """What the header could be: the first line with another separator, or the next line."""

    names: list[str]
    advice: str  # what to do


def _read_csv(
    path: Path, where: str, options: Reading, check_header: Callable[[list[str], Sequence[Hint]], None]
) -> Sheet:
    encoding = options.encoding or "utf-8"
    _check_bytes(path, where, options.encoding)
    encoding = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding  # which skips a byte order mark
    given = options.separator or ("tab" if path.suffix.lower() == ".tsv" else "comma")
    separator = SEPARATORS.get(given, given)
    with path.open(newline="", encoding=encoding) as file:
        said = _SEPARATOR_LINE.fullmatch(file.readline(16))  # which spreadsheets write and read
        separator = said[1] if said else separator
        if not said:
            file.seek(0)
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True)
        full = (row for row in reader if not _is_blank(row))
        first = next(full, None)
        if first is None:
            raise RequestError(f"{where} cannot be read as {path.suffix} (it is empty); it must hold a table")
        names = [_name(cell) for cell in first] if options.header else [f"c{i}" for i in range(1, len(first) + 1)]
        others = [] if options.separator or said else _other_separators(separator.join(first), separator)
        ahead = [(row, reader.line_num) for row in itertools.islice(full, 2)] if options.header else []
        others += [Hint(list(map(_name, row)), "remove the lines above its header") for row, _ in ahead]
        check_header(_named(names), others)
        for row, line in ahead:
            _check_width(row, line, len(first), where)
        rows = itertools.chain((row for row, _ in ahead) if options.header else [first], reader)
        columns, empty = _columns(_rows(rows, reader, len(first), where), len(first))
    notes = (f"{empty:,} lines with separators alone were left out",) if empty else ()
    return Sheet(_named(names), columns, notes=notes)


def _check_bytes(path: Path, where: str, encoding: str | None) -> None:
    """Refuse what is no text: NUL bytes, which UTF-16 and UTF-32 alone may have."""
    if encoding and codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        return
    with path.open("rb") as file:
        start = file.read(64)
        problem = next((words for begins, words in _OTHER_FILES.items() if start.startswith(begins)), "")
        file.seek(0)
        while not problem and (block := file.read(1 << 24)):
            if b"\0" in block:
                problem = "it holds NUL bytes: it is no text, or damaged"
                if len(start) > 3 and {*start[::2]} == {0}:
                    problem = "it looks like UTF-16; set data.encoding=utf-16-be"
                if len(start) > 3 and {*start[1::2]} == {0}:
                    problem = "it looks like UTF-16; set data.encoding=utf-16-le"
    if problem:
        raise RequestError(f"{where} cannot be read as .csv: {problem}")


def _is_blank(row: list[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


def _other_separators(line: str, used: str) -> list[Hint]:
    hints = []
    for word, separator in SEPARATORS.items():
        if separator != used and separator in line and word != "space":
            cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
            hints.append(Hint(list(map(_name, cells)), f"set data.separator={word}"))
    return hints


def _name(cell: str) -> str:
    """Return a column's name without what nobody sees around it: blanks, and a byte order mark."""
    return cell.strip().lstrip("\ufeff").strip()


def _named(names: list[str]) -> list[str]:
    return [name or f"Unnamed: {i}" for i, name in enumerate(names)]


def _rows(
    rows: Iterator[list[str]], reader: "CsvReader", width: int, where: str
) -> Iterator[list[str] | None]:  # None: separators alone
    for row in rows:
        if len(row) == width:
            yield row if row[0] or any(row) or width == 1 else None
        elif not _is_blank(row):
            _check_width(row, reader.line_num, width, where)


def _check_width(row: list[str], line: int, width: int, where: str) -> None:
    if len(row) != width:
        raise RequestError(
            f"{where} cannot be read as .csv (line {line} has {_count(len(row), 'cell')}, the first line {width:,}); "
            "quote cells that hold the separator, or set data.separator"
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _columns(rows: Iterator[list[str] | None], width: int) -> tuple[list["pa.Array"], int]:
    """Return the columns as arrays of text, and how many rows were left out."""
    import pyarrow as pa

    at_once = max(1, _CELLS_AT_ONCE // width)
    chunks: list[list[pa.Array]] = []
    empty = 0
    while some := list(itertools.islice(rows, at_once)):
        full = [row for row in some if row is not None]
        empty += len(some) - len(full)
        flat = pa.array(list(itertools.chain.from_iterable(zip(*full, strict=True))), pa.string())
        chunks.append([flat.slice(i * len(full), len(full)) for i in range(width)])
    if len(chunks) == 1:
        return chunks[0], empty
    return [
        pa.concat_arrays([chunk[i] for chunk in chunks] or [pa.array([], pa.string())]) for i in range(width)
    ], empty


def _csv_words(error: csv.Error) -> str:
    text = str(error)
    return next((ours for theirs, ours in _OUR_WORDS.items() if theirs in text), "a line is not written as CSV is")


def _encoding_words(error: UnicodeError, options: Reading) -> str:
    if options.encoding:
        return f"is not written in data.encoding={options.encoding!r}; set the one that it is written in"
    byte = f" (byte 0x{error.object[error.start]:02x})" if isinstance(error, UnicodeDecodeError) else ""
    return f"cannot be read as .csv (it is not UTF-8{byte}); set data.encoding, such as cp1252, latin-1 or utf-16"
