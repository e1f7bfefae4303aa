"""What an address that once gave a picture says when it is asked again: kinds, their words, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pictus.collect.causes import GOOD
from pictus.errors import counted

UNCHANGED, CHANGED, GONE, WITHDRAWN, UNANSWERED = KINDS = ("unchanged", "changed", "gone", "withdrawn", "unanswered")
"""The same bytes; other bytes; 404 or 410; its owner does not want it used (any more); no picture for another cause."""

_GONE = frozenset({"http-404", "http-410"})
_WITHDRAWN = frozenset({"robots", "robots-ai", "opt-out", "tdm-reserved"})


def kind_of(cause: str, *, is_same: bool) -> str:
    """What the end of an attempt says of the picture that the address gave before."""
    if cause in GOOD:
        return UNCHANGED if is_same else CHANGED
    if cause in _GONE:
        return GONE
    return WITHDRAWN if cause in _WITHDRAWN else UNANSWERED


def told(found: Mapping[str, int]) -> tuple[str, ...]:
    """One line for each kind that a person should know of."""
    lines = {
        WITHDRAWN: "withdrawn by the owner (robots.txt, X-Robots-Tag or TDMRep): pictus clean screen drops the"
        " pictures by its rule opt-out, pictus clean restore overrules it",
        CHANGED: "with other bytes than before: the new picture is added, the old one stays and says so (pictus show)",
        GONE: "gone (404 or 410): the pictures stay; leave the addresses out of the list",
        UNANSWERED: "asked again without an answer that is a picture: the pictures from before stay",
    }
    return tuple(
        f"{counted(found[kind], 'address', 'addresses')} {words}" for kind, words in lines.items() if found.get(kind)
    )


def counts(found: Counter[str]) -> dict[str, int]:
    """Every kind with its number."""
    return {kind: found[kind] for kind in KINDS}
