"""Names of people: which can be had, and which look the same. Pure.

People are told apart by their names everywhere, so nobody may have one that others take for somebody else's. Compared
is what is left after Unicode's NFKC and case folding (UAX #15, #31), without signs that are not drawn
(Default_Ignorable_Code_Point), with Cyrillic and Greek letters as the Latin ones they look like (from UTS #39).
"""

from __future__ import annotations

import re
import unicodedata

from pictus.errors import UserError, clipped

MOST_SIGNS = 40
RESERVED = ("source:", "model:")
"""Names of annotators that are no persons begin so: a list that was taken in, a model that proposes."""

_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_BLANK = "\u2800"
"""A Braille cell without dots: a sign to Unicode, a space to the eye."""

_COLONS = dict.fromkeys(
    "\u02d0\u02f8\u0589\u05c3\u0703\u0704\u0903\u0a83\u16ec\u1803\u1809\u205a\u2236\ua4fd\ua789\ufe30", ":"
)
# Small letters, beside the Latin ones that they, or their capitals, look like.
_CYRILLIC = zip(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0455\u0456\u0458\u0475\u04af\u04bb\u04cf\u0501\u051b\u051d",
    "abekmhopctyxsijvyhldqw", strict=True,
)  # fmt: skip
_GREEK = zip(
    "\u03b1\u03b2\u03b5\u03b6\u03b7\u03b9\u03ba\u03bc\u03bd\u03bf\u03c1\u03c3\u03c4\u03c5\u03c7\u03f3",
    "abezhikmnopotyxj", strict=True,
)  # fmt: skip
_LOOKS = str.maketrans(_COLONS | dict(_CYRILLIC) | dict(_GREEK))
_MIXED = ({"LATIN", "CYRILLIC"}, {"LATIN", "GREEK"}, {"CYRILLIC", "GREEK"})


def alike(name: str) -> str:
    """What is the same for names that look the same. Never shown."""
    found = name
    for _ in range(3):  # folding may open what normal forms close
        shown = _UNSEEN.sub("", unicodedata.normalize("NFKC", found.translate(_LOOKS)).replace(_BLANK, " ")).casefold()
        parts = unicodedata.normalize("NFKD", shown).translate(_LOOKS)  # dots on a letter stand apart
        found = " ".join(unicodedata.normalize("NFKC", parts).split())
    return found


def clean_name(name: str) -> str:
    """A pseudonym as it will stand beside every vote; UserError says why it cannot be one."""
    found = " ".join(unicodedata.normalize("NFC", name[:1000]).replace(_BLANK, " ").split())
    fix = f"choose another: 1 to {MOST_SIGNS} letters, digits, spaces or other visible signs"
    if not found.isprintable():  # controls, halves of signs, and what turns the direction of text
        raise UserError(f"The name {clipped(found)} has signs that cannot be seen.", fix=fix)
    found = unicodedata.normalize("NFC", " ".join(_UNSEEN.sub("", found).split()))
    if not 1 <= len(found) <= MOST_SIGNS:
        raise UserError(f"A name has 1 to {MOST_SIGNS} signs; {clipped(found)} has {len(found)}.", fix=fix)
    compared = alike(found)
    if compared.replace(" ", "").startswith(RESERVED):
        raise UserError(f"The name {clipped(found)} begins like that of a file or a model.", fix=fix)
    if compared.startswith("-"):
        raise UserError(f"The name {clipped(found)} begins like a command's flag.", fix="begin with a letter or digit")
    if not any(sign.isalnum() for sign in compared):
        raise UserError(f"The name {clipped(found)} has no letter and no digit.", fix="add one")
    for word in found.split():
        if any(mixed <= _scripts(word) for mixed in _MIXED):
            what = f"The name {clipped(found)} has letters of two alphabets in one word."
            raise UserError(what, fix="write it in one: many of their letters look the same")
    return found


def _scripts(word: str) -> set[str]:
    """LATIN, GREEK, CYRILLIC, …: the first words of its letters' names."""
    letters = unicodedata.normalize("NFKC", word)
    return {unicodedata.name(sign, "").partition(" ")[0] for sign in letters if sign.isalpha()}
