import pytest

from components.data_preparation.plain_text import plain_text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Scarf &amp;amp; hat", "Scarf & hat"),
        ('<span id="productTitle" class="a-size-large">Blue scarf</span>', "Blue scarf"),
        ('<img src="x/fashion.png" class="nav" alt="AMAZON FASHION"/>', "AMAZON FASHION"),
        ("<p>Soft &amp; <b>warm</b></p>", "Soft & warm"),
        ("&lt;b&gt;Bold&lt;/b&gt;", "Bold"),
        ("<script>var a = 1 < 2;</script>Lamp<!-- no --><br>shade", "Lamp shade"),
        ("I <3 you", "I <3 you"),
        ("a < b and b > c", "a < b and b > c"),
        ("Tom &Jerry; AT&T", "Tom &Jerry; AT&T"),
        ("Untitled <Draft>", "Untitled <Draft>"),
    ],
)
def test_what_a_reader_of_the_page_would_see(text: str, plain: str) -> None:
    assert " ".join(plain_text(text).split()) == plain
