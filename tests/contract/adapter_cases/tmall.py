ADAPTER = "tmall"
HEADER = True
INTERACTIONS_FILE = "user_log_format1.csv"
USERS_FILE = "user_info_format1.csv"
FILES = {
    "user_log_format1.csv": (
        b"user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type\n"
        b"328862,323294,833,2882,2661,0829,0\n"
        b"328862,844400,1271,2882,2661.0,829,1\n"
        b"328862,575153,1271,2882,,829,2\n"
        b"234512,323294,1,2882,9,1111,3\n"
        b"234512,844400,1271,2882,2661,1111,0\n"
        b"234512,996875,1271,2882,2661,511,0\n"
        b"107013,323294,833,2882,2661,20141112,2\n"
        b"107013,996875,1271,1253,1049,1112,0\n"
    ),
    "user_info_format1.csv": b"user_id,age_range,gender\n328862,6,1\n234512,,0\n",
}
INTERACTIONS = [
    ("328862", "323294", 1409270400, "click", None, None, None),
    ("328862", "844400", 1409270400, "cart", None, None, None),
    ("328862", "575153", 1409270400, "purchase", None, None, None),
    ("234512", "323294", 1415664000, "favourite", None, None, None),
    ("234512", "844400", 1415664000, "click", None, None, None),
    ("234512", "996875", 1399766400, "click", None, None, None),
    ("107013", "323294", 1415750400, "purchase", None, None, None),
    ("107013", "996875", 1415750400, "click", None, None, None),
]
ITEMS = [
    ("323294", "", "brand 2661", ["category 833", "merchant 2882"], ""),
    ("844400", "", "brand 2661", ["category 1271", "merchant 2882"], ""),
    ("575153", "", "", ["category 1271", "merchant 2882"], ""),
    ("996875", "", "brand 2661", ["category 1271", "merchant 2882"], ""),
]
BAD_ROWS = [
    ("1,2,3,4,5,829", "too few fields, expected 7"),
    (",2,3,4,5,829,0", "empty user_id"),
    ("1,2,3,4,5,1399,0", "timestamp is not a time"),
    ("1,2,3,4,5,0229,0", "timestamp is not a time"),
    ("1,2,3,4,5,20140230,0", "timestamp is not a time"),
    ("1,2,3,4,5,,0", "timestamp is not a time"),
    ("1,2,3,4,5,829,4", "unknown behavior"),
    ("1,2,3,4,5,829,click", "unknown behavior"),
]
USERS = [
    ("328862", {"age_range": "6", "gender": "1"}),
    ("234512", {"gender": "0"}),
]
BAD_USERS = [
    ("1,2", "too few fields, expected 3"),
    (",6,1", "empty user_id"),
]
