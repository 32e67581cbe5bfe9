ADAPTER = "movielens-1m"
INTERACTIONS_FILE = "ratings.dat"
ITEMS_FILE = "movies.dat"
USERS_FILE = "users.dat"
FILES = {
    "ratings.dat": "".join(
        f"{user}::{movie}::{stars}::{moment}\n"
        for user, movie, stars, moment in [
            (1, 1193, 5, 978300760),
            (1, 73, 3, 978302109),
            (1, 914, 3, 978301968),
            (2, 1193, 4, 978300275),
            (2, 73, 4, 978824291),
            (2, 74, 1, 978302268),
            (3, 914, 2, 978302039),
            (3, 74, 5, 978300719),
        ]
    ).encode(),
    "movies.dat": (
        b"1193::One Flew Over the Cuckoo's Nest (1975)::Drama\n"
        b"73::Mis\xe9rables, Les (1995)::Drama|Musical\n"
        b"74::Untold (1996)::\n"
    ),
    "users.dat": b"1::F::1::10::48067\n2::M::56::16::70072\n5::::25:: ::98107-2117\n",
}
INTERACTIONS = [
    ("1", "1193", 978300760, "rating", 5.0, None, None),
    ("1", "73", 978302109, "rating", 3.0, None, None),
    ("1", "914", 978301968, "rating", 3.0, None, None),
    ("2", "1193", 978300275, "rating", 4.0, None, None),
    ("2", "73", 978824291, "rating", 4.0, None, None),
    ("2", "74", 978302268, "rating", 1.0, None, None),
    ("3", "914", 978302039, "rating", 2.0, None, None),
    ("3", "74", 978300719, "rating", 5.0, None, None),
]
ITEMS = [
    ("1193", "One Flew Over the Cuckoo's Nest (1975)", "", ["Drama"], ""),
    ("73", "Misérables, Les (1995)", "", ["Drama", "Musical"], ""),
    ("74", "Untold (1996)", "", [], ""),
]
BAD_ROWS = [
    ("1::2::3", "too few fields, expected 4"),
    ("1::2::3::4::5", "too many fields, expected 4"),
    ("", "too few fields, expected 4"),
    ("::2::3::4", "empty user_id"),
    ("1:: ::3::4", "empty item_id"),
    ("1::2::3::yesterday", "timestamp is not a time"),
    ("1::2::3::", "timestamp is not a time"),
    ("1::2::3::2000-02-30", "timestamp is not a time"),
    ("1::2::3::-4", "negative timestamp"),
    ("1::2::3::-99999999999999999999999", "negative timestamp"),
    ("1::2::3::4133980800", "timestamp beyond the year 2100"),
    ("1::2::3::99999999999999999999999", "timestamp beyond the year 2100"),
    ("1::2::good::4", "value is not a finite number"),
    ("1::2::nan::4", "value is not a finite number"),
    ("1::2::inf::4", "value is not a finite number"),
    ("1::2::1e999::4", "value is not a finite number"),
    ("1::2::::4", "value is not a finite number"),
    ("1::2\x00::3::4", "not utf-8 text"),
]
BAD_ITEMS = [
    ("9::No genres", "too few fields, expected 3"),
    ("9::Two::Titles::Drama", "too many fields, expected 3"),
    ("::Nothing::Drama", "empty item_id"),
]
USERS = [
    ("1", {"gender": "F", "age": "1", "occupation": "10", "zip": "48067"}),
    ("2", {"gender": "M", "age": "56", "occupation": "16", "zip": "70072"}),
    ("5", {"age": "25", "zip": "98107-2117"}),
]
BAD_USERS = [
    ("6::F::1::10", "too few fields, expected 5"),
    ("6::F::1::10::48067::", "too many fields, expected 5"),
    ("::F::1::10::48067", "empty user_id"),
    ("6::F\x00::1::10::48067", "not utf-8 text"),
]
