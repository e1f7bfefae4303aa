"""Texts from anywhere as cells of a spreadsheet: none is taken for a formula, and each is read back as it was.

A cell that begins with one of FORMULA, or with apostrophes and then one, gets an apostrophe before it, which
spreadsheets take for "this is text"; reading takes one such apostrophe away. So "=1+1" is written '=1+1 and "'=1" is
written ''=1, and no two texts are written alike. A file that another tool wrote loses such an apostrophe too: it
stood there for the same reason.
"""

from __future__ import annotations

import re

FORMULA = (
    "=+\\-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}"
    "\N{FULLWIDTH COMMERCIAL AT}"
)
"""Signs that begin a formula in Excel, LibreOffice or Google Sheets (OWASP, "CSV Injection"), for [ ] of a pattern."""

GUARDED = f"^'('*[{FORMULA}])"
"""What `guarded` put an apostrophe before; its first group is the rest."""

_NEEDS = re.compile(f"'*[{FORMULA}]")
_GUARDED = re.compile(GUARDED)


def guarded(text: str) -> str:
    """A text as it is written into a cell."""
    return f"'{text}" if _NEEDS.match(text) else text


def unguarded(text: str) -> str:
    """A cell's text as it was before."""
    return _GUARDED.sub(r"\1", text) if text.startswith("'") else text
