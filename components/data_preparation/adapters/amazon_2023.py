"""Amazon reviews of 2023 (Hou et al.): `<Category>.jsonl.gz` and `meta_<Category>.jsonl.gz`, one object a line.

A review (user_id, parent_asin, timestamp in milliseconds) is behavior "rating" with `rating` as its value; the item is
the `parent_asin`, under which the metadata are listed: title, store (as brand), categories, description. Not read: the
`asin` of the variant, the texts, votes and images of reviews, whether a purchase is verified; features, details and
prices.
"""

from pathlib import Path

from components.data_preparation.adapters.amazon_objects import AmazonObjects, ReviewKeys, holds, metadata_beside
from components.data_preparation.adapters.contract import Layout
from components.data_preparation.source_files import files_in


class Amazon2023(AmazonObjects):
    """Reviews and metadata of the release of 2023; no profiles of users."""

    name = "amazon-2023"
    keys = ReviewKeys(user="user_id", item="parent_asin", time="timestamp", rating="rating")
    description = "objects with user_id, parent_asin and timestamp, meta_<Category>.jsonl beside them"

    def recognise(self, source: Path) -> Layout | None:
        """The one file of reviews in the folder, with the metadata of its category."""
        reviews = [path for path in files_in(source) if holds(path, self.keys.required)]
        return Layout(reviews[0].parent, (reviews[0],), metadata_beside(reviews[0])) if len(reviews) == 1 else None
