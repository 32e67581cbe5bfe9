"""Numbers of products and titles that look like links, and what must not pass for them."""

import pytest

from components.rationale_generation.lookalikes import without_product_numbers, without_titles_like_links
from components.rationale_generation.text_rules import Reason, RejectedAnswerError, TextRules


@pytest.mark.parametrize(
    "text",
    [
        "Buys 1200-1500-2000 grit sandpaper and 100-240 V 50-60 Hz adapters.",
        "Buys sandpaper of 320-400-600 and of 800-1000-1200 grit.",
        "Prefers phones of 128 256 512 GB and screens of 1080 1440 2160 pixels.",
        "Buys reading glasses of +1.00 +1.50 +2.00 and pencils of 0.5-0.7-0.9 mm.",
        "Likes films of 1984 1985 1986 and of 1999-2000-2001.",
        "Likes songs that were played 250.000.000 times.",
        "Prefers games such as Minecraft 1.20.41.12 and software for the PC.",
        "Prefers version 10.0.22.11 of the editor, with Java 8.0.2.1 and Photoshop 22.15.11.441.",
        "Prefers PowerDVD 20.0.22.10 and other software.",
        "Reads of Ubuntu 22.04.1 with the kernel 5.15.10.76.",
        # 0 + 3·1 + 2 + … = 98, and 98 + 2 is a multiple of 10; of the ISBNs 93 + 7, and 132 = 11 · 12.
        "Buys parts such as the Canon PGI-250 ink, UPC 0123456789012.",
        "Reads ISBN 978-0-306-40615-7, ISBN-13: 9780306406157 and ISBN 0306406152.",
        "Buys the colors of EAN 4006381333931 and GTIN-12 036000291452.",
    ],
)
def test_numbers_of_products_are_nobodys(text):
    TextRules().check("text", text)


@pytest.mark.parametrize(
    "text",
    [
        "Call 555-123-4567 about films of this kind.",
        "Call 100 200 300 about films of this kind.",
        "Write to 030 400 500 about films of this kind.",
        "The user +49 100 200 300 likes films.",
        "The user +49 (170) 100 200 300 likes films.",
        "The user 600 700 8000 likes films.",
        "The card 1000 2000 3000 4000 was used for films.",
        "The card 1000 2000 3000  4000 was used for films.",
        "The card 1000 2000 3000\u200b 4000 was used for films.",
        "The card 1000 2000 3000 ４０００ was used for films.",
        "The card 4111-1111-1111-1111 mm was used for films.",
        "The number 1234 5678 9012 grit is of a user.",  # after the word "number"
        "The user of UPC 2088123456789012 likes films.",  # too long
        "The user of UPC 0123456789013 likes films.",  # the check digit does not hold
        "The user 0123456789012 likes films.",
        "The user at 192.168.10.41 likes films.",
        "The user of software at 81.20.41.12 likes films.",
        "Likes the software of Host 81.20.41.12 and films.",
        "Likes the films of Ann 81.20.41.12 and others.",
        "Prefers the firmware 192.168.10.41 and films.",
        "Likes the software Foo 10.20.41.12 and films.",
        "Call Ann 01.42.68.53.00 about films.",
        "Write to john.100.200.300@example.org about films.",
    ],
)
def test_numbers_of_people_stay_what_they_are(text):
    with pytest.raises(RejectedAnswerError) as caught:
        TextRules().check("text", text)
    assert caught.value.reason == Reason.IDENTIFIER


@pytest.mark.parametrize(
    "text",
    [
        "Enjoys comedies such as Dot.com and thrillers such as Untraceable.",
        "Likes documentaries like Startup.com (2001), and dramas.",
        "Reads about the dot.com boom and about ASP.NET and Paint.NET.",
    ],
)
def test_titles_like_links_are_none(text):
    TextRules().check("text", text, {"startup.com"})


@pytest.mark.parametrize(
    "text",
    [
        "Likes films, see Films.com for more of it.",
        "Visit Startup.com for films such as this.",
        "Enjoys comedies such as Dot.com, visit the website.",
        "Enjoys comedies such as Dot.com/page and others.",
        "Enjoys comedies such as www.Dot.com and others.",
        "Enjoys comedies such as shop.Dot.com and others.",
        "Enjoys comedies such as those at Dot.com and others.",
        "Enjoys comedies such as evil.com and others.",
        "Enjoys comedies such as Evil.shop and others.",
        "Enjoys comedies such as Dot.com.ru and others.",
        "Enjoys Evil.com and others of this kind.",
        "Enjoys films such as Evil.com and others.",
        "Likes books titled Evil.net, and dramas.",
        "Likes films including Startup.com and Evil.org.",
        "Likes films such as Startup.co and others.",
    ],
)
def test_links_stay_links(text):
    with pytest.raises(RejectedAnswerError) as caught:
        TextRules().check("text", text, {"startup.com"})
    assert caught.value.reason == Reason.LINK


def test_words_on_both_sides_stay_apart():
    assert without_product_numbers("a 320-400-600 b").split() == ["a", "something", "b"]
    assert without_titles_like_links("films like Dot.com b").split() == ["films", "like", "something", "b"]
