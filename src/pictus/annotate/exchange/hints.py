"""Names of pictures that tell what the pictures show: "n04392985_3341_tape_player.jpg", "owl/1.jpg"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pictus.concepts import Taxonomy

_WHOLE = re.compile(r"[^\W_]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_LONGEST = 6
"""Words of a name; longer names are not looked for."""


def telling(texts: Iterable[str], taxonomy: Taxonomy) -> list[str]:
    """Those of `texts` in which a name or an id of any concept stands, word for word, in any case, one or many."""
    names = {
        tuple(_WHOLE.findall(name.casefold())) for concept in taxonomy for name in (concept.concept_id, *concept.names)
    } - {()}
    return [text for text in texts if any(part in names for part in _parts(text.casefold()))]


def _parts(text: str) -> Iterator[tuple[str, ...]]:
    for pattern in (_WHOLE, _LETTERS):
        words = pattern.findall(text)
        for start in range(len(words)):
            for end in range(start + 1, min(start + _LONGEST, len(words)) + 1):
                part = tuple(words[start:end])
                yield part
                if part[-1].endswith("s"):
                    yield (*part[:-1], part[-1][:-1])
