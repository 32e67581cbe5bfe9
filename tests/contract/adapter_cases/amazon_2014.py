import json

ADAPTER = "amazon-2014"
INTERACTIONS_FILE = "reviews_Beauty_5.json"
ITEMS_FILE = "meta_Beauty.json"
FILES = {
    "reviews_Beauty_5.json": (
        b'{"reviewerID": "A1", "asin": "B1", "unixReviewTime": 1318896000}\n'
        b'{"reviewerID": "A1", "asin": "B2", "unixReviewTime": 1318896000, "overall": 4.0, "reviewText": "Fine."}\n'
        b'{"reviewerID": "A1", "asin": "B3", "unixReviewTime": 1318982400, "overall": 5}\n'
        b'{"reviewerID": "A2", "asin": "B1", "unixReviewTime": 1318896000000, "overall": null}\n'
        b"{'reviewerID': 'A2', 'asin': 'B2', 'unixReviewTime': 1318896001, 'helpful': [0, 0]}\n"
        b'{"reviewerID": "A2", "asin": "B3", "unixReviewTime": 1318896002}\n'
        b'{"reviewerID": "A3", "asin": "B1", "unixReviewTime": "2011-10-18"}\n'
        b'{"reviewerID": "A3", "asin": "B4", "unixReviewTime": 1318896003}\n'
    ),
    "meta_Beauty.json": (
        b'{"asin": "B1", "title": "OPI\\n  Lacquer", "brand": "OPI", "categories": [["Beauty", "Nails"], '
        b'["Beauty", "Gifts"]]}\n'
        b'{"asin": "B2", "categories": [], "title": null}\n'
        b"{'asin': 'B3', 'title': \"It's 'quoted'\", 'description': 'Two\\nlines', 'price': 3.5}\n"
    ),
}
INTERACTIONS = [
    ("A1", "B1", 1318896000, "rating", None, None, None),
    ("A1", "B2", 1318896000, "rating", 4.0, None, None),
    ("A1", "B3", 1318982400, "rating", 5.0, None, None),
    ("A2", "B1", 1318896000, "rating", None, None, None),
    ("A2", "B2", 1318896001, "rating", None, None, None),
    ("A2", "B3", 1318896002, "rating", None, None, None),
    ("A3", "B1", 1318896000, "rating", None, None, None),
    ("A3", "B4", 1318896003, "rating", None, None, None),
]
ITEMS = [
    ("B1", "OPI Lacquer", "OPI", ["Beauty", "Nails", "Gifts"], ""),
    ("B2", "", "", [], ""),
    ("B3", "It's 'quoted'", "", [], "Two lines"),
]


def _review(user: str, item: str, timestamp: object) -> str:
    return json.dumps({"reviewerID": user, "asin": item, "unixReviewTime": timestamp})


BAD_ROWS = [
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
    (_review("", "2", 4), "empty user_id"),
    (_review("1", " ", 4), "empty item_id"),
    (_review("1", "2", "soon"), "timestamp is not a time"),
    (_review("1", "2", True), "timestamp is not a time"),
    (_review("1", "2", None), "timestamp is not a time"),
    (_review("1", "2", -4), "negative timestamp"),
    (_review("1", "2", -(10**30)), "negative timestamp"),
    (_review("1", "2", 10**30), "timestamp beyond the year 2100"),
    ('{"reviewerID": "1", "asin": "2", "unixReviewTime": 4, "overall": NaN}', "value is not a finite number"),
    ('{"reviewerID": "1", "asin": "2", "unixReviewTime": 4, "overall": 1e999}', "value is not a finite number"),
    ('{"reviewerID": "1", "asin": "2", "unixReviewTime": 4, "overall": "5"}', "value is not a finite number"),
]
BAD_ITEMS = [
    ('{"asin": "9", "title": ', "not a JSON object"),
    ('{"title": "x"}', "missing key asin"),
    ('{"asin": "", "title": "x"}', "empty item_id"),
    # read as code, this would name a file
    ("{'asin': open('/dev/null').name}", "not a JSON object"),
]
