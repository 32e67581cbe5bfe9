ADAPTER = "amazon-ratings"
INTERACTIONS_FILE = "ratings_Beauty.csv"
ITEMS_FILE = "meta_Beauty.json"
FILES = {
    "ratings_Beauty.csv": (
        b"A39HTATAQ9V7YF,0205616461,5.0,1369699200\n"
        b"A3JM6GV9MNOF9X,0558925278,3.0,1355443200\n"
        b"A39HTATAQ9V7YF,B00004TMFE,1.0,1369699200\n"
        b"A3JM6GV9MNOF9X,0205616461,4,1355443201\n"
        b"A1Z513UWSAAO0F,0558925278,5.0,1404691200\n"
        b"A1Z513UWSAAO0F,B00004TMFE,5.0,1404691200000\n"
        b"A1WMRR494NWEWV,0205616461,2.5,1382572800\n"
        b"A1WMRR494NWEWV,B00004TMFE,4.0,1382572801\n"
    ),
    "meta_Beauty.json": (
        b"{'asin': '0205616461', 'title': \"Bio-Active Cream\", 'categories': [['Beauty', 'Skin Care']]}\n"
        b'{"asin": "B00004TMFE", "title": "Lip &amp; Cheek", "category": ["Beauty", "Makeup"], "brand": "Stila"}\n'
    ),
}
INTERACTIONS = [
    ("A39HTATAQ9V7YF", "0205616461", 1369699200, "rating", 5.0, None, None),
    ("A3JM6GV9MNOF9X", "0558925278", 1355443200, "rating", 3.0, None, None),
    ("A39HTATAQ9V7YF", "B00004TMFE", 1369699200, "rating", 1.0, None, None),
    ("A3JM6GV9MNOF9X", "0205616461", 1355443201, "rating", 4.0, None, None),
    ("A1Z513UWSAAO0F", "0558925278", 1404691200, "rating", 5.0, None, None),
    ("A1Z513UWSAAO0F", "B00004TMFE", 1404691200, "rating", 5.0, None, None),
    ("A1WMRR494NWEWV", "0205616461", 1382572800, "rating", 2.5, None, None),
    ("A1WMRR494NWEWV", "B00004TMFE", 1382572801, "rating", 4.0, None, None),
]
ITEMS = [
    ("0205616461", "Bio-Active Cream", "", ["Beauty", "Skin Care"], ""),
    ("B00004TMFE", "Lip & Cheek", "Stila", ["Beauty", "Makeup"], ""),
]
BAD_ROWS = [
    ("A39HTATAQ9V7YF,0205616461,5.0", "too few fields, expected 4"),
    ("A39HTATAQ9V7YF,0205616461,5.0,1,2", "too many fields, expected 4"),
    (",0205616461,5.0,1", "empty user_id"),
    ("A39HTATAQ9V7YF,,5.0,1", "empty item_id"),
    ("A39HTATAQ9V7YF,0205616461,5.0,", "timestamp is not a time"),
    ("A39HTATAQ9V7YF,0205616461,5.0,99999999999999999999", "timestamp beyond the year 2100"),
    ("A39HTATAQ9V7YF,0205616461,1e999,1", "value is not a finite number"),
]
BAD_ITEMS = [
    ("[]", "not a JSON object"),
    ('{"title": "x"}', "missing key asin"),
]
