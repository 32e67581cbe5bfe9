"""Every adapter against sources that nobody wrote on purpose: at least 5,000 generated cases in one search.

Whatever the source, reading it gives batches in which each of its rows is found once, readable or refused, or one
`InputError` of one line that names the file. How many rows a file has is counted here anew, from its bytes.
"""

import gzip
import io
import os
import random
import runpy
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.data_preparation import source_files
from components.data_preparation.adapters.contract import Adapter, Layout, RowBatch
from components.data_preparation.adapters.registry import ADAPTERS, adapter_named, detect
from components.data_preparation.source_files import BYTE_ORDER_MARK, GZIP_MAGIC, LONGEST_RAW, LONGEST_ROW
from components.data_preparation.validation import INTERACTION_SCHEMA, ITEM_SCHEMA, USER_SCHEMA, validate
from components.foundation.errors import InputError, RelandError


def fuzz(cases: int) -> settings:
    """`cases` generated inputs in `make test-search`, a tenth of them in the other tiers."""
    if settings.get_current_profile_name() != "search":
        cases = max(10, cases // 10)
    return settings(max_examples=cases, deadline=None, suppress_health_check=list(HealthCheck))


SEPARATORS = {"movielens-1m": b"::", "movielens-100k": b"\t", "recbole": b"\t"}  # of the others: a comma
ITEMS_WITH_HEADER = ("movielens-latest", "recbole", "named-columns")
USERS_WITH_HEADER = ("recbole", "tmall", "named-columns")
BATCHES_VALIDATED_TOGETHER = 200  # a validation takes longer than all else in a case

TOKENS = [
    *(b"", b" ", b"\xa0", b'"', b"'", b",", b"::", b"\t", b"|", b"{", b"}", b"[", b"null", b"true", b"-", b"\\"),
    *(b"\x00", b"\x1b[2J", b"\r", b"\x0b", b"\x7f", b"\xff\xfe", b"\xc3(", b"\xed\xa0\x80", b"\\ud800", b"\\u0000"),
    *("\u2028".encode(), "\x85".encode(), "\ufeff".encode(), "٣".encode(), "１".encode(), "é".encode("iso-8859-1")),
    *(b"../../../etc/passwd", b"/etc/passwd", b"..\\..\\boot.ini", b"~root", b"$(id)", b"%2e%2e%2f", b"file:///x"),
    *(b"1e308", b"-1e308", b"1e309", b"nan", b"-inf", b"0x10", b"1_000", b"+5", b"-0", b"1.", b".5", b"1e-400"),
    *(b"1831448016000", b"1831448016000000", b"60000-01-01", b"+60000-01-01T00:00:00Z", b"0000-00-00", b"2000-02-30"),
    *(b"9" * 18, b"9" * 19, b"-9223372036854775809", b"18446744073709551616", b"9" * 5_000, b"-" + b"9" * 400),
    *(b"2017-11-25T24:00:00", b"2017-11-25 08:30:00.5+08:00", b"0829", b"13", b"[" * 3_000, b'{"a":' * 500),
    *(b"=1+1", b"{'asin': __import__('os')}", b'"asin": 5', b'{"asin": 1, "asin": 2}', b"Infinity"),
]


@dataclass
class Ledger:
    """Batches that wait to be validated together."""

    checks: object
    batches: list[RowBatch] = field(default_factory=list)

    def add(self, batches: list[RowBatch]) -> None:
        self.batches += batches
        if len(self.batches) >= BATCHES_VALIDATED_TOGETHER:
            self.settle()

    def settle(self) -> None:
        """Accepted and rejected rows are all that were readable."""
        tables = [batch.table for batch in self.batches if len(batch.table)]
        if tables:
            table = pa.concat_tables(tables)
            refused = self.batches[0].refused.schema.empty_table()
            accepted, rejected = validate(RowBatch("many", table, refused, len(table)), self.checks)
            assert len(accepted) + len(rejected) == len(table)
        self.batches.clear()


class Case:
    """A faultless source of `adapter_cases`, laid out in a folder of its own, of which one file is then replaced."""

    def __init__(self, path: Path, folder: Path):
        given = runpy.run_path(str(path))
        self.folder = folder
        self.adapter: Adapter = adapter_named(given["ADAPTER"])
        self.files: dict[str, bytes] = given["FILES"]
        self.interactions_file: str = given["INTERACTIONS_FILE"]
        self.items_file: str = given.get("ITEMS_FILE", "")
        self.users_file: str = given.get("USERS_FILE", "")
        self.separator = SEPARATORS.get(self.adapter.name, b",")
        self.headers = {
            self.interactions_file: int(given.get("HEADER", False)),
            self.items_file: int(self.adapter.name in ITEMS_WITH_HEADER),
            self.users_file: int(self.adapter.name in USERS_WITH_HEADER),
        }
        self.restore()
        layout = self.adapter.recognise(folder)
        assert layout is not None
        self.layout: Layout = layout
        schemas = {"interactions": INTERACTION_SCHEMA, "items": ITEM_SCHEMA, "users": USER_SCHEMA}
        self.ledgers = {kind: Ledger(schema) for kind, schema in schemas.items()}

    def restore(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for name, content in self.files.items():
            (self.folder / name).write_bytes(content)

    def file(self, kind: str) -> str:
        """The file of that kind, or, where the format has none, that of the interactions."""
        return {"items": self.items_file, "users": self.users_file}.get(kind) or self.interactions_file

    def header(self, target: str, batches: list[RowBatch]) -> int:
        """How many lines of `target` are a header; some formats do without one, and tell by what line 1 says."""
        first = min((line for batch in batches for line in lines_of(batch)), default=2)
        assert first - 1 in {self.headers[target], 0 if self.adapter.name == "amazon-ratings" else self.headers[target]}
        return first - 1

    def read(self, target: str) -> list[RowBatch] | None:
        """All batches of the file `target`, checked; None where the file is at fault, and is told so as it should."""
        for adapter in ADAPTERS:
            adapter.recognise(self.folder)  # does not raise
        kinds_of = {self.items_file: "items", self.users_file: "users", self.interactions_file: "interactions"}
        kind = kinds_of[target]
        try:
            batches = list(getattr(self.adapter, kind)(self.layout))
        except RelandError as error:
            assert str(error).startswith(str(self.folder / target))
            assert "\n" not in str(error)
            return None
        check_batches(batches, target)
        self.ledgers[kind].add(batches)
        return batches


def lines_of(batch: RowBatch) -> list[int]:
    return batch.table["source_line"].to_pylist() + batch.refused["source_line"].to_pylist()


def check_batches(batches: list[RowBatch], file: str) -> None:
    """Every line from the first to the last is in one batch, once, and what it says is kept short."""
    lines: list[int] = []
    for batch in batches:
        assert batch.file == file
        batch.table.validate(full=True)
        batch.refused.validate(full=True)
        if batch.described_items is not None:
            batch.described_items.validate(full=True)
        lines += sorted(lines_of(batch))
        raw = batch.table["raw"].to_pylist() + batch.refused["raw"].to_pylist()
        assert max(map(len, raw), default=0) <= LONGEST_RAW + 1
    assert lines == list(range(lines[0], lines[0] + len(lines))) if lines else True


def count_rows(content: bytes, header: int) -> int:
    """How many rows a sound text file has, counted without the code under test."""
    if content.startswith(GZIP_MAGIC):
        content = gzip.decompress(content)
    content = content.removeprefix(BYTE_ORDER_MARK)
    if content.endswith(b"\n\r"):  # half of a line end, and nothing before it
        content = content.removesuffix(b"\r")
    content = content.removesuffix(b"\n")
    return content.count(b"\n") + 1 - header


PATHS = sorted((Path(__file__).parent / "adapter_cases").glob("*.py"))
PARQUET = "platform_parquet"
TEXT_PATHS = [pytest.param(path, id=path.stem) for path in PATHS if path.stem != PARQUET]


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    case = Case(request.param, tmp_path / "source")
    yield case
    for ledger in case.ledgers.values():
        ledger.settle()


# One edit of a file's bytes: its name, two numbers to place it, something to put there.
Edit = tuple[str, int, int, bytes]


def put_token(content: bytes, separator: bytes, first: int, second: int, token: bytes) -> bytes:
    position = first % (len(content) + 1)
    return content[:position] + token + content[position:]


def replace_field(content: bytes, separator: bytes, first: int, second: int, token: bytes) -> bytes:
    lines = content.split(b"\n")
    fields = lines[first % len(lines)].split(separator)
    fields[second % len(fields)] = token
    lines[first % len(lines)] = separator.join(fields)
    return b"\n".join(lines)


def huge_field(content: bytes, separator: bytes, first: int, second: int, token: bytes) -> bytes:
    return replace_field(content, separator, first, second, (token or b"x") * (1 + first % 20_000 // (1 + len(token))))


def shuffle_columns(content: bytes, separator: bytes, first: int, second: int, token: bytes) -> bytes:
    """Those of all lines alike, or, where `second` is odd, of one line."""
    lines = content.split(b"\n")
    for number in [first % len(lines)] if second % 2 else range(len(lines)):
        fields = lines[number].split(separator)
        random.Random(first).shuffle(fields)
        lines[number] = separator.join(fields)
    return b"\n".join(lines)


def repeat_header(content: bytes, separator: bytes, first: int, second: int, token: bytes) -> bytes:
    lines = content.split(b"\n")
    lines.insert(first % (len(lines) + 1), lines[0])
    return b"\n".join(lines)


def name_column_twice(content: bytes, separator: bytes, first: int, second: int, token: bytes) -> bytes:
    head, *lines = content.split(b"\n")
    fields = head.split(separator)
    fields[first % len(fields)] = fields[second % len(fields)]
    return b"\n".join([separator.join(fields), *lines])


def cut_out(content: bytes, separator: bytes, first: int, second: int, token: bytes) -> bytes:
    start = first % (len(content) + 1)
    return content[:start] + content[start + second % 50 :]


def truncate(content: bytes, separator: bytes, first: int, second: int, token: bytes) -> bytes:
    return content[: first % (len(content) + 1)]


def flip_byte(content: bytes, separator: bytes, first: int, second: int, token: bytes) -> bytes:
    if not content:
        return content
    position = first % len(content)
    return content[:position] + bytes([content[position] ^ (1 + second % 255)]) + content[position + 1 :]


def pack(content: bytes, separator: bytes, first: int, second: int, token: bytes) -> bytes:
    return gzip.compress(content, compresslevel=1, mtime=0)


def carriage_returns(content: bytes, separator: bytes, first: int, second: int, token: bytes) -> bytes:
    return content.replace(b"\n", b"\r\n")


def another_encoding(content: bytes, separator: bytes, first: int, second: int, token: bytes) -> bytes:
    return content.decode("iso-8859-1").encode(("utf-16", "utf-8-sig", "utf-32", "utf-7")[first % 4])


def only_token(content: bytes, separator: bytes, first: int, second: int, token: bytes) -> bytes:
    return token


EDITS: dict[str, Callable[[bytes, bytes, int, int, bytes], bytes]] = {
    edit.__name__: edit
    for edit in (
        *(put_token, replace_field, huge_field, shuffle_columns, repeat_header, name_column_twice, cut_out, truncate),
        *(flip_byte, pack, carriage_returns, another_encoding, only_token),
    )
}
# Those that leave most of a file as it is come more often: deep behind the first row is more to go wrong.
NAMES = [*EDITS, *["put_token", "replace_field"] * 4]
edit = st.tuples(
    st.sampled_from(NAMES),
    st.integers(0, 2**16),
    st.integers(0, 2**8),
    st.sampled_from(TOKENS) | st.binary(max_size=30),
)
damage = st.lists(edit, min_size=1, max_size=5)
kinds = st.sampled_from(["interactions", "items", "users"])


def apply(edits: list[Edit], content: bytes, separator: bytes) -> bytes:
    for name, first, second, token in edits:
        content = EDITS[name](content, separator, first, second, token)
    return content


@pytest.mark.parametrize("case", TEXT_PATHS, indirect=True)
@fuzz(375)
@given(edits=damage, kind=kinds)
def test_damaged_text(case: Case, edits: list[Edit], kind: str) -> None:
    target = case.file(kind)
    content = apply(edits, case.files[target], case.separator)
    path = case.folder / target
    path.write_bytes(content)
    try:
        batches = case.read(target)
        if batches is not None:
            assert sum(batch.rows_read for batch in batches) == count_rows(content, case.header(target, batches))
    finally:
        path.write_bytes(case.files[target])


@pytest.mark.parametrize("case", TEXT_PATHS, indirect=True)
@fuzz(40)
@example(edits=[("replace_field", 116, 0, b"\r")], block=1)  # half of a line end, alone in the last block
@example(edits=[("put_token", 0, 0, b"\n \n")], block=3)  # a first block of white space
@example(edits=[("carriage_returns", 0, 0, b""), ("put_token", 60, 0, b"\r")], block=7)
@example(edits=[("replace_field", 2, 0, "é\u2028".encode())], block=2)  # a character on both sides of a block's end
@example(edits=[("put_token", 0, 0, b"\xef\xbb\xbf")], block=1)
@given(edits=damage, block=st.integers(1, 200))
def test_where_blocks_end_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, case: Case, edits: list[Edit], block: int
) -> None:
    """Rows come out alike in one block and in many, where the first of many is enough to tell the format."""
    target = case.interactions_file
    (case.folder / target).write_bytes(apply(edits, case.files[target], case.separator))
    whole = case.read(target)
    with monkeypatch.context() as patch:
        patch.setattr(source_files, "BLOCK_BYTES", block)
        pieces = case.read(target)
    if whole and pieces:
        for name in ("table", "refused"):
            found, expected = (
                [row for batch in batches for row in getattr(batch, name).to_pylist()] for batches in (pieces, whole)
            )
            assert repr(found) == repr(expected)  # as text, in which not-a-number equals itself


@pytest.mark.parametrize("case", TEXT_PATHS, indirect=True)
@fuzz(12)
@given(after=st.integers(0, 3), how=st.sampled_from(["grown", "cut", "replaced", "removed", "a folder"]))
def test_a_file_that_changes_while_it_is_read(
    monkeypatch: pytest.MonkeyPatch, case: Case, after: int, how: str
) -> None:
    case.restore()
    path = case.folder / case.interactions_file
    content = case.files[case.interactions_file]
    with monkeypatch.context() as patch:
        patch.setattr(source_files, "BLOCK_BYTES", len(content) // 2)
        batches = case.adapter.interactions(case.layout)
        with pytest.raises(RelandError) as caught:
            for number, _ in enumerate(batches):
                if number == min(after, 1):
                    change(path, content, how)
    assert str(caught.value).startswith(str(path))


def change(path: Path, content: bytes, how: str) -> None:
    if how == "grown":
        with path.open("ab") as file:
            file.write(b"x")
        os.utime(path, ns=(1, 1))  # whatever the resolution of the file system's clock
    elif how == "cut":
        os.truncate(path, 10)
        os.utime(path, ns=(1, 1))
    else:
        path.unlink()
        if how == "replaced":
            path.write_bytes(content)
            os.utime(path, ns=(1, 1))
        elif how == "a folder":
            path.mkdir()


STRANGE_NAMES = ["..", ".hidden", "-rf", "*", "a\nb", "%s", "{0}", "'; drop table", "\u202egnp", "x" * 250, "é\udcff"]


@pytest.mark.parametrize("case", [pytest.param(path, id=path.stem) for path in PATHS], indirect=True)
@fuzz(20)
@given(
    target=kinds,
    kind=st.sampled_from(["a folder", "missing", "a loop of links", "a dangling link", "a pipe", "empty"]),
    beside=st.sampled_from(STRANGE_NAMES),
)
def test_no_file_where_one_should_be(case: Case, target: str, kind: str, beside: str) -> None:
    case.restore()
    name = case.file(target)
    path = case.folder / name
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    elif kind == "a loop of links":
        path.symlink_to(path)
    elif kind == "a dangling link":
        path.symlink_to("../../nowhere")
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "empty":
        path.touch()
    if beside != "..":
        (case.folder / beside).mkdir()
        (case.folder / beside / path.name).write_bytes(case.files[name])
    assert case.read(name) is None
    try:
        detect(case.folder / beside / ".." / path.name)
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("case", TEXT_PATHS, indirect=True)
@pytest.mark.parametrize("size", [10 * 10**6, LONGEST_ROW + 1])
def test_fields_of_many_megabytes(case: Case, size: int) -> None:
    lines = case.files[case.interactions_file].split(b"\n")
    fields = lines[3].split(case.separator)
    for position in (0, 1):
        broken = case.separator.join([*fields[:position], b"7" * size, *fields[position + 1 :]])
        content = b"\n".join([*lines[:3], broken, *lines[4:]])
        (case.folder / case.interactions_file).write_bytes(content)
        batches = case.read(case.interactions_file)
        assert batches is not None
        rows = count_rows(content, case.header(case.interactions_file, batches))
        assert sum(batch.rows_read for batch in batches) == rows
        if size > LONGEST_ROW:
            (refused,) = [row for batch in batches for row in batch.refused.to_pylist()]
            assert (refused["source_line"], refused["reason"]) == (4, "row is longer than 16 MiB")


# Parquet

TEXTS = st.none() | st.sampled_from(
    ["", " ", "a", "../../etc/passwd", "a\x00b", "\n", "é\u2028", "pv", "buy", "x" * 2_000]
)
NUMBERS = st.none() | st.sampled_from([0, -1, 1, 1_511_544_070, 1_511_544_070_000, 2**62, -(2**63), 2**63 - 1])
FLOATS = st.none() | st.floats(width=64) | st.sampled_from([1e308, -1e308, 1831448016000.0])
TYPES: list[tuple[pa.DataType, st.SearchStrategy]] = [
    (pa.string(), TEXTS),
    (pa.large_string(), TEXTS),
    (pa.binary(), st.none() | st.binary(max_size=6)),
    (pa.int64(), NUMBERS),
    (pa.int8(), st.none() | st.integers(-128, 127)),
    (pa.uint64(), st.none() | st.integers(0, 2**64 - 1)),
    (pa.float64(), FLOATS),
    (pa.float32(), st.none() | st.floats(width=32)),
    (pa.bool_(), st.none() | st.booleans()),
    (pa.null(), st.none()),
    (pa.date32(), st.none() | st.integers(-(2**31), 2**31 - 1)),
    *((pa.timestamp(unit), NUMBERS) for unit in ("ms", "us", "ns")),
    (pa.timestamp("us", "Asia/Shanghai"), NUMBERS),
    (pa.list_(pa.string()), st.none() | st.lists(TEXTS, max_size=3)),
    (pa.struct([("a", pa.int64())]), st.none()),
    (pa.dictionary(pa.int8(), pa.string()), TEXTS),
]


@st.composite
def parquet_tables(draw: st.DrawFn, usual: dict[str, pa.DataType]) -> tuple[int, bytes]:
    """A table with some columns of their usual type and some of any; its number of rows and its bytes."""
    rows = draw(st.integers(0, 4))
    columns = {}
    for name, kind in usual.items():
        of_kind = [pair for pair in TYPES if pair[0] == kind]
        chosen, values = draw(st.sampled_from(of_kind * 12 + TYPES))
        if draw(st.integers(0, 30)):
            columns[name] = pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), chosen)
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return (rows if columns else 0), buffer.getvalue()


INTERACTION_COLUMNS = dict.fromkeys(("user_id", "item_id", "behavior", "query", "scene", "channel"), pa.string()) | {
    "timestamp": pa.int64(),
    "value": pa.float64(),
}
ITEM_COLUMNS = dict.fromkeys(("item_id", "title", "brand", "description"), pa.string()) | {
    "categories": pa.list_(pa.string())
}
USER_COLUMNS = dict.fromkeys(("user_id", "attribute", "value", "*"), pa.string()) | {"age": pa.float64()}
parquet = pytest.mark.parametrize(
    "case", [pytest.param(path, id=path.stem) for path in PATHS if path.stem == PARQUET], indirect=True
)


@parquet
@fuzz(400)
@given(data=st.data(), kind=kinds)
def test_parquet_of_any_types(case: Case, data: st.DataObject, kind: str) -> None:
    columns = {"interactions": INTERACTION_COLUMNS, "items": ITEM_COLUMNS, "users": USER_COLUMNS}[kind]
    rows, content = data.draw(parquet_tables(columns))
    (case.folder / case.file(kind)).write_bytes(content)
    batches = case.read(case.file(kind))
    if batches is not None:
        assert sum(batch.rows_read for batch in batches) == rows


@parquet
@fuzz(200)
@given(edits=damage)
def test_damaged_parquet(case: Case, edits: list[Edit]) -> None:
    target = case.interactions_file
    (case.folder / target).write_bytes(apply(edits, case.files[target], b"u"))
    case.read(target)


@parquet
def test_parquet_that_changes_while_it_is_read(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    for how in ("grown", "cut", "replaced", "removed", "a folder"):
        case.restore()
        path = case.folder / case.interactions_file
        batches = case.adapter.interactions(case.layout)
        next(batches)
        change(path, case.files[case.interactions_file], how)
        with pytest.raises(RelandError) as caught:
            list(batches)
        assert str(caught.value).startswith(str(path))
