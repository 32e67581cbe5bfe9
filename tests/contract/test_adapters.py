"""One behaviour suite over every adapter; `adapter_cases/README.md` says how a format joins it."""

import gzip
import os
import runpy
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.contracts.tables import ITEMS, REJECTED
from components.data_preparation.adapters.contract import (
    UNCHECKED_INTERACTIONS,
    UNCHECKED_ITEMS,
    UNCHECKED_USERS,
    Adapter,
    Layout,
    RowBatch,
)
from components.data_preparation.adapters.registry import ADAPTERS, NAMED_FORMATS, adapter_named, detect
from components.data_preparation.source_files import LONGEST_RAW
from components.data_preparation.validation import (
    INTERACTION_SCHEMA,
    ITEM_SCHEMA,
    RAW_INTERACTIONS,
    USER_SCHEMA,
    validate,
)
from components.foundation.errors import ConflictError, InputError

COLUMNS = [name for name in RAW_INTERACTIONS.names if name != "sequence"]


class Case:
    """What a file of `adapter_cases` assigns."""

    def __init__(self, path: Path):
        given = runpy.run_path(str(path))
        self.adapter: Adapter = adapter_named(given["ADAPTER"])
        self.files: dict[str, bytes] = given["FILES"]
        self.interactions_file: str = given["INTERACTIONS_FILE"]
        self.interactions: list[tuple] = given["INTERACTIONS"]
        self.items: list[tuple] = given.get("ITEMS", [])
        self.bad_rows: list[tuple[str, str]] = given.get("BAD_ROWS", [])
        self.items_file: str = given.get("ITEMS_FILE", "")
        self.bad_items: list[tuple[str, str]] = given.get("BAD_ITEMS", [])
        self.users: list[tuple[str, dict[str, str]]] = given.get("USERS", [])
        self.users_file: str = given.get("USERS_FILE", "")
        self.bad_users: list[tuple[str, str]] = given.get("BAD_USERS", [])
        self.first_line: int = 2 if given.get("HEADER", False) else 1
        self.is_text: bool = given.get("TEXT", True)
        self.encoding: str = given.get("ENCODING", "utf-8")

    def write(self, folder: Path, **contents: bytes) -> Layout:
        """Write the files, those of `contents` (`interactions`, `items`, `users`) instead of the faultless ones."""
        files = dict(self.files)
        for kind, content in contents.items():
            files[getattr(self, f"{kind}_file")] = content
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return self.layout(folder)

    def layout(self, folder: Path) -> Layout:
        """As it is recognised when the files are faultless, so that damage is met while reading."""
        with tempfile.TemporaryDirectory() as sound:
            for name, content in self.files.items():
                (Path(sound) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(sound) / name).write_bytes(content)
            found = self.adapter.recognise(Path(sound))
            assert found is not None
            move = {"root": folder} | {
                kind: tuple(folder / path.relative_to(sound) for path in getattr(found, kind))
                for kind in ("interactions", "items", "users")
            }
        return Layout(**move)

    def lines(self) -> list[bytes]:
        return self.files[self.interactions_file].splitlines()


PATHS = sorted((Path(__file__).parent / "adapter_cases").glob("*.py"))
CASES = [pytest.param(Case(path), id=path.stem) for path in PATHS]
TEXT_CASES = [case for case in CASES if case.values[0].is_text]
USER_FILE_CASES = [case for case in TEXT_CASES if case.values[0].users_file]
ITEM_FILE_CASES = [case for case in TEXT_CASES if case.values[0].items_file]


@dataclass(frozen=True)
class Found:
    """All rows of one kind: accepted ones as tuples, lines by file, rejected ones as dictionaries."""

    accepted: pa.Table
    rejected: list[dict[str, Any]]
    described: list[dict[str, Any]]

    def rows(self, columns: list[str]) -> list[tuple]:
        return [tuple(row[name] for name in columns) for row in self.accepted.to_pylist()]

    def first_described(self) -> list[tuple]:
        """Items described along the way, the first description of each."""
        first: dict[str, tuple] = {}
        for row in self.described:
            first.setdefault(row["item_id"], tuple(row[name] for name in ITEMS.names))
        return list(first.values())


def collect(batches: Iterator[RowBatch], schema: pa.Schema, checks) -> Found:
    """Validate every batch, and check what the contract says of each."""
    accepted, rejected, described = [schema.empty_table()], [REJECTED.empty_table()], []
    next_line: dict[str, int] = {}
    for batch in batches:
        assert batch.table.schema.equals(schema)
        batch.table.validate(full=True)
        batch.refused.validate(full=True)
        assert set(batch.refused["file"].to_pylist()) <= {batch.file}
        lines = batch.table["source_line"].to_pylist() + batch.refused["source_line"].to_pylist()
        assert batch.table["source_line"].to_pylist() == sorted(batch.table["source_line"].to_pylist())
        # Every line is accepted or refused, none is both, and blocks follow one another.
        first = min(lines, default=1)
        assert sorted(lines) == list(range(first, first + batch.rows_read))
        assert first == next_line.get(batch.file, first) and first in (1, 2, next_line.get(batch.file))
        next_line[batch.file] = first + batch.rows_read
        raw = batch.table["raw"].to_pylist() + batch.refused["raw"].to_pylist()
        assert max(map(len, raw), default=0) <= LONGEST_RAW + 1
        good, bad = validate(batch, checks)
        assert len(good) + len(bad) + len(batch.refused) == batch.rows_read
        accepted.append(good)
        rejected += [batch.refused, bad]
        if batch.described_items is not None:
            assert batch.described_items.schema.equals(UNCHECKED_ITEMS)
            described += batch.described_items.select(ITEMS.names).to_pylist()
    order = [("file", "ascending"), ("source_line", "ascending")]
    return Found(pa.concat_tables(accepted), pa.concat_tables(rejected).sort_by(order).to_pylist(), described)


