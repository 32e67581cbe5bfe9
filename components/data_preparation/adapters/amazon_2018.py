"""Amazon reviews of 2018 (Ni, Li, McAuley): `<Category>.json.gz` or `<Category>_5.json.gz`, `meta_<Category>.json.gz`.

One object a line, gzipped or not. A review (reviewerID, asin, unixReviewTime) is behavior "rating" with `overall` as
its value. Metadata are the title, brand, category and description of an asin. Not read: the texts, votes, styles and
images of reviews, whether a purchase is verified; prices, ranks and related items.
"""

from pathlib import Path

from components.data_preparation.adapters.amazon_objects import AmazonObjects, ReviewKeys, holds, metadata_beside
from components.data_preparation.adapters.contract import Layout
from components.data_preparation.source_files import files_in


class Amazon2018(AmazonObjects):
    """Reviews and metadata of the release of 2018; no profiles of users."""

    name = "amazon-2018"
    keys = ReviewKeys(user="reviewerID", item="asin", time="unixReviewTime", rating="overall")
    description = (
        "objects with reviewerID, asin, unixReviewTime and verified, meta_<Category>.json beside <Category>.json"
    )

    def recognise(self, source: Path) -> Layout | None:
        """The one file of reviews; `verified`, or `category` in the metadata, sets them apart from those of 2014."""
        reviews = [path for path in files_in(source) if holds(path, self.keys.required)]
        if len(reviews) != 1:
            return None
        metadata = metadata_beside(reviews[0])
        # The release of 2014 has the same keys, but for these two.
        is_2018 = holds(reviews[0], self.keys.required | {"verified"}) or any(
            holds(path, {"asin", "category"}) for path in metadata
        )
        return Layout(reviews[0].parent, (reviews[0],), metadata) if is_2018 else None
