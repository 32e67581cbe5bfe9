ADAPTER = "tmall"
HEADER = True
INTERACTIONS_FILE = "tianchi_fresh_comp_train_user.csv"
FILES = {
    "tianchi_fresh_comp_train_user.csv": (
        b"user_id,item_id,behavior_type,user_geohash,item_category,time\n"
        b"98047837,232431562,1,,4245,2014-12-06 02\n"
        b"98047837,383583590,2,,5894,2014-12-09 20\n"
        b"98047837,64749712,3,,2883,2014-12-18 11\n"
        b"97726136,232431562,4,96nn52n,4245,2014-12-06 10\n"
        b"97726136,383583590,1,,5894,2014-12-16 21\n"
        b"97726136,64749712,1,,2883,2014-12-03 00\n"
        b"98607707,232431562,1,,9,2014-12-13 23\n"
        b"98607707,64749712,1,,2883,2014-12-13 23:30:01\n"
    ),
}
INTERACTIONS = [
    ("98047837", "232431562", 1417831200, "click", None, None, None),
    ("98047837", "383583590", 1418155200, "favourite", None, None, None),
    ("98047837", "64749712", 1418900400, "cart", None, None, None),
    ("97726136", "232431562", 1417860000, "purchase", None, None, None),
    ("97726136", "383583590", 1418763600, "click", None, None, None),
    ("97726136", "64749712", 1417564800, "click", None, None, None),
    ("98607707", "232431562", 1418511600, "click", None, None, None),
    ("98607707", "64749712", 1418513401, "click", None, None, None),
]
ITEMS = [
    ("232431562", "", "", ["category 4245"], ""),
    ("383583590", "", "", ["category 5894"], ""),
    ("64749712", "", "", ["category 2883"], ""),
]
BAD_ROWS = [
    ("1,2,1,,4,2014-12-06 25", "timestamp is not a time"),
    ("1,2,0,,4,2014-12-06 02", "unknown behavior"),
    ("1,2,1,4,2014-12-06 02", "too few fields, expected 6"),
]
