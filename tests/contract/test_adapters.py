"""One behaviour suite over every adapter of file formats: what `RawData` promises holds for all of them."""

import gzip
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.contracts.errors import InputError
from components.contracts.tables import ITEMS, REJECTED
from components.data_preparation.adapters.contract import RawData
from components.data_preparation.adapters.registry import ADAPTERS, DATASETS, SIMULATOR, read_dataset
from components.data_preparation.validation import RAW_INTERACTIONS


@dataclass(frozen=True)
class Format:
    """How to write files of one format by hand."""

    dataset: str
    interactions_file: str
    items_file: str
    interaction: Callable[[str, str, object], str]  # (user, item, timestamp) -> line
    item: Callable[[str, str], str]  # (item, title) -> line
    bad_lines: tuple[tuple[str, str], ...]  # (line of the interactions file, reason)
    bad_items: tuple[tuple[str, str], ...]


def amazon_review(user: str, item: str, timestamp: object) -> str:
    return json.dumps({"reviewerID": user, "asin": item, "unixReviewTime": timestamp})


MOVIELENS = Format(
    dataset="ml-1m",
    interactions_file="ratings.dat",
    items_file="movies.dat",
    interaction=lambda user, item, timestamp: f"{user}::{item}::4::{timestamp}",
    item=lambda item, title: f"{item}::{title}::Drama|Comedy",
    bad_lines=(
        ("1::2::3", "too few fields, expected 4"),
        ("1::2::3::4::5", "too many fields, expected 4"),
        ("", "too few fields, expected 4"),
        ("::2::3::4", "empty user_id"),
        ("1:: ::3::4", "empty item_id"),
        ("é" * 257 + "::2::3::4", "user_id is longer than 512 bytes"),
        ("1::" + "x" * 513 + "::3::4", "item_id is longer than 512 bytes"),
        ("1::2::3::yesterday", "timestamp is not an integer"),
        ("1::2::3::1.5", "timestamp is not an integer"),
        ("1::2::3::", "timestamp is not an integer"),
        ("1::2::3::-4", "negative timestamp"),
        ("1::2::3::-99999999999999999999999", "negative timestamp"),
        ("1::2::3::4133980800", "timestamp beyond the year 2100"),
        ("1::2::3::99999999999999999999999", "timestamp beyond the year 2100"),
        ("1::2::good::4", "value is not a finite number"),
        ("1::2::nan::4", "value is not a finite number"),
        ("1::2::inf::4", "value is not a finite number"),
        ("1::2::1e999::4", "value is not a finite number"),
        ("1::2::::4", "value is not a finite number"),
        ("1::2\x00::3::4", "not utf-8 text"),
    ),
    bad_items=(
        ("9::No genres", "too few fields, expected 3"),
        ("9::Two::Titles::Drama", "too many fields, expected 3"),
        ("::Nothing::Drama", "empty item_id"),
        ("0::Again::Drama", "duplicate item"),
    ),
)
AMAZON = Format(
    dataset="amazon-beauty",
    interactions_file="reviews_Beauty_5.json",
    items_file="meta_Beauty.json",
    interaction=amazon_review,
    item=lambda item, title: json.dumps({"asin": item, "title": title, "categories": [["Beauty", "Nails"]]}),
    bad_lines=(
        ('{"reviewerID": "1", "asin": "2", "unixRev', "not a JSON object"),
        ("", "not a JSON object"),
        ("[1, 2]", "not a JSON object"),
        ("{" * 5_000, "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        ('{"asin": "2", "unixReviewTime": 4}', "missing key reviewerID"),
        ('{"reviewerID": "1", "unixReviewTime": 4}', "missing key asin"),
        ('{"reviewerID": "1", "asin": "2"}', "missing key unixReviewTime"),
        ('{"reviewerID": 1, "asin": "2", "unixReviewTime": 4}', "reviewerID is not text"),
        ('{"reviewerID": "\\ud800", "asin": "2", "unixReviewTime": 4}', "reviewerID is not valid Unicode"),
        (amazon_review("", "2", 4), "empty user_id"),
        (amazon_review("1", " ", 4), "empty item_id"),
        (amazon_review("é" * 257, "2", 4), "user_id is longer than 512 bytes"),
        (amazon_review("1", "x" * 300_000, 4), "item_id is longer than 512 bytes"),
        (amazon_review("1", "2", "4"), "timestamp is not an integer"),
        (amazon_review("1", "2", True), "timestamp is not an integer"),
        (amazon_review("1", "2", 1.5), "timestamp is not an integer"),
        (amazon_review("1", "2", None), "timestamp is not an integer"),
        (amazon_review("1", "2", -4), "negative timestamp"),
        (amazon_review("1", "2", -(10**30)), "negative timestamp"),
        (amazon_review("1", "2", 10**30), "timestamp beyond the year 2100"),
        ('{"reviewerID": "1", "asin": "2", "unixReviewTime": 4, "overall": NaN}', "value is not a finite number"),
        ('{"reviewerID": "1", "asin": "2", "unixReviewTime": 4, "overall": 1e999}', "value is not a finite number"),
        ('{"reviewerID": "1", "asin": "2", "unixReviewTime": 4, "overall": "5"}', "value is not a finite number"),
    ),
    bad_items=(
        ('{"asin": "9", "title": ', "not a JSON object"),
        ('{"title": "x"}', "missing key asin"),
        ('{"asin": "9", "title": 5}', "title is not text"),
        ('{"asin": "9", "categories": "Beauty"}', "categories is not a list of lists"),
        ('{"asin": "9", "categories": [["Beauty", 3]]}', "categories is not text"),
        ('{"asin": "", "title": "x"}', "empty item_id"),
        ('{"asin": "0", "title": "Again"}', "duplicate item"),
    ),
)
FORMATS = [pytest.param(MOVIELENS, id="ml-1m"), pytest.param(AMAZON, id="amazon-beauty")]
GOOD_ROWS = 40


def good_lines(format: Format) -> list[str]:
    return [format.interaction(f"u{row % 4}", f"{row % 3}", 1_000 + row) for row in range(GOOD_ROWS)]


def good_items(format: Format) -> list[str]:
    return [format.item(f"{row}", f"Title {row}") for row in range(8)]


def write(folder: Path, format: Format, interactions: bytes, items: bytes | None = None) -> None:
    (folder / format.interactions_file).write_bytes(interactions)
    (folder / format.items_file).write_bytes("\n".join(good_items(format)).encode() if items is None else items)


def read(folder: Path, format: Format) -> RawData:
    return read_dataset(format.dataset, folder, seed=0)


def check_promises(raw: RawData) -> None:
    assert raw.interactions.schema.equals(RAW_INTERACTIONS)
    assert raw.items.schema.equals(ITEMS)
    assert raw.rejected.schema.equals(REJECTED)
    for table in (raw.interactions, raw.items, raw.rejected):
        table.validate(full=True)
    lines = raw.interactions["sequence"].to_pylist()
    refused = {file: [] for file in raw.rows_read}
    for row in raw.rejected.to_pylist():
        refused[row["file"]].append(row["source_line"])
    # Every line is accepted or rejected, and none is both.
    assert lines == sorted(lines)
    read_lines = list(range(1, raw.rows_read[raw.interactions_file] + 1))
    assert sorted(lines + refused[raw.interactions_file]) == read_lines
    (items_file,) = raw.rows_read.keys() - {raw.interactions_file}
    assert len(raw.items) + len(refused[items_file]) == raw.rows_read[items_file]
    identifiers = raw.items["item_id"].to_pylist()
    assert len(set(identifiers)) == len(identifiers)


def test_every_file_data_set_is_in_the_suite() -> None:
    assert {parameter.values[0].dataset for parameter in FORMATS} == set(ADAPTERS)
    assert set(DATASETS) == {SIMULATOR, *ADAPTERS}


def test_the_simulator_keeps_the_promises() -> None:
    raw = read_dataset(SIMULATOR, None, seed=5)
    check_promises(raw)
    assert len(raw.rejected) == 0


def test_an_unknown_data_set_is_told_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'netflix'.*simulator, ml-1m, amazon-beauty"):
        read_dataset("netflix", None, seed=0)


@pytest.mark.parametrize("format", FORMATS)
def test_good_files_are_accepted_whole(tmp_path: Path, format: Format) -> None:
    write(tmp_path, format, "\n".join(good_lines(format)).encode())
    raw = read(tmp_path, format)
    check_promises(raw)
    assert len(raw.rejected) == 0
    assert raw.interactions["user_id"].to_pylist()[:5] == ["u0", "u1", "u2", "u3", "u0"]
    assert raw.interactions["item_id"].to_pylist()[:5] == ["0", "1", "2", "0", "1"]
    assert raw.interactions["timestamp"].to_pylist() == list(range(1_000, 1_000 + GOOD_ROWS))
    assert raw.interactions["sequence"].to_pylist() == list(range(1, GOOD_ROWS + 1))
    assert set(raw.interactions["behavior"].to_pylist()) == {"rating"}
    assert raw.items["title"].to_pylist() == [f"Title {row}" for row in range(8)]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("change", ["final newline", "CRLF", "byte-order mark", "gzip"])
def test_the_form_of_the_file_does_not_matter(tmp_path: Path, format: Format, change: str) -> None:
    plain = "\n".join(good_lines(format)).encode()
    content = {
        "final newline": plain + b"\n",
        "CRLF": plain.replace(b"\n", b"\r\n") + b"\r\n",
        "byte-order mark": b"\xef\xbb\xbf" + plain,
        "gzip": gzip.compress(plain),
    }[change]
    write(tmp_path, format, plain)
    expected = read(tmp_path, format)
    write(tmp_path, format, content)
    found = read(tmp_path, format)
    assert found.interactions.equals(expected.interactions)
    assert found.rows_read == expected.rows_read


@pytest.mark.parametrize("format", FORMATS)
def test_bad_interactions_are_refused_with_line_reason_and_raw_text(tmp_path: Path, format: Format) -> None:
    lines = good_lines(format)
    expected = []
    for number, (line, reason) in enumerate(format.bad_lines):
        lines.insert(2 * number + 1, line)
        expected.append((2 * number + 2, reason, line))
    write(tmp_path, format, ("\n".join(lines) + "\n").encode())
    raw = read(tmp_path, format)
    check_promises(raw)
    found = [(row["source_line"], row["reason"], row["raw"]) for row in raw.rejected.to_pylist()]
    assert found == expected
    assert len(raw.interactions) == GOOD_ROWS


@pytest.mark.parametrize("format", FORMATS)
def test_bad_items_are_refused_and_do_not_count_as_interactions(tmp_path: Path, format: Format) -> None:
    items = good_items(format) + [line for line, _ in format.bad_items]
    write(tmp_path, format, "\n".join(good_lines(format)).encode(), "\n".join(items).encode())
    raw = read(tmp_path, format)
    check_promises(raw)
    assert len(raw.interactions) == raw.rows_read[raw.interactions_file] == GOOD_ROWS
    assert raw.rejected["reason"].to_pylist() == [reason for _, reason in format.bad_items]
    assert set(raw.rejected["file"].to_pylist()) == {format.items_file}
    assert raw.rejected["source_line"].to_pylist() == list(range(9, 9 + len(format.bad_items)))
    assert raw.items["title"].to_pylist()[0] == "Title 0"


@pytest.mark.parametrize("format", FORMATS)
def test_of_exact_duplicates_the_first_is_kept(tmp_path: Path, format: Format) -> None:
    lines = good_lines(format)
    lines.insert(10, lines[2])
    lines.append(lines[2])
    lines.append(format.interaction("u2", "2", 1_003))  # same user and item at another time: no duplicate
    write(tmp_path, format, "\n".join(lines).encode())
    raw = read(tmp_path, format)
    check_promises(raw)
    assert raw.rejected.select(["source_line", "reason"]).to_pylist() == [
        {"source_line": 11, "reason": "duplicate"},
        {"source_line": 42, "reason": "duplicate"},
    ]
    assert 3 in raw.interactions["sequence"].to_pylist()


@pytest.mark.parametrize("format", FORMATS)
def test_a_damaged_byte_costs_one_row(tmp_path: Path, format: Format) -> None:
    lines = [line.encode() for line in good_lines(format)]
    lines[6] = lines[6].replace(b"u2", b"u\xff")
    write(tmp_path, format, b"\n".join(lines))
    raw = read(tmp_path, format)
    check_promises(raw)
    (row,) = raw.rejected.to_pylist()
    assert (row["source_line"], row["reason"]) == (7, "not utf-8 text")
    assert "u\\xff" in row["raw"]


@pytest.mark.parametrize("format", FORMATS)
def test_quotes_long_fields_and_other_line_breaks_are_plain_text(tmp_path: Path, format: Format) -> None:
    users = ['"', "'", "a,b", "x" * 512, "é\u2028ü"]
    lines = [format.interaction(user, "1", 5) for user in users]
    write(tmp_path, format, "\n".join(lines).encode())
    raw = read(tmp_path, format)
    check_promises(raw)
    assert raw.interactions["user_id"].to_pylist() == users


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("which", ["interactions_file", "items_file"])
def test_faults_of_a_file_end_the_run_with_one_line_that_names_it(tmp_path: Path, format: Format, which: str) -> None:
    name = getattr(format, which)
    good = gzip.compress("\n".join(good_lines(format) * 50).encode())
    faults = {
        b"": "is empty",
        b"\n\n": "is empty",
        b"user,item\n1,2\n": "line 1 begins 'user,item'",
        bytes(range(256)) * 20: "looks binary",
        "u1::1::4::5\n".encode("utf-16") * 3: "looks binary",
        good[: len(good) // 2]: "truncated or damaged gzip",
        good[:200] + b"damage" + good[200:]: "truncated or damaged gzip",
    }
    for content, message in faults.items():
        write(tmp_path, format, "\n".join(good_lines(format)).encode())
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message) as caught:
            read(tmp_path, format)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("which", ["interactions_file", "items_file"])
def test_a_missing_file_or_a_folder_in_its_place(tmp_path: Path, format: Format, which: str) -> None:
    name = getattr(format, which)
    write(tmp_path, format, "\n".join(good_lines(format)).encode())
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"{name}.*no such file"):
        read(tmp_path, format)
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: is a folder, expected a file"):
        read(tmp_path, format)
    with pytest.raises(InputError, match="not readable as a folder"):
        read(tmp_path / "absent", format)


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400))
def test_any_bytes_are_rows_or_one_clear_fault(format: Format, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), format, content)
        try:
            check_promises(read(Path(folder), format))
        except InputError as error:
            assert str(error).startswith(folder)


