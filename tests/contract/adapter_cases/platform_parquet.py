import io

import pyarrow as pa
import pyarrow.parquet as pq

ADAPTER = "platform-parquet"
TEXT = False
INTERACTIONS_FILE = "interactions.parquet"
ITEMS_FILE = "items.parquet"
USERS_FILE = "users.parquet"
INTERACTIONS = [
    ("u1", "i1", 1704067200, "click", None, None, "home"),
    ("u1", "i2", 1704067200, "search", None, "red shoes", "search"),
    ("u1", "i2", 1704067201, "purchase", 9.5, None, None),
    ("u2", "i1", 1704067202, "rating", 4.0, None, None),
    ("u2", "i3", 1704067203, "cart", None, None, None),
    ("u2", "../../etc", 1704067204, "favourite", None, None, None),
    ("é\u2028ü", "i1", 1704067205, "click", None, "", ""),
    ("u3", "i3", 1704067206, "click", None, None, None),
]
ITEMS = [
    ("i1", "First", "Acme", ["Shoes", "Red"], "One\ntwo"),
    ("i2", "", "", [], ""),
]


def _content(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


_names = ["user_id", "item_id", "timestamp", "behavior", "value", "query", "scene"]
_columns = dict(zip(_names, map(list, zip(*INTERACTIONS, strict=True)), strict=True))
_of_a_run = {"sequence": list(range(8)), "split_leave_one_out": ["train"] * 8}
FILES = {
    "interactions.parquet": _content(pa.table({**_columns, **_of_a_run})),
    "items.parquet": _content(
        pa.table(
            {
                "item_id": ["i1", "i2"],
                "title": ["First", None],
                "brand": ["Acme", None],
                "categories": pa.array([["Shoes", None, "Red"], None], pa.list_(pa.string())),
                "description": ["One\ntwo", ""],
            }
        )
    ),
    "users.parquet": _content(
        pa.table(
            {
                "age": pa.array([24.0, None, float("nan")]),
                "user_id": ["u1", "u2", "u9"],
                "member": [True, False, None],
                "city": ["Oslo", " ", "a,b"],
                "since": pa.array([19_000, None, None], pa.date32()),
            }
        )
    ),
    "statistics.json": b"{}",
}
USERS = [
    ("u1", {"age": "24", "member": "true", "city": "Oslo", "since": "2022-01-08"}),
    ("u2", {"member": "false"}),
    ("u9", {"city": "a,b"}),
]
