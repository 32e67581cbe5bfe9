ADAPTER = "taobao"
INTERACTIONS_FILE = "UserBehavior.csv"
FILES = {
    "UserBehavior.csv": (
        b"1,2268318,2520377,pv,1511544070\n"
        b"1,2333346,2520771,pv,1511561733\n"
        b"1,2576651,149192,cart,1511572885\n"
        b"1,2268318,2520377,fav,1511544071\n"
        b"100,2268318,999,buy,1511550000\n"
        b"100,2333346,2520771,pv,1511550001\n"
        b"100,5100093,,pv,1511550002\n"
        b"100,2576651,149192,pv,1511550003\n"
    ),
}
INTERACTIONS = [
    ("1", "2268318", 1511544070, "click", None, None, None),
    ("1", "2333346", 1511561733, "click", None, None, None),
    ("1", "2576651", 1511572885, "cart", None, None, None),
    ("1", "2268318", 1511544071, "favourite", None, None, None),
    ("100", "2268318", 1511550000, "purchase", None, None, None),
    ("100", "2333346", 1511550001, "click", None, None, None),
    ("100", "5100093", 1511550002, "click", None, None, None),
    ("100", "2576651", 1511550003, "click", None, None, None),
]
ITEMS = [
    ("2268318", "", "", ["category 2520377"], ""),
    ("2333346", "", "", ["category 2520771"], ""),
    ("2576651", "", "", ["category 149192"], ""),
    ("5100093", "", "", [], ""),
]
BAD_ROWS = [
    ("1,2,3,pv", "too few fields, expected 5"),
    ("1,2,3,pv,4,5", "too many fields, expected 5"),
    (",2,3,pv,4", "empty user_id"),
    ("1,,3,pv,4", "empty item_id"),
    ("1,2,3,pv,soon", "timestamp is not a time"),
    ("1,2,3,pv,-1512547200", "negative timestamp"),
    ("1,2,3,stare,4", "unknown behavior"),
    ("1,2,3,,4", "unknown behavior"),
]