def mostly_valid_lines(format: Format) -> st.SearchStrategy[list[bytes]]:
    field = st.one_of(st.integers(-3, 9).map(str), st.text(max_size=6).map(lambda text: text.replace("\n", " ")))
    row = st.builds(format.interaction, field, field, st.one_of(st.integers(), field))
    line = st.one_of(
        st.sampled_from(good_lines(format)).map(str.encode),
        row.map(lambda text: text.encode("utf-8", errors="replace")),
        st.sampled_from([line for line, _ in format.bad_lines if len(line) < 1_000]).map(str.encode),
        st.binary(max_size=20).map(lambda text: text.replace(b"\n", b"")),
    )
    return st.lists(line, max_size=30)


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_accepted_and_rejected_are_all_that_was_read(format: Format, data: st.DataObject) -> None:
    # As many good rows, so that the file as a whole is always text of the format.
    lines = [line.encode() for line in good_lines(format)] + data.draw(mostly_valid_lines(format))
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), format, b"\n".join(lines) + b"\n")
        raw = read(Path(folder), format)
    check_promises(raw)
    assert raw.rows_read[raw.interactions_file] == len(lines)
    assert len(raw.interactions) + len(raw.rejected) == len(lines)
    assert raw.interactions["sequence"].to_pylist()[:GOOD_ROWS] == list(range(1, GOOD_ROWS + 1))
