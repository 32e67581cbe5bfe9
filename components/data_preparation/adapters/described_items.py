"""Items of which only the log itself tells something: the numbers of their category, merchant and brand."""

import pyarrow as pa
import pyarrow.compute as pc

from components.data_preparation.adapters.contract import UNCHECKED_ITEMS, identifiers


def described_items(
    item_id: pa.Array, category: pa.Array | None = None, brand: pa.Array | None = None, merchant: pa.Array | None = None
) -> pa.Table:
    """One row, `UNCHECKED_ITEMS`, for each item of a block, in the order of first appearance; the first row wins.

    Category 149192 becomes the name "category 149192", brand 2661 "brand 2661"; where a number is empty there is none.
    Merchant 2882, whose shop groups items as a category does, becomes one more category, "merchant 2882".
    """
    item_id = identifiers(item_id)
    rows = pa.table({"item_id": item_id, "row": pa.array(range(len(item_id)), pa.int64())})
    first = rows.group_by("item_id", use_threads=False).aggregate([("row", "min")])["row_min"]
    empty = pa.repeat(pa.scalar(""), len(first))
    groups = [
        _named(kind, numbers.take(first)).to_pylist()
        for kind, numbers in (("category", category), ("merchant", merchant))
        if numbers is not None
    ]
    categories = [[name for name in names if name] for names in zip(*groups, strict=True)] or [[]] * len(first)
    columns = {
        "item_id": item_id.take(first),
        "title": empty,
        "brand": empty if brand is None else _named("brand", brand.take(first)),
        "categories": pa.array(categories, pa.list_(pa.string())),
        "description": empty,
        "source_line": pa.nulls(len(first), pa.int64()),
        "raw": pa.nulls(len(first), pa.large_string()),
    }
    return pa.table(columns).cast(UNCHECKED_ITEMS)


def _named(kind: str, numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """ "2661" or, as pandas writes it beside empty fields, "2661.0" becomes "brand 2661"."""
    text = pc.replace_substring_regex(pc.utf8_trim_whitespace(numbers), r"\.0$", "")
    names = pc.binary_join_element_wise(pa.scalar(kind, text.type), text, pa.scalar(" ", text.type))
    return pc.if_else(pc.equal(text, ""), text, names)