def interactions(case: Case, layout: Layout) -> Found:
    return collect(case.adapter.interactions(layout), UNCHECKED_INTERACTIONS, INTERACTION_SCHEMA)


def items(case: Case, layout: Layout) -> Found:
    return collect(case.adapter.items(layout), UNCHECKED_ITEMS, ITEM_SCHEMA)


def users(case: Case, layout: Layout) -> Found:
    return collect(case.adapter.users(layout), UNCHECKED_USERS, USER_SCHEMA)


def profiles(found: Found) -> list[tuple]:
    """As the cases write them: (user_id, {attribute: value})."""
    return [
        (row["user_id"], {pair["attribute"]: pair["value"] for pair in row["attributes"]})
        for row in found.accepted.to_pylist()
    ]


def test_every_adapter_is_in_the_suite() -> None:
    assert {case.values[0].adapter.name for case in CASES} == {adapter.name for adapter in ADAPTERS}
    assert len({adapter.name for adapter in ADAPTERS}) == len(ADAPTERS)
    assert set(NAMED_FORMATS.values()) <= {adapter.name for adapter in ADAPTERS}


@pytest.mark.parametrize("case", CASES)
def test_a_folder_and_its_interactions_file_alone_are_recognised(tmp_path: Path, case: Case) -> None:
    expected = case.write(tmp_path)
    assert detect(tmp_path) == (case.adapter, expected)
    adapter, layout = detect(tmp_path / case.interactions_file)
    assert adapter is case.adapter
    assert layout.interactions == (tmp_path / case.interactions_file,)


@pytest.mark.parametrize("case", CASES)
def test_a_faultless_source_is_accepted_whole(tmp_path: Path, case: Case) -> None:
    layout = case.write(tmp_path)
    found = interactions(case, layout)
    assert found.rejected == []
    assert found.rows(COLUMNS) == case.interactions
    first = case.first_line
    assert found.accepted["source_line"].to_pylist() == list(range(first, first + len(case.interactions)))
    if case.is_text:
        expected = [line.decode(case.encoding) for line in case.lines()[first - 1 :]]
        assert found.accepted["raw"].to_pylist() == expected
    of_files = items(case, layout)
    assert of_files.rejected == []
    assert (of_files.rows(ITEMS.names) or found.first_described()) == case.items
    of_users = users(case, layout)
    assert of_users.rejected == []
    assert profiles(of_users) == case.users


@pytest.mark.parametrize("case", TEXT_CASES)
@pytest.mark.parametrize("change", ["no final newline", "CRLF", "byte-order mark", "gzip"])
def test_the_form_of_the_file_does_not_matter(tmp_path: Path, case: Case, change: str) -> None:
    plain = case.files[case.interactions_file]
    content = {
        "no final newline": plain.removesuffix(b"\n"),
        "CRLF": plain.replace(b"\n", b"\r\n"),
        "byte-order mark": b"\xef\xbb\xbf" + plain,
        "gzip": gzip.compress(plain),
    }[change]
    expected = interactions(case, case.write(tmp_path))
    layout = case.write(tmp_path, interactions=content)
    assert detect(tmp_path) == (case.adapter, layout)
    found = interactions(case, layout)
    assert found.accepted.equals(expected.accepted)
    assert found.first_described() == expected.first_described()  # blocks may end elsewhere


@pytest.mark.parametrize("case", TEXT_CASES)
def test_bad_rows_are_rejected_with_line_reason_and_raw_text(tmp_path: Path, case: Case) -> None:
    lines = case.lines()
    expected = []
    for line, reason in case.bad_rows:
        lines.append(line.encode(case.encoding))
        raw = line if len(line) <= LONGEST_RAW else line[:LONGEST_RAW] + "…"
        expected.append((len(lines), reason, raw))
    found = interactions(case, case.write(tmp_path, interactions=b"\n".join(lines) + b"\n"))
    assert [(row["source_line"], row["reason"], row["raw"]) for row in found.rejected] == expected
    assert found.rows(COLUMNS) == case.interactions


