ADAPTER = "recbole"
HEADER = True
INTERACTIONS_FILE = "log.inter"
FILES = {
    "log.inter": (
        b"session_id:token\titem_id:token\tbehavior_type:token\tquery:token_seq\ttimestamp:float\n"
        b"s1\ti1\tpv\t\t1511544070\n"
        b"s1\ti2\tsearch\tred shoes\t1511544071\n"
        b"s1\ti2\tView\t\t1511544072\n"
        b"s1\ti2\tcart\t\t1511544073\n"
        b"s2\ti1\tfav\t\t1511544074\n"
        b"s2\ti1\tbuy\t\t1511544075\n"
        b"s2\ti3\tpurchase\t\t1511544076\n"
        b"s2\ti3\tclick\t\t1511544077\n"
    ),
}
INTERACTIONS = [
    ("s1", "i1", 1511544070, "click", None, "", None),
    ("s1", "i2", 1511544071, "search", None, "red shoes", None),
    ("s1", "i2", 1511544072, "click", None, "", None),
    ("s1", "i2", 1511544073, "cart", None, "", None),
    ("s2", "i1", 1511544074, "favourite", None, "", None),
    ("s2", "i1", 1511544075, "purchase", None, "", None),
    ("s2", "i3", 1511544076, "purchase", None, "", None),
    ("s2", "i3", 1511544077, "click", None, "", None),
]
BAD_ROWS = [("s1\ti1\tteleported\t\t1511544070", "unknown behavior")]
