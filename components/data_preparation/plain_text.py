"""Page markup out of titles, brands, categories and descriptions: what a reader of the page would see."""

import re
from html import unescape

# Names of HTML elements that occur in catalogues: "<3" and "a <b and c> d" of a title are text.
ELEMENTS = (
    "a|abbr|article|aside|b|big|blockquote|body|br|button|center|cite|code|dd|del|div|dl|dt|em|figcaption|figure|font|"
    "footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|label|li|link|main|mark|meta|nav|noscript|ol|"
    "option|p|pre|q|s|samp|section|select|small|source|span|strike|strong|sub|summary|sup|svg|table|tbody|td|textarea|"
    "tfoot|th|thead|time|title|tr|tt|u|ul|var|video"
)
UNSEEN = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|$)|<!--.*?(?:-->|$)", re.DOTALL | re.IGNORECASE)
IMAGE = re.compile(r"<img\b[^>]*?\balt\s*=\s*(?:\"([^\"]*)\"|'([^']*)')[^>]*>", re.IGNORECASE)
TAG = re.compile(rf"</?(?:{ELEMENTS})(?:\s[^<>]*)?/?>", re.IGNORECASE)
MOST_ESCAPES = 3  # "&amp;amp;" is escaped twice


def plain_text(text: str) -> str:
    """`text` without markup and with entities as characters; an image is its alternative text. Lines are kept."""
    if "&" in text:
        for _ in range(MOST_ESCAPES):
            text = unescape(text)
    if "<" not in text:
        return text
    text = IMAGE.sub(lambda match: f" {match[1] or match[2] or ''} ", UNSEEN.sub(" ", text))
    return TAG.sub(" ", text)
