ADAPTER = "recbole"
HEADER = True
INTERACTIONS_FILE = "log.inter"
FILES = {
    "log.inter": (
        b"session_id:token\titem_id:token\tbehavior_type:token\tquery:token_seq\tchannel:token\tbrand_id:token\ttimestamp:float\n"
        b"s1\ti1\tpv\t\thome\t7\t1511544070\n"
        b"s1\ti2\tsearch\tred shoes\tsearch\t\t1511544071\n"
        b"s1\ti2\tView\t\thome\t7\t1511544072\n"
        b"s1\ti2\tcart\t\thome\t7\t1511544073\n"
        b"s2\ti1\tfav\t\thome\t7\t1511544074\n"
        b"s2\ti1\tbuy\t\thome\t7\t1511544075\n"
        b"s2\ti3\tpurchase\t\thome\t7\t1511544076\n"
        b"s2\ti3\tclick\t\thome\t7\t1511544077\n"
    ),
}
INTERACTIONS = [
    ("s1", "i1", 1511544070, "click", None, "", "home"),
    ("s1", "i2", 1511544071, "search", None, "red shoes", "search"),
    ("s1", "i2", 1511544072, "click", None, "", "home"),
    ("s1", "i2", 1511544073, "cart", None, "", "home"),
    ("s2", "i1", 1511544074, "favourite", None, "", "home"),
    ("s2", "i1", 1511544075, "purchase", None, "", "home"),
    ("s2", "i3", 1511544076, "purchase", None, "", "home"),
    ("s2", "i3", 1511544077, "click", None, "", "home"),
]
BAD_ROWS = [("s1\ti1\tteleported\t\thome\t7\t1511544070", "unknown behavior")]
ITEMS = [
    ("i1", "", "brand 7", [], ""),
    ("i2", "", "", [], ""),
    ("i3", "", "brand 7", [], ""),
]
