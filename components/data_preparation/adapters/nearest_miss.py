"""What a file or folder that no adapter recognises seems to be, and what to type or do about it, in one sentence."""

from pathlib import Path

import pyarrow.parquet as pq

from components.data_preparation.column_mapping import NEEDED_COLUMNS, ColumnMapping, simplified
from components.data_preparation.headed import SEPARATORS, header
from components.data_preparation.json_lines import parse_object
from components.data_preparation.source_files import (
    BYTE_ORDER_MARK,
    beginning,
    files_in,
    is_gzip,
    is_hidden,
    other_encoding,
    peek,
)
from components.data_preparation.table_files import PARQUET_MAGIC, is_parquet, parquet_parts

# What files begin with that have to be unpacked or converted first.
ZIP_MAGIC = b"PK\x03\x04"
WORKBOOK_PART = b"[Content_Types].xml"  # an Excel workbook is a zip archive that begins with it
PACKED = {
    ZIP_MAGIC: ("zip", "unzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\x00": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"7z\xbc\xaf\x27\x1c": ("7-Zip", "7z x"),
    b"Rar!": ("rar", "unrar x"),
    b"\x04\x22\x4d\x18": ("lz4", "unlz4"),
    b"\x1f\x9d": ("compress", "uncompress"),
}
OTHER_FORMATS = {
    b"ORC": "ORC",
    b"Obj\x01": "Avro",
    b"ARROW1": "Arrow (Feather)",
    b"SQLite format 3": "an SQLite database",
    b"\x89HDF": "HDF5",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
}
TAR_MAGIC, TAR_OFFSET = b"ustar", 257

# What logs call the platform's columns, as `simplified` has it, the likeliest first.
GUESSES = {
    "user_id": (
        *("user", "userid", "uid", "customerid", "customer", "visitorid", "memberid", "clientid", "accountid"),
        *("reviewerid", "sessionid", "personid", "buyerid", "viewerid", "userpseudoid", "cookieid"),
    ),
    "item_id": (
        *("item", "itemid", "iid", "productid", "product", "sku", "articleid", "movieid", "parentasin", "asin"),
        *("contentid", "goodsid", "stockcode", "bookid", "songid", "trackid", "videoid", "newsid", "appid"),
        *("businessid", "adid", "listingid", "offerid"),
    ),
    "timestamp": (
        *("timestamp", "time", "ts", "eventtime", "eventtimestamp", "datetime", "date", "createdat", "boughtat"),
        *("purchasedat", "purchasedate", "invoicedate", "orderdate", "unixreviewtime", "clicktime", "day", "dt", "at"),
        *("viewedat", "occurredat", "visittime", "tdat"),
    ),
    "behavior": (
        *("behavior", "behaviour", "action", "actiontype", "event", "eventtype", "eventname", "behaviortype"),
        *("interactiontype", "interaction", "activity"),
    ),
}
MOST_COLUMNS_LISTED = 12
LONGEST_NAME = 40


def nearest_miss(source: Path, mapping: ColumnMapping) -> str:
    """Say what `source` seems to be, and how it could be read.

    Args:
        source: a file or folder that no adapter recognises; never raises, whatever it holds.
        mapping: the names that were given; its columns are then what is missing.
    """
    if not source.is_dir():
        return _of_file(source, mapping)
    files = files_in(source)
    if not files:
        return _of_folder_without_files(source, mapping)
    ranked = sorted(files, key=lambda path: (-len(_guess(_columns(path))), not _is_refused(path), -_size(path)))
    return f"{ranked[0].name} {_of_file(ranked[0], mapping)}"


def _of_folder_without_files(source: Path, mapping: ColumnMapping) -> str:
    parts = source / "interactions"
    tables = parquet_parts(parts)
    if tables:
        return f"{tables[0].relative_to(source)} {_of_file(tables[0], mapping)}"
    try:
        inside = sorted(parts.iterdir() if parts.is_dir() else source.iterdir())
    except OSError:
        return "cannot be listed"
    stray = [path.name for path in inside if path.is_file() and not is_hidden(path) and not is_parquet(path)]
    if parts.is_dir() and stray:
        return f"interactions/ holds {_list(stray)}, expected parts in Parquet alone"
    folders = [path.name for path in inside if path.is_dir() and not is_hidden(path)]
    if folders:
        return f"it holds no file, but the folders {_list(folders)}: give the path of one of them"
    hidden = [path.name for path in inside]
    return f"it holds hidden files alone, {_list(hidden)}, which are passed over" if hidden else "the folder is empty"


def _of_file(path: Path, mapping: ColumnMapping) -> str:
    head = beginning(path)
    if not head.strip():
        return "is a truncated or damaged gzip file" if is_gzip(_raw_beginning(path)) and not head else "is empty"
    if head.startswith(ZIP_MAGIC) and WORKBOOK_PART in head:
        return "is an Excel workbook, expected text or Parquet: save its sheet as CSV (UTF-8)"
    for magic, (packing, tool) in PACKED.items():
        if head.startswith(magic):
            return f"is packed as {packing}, expected plain or gzipped files: unpack it, {tool} {path.name!r}"
    if head[TAR_OFFSET:].startswith(TAR_MAGIC):
        return f"is packed as tar, expected plain or gzipped files: unpack it, tar -xf {path.name!r}"
    for magic, name in OTHER_FORMATS.items():
        if head.startswith(magic):
            return f"is {name}, expected text or Parquet: write it as Parquet or CSV"
    encoding = None if head.startswith(PARQUET_MAGIC) else other_encoding(head)
    if encoding is not None:
        tool = f"iconv -f {encoding} -t utf-8 {path.name!r}"
        return f"is {encoding} text, expected UTF-8: convert it, {tool} > utf8.csv"
    columns = _columns(path)
    guess = _guess(columns)
    if mapping.columns and (head.startswith(PARQUET_MAGIC) or len(columns) > 1):
        return _without_mapped_columns(columns, guess, mapping)
    if head.startswith(PARQUET_MAGIC):
        return _of_columns("Parquet with", columns, guess) if columns else "is damaged Parquet"
    if b"\0" in head:
        return "looks binary, expected text or Parquet"
    if b"\n" not in head and b"\r" in head:
        return "ends its lines with carriage returns alone, expected line feeds: convert it, tr '\\r' '\\n'"
    row = parse_object(peek(path, count=1)[0]) if head.removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"{") else None
    if row is not None:
        keys = [str(key) for key in row]
        return f"is JSON with the keys {_list(keys)}, which no supported release has: write it as CSV or Parquet"
    if head.lstrip().startswith((b"[", b"{")):
        return "is JSON that is not one object a line: write it as CSV or Parquet"
    if len(guess) >= 2:
        return _of_columns("line 1 names", columns, guess)
    if len(columns) < 2:
        return f"line 1 is {peek(path, count=1)[0][:LONGEST_NAME]!r}, without a comma, semicolon, tab or | in it"
    return (
        f"line 1 is {peek(path, count=1)[0][: 2 * LONGEST_NAME]!r}, which does not name a user, an item and a time: "
        f"if these are names, say which is which, {_option({}, list(NEEDED_COLUMNS))}; "
        f"if they are values, write a line of names above, as {','.join(NEEDED_COLUMNS)}"
    )


