"""Step 0 of the prompt (RELAND 3.1.2) for texts of items: no promotion, and nothing that a chat template may read."""

import re
import unicodedata

# Characters of a text that are read; prompts show far fewer.
_LONGEST = 2_000

# Invisible characters: those that Unicode calls ignorable beyond its category Cf (format), and the empty braille cell.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)

# Special tokens are written in brackets: <|im_start|>, <s>, <start_of_turn>, <<SYS>>, [INST], [gMASK].
BRACKETS = frozenset("<>[]")
_NEUTRAL = str.maketrans("<>[]", "‹›()")
_HEADING = re.compile(r"#{2,}")  # ### System:

_EMOJI = re.compile("[\U0001f000-\U0001faff☆✓✔✅✨❗❕‼⁉❌⚡⭐☑➤►▶◆◇●■]")
_SEPARATORS = " -–—|,;:~*!★"

# Promotion in a title. Conservative: "Limited Edition", "(NEW)" and "PA+++" describe the item and stay.
_SALE = r"(?:(?:big|hot|flash|super|grand|launch|limited|blowout|clearance|final|on|for) )?sale"
_PROMOTIONS = (
    rf"(?:{_SALE} |extra |save |up to |today only,? )*\d{{1,2}} ?% off(?:,? (?:only )?today(?: only)?| now| sale)*",
    r"save (?:up to )?(?:\$ ?\d[\d.]*|\d{1,2} ?%)(?: today| now| off)*",
    r"(?:big|hot|flash|clearance|final|on|for) sale(?: now| today)?(?= *!| *$| *[-–—|,;)])",
    rf"(?-i:{_SALE.upper()})(?= *[!:|*★])",
    r"clearance priced?",
    r"(?:with |plus |and |& ?|\+ ?)?free (?:worldwide |fast )?(?:shipping|delivery)(?: today| available| worldwide)*",
    r"buy (?:\d|one|two|three),? get (?:\d|one|two)(?: (?:for )?free| half off)?",
    r"limited[- ]time (?:offer|only|deal|sale)",
    r"today only",
    r"(?:lowest|best) price(?: ever| guaranteed?)",
    r"(?:\d+[- ]days? )?(?:100% )?(?:lifetime |unconditional |full )?money[- ]?back guarantee",
)
_ANY_PROMOTION = rf"(?<!\w)(?:{'|'.join(_PROMOTIONS)})(?!\w)"
_PROMOTION = re.compile(rf"{_ANY_PROMOTION}\.?", re.IGNORECASE)
# In brackets: with a promotion in it, or a word that is one when it stands alone.
_BRACKETED = re.compile(
    rf"\((?:[^()]*{_ANY_PROMOTION}[^()]*|{_SALE}!*|hot!*|deal!*|promo(?:tion)?!*|clearance!*)\)+", re.IGNORECASE
)
_REPEATED = re.compile(r"([!?*~])(?:\s*\1)+")


def neutralise(text: str) -> str:
    """The text as one line without invisible characters and without special tokens of a chat template.

    Compatible forms become one (NFKC: full-width letters become letters; characters of Latin-1, as ³, stay); control
    characters become white space; invisible ones (zero-width, bidirectional, tags, variation selectors) are removed;
    brackets in which special tokens are written are replaced.
    """
    text = text[:_LONGEST]
    if not text.isascii():
        seen = (sign for sign in text if unicodedata.category(sign) != "Cf")
        one_form = "".join(sign if sign < "\u0100" else unicodedata.normalize("NFKC", sign) for sign in seen)
        text = unicodedata.normalize("NFC", _IGNORABLE.sub("", one_form))
    visible = "".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in text)
    return " ".join(_HEADING.sub("#", visible.translate(_NEUTRAL)).split())


def without_promotion(title: str) -> str:
    """A neutralised title without promotion: offers, emoji, exclamation marks in a row.

    A title that is nothing else stays as it is: it may be a name.
    """
    rest, *others = _PROMOTION.split(_BRACKETED.sub(" ", _EMOJI.sub("★", title)))
    for part in others:
        left, right = rest.rstrip(_SEPARATORS), part.lstrip(_SEPARATORS)
        between = rest[len(left) :] + part[: len(part) - len(right)]
        rest = left + _joint(between) + right if left and right else left + right
    rest = " ".join(_REPEATED.sub(r"\1", rest.replace("★", " ")).split())
    return rest if any(sign.isalnum() for sign in rest) else title


def _joint(between: str) -> str:
    """What stands between two parts of a title when the promotion between them is gone: the first of the separators."""
    for sign in between:
        if sign in "-–—|":
            return f" {sign} "
        if sign in ",;:!":
            return f"{sign} "
    return " "