@pytest.mark.parametrize("case", ITEM_FILE_CASES)
def test_bad_items_are_rejected(tmp_path: Path, case: Case) -> None:
    good = case.files[case.items_file].splitlines()
    content = b"\n".join([*good, *(line.encode() for line, _ in case.bad_items)])
    found = items(case, case.write(tmp_path, items=content))
    assert [row["reason"] for row in found.rejected] == [reason for _, reason in case.bad_items]
    assert [row["source_line"] for row in found.rejected] == [
        len(good) + 1 + number for number in range(len(case.bad_items))
    ]
    assert {row["file"] for row in found.rejected} <= {case.items_file}
    assert found.rows(ITEMS.names) == case.items


@pytest.mark.parametrize("case", USER_FILE_CASES)
def test_bad_profiles_are_rejected(tmp_path: Path, case: Case) -> None:
    good = case.files[case.users_file].splitlines()
    content = b"\n".join([*good, *(line.encode() for line, _ in case.bad_users)])
    found = users(case, case.write(tmp_path, users=content))
    assert [(row["file"], row["source_line"], row["reason"]) for row in found.rejected] == [
        (case.users_file, len(good) + 1 + number, reason) for number, (_, reason) in enumerate(case.bad_users)
    ]
    assert profiles(found) == case.users


@pytest.mark.parametrize("case", TEXT_CASES)
def test_a_damaged_byte_costs_one_row(tmp_path: Path, case: Case) -> None:
    lines = case.lines()
    lines[4] = lines[4][:-1] + b"\xff\x01" + lines[4][-1:]
    found = interactions(case, case.write(tmp_path, interactions=b"\n".join(lines)))
    (row,) = found.rejected
    assert (row["source_line"], row["reason"]) == (5, f"not {case.encoding} text")
    expected = list(case.interactions)
    del expected[5 - case.first_line]
    assert found.rows(COLUMNS) == expected


@pytest.mark.parametrize("case", CASES)
def test_faults_of_a_file_are_one_line_that_names_it(tmp_path: Path, case: Case) -> None:
    packed = gzip.compress(case.files[case.interactions_file] * 50)
    faults = {
        b"": "is empty",
        b"\n\n": "is empty",
        bytes(range(256)) * 20: "looks binary",
        "u1::1::4::5\n".encode("utf-16") * 3: "looks binary",
        packed[: len(packed) // 2]: "truncated or damaged gzip",
    }
    for content, message in faults.items():
        layout = case.write(tmp_path, interactions=content)
        with pytest.raises(InputError, match=message if case.is_text else None) as caught:
            interactions(case, layout)
        assert str(caught.value).startswith(str(tmp_path / case.interactions_file))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", CASES)
def test_a_missing_file_and_a_folder_in_its_place(tmp_path: Path, case: Case) -> None:
    layout = case.write(tmp_path)
    path = tmp_path / case.interactions_file
    path.unlink()
    with pytest.raises(InputError, match=f"{path.name}.*no such file"):
        interactions(case, layout)
    path.mkdir()
    with pytest.raises(InputError, match=f"{path.name}: is a folder"):
        interactions(case, layout)
    with pytest.raises(InputError, match="no known format: "):
        detect(tmp_path)


@pytest.mark.parametrize("case", TEXT_CASES)
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, case: Case) -> None:
    layout = case.write(tmp_path)
    batches = case.adapter.interactions(layout)
    next(batches)
    with (tmp_path / case.interactions_file).open("ab") as file:
        file.write(b"\n")
        os.fsync(file.fileno())
    with pytest.raises(ConflictError, match="changed while it was read"):
        list(batches)


def sources(case: Case) -> st.SearchStrategy[bytes]:
    """Bytes, and files that begin as they should and go on with anything: fields out of order, bad lines, bad bytes."""
    lines = case.lines()
    text = st.text(max_size=8).map(lambda text: text.replace("\n", " ").encode(errors="replace"))
    number = st.one_of(st.integers(), st.floats()).map(lambda number: str(number).encode())
    good = st.sampled_from(lines)
    line = st.one_of(
        good,
        st.sampled_from([line.encode(case.encoding) for line, _ in case.bad_rows if len(line) < 1_000] or [b""]),
        st.tuples(good, st.integers(0, 40), st.one_of(text, number)).map(lambda x: x[0][: x[1]] + x[2] + x[0][x[1] :]),
        st.tuples(good, st.integers(0, 40)).map(lambda x: x[0][x[1] :] + x[0][: x[1]]),
        st.binary(max_size=20).map(lambda content: content.replace(b"\n", b"")),
    )
    mostly_good = st.lists(line, max_size=12).map(lambda more: b"\n".join(lines + more))
    return st.one_of(st.binary(max_size=300), mostly_good, mostly_good.map(lambda content: gzip.compress(content)[:-3]))


@pytest.mark.parametrize("case", CASES)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_any_content_is_rows_or_one_clear_fault(case: Case, data: st.DataObject) -> None:
    content = data.draw(sources(case) if case.is_text else st.binary(max_size=600))
    with tempfile.TemporaryDirectory() as folder:
        layout = case.write(Path(folder), interactions=content)
        for adapter in ADAPTERS:
            adapter.recognise(Path(folder))  # does not raise
        try:
            interactions(case, layout)
        except InputError as error:
            assert str(error).startswith(folder)
