ADAPTER = "named-columns"
HEADER = True
INTERACTIONS_FILE = "log.csv"
ITEMS_FILE = "items.csv"
USERS_FILE = "users.csv"
FILES = {
    "log.csv": (
        b",User_ID,item_id,timestamp,behavior,value,query\n"
        b"0,u1,i1,2024-01-01 08:00,click,,\n"
        b"1,u1,i2,2024/1/1 8:01,add_to_cart,,red shoes\n"
        b"2,u1,i1,1704096120,Purchase,19.90,\n"
        b'3,"u2","i2",1704096120000,pv,,"shoes, red"\n'
        b"4,u2,i3,1704096120,like,,\n"
        b"5, u2 ,i1,20240101080200,click,,\n"
        b"6,u3,i1,1704096120,click,,\n"
        b"7,u3,i3,1704096121,rating,4.5,\n"
    ),
    "items.csv": (
        "item_id,title,categories,price\n"
        "i1,Café table,Home|Tables,5\n"
        'i2,"Shoe, red","[\'Shoes\', ""Men\'s""]",6\n'
        'i3,Lamp,"Home, garden and tools",7\n'
    ).encode(),
    "users.csv": b"user_id,age,city\nu1,30,Turin\nu2,,Oslo\n",
}
INTERACTIONS = [
    ("u1", "i1", 1704096000, "click", None, None, None),
    ("u1", "i2", 1704096060, "cart", None, "red shoes", None),
    ("u1", "i1", 1704096120, "purchase", 19.9, None, None),
    ("u2", "i2", 1704096120, "click", None, "shoes, red", None),
    ("u2", "i3", 1704096120, "favourite", None, None, None),
    ("u2", "i1", 1704096120, "click", None, None, None),
    ("u3", "i1", 1704096120, "click", None, None, None),
    ("u3", "i3", 1704096121, "rating", 4.5, None, None),
]
ITEMS = [
    ("i1", "Café table", "", ["Home", "Tables"], ""),
    ("i2", "Shoe, red", "", ["Shoes", "Men's"], ""),
    ("i3", "Lamp", "", ["Home, garden and tools"], ""),
]
USERS = [("u1", {"age": "30", "city": "Turin"}), ("u2", {"city": "Oslo"})]
BAD_ROWS = [
    ("8,u,i,5,click,", "too few fields, expected 7"),
    ("8,,i,5,click,,", "empty user_id"),
    ("8,u,i,soon,click,,", "timestamp is not a time"),
    ("8,u,i,08/12/2014,click,,", "timestamp is not a time"),
    ("8,u,i,5,stare,,", "unknown behavior"),
    ("8,u,i,5,click,much,", "value is not a finite number"),
    ('8,u,i,5,click,,"open', "unbalanced quotes"),
]
BAD_ITEMS = [("i4,Chair,Home", "too few fields, expected 4"), (",Chair,Home,8", "empty item_id")]
BAD_USERS = [("u3,1", "too few fields, expected 3"), (",1,Rome", "empty user_id")]
