import pytest

from components.data_preparation.adapters.categories import category_list


@pytest.mark.parametrize(
    ("text", "categories"),
    [
        ("", []),
        (" Books ", ["Books"]),
        ("Action|Comedy|Action", ["Action", "Comedy"]),
        ("Home > Garden", ["Home", "Garden"]),
        ("Home, garden and tools", ["Home, garden and tools"]),
        ("['Home, garden', \"Men's\"]", ["Home, garden", "Men's"]),
        ("[Home, Garden]", ["Home", "Garden"]),
        ("[]", []),
    ],
)
def test_categories_in_one_text(text: str, categories: list[str]) -> None:
    assert category_list(text) == categories
