"""Logs of Tmall and mobile Taobao as the Tianchi challenges released them, with the columns named in line 1.

Repeat buyers (IJCAI-15): user_id, item_id, cat_id, seller_id (or merchant_id), brand_id, time_stamp, action_type; the
action is 0 click, 1 cart, 2 purchase, 3 favourite. `time_stamp` is a day without a year (829 or 0829); the log ends
with the sale of 11 November 2014, so the year is 2014. A day with its year (20140829) is taken as it is.

Mobile recommendation: user_id, item_id, behavior_type, user_geohash, item_category, time; the behavior is 1 click, 2
favourite, 3 cart, 4 purchase, the time an hour ("2014-12-06 02").

Times are as coarse as that, so the order of lines breaks many ties. Category, brand and merchant come from the log
alone and become the item's metadata, the categories "category 833" and "merchant 2882", and "brand 2661". The table of
profiles that the first release has (user_id, age_range, gender) is read as it is written: 1 to 8 for spans of age, 0 or
nothing where it is unknown; 0 female, 1 male, 2 or nothing unknown. Not read: the place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.data_preparation.adapters.behaviors import behaviors
from components.data_preparation.adapters.contract import (
    UNCHECKED_INTERACTIONS,
    UNCHECKED_USERS,
    Adapter,
    Layout,
    RowBatch,
    row_batch,
)
from components.data_preparation.adapters.described_items import described_items
from components.data_preparation.adapters.profiles import attributes
from components.data_preparation.headed import header, read_headed, separator_of
from components.data_preparation.source_files import files_in
from components.data_preparation.timestamps import seconds

YEAR = "2014"
MERCHANT_COLUMNS = ("seller_id", "merchant_id")
PROFILE_COLUMNS = ("age_range", "gender")


@dataclass(frozen=True)
class _Release:
    action: str
    time: str
    category: str
    brand: str | None
    meaning: dict[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        brand = () if self.brand is None else (self.brand,)
        return ("user_id", "item_id", self.category, *brand, self.action, self.time)


RELEASES = (
    _Release(
        action="action_type",
        time="time_stamp",
        category="cat_id",
        brand="brand_id",
        meaning={"0": "click", "1": "cart", "2": "purchase", "3": "favourite"},
    ),
    _Release(
        action="behavior_type",
        time="time",
        category="item_category",
        brand=None,
        meaning={"1": "click", "2": "favourite", "3": "cart", "4": "purchase"},
    ),
)


class Tmall(Adapter):
    """A log of one of the `RELEASES`, with profiles of users where the folder holds them."""

    name = "tmall"
    description = "columns " + " or ".join(", ".join(release.columns) for release in RELEASES)

    def recognise(self, source: Path) -> Layout | None:
        """The one log whose header is that of a release, with the file of profiles if it is there."""
        logs = [path for path in files_in(source) if _release(path) is not None]
        if len(logs) != 1:
            return None
        profiles = {"user_id", *PROFILE_COLUMNS}
        users = tuple(path for path in files_in(source) if profiles == set(header(path, ",")))
        return Layout(logs[0].parent, (logs[0],), users=users)

    def interactions(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the log, and the category, brand and merchant of each item along the way."""
        for path in layout.interactions:
            release = _release(path) or RELEASES[0]  # the reader then names the columns that are missing
            for refusals, fields in read_headed(path, release.columns):
                columns = {
                    "user_id": fields["user_id"],
                    "item_id": fields["item_id"],
                    "timestamp": _seconds(fields[release.time]),
                    "behavior": behaviors(pc.utf8_trim_whitespace(fields[release.action]), release.meaning),
                }
                brand = None if release.brand is None else fields[release.brand]
                merchant = next((fields[name] for name in MERCHANT_COLUMNS if name in fields), None)
                described = described_items(fields["item_id"], fields[release.category], brand, merchant)
                yield row_batch(path.name, refusals, columns, UNCHECKED_INTERACTIONS, described)

    def users(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the profiles, age range and gender by their codes."""
        for path in layout.users:
            for refusals, fields in read_headed(path, ("user_id", *PROFILE_COLUMNS)):
                users = fields["user_id"]
                profile = {name: fields[name] for name in PROFILE_COLUMNS}
                columns = {"user_id": users, "attributes": attributes(profile, len(users))}
                yield row_batch(path.name, refusals, columns, UNCHECKED_USERS)


def _release(path: Path) -> _Release | None:
    return next((release for release in RELEASES if separator_of(path, release.columns)), None)


def _seconds(times: pa.Array) -> pa.Array:
    """Days (829, 0829, 20140829) and hours ("2014-12-06 02") as seconds."""
    encoded = times.dictionary_encode()  # a log has few days and hours, and as many of them as rows
    texts = pc.replace_substring_regex(pc.utf8_trim_whitespace(encoded.dictionary), r"^(\d)(\d\d)$", r"0\1\2")
    texts = pc.replace_substring_regex(texts, r"^(\d{4})$", rf"{YEAR}\1")
    texts = pc.replace_substring_regex(texts, r"^(\d{4})(\d{2})(\d{2})$", r"\1-\2-\3")
    texts = pc.replace_substring_regex(texts, r"^(\d{4}-\d{2}-\d{2}) (\d{2})$", r"\1 \2:00")
    return seconds(texts).combine_chunks().take(encoded.indices)
