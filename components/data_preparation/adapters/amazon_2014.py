"""Amazon reviews of 2014: `reviews_<Category>_5.json.gz` and `meta_<Category>.json.gz`, one object a line.

The objects are strict JSON or Python literals, the files gzipped or not. A review is behavior "rating" with `overall`
as its value. Timestamps are whole days: the order of the file's lines breaks their many ties.
"""

from pathlib import Path

from components.data_preparation.adapters.amazon_objects import AmazonObjects, ReviewKeys, holds
from components.data_preparation.adapters.contract import Layout
from components.data_preparation.source_files import files_in, find_file


class Amazon2014(AmazonObjects):
    """Reviews and metadata of the release of 2014; no profiles of users."""

    name = "amazon-2014"
    keys = ReviewKeys(user="reviewerID", item="asin", time="unixReviewTime", rating="overall")
    description = "objects with reviewerID, asin and unixReviewTime, one a line, metadata in meta_*.json beside them"

    def recognise(self, source: Path) -> Layout | None:
        """The one file of reviews in the folder, with every `meta_*` file whose objects have an `asin`."""
        files = files_in(source)
        reviews = [path for path in files if holds(path, self.keys.required)]
        if len(reviews) != 1:
            return None
        metadata = [path for path in files if path.name.startswith("meta_") and holds(path, {"asin"})]
        return Layout(reviews[0].parent, (reviews[0],), tuple(metadata))

    def expect(self, source: Path) -> Layout:
        """The category "Beauty", the one data set of this format that has a name of its own."""
        return Layout(
            source,
            (find_file(source, "reviews_Beauty_5.json.gz", "reviews_Beauty_5.json"),),
            (find_file(source, "meta_Beauty.json.gz", "meta_Beauty.json"),),
        )
