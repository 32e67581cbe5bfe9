"""What is said of inputs that are in no known format, or in more than one."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data_preparation.adapters.registry import detect
from components.data_preparation.column_mapping import ColumnMapping
from components.foundation.errors import InputError

RATINGS = "userId,movieId,rating,timestamp\n1,2,3.5,1400001000\n2,2,4,1400004600\n"
LONGEST_MESSAGE = 400


def refused(source: Path, mapping: ColumnMapping | None = None) -> str:
    """What is said of `source`, without its path."""
    with pytest.raises(InputError) as caught:
        detect(source, *([mapping] if mapping else []))
    message = str(caught.value)
    assert message.startswith(str(source)) and "\n" not in message
    assert len(message.replace(str(source), "")) < LONGEST_MESSAGE
    return message.replace(str(source), "SOURCE")


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("ratings.csv", content)
    return buffer.getvalue()


def tarred(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("ratings.csv")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


PACKINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("zip", zipped),
    ("bzip2", bz2.compress),
    ("xz", lzma.compress),
    ("zstd", lambda content: pa.compress(content, codec="zstd", asbytes=True)),
    ("tar", tarred),
    ("tar", lambda content: gzip.compress(tarred(content), mtime=0)),
]


@pytest.mark.parametrize(("packing", "pack"), PACKINGS)
def test_packed_files(tmp_path: Path, packing: str, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "ratings.csv.packed").write_bytes(pack(RATINGS.encode()))
    message = f"ratings.csv.packed is packed as {packing}, expected plain or gzipped files: unpack it"
    assert message in refused(tmp_path)


def test_a_workbook_of_excel_is_not_to_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "log.xlsx", "w") as workbook:
        workbook.writestr("[Content_Types].xml", "<Types/>")
    assert "log.xlsx is an Excel workbook, expected text or Parquet: save its sheet as CSV (UTF-8)" in refused(tmp_path)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("utf-32-le", "utf-32-le"),
        ("utf-32-be", "utf-32-be"),
    ],
)
def test_other_encodings(tmp_path: Path, encoding: str, name: str) -> None:
    (tmp_path / "ratings.csv").write_bytes(RATINGS.encode(encoding))
    assert f"ratings.csv is {name} text, expected UTF-8: convert it, iconv -f {name} -t utf-8" in refused(tmp_path)


def test_western_european_text(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes("kunde;größe;zeit\nJürgen;5;1400001000\n".encode("cp1252"))
    assert "log.csv is cp1252 text, expected UTF-8" in refused(tmp_path)


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("customer;sku;bought_at", "--columns user_id=customer,item_id=sku,timestamp=bought_at"),
        (",user_id,product_id,time_stamp,action_type", "--columns item_id=product_id,timestamp=time_stamp,behavior=ac"),
        ("visitorid\tevent\titemid\tts", "--columns user_id=visitorid,item_id=itemid,timestamp=ts,behavior=event"),
        ("Customer ID|Stock Code|Quantity|Invoice Date", "--columns 'user_id=Customer ID,item_id=Stock Code,timestam"),
        ("user_id,item_id,rating", "and none for timestamp: name yours, --columns timestamp=…"),
        ("a,b,c", "line 1 is 'a,b,c', which does not name a user, an item and a time"),
        ("Kunde;Artikel;Datum", "say which is which, --columns user_id=…,item_id=…,timestamp=…; if they are values"),
        ("abc", "line 1 is 'abc', without a comma, semicolon, tab or |"),
    ],
)
def test_text_with_names_of_its_own(tmp_path: Path, header: str, line: str) -> None:
    (tmp_path / "log.csv").write_text(f"{header}\n1,2,3\n")
    assert line in refused(tmp_path)
    assert line in refused(tmp_path / "log.csv")


def test_parquet_with_names_of_its_own(tmp_path: Path) -> None:
    table = {"customer": ["a"], "sku": ["b"], "bought_at": [5]}
    pq.write_table(pa.table(table), tmp_path / "orders.parquet")
    assert (
        "orders.parquet Parquet with the columns customer, sku, bought_at: say which is which, "
        "--columns user_id=customer,item_id=sku,timestamp=bought_at"
    ) in refused(tmp_path)
    mapping = ColumnMapping({"user_id": "buyer", "item_id": "sku"})
    assert "has no column 'buyer'; it has customer, sku, bought_at" in refused(tmp_path / "orders.parquet", mapping)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "log.json",
            json.dumps({"who": "a", "what": "b"}).encode(),
            "is JSON with the keys who, what, which no supported release has",
        ),
        ("log.json", b"[\n{}]\n", "is JSON that is not one object a line"),
        ("log.db", b"SQLite format 3\0" + bytes(100), "is an SQLite database, expected text or Parquet"),
        ("log.orc", b"ORC\x0a\x0b", "is ORC, expected text or Parquet"),
        ("log.csv", b"userId,movieId\r1,2\r", "ends its lines with carriage returns alone"),
        ("log.parquet", b"PAR1 and no more", "is damaged Parquet"),
        ("log.bin", bytes(range(256)), "looks binary|is .* text"),
        ("log.csv.gz", gzip.compress(RATINGS.encode(), mtime=0)[:10], "is a truncated or damaged gzip file"),
        ("log.csv", b"", "log.csv is empty"),
    ],
)
def test_other_content(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        detect(tmp_path)


def test_folders_without_a_file_to_read(tmp_path: Path) -> None:
    assert refused(tmp_path).endswith("the folder is empty")
    for name in ("_SUCCESS", "._ratings.csv", ".ratings.csv.crc"):
        (tmp_path / name).write_bytes(b"x")
    assert "hidden files alone, ._ratings.csv, .ratings.csv.crc, _SUCCESS, which are passed over" in refused(tmp_path)
    (tmp_path / "2024").mkdir()
    assert "but the folders 2024: give the path of one of them" in refused(tmp_path)


def test_several_logs_in_one_folder(tmp_path: Path) -> None:
    for name in ("ratings.csv", "ratings small.csv"):
        (tmp_path / name).write_text(RATINGS)
    assert "holds 2 logs, ratings small.csv, ratings.csv, whose users may not be the same" in refused(tmp_path)
    assert refused(tmp_path).endswith("give the path of one of them, 'SOURCE/ratings small.csv'")
    assert detect(tmp_path / "ratings.csv")[0].name == "movielens-latest"
    (tmp_path / "ratings small.csv").write_text("1,2,3,pv,1511544070\n" * 3)
    assert "holds 2 logs" in refused(tmp_path)  # of two formats


def test_two_recbole_data_sets_and_the_parts_of_one(tmp_path: Path) -> None:
    content = "user_id:token\titem_id:token\ttimestamp:float\n1\t2\t3\n"
    for name in ("shop.test.inter", "shop.train.inter"):
        (tmp_path / name).write_text(content)
    assert [path.name for path in detect(tmp_path)[1].interactions] == ["shop.train.inter", "shop.test.inter"]
    (tmp_path / "ml-100k.inter").write_text(content)
    assert "holds 3 logs, ml-100k.inter, shop.test.inter, shop.train.inter" in refused(tmp_path)


@pytest.mark.parametrize(
    ("marker", "name"),
    [
        ("_delta_log/00000000000000000000.json", "a Delta table"),
        (".hoodie/hoodie.properties", "a Hudi table"),
        ("metadata/v1.metadata.json", "an Iceberg table"),
    ],
)
def test_tables_whose_own_log_says_which_files_count(tmp_path: Path, marker: str, name: str) -> None:
    part = tmp_path / "interactions" / "part-0.parquet"
    (part.parent / marker).parent.mkdir(parents=True)
    (part.parent / marker).write_text("{}")
    pq.write_table(pa.table({"user_id": ["u"], "item_id": ["i"], "timestamp": [5]}), part)
    for source in (tmp_path, part.parent, part):
        with pytest.raises(InputError, match=f"interactions: is {name}, whose files of earlier versions"):
            detect(source)
