import json

ADAPTER = "amazon-2018"
INTERACTIONS_FILE = "All_Beauty_5.json"
ITEMS_FILE = "meta_All_Beauty.json"


def _review(user: str, item: str, time: object, **others: object) -> str:
    return json.dumps({"verified": True, "reviewerID": user, "asin": item, "unixReviewTime": time, **others})


FILES = {
    "All_Beauty_5.json": "".join(
        line + "\n"
        for line in [
            _review("A1", "B1", 1454716800, overall=5.0, reviewText="Great", style={"Size:": " 1.0"}),
            _review("A1", "B2", 1454716800, overall=4),
            _review("A1", "B3", 1454716801),
            _review("A2", "B1", 1454716802, overall=1.0, vote="3", image=["https://example.org/1.jpg"]),
            _review("A2", "B2", 1454716803, overall=2.0, summary="\u2605"),
            _review("A2", "B3", 1454716804, overall=2.0),
            _review("A3", "B1", 1454716805, overall=3.0, verified=False),
            _review("A3", "B4", 1454716806, overall=None),
        ]
    ).encode(),
    "meta_All_Beauty.json": "".join(
        json.dumps(item) + "\n"
        for item in [
            {
                "asin": "B1",
                "title": "Loud &#39;N Clear",
                "brand": "idea\n village",
                "category": ["All Beauty", "Hair &amp; Scalp", "</i></span></span>", "Size"],
                "description": ["Loud 'N Clear", "Personal  Sound"],
            },
            {"asin": "B2", "title": "var aPageStart = (new Date()).getTime();", "category": [], "description": []},
            {"asin": "B3", "category": [], "main_cat": "All Beauty", "description": ""},
        ]
    ).encode(),
}
INTERACTIONS = [
    ("A1", "B1", 1454716800, "rating", 5.0, None, None),
    ("A1", "B2", 1454716800, "rating", 4.0, None, None),
    ("A1", "B3", 1454716801, "rating", None, None, None),
    ("A2", "B1", 1454716802, "rating", 1.0, None, None),
    ("A2", "B2", 1454716803, "rating", 2.0, None, None),
    ("A2", "B3", 1454716804, "rating", 2.0, None, None),
    ("A3", "B1", 1454716805, "rating", 3.0, None, None),
    ("A3", "B4", 1454716806, "rating", None, None, None),
]
ITEMS = [
    ("B1", "Loud 'N Clear", "idea village", ["All Beauty", "Hair & Scalp"], "Loud 'N Clear Personal Sound"),
    ("B2", "", "", [], ""),
    ("B3", "", "", ["All Beauty"], ""),
]
BAD_ROWS = [
    ("{", "not a JSON object"),
    ('{"asin": "2", "unixReviewTime": 4}', "missing key reviewerID"),
    (_review("", "2", 4), "empty user_id"),
    (_review("1", "2", [4]), "timestamp is not a time"),
    (_review("1", "2", 4, overall="five"), "value is not a finite number"),
]
BAD_ITEMS = [
    ('{"asin": 9}', "asin is not text"),
    ('{"asin": " "}', "empty item_id"),
]
