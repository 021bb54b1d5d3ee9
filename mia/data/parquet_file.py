"""A Parquet file becomes columns, with what it says they are; what is wrong with it is said in plain words."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mia.checks import RequestError

if TYPE_CHECKING:
    import pyarrow as pa

MAX_BYTES = 16 << 30
"""Unpacked size that a file may have."""
_PARQUET_WORDS = {
    "magic bytes": "is no Parquet file, or breaks off",
    "size is": "is no Parquet file: it is too short",
    "decrypt": "is encrypted; write it without",
    "ncrypt": "is encrypted; write it without",
    "codec": "is compressed in a way that is not read here; write it with snappy, gzip or zstd",
    "uplicate": "holds two columns of one name; names must differ",
}


def read_parquet(
    path: Path, where: str, check_names: Callable[[list[str]], list[str]]
) -> tuple[list[str], list["pa.Array"], tuple[str, ...]]:
    """Return names, columns, and which of these were categories in pandas though they hold numbers.

    Args:
        path: The file.
        where: What messages begin with.
        check_names: Takes the names as they are written and gives them as they are to be used; called before the rest
            is read.

    Raises:
        RequestError: it is no Parquet file, damaged, or unpacks to too much.
    """
    import pyarrow as pa
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            unpacked = max(
                file.metadata.num_rows * file.metadata.num_columns * 8,
                sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)),
            )
            if unpacked > MAX_BYTES:
                raise RequestError(f"{where} unpacks to {unpacked:,} bytes; at most {MAX_BYTES:,} are read")
            names = check_names(file.schema_arrow.names)
            table = file.read()
        table.validate(full=True)
        said = _categorical(table.schema)
        coded = tuple(name for name, own in zip(names, table.column_names, strict=True) if own in said)
        return names, [_whole(column) for column in table.columns], coded
    except (pa.ArrowException, ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
        if isinstance(error, RequestError):
            raise
        text = str(error)
        problem = next((words for theirs, words in _PARQUET_WORDS.items() if theirs in text), "is damaged")
        raise RequestError(f"{where} cannot be read as .parquet: it {problem}") from error


def _categorical(schema: "pa.Schema") -> set[str]:
    """Return the columns of numbers that were categories in pandas, whose word Parquet alone does not keep."""
    import pyarrow.types as kinds

    said = schema.pandas_metadata
    columns = said.get("columns", ()) if isinstance(said, dict) else ()
    names = {
        str(one.get("name")) for one in columns if isinstance(one, dict) and one.get("pandas_type") == "categorical"
    }
    return {field.name for field in schema if field.name in names and kinds.is_integer(field.type)}


def _whole(column: "pa.ChunkedArray") -> "pa.Array":
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
