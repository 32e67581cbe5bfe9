ADAPTER = "movielens-latest"
HEADER = True
INTERACTIONS_FILE = "ratings.csv"
ITEMS_FILE = "movies.csv"
FILES = {
    "ratings.csv": (
        b"userId,movieId,rating,timestamp\n"
        b"1,1,4.0,964982703\n"
        b"1,3,4.5,964981247\n"
        b"1,6,0.5,964982224\n"
        b"2,1,3,1445714835\n"
        b"2,3,2.0,1445714854\n"
        b'"2","6","2.0","1445714855"\n'
        b"3,1,5.0,1306463578\n"
        b"3,11,5.0,1306463579\n"
    ),
    "movies.csv": (
        "movieId,title,genres\n"
        "1,Toy Story (1995),Adventure|Animation|Children\n"
        '3,"Misérables, Les (1995)",Drama\n'
        '6,"""Great Performances"" Cats, the (1998)",Musical\n'
        "11,Untold (2000),(no genres listed)\n"
    ).encode(),
    "tags.csv": b"userId,movieId,tag,timestamp\n2,1,funny,1445714994\n",
    "links.csv": b"movieId,imdbId,tmdbId\n1,0114709,862\n",
}
INTERACTIONS = [
    ("1", "1", 964982703, "rating", 4.0, None, None),
    ("1", "3", 964981247, "rating", 4.5, None, None),
    ("1", "6", 964982224, "rating", 0.5, None, None),
    ("2", "1", 1445714835, "rating", 3.0, None, None),
    ("2", "3", 1445714854, "rating", 2.0, None, None),
    ("2", "6", 1445714855, "rating", 2.0, None, None),
    ("3", "1", 1306463578, "rating", 5.0, None, None),
    ("3", "11", 1306463579, "rating", 5.0, None, None),
]
ITEMS = [
    ("1", "Toy Story (1995)", "", ["Adventure", "Animation", "Children"], ""),
    ("3", "Misérables, Les (1995)", "", ["Drama"], ""),
    ("6", '"Great Performances" Cats, the (1998)', "", ["Musical"], ""),
    ("11", "Untold (2000)", "", [], ""),
]
BAD_ROWS = [
    ("1,2,3", "too few fields, expected 4"),
    ("1,2,3,4,5", "too many fields, expected 4"),
    ('1,2,3,"4', "unbalanced quotes"),
    (",2,3,4", "empty user_id"),
    ("1, ,3,4", "empty item_id"),
    ("userId,movieId,rating,timestamp", "timestamp is not a time"),
    ("1,2,3,-4", "negative timestamp"),
    ("1,2,good,4", "value is not a finite number"),
]
BAD_ITEMS = [
    ("9,No genres", "too few fields, expected 3"),
    ("9,Two, Titles,Drama", "too many fields, expected 3"),
    ('9,"Open,Drama', "unbalanced quotes"),
    (",Nothing,Drama", "empty item_id"),
]
