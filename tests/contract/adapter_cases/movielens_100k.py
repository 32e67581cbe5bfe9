ADAPTER = "movielens-100k"
INTERACTIONS_FILE = "u.data"
ITEMS_FILE = "u.item"
USERS_FILE = "u.user"


def _movie(movie: str, title: str, genres: set[int]) -> str:
    flags = "|".join("1" if position in genres else "0" for position in range(19))
    return f"{movie}|{title}|01-Jan-1995||http://us.imdb.com/M/title-exact?{movie}|{flags}"


FILES = {
    "u.data": (
        b"196\t242\t3\t881250949\n"
        b"186\t302\t3\t891717742\n"
        b"22\t377\t1\t878887116\n"
        b"244\t51\t2\t880606923\n"
        b"166\t346\t1\t886397596\n"
        b"196\t377\t4\t881250950\n"
        b"186\t242\t5\t891717743\n"
        b"22\t302\t2\t878887117\n"
    ),
    "u.item": "\n".join(
        [
            _movie("242", "Kolya (1996)", {5}),
            _movie("302", "L.A. Confidential (1997)", {6, 10, 13, 16}),
            _movie("377", "Misérables, Les (1995)", {1, 18}),
            _movie("267", "unknown", {0}),
        ]
    ).encode("iso-8859-1")
    + b"\n",
    "u.genre": b"unknown|0\nAction|1\n\n",
    "u.user": b"1|24|M|technician|85711\n2|53|F|other|T8H1N\n",
}
INTERACTIONS = [
    ("196", "242", 881250949, "rating", 3.0, None, None),
    ("186", "302", 891717742, "rating", 3.0, None, None),
    ("22", "377", 878887116, "rating", 1.0, None, None),
    ("244", "51", 880606923, "rating", 2.0, None, None),
    ("166", "346", 886397596, "rating", 1.0, None, None),
    ("196", "377", 881250950, "rating", 4.0, None, None),
    ("186", "242", 891717743, "rating", 5.0, None, None),
    ("22", "302", 878887117, "rating", 2.0, None, None),
]
ITEMS = [
    ("242", "Kolya (1996)", "", ["Comedy"], ""),
    ("302", "L.A. Confidential (1997)", "", ["Crime", "Film-Noir", "Mystery", "Thriller"], ""),
    ("377", "Misérables, Les (1995)", "", ["Action", "Western"], ""),
    ("267", "unknown", "", [], ""),
]
BAD_ROWS = [
    ("1\t2\t3", "too few fields, expected 4"),
    ("1\t2\t3\t4\t5", "too many fields, expected 4"),
    ("1 2 3 4", "too few fields, expected 4"),
    ("\t2\t3\t4", "empty user_id"),
    ("1\t \t3\t4", "empty item_id"),
    ("1\t2\t3\tsoon", "timestamp is not a time"),
    ("1\t2\t3\t-4", "negative timestamp"),
    ("1\t2\tgood\t4", "value is not a finite number"),
]
BAD_ITEMS = [
    ("9|Too few|01-Jan-1995||", "too few fields, expected 24"),
    (_movie("9", "Two|Titles", set()), "too many fields, expected 24"),
    (_movie(" ", "Nothing", set()), "empty item_id"),
]
USERS = [
    ("1", {"age": "24", "gender": "M", "occupation": "technician", "zip": "85711"}),
    ("2", {"age": "53", "gender": "F", "occupation": "other", "zip": "T8H1N"}),
]
BAD_USERS = [
    ("3|24|M|technician", "too few fields, expected 5"),
    (" |24|M|technician|85711", "empty user_id"),
]
