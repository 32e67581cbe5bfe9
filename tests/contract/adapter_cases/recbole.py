ADAPTER = "recbole"
HEADER = True
INTERACTIONS_FILE = "sample.inter"
ITEMS_FILE = "sample.item"
USERS_FILE = "sample.user"
FILES = {
    "sample.inter": (
        b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        b"196\t242\t3\t881250949\n"
        b"186\t302\t3\t891717742.0\n"
        b"22\t377\t1\t8.78887116e8\n"
        b"244\t51\t2\t880606923\n"
        b"166\t346\t1\t886397596\n"
        b"196\t377\t4.5\t881250950000\n"
        b"186\t242\t5\t891717743\n"
        b"22\t302\t2\t1997-11-07\n"
    ),
    "sample.item": (
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\tbrand:token\n"
        "242\tKolya\t1996\tComedy\t\n"
        "302\tL.A. Confidential\t1997\tCrime Children's Mystery\tWarner\n"
        "377\tMisérables, Les\t1995\t'Hair Care', 'Gifts', 'Gifts'\t\n"
        "51\t\t\t\t\n"
        "346\tJackie Brown\t1997\t'Skin Care'\t\n"
    ).encode(),
    "sample.user": (b"age:float\tuser_id:token\tname:token_seq\t*:token\n49\t196\tA B\t\n\t186\t\t\n23.0\t22\t B\t*\n"),
}
INTERACTIONS = [
    ("196", "242", 881250949, "rating", 3.0, None, None),
    ("186", "302", 891717742, "rating", 3.0, None, None),
    ("22", "377", 878887116, "rating", 1.0, None, None),
    ("244", "51", 880606923, "rating", 2.0, None, None),
    ("166", "346", 886397596, "rating", 1.0, None, None),
    ("196", "377", 881250950, "rating", 4.5, None, None),
    ("186", "242", 891717743, "rating", 5.0, None, None),
    ("22", "302", 878860800, "rating", 2.0, None, None),
]
ITEMS = [
    ("242", "Kolya", "", ["Comedy"], ""),
    ("302", "L.A. Confidential", "Warner", ["Crime", "Children's", "Mystery"], ""),
    ("377", "Misérables, Les", "", ["Hair Care", "Gifts"], ""),
    ("51", "", "", [], ""),
    ("346", "Jackie Brown", "", ["Skin Care"], ""),
]
BAD_ROWS = [
    ("1\t2\t3", "too few fields, expected 4"),
    ("1\t2\t3\t4\t5", "too many fields, expected 4"),
    ("\t2\t3\t4", "empty user_id"),
    ("user_id:token\titem_id:token\trating:float\ttimestamp:float", "timestamp is not a time"),
    ("1\t2\t3\tnan", "timestamp is not a time"),
    ("1\t2\tnan\t4", "value is not a finite number"),
]
BAD_ITEMS = [
    ("9\tNo class", "too few fields, expected 5"),
    ("\tNothing\t1\tDrama\t", "empty item_id"),
]
USERS = [
    ("196", {"age": "49", "name": "A B"}),
    ("186", {}),
    ("22", {"age": "23.0", "name": "B", "*": "*"}),
]
BAD_USERS = [
    ("1\t2\t3", "too few fields, expected 4"),
    ("49\t\t\t", "empty user_id"),
]
