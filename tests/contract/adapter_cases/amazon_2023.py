import json

ADAPTER = "amazon-2023"
INTERACTIONS_FILE = "All_Beauty.jsonl"
ITEMS_FILE = "meta_All_Beauty.jsonl"


def _review(user: str, item: str, time: object, **others: object) -> str:
    return json.dumps({"asin": "B0", "user_id": user, "parent_asin": item, "timestamp": time, **others})


FILES = {
    "All_Beauty.jsonl": "".join(
        line + "\n"
        for line in [
            _review("AG1", "B1", 1588687728923, rating=5.0, title="Such a lovely scent", text="...", helpful_vote=0),
            _review("AG1", "B2", 1588615855070, rating=4),
            _review("AG1", "B3", 1589665266052, images=[], verified_purchase=True),
            _review("AE2", "B1", 1643393630220, rating=1.0),
            _review("AE2", "B2", 1609322563534, rating=2.0),
            _review("AE2", "B3", 1609322564, rating=3.0),
            _review("AF3", "B1", "2020-12-30T10:02:45Z", rating=3.0),
            _review("AF3", "B4", 1609322566000, rating=None),
        ]
    ).encode(),
    "meta_All_Beauty.jsonl": "".join(
        json.dumps(item) + "\n"
        for item in [
            {
                "main_category": "All Beauty",
                "title": "Howard LC0008 Leather Conditioner",
                "store": "Howard Products",
                "categories": ["Tools &amp; Home", "Leather"],
                "description": ["Rich", "and\tdeep"],
                "features": ["Aerosol"],
                "details": {"UPC": "617390882781"},
                "price": None,
                "parent_asin": "B1",
                "asin": "ignored",
            },
            {"main_category": "All Beauty", "title": None, "store": None, "categories": [], "parent_asin": "B2"},
            {"main_category": None, "parent_asin": "B3", "categories": None, "description": []},
        ]
    ).encode(),
}
INTERACTIONS = [
    ("AG1", "B1", 1588687728, "rating", 5.0, None, None),
    ("AG1", "B2", 1588615855, "rating", 4.0, None, None),
    ("AG1", "B3", 1589665266, "rating", None, None, None),
    ("AE2", "B1", 1643393630, "rating", 1.0, None, None),
    ("AE2", "B2", 1609322563, "rating", 2.0, None, None),
    ("AE2", "B3", 1609322564, "rating", 3.0, None, None),
    ("AF3", "B1", 1609322565, "rating", 3.0, None, None),
    ("AF3", "B4", 1609322566, "rating", None, None, None),
]
ITEMS = [
    ("B1", "Howard LC0008 Leather Conditioner", "Howard Products", ["Tools & Home", "Leather"], "Rich and deep"),
    ("B2", "", "", ["All Beauty"], ""),
    ("B3", "", "", [], ""),
]
BAD_ROWS = [
    ("null", "not a JSON object"),
    ('{"user_id": "2", "asin": "B1", "timestamp": 4}', "missing key parent_asin"),
    (_review("1", "", 4), "empty item_id"),
    (_review("1", "2", "soon"), "timestamp is not a time"),
    (_review("1", "2", 4, rating=True), "value is not a finite number"),
]
BAD_ITEMS = [
    ('{"title": "x"}', "missing key asin"),
    ('{"parent_asin": ""}', "empty item_id"),
]