def _of_columns(what: str, columns: list[str], guess: dict[str, str]) -> str:
    missing = [name for name in NEEDED_COLUMNS if name not in guess]
    sentence = f"{what} the columns {_list(columns)}"
    if missing:
        return f"{sentence}, and none for {' and '.join(missing)}: name yours, {_option(guess, missing)}"
    return f"{sentence}: say which is which, {_option(guess, [])}"


def _without_mapped_columns(columns: list[str], guess: dict[str, str], mapping: ColumnMapping) -> str:
    missing = [own for own in mapping.columns.values() if own not in columns]
    if missing:
        return f"has no column {' and no column '.join(map(repr, missing))}; it has {_list(columns)}"
    unnamed = [name for name in NEEDED_COLUMNS if name not in mapping.resolve(columns, NEEDED_COLUMNS)]
    left = {name: own for name, own in guess.items() if own not in mapping.columns.values()}
    return f"no column is named for {' and '.join(unnamed)}; " + _option({**left, **mapping.columns}, unnamed)


def _option(guess: dict[str, str], missing: list[str]) -> str:
    named = {**{name: "…" for name in missing}, **guess}
    pairs = [f"{name}={named[name]}" for name in GUESSES if name in named and named[name] != name]
    text = ",".join(pairs)
    return "--columns " + (f"'{text}'" if any(character in text for character in " ;&|<>()$'\"") else text)


def _guess(columns: list[str]) -> dict[str, str]:
    """Which of a file's columns is which of the platform's, by what logs usually call them."""
    guess = {}
    plain = {simplified(name.partition(":")[0]): name.partition(":")[0] for name in reversed(columns)}
    for name, likely in GUESSES.items():
        own = next((plain[candidate] for candidate in (simplified(name), *likely) if candidate in plain), None)
        if own is not None:
            guess[name] = own
    return guess


def _columns(path: Path) -> list[str]:
    """The columns of a Parquet file, or the names in line 1 by the separator that is there most often; or none."""
    if _raw_beginning(path).startswith(PARQUET_MAGIC):
        try:
            return list(pq.read_schema(path).names)
        except (OSError, ValueError, MemoryError):  # pa.ArrowException is one of these
            return []
    named = [header(path, separator) for separator in SEPARATORS]
    return max(named, key=lambda names: (len(_guess(names)), len(names))) if named[0] else []


def _is_refused(path: Path) -> bool:
    """Whether what a file begins with says why it is not read, so that it is the one to report."""
    head = beginning(path)
    return any(head.startswith(magic) for magic in (*PACKED, *OTHER_FORMATS)) or other_encoding(head) is not None


def _raw_beginning(path: Path) -> bytes:
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(8)
    except OSError:
        return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _list(names: list[str]) -> str:
    shown = [name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "…" for name in names[:MOST_COLUMNS_LISTED]]
    more = len(names) - len(shown)
    return ", ".join(name if name.isprintable() and name else repr(name) for name in shown) + (
        f" and {more} more" if more else ""
    )
