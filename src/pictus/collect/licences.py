"""Licences in one spelling, whoever wrote them: SPDX identifiers where there is one (CC-BY-4.0, CC0-1.0)."""

from __future__ import annotations

import re

PUBLIC_DOMAIN = "PDM"
"""The public domain mark. SPDX has no identifier for it, as it is no licence."""

_LONGEST = 100
_URL = re.compile(
    r"(?:(?:https?:)?//)?(?:www\.)?creativecommons\.org/(?:licenses/(by(?:-(?:nc|nd|sa)){0,2})/(\d\.\d)(?:/([a-z]{2,8}))?"
    r"|publicdomain/(zero|mark)/(\d\.\d))(?:[./][\w./-]{0,40})?(?:[?#][!-~]{0,200})?",
    re.IGNORECASE,
)
_TEXT = re.compile(
    r"(?:cc|creative commons|attribution)?[\s-]*(by(?:-(?:nc|nd|sa))*)[\s-]+v?(\d\.\d)(?:[\s-]+([a-z]{2,8}))?",
    re.IGNORECASE,
)
_UNPORTED = frozenset({"", "INTL", "INTERNATIONAL", "UNPORTED", "GENERIC", "DEED", "LEGALCODE"})
_ZERO = re.compile(r"cc[\s-]?(?:0|zero)(?:[\s-]*1\.0)?|zero|cc0-1\.0", re.IGNORECASE)
_MARK = re.compile(r"pdm?(?:[\s-]*1\.0)?|public[\s-]domain(?:[\s-]mark)?(?:[\s-]*1\.0)?", re.IGNORECASE)


def licence_of(*said: str) -> str:
    """The first of these texts that is a known licence, in one spelling; else the first that says anything.

    "cc-by-sa-4.0", "CC BY-SA 4.0" and https://creativecommons.org/licenses/by-sa/4.0/ are all CC-BY-SA-4.0. A text that
    says more than that, or why something is free in one country ("PD-US-expired"), stays as it was said: to make a
    licence of it would be a claim that nobody made.
    """
    texts = [" ".join(text.split()) for text in said]
    known = (_known(text) for text in texts)
    return next((licence for licence in known if licence), next((_short(text) for text in texts if text), ""))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _known(text: str) -> str:
    if found := _URL.fullmatch(text):
        kind, version, port, public, _ = found.groups()
        if public:
            return "CC0-1.0" if public.lower() == "zero" else PUBLIC_DOMAIN
        return _creative_commons(kind, version, port or "")
    if found := _TEXT.fullmatch(text):
        return _creative_commons(found[1], found[2], found[3] or "")
    if _ZERO.fullmatch(text):
        return "CC0-1.0"
    return PUBLIC_DOMAIN if _MARK.fullmatch(text) else ""


def _creative_commons(kind: str, version: str, port: str) -> str:
    name = f"CC-{kind.upper()}-{version}"
    return name if port.upper() in _UNPORTED else f"{name}-{port.upper()}"
