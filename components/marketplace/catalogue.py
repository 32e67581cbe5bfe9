"""The words of the market: names of categories, kinds, brands and price bands, item texts and search queries."""

import numpy as np
import pyarrow as pa

from components.contracts.tables import ITEMS

# category: what its items are called, and its usual price
CATEGORIES: dict[str, tuple[tuple[str, str, str], float]] = {
    "Running": (("Running Shoes", "Running Jacket", "Running Belt"), 60.0),
    "Camping": (("Two-Person Tent", "Sleeping Bag", "Camping Stove"), 90.0),
    "Cycling": (("Bicycle Helmet", "Cycling Gloves", "Bicycle Light"), 45.0),
    "Kitchen": (("Chef Knife", "Cast Iron Pan", "Mixing Bowl"), 35.0),
    "Coffee": (("Espresso Machine", "Coffee Grinder", "Pour-Over Kettle"), 120.0),
    "Skin Care": (("Face Cream", "Cleansing Gel", "Sunscreen"), 18.0),
    "Hair Care": (("Shampoo", "Hair Dryer", "Styling Brush"), 22.0),
    "Audio": (("Wireless Headphones", "Bookshelf Speaker", "Microphone"), 110.0),
    "Photography": (("Camera Lens", "Tripod", "Camera Bag"), 150.0),
    "Gardening": (("Pruning Shears", "Watering Can", "Planter Box"), 28.0),
    "Toys": (("Building Blocks", "Wooden Train", "Puzzle"), 24.0),
    "Stationery": (("Fountain Pen", "Notebook", "Desk Organizer"), 16.0),
}
CATEGORY_NAMES = tuple(CATEGORIES)
KINDS_PER_CATEGORY = 3
USUAL_PRICES = np.array([price for _, price in CATEGORIES.values()])  # float64[categories]
BRANDS = (
    *("Alderway", "Bramble & Co", "Corvina", "Dunemark", "Eastlight", "Fjordline", "Grovesmith", "Halden"),
    *("Ironleaf", "Juniper Lane", "Kestrel", "Lumora", "Marrow & Pine", "Northwind", "Oakhaven", "Pellucid"),
)
STYLES = ("Classic", "Compact", "Foldable", "Handmade", "Lightweight", "Modern", "Pro", "Travel")
PRICE_BANDS = ("Budget", "Everyday", "Premium", "Luxury")
PRICE_BAND_EDGES = (-0.67449, 0.0, 0.67449)  # quartiles of a standard normal `price_position`


def user_ids(first: int, last: int) -> list[str]:
    """Ids of the users of index `first` to `last` - 1."""
    return [f"u{index:07d}" for index in range(first, last)]


def item_ids(first: int, last: int) -> list[str]:
    """Ids of the items of index `first` to `last` - 1."""
    return [f"i{index:06d}" for index in range(first, last)]


def items_table(
    category: np.ndarray, kind: np.ndarray, brand: np.ndarray, style: np.ndarray, price_position: np.ndarray
) -> pa.Table:
    """`contracts.tables.ITEMS` of the items of index 0 to I - 1, from int[I] codes and float[I] price positions.

    A title carries every attribute that the tastes are about: "Fjordline Premium Travel Espresso Machine 000123".
    """
    band = np.searchsorted(PRICE_BAND_EDGES, price_position)
    titles, brands, categories, descriptions = [], [], [], []
    for index in range(len(category)):
        category_name, brand_name = CATEGORY_NAMES[category[index]], BRANDS[brand[index]]
        kind_name = CATEGORIES[category_name][0][kind[index]]
        band_name, style_name = PRICE_BANDS[band[index]], STYLES[style[index]]
        titles.append(f"{brand_name} {band_name} {style_name} {kind_name} {index:06d}")
        brands.append(brand_name)
        categories.append([category_name, kind_name])
        descriptions.append(
            f"{style_name} {kind_name.lower()} by {brand_name}, for {category_name.lower()}; "
            f"{band_name.lower()} price band."
        )
    return pa.table([item_ids(0, len(titles)), titles, brands, categories, descriptions], schema=ITEMS)


def queries() -> pa.Array:
    """Every search query, as string[categories * 4 * (brands + 1)]; `query_index` says which is where."""
    texts = []
    for category_name, (kinds, _) in CATEGORIES.items():
        for subject in (category_name, *kinds):
            texts += [f"{brand_name} {subject}".lower() for brand_name in BRANDS]
            texts.append(subject.lower())
    return pa.array(texts, pa.string())


def query_index(category: np.ndarray, subject: np.ndarray, brand: np.ndarray) -> np.ndarray:
    """Rows of `queries()`, int64[n].

    Args:
        category: int[n].
        subject: int[n], 0 for the category's name, 1 to 3 for one of its kinds.
        brand: int[n], `len(BRANDS)` where the query names none.
    """
    subjects = KINDS_PER_CATEGORY + 1
    return (category.astype(np.int64) * subjects + subject) * (len(BRANDS) + 1) + brand
