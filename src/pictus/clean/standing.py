"""Which lines hold: what was set by hand in an earlier screen stays until it is set back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pictus.clean.rules import Line, read_lines
from pictus.errors import UserError


class Standing(NamedTuple):
    """The lines of a screen."""

    lines: list[Line]
    kept: tuple[str, ...]  # of them, as typed after --line, those that an earlier screen was given
    gone: tuple[str, ...]  # lines set earlier that hold for nothing any more, and why


def set_before(screened: Mapping[str, Any]) -> list[Line]:
    """What was set by hand when an event `pictures_screened` was written."""
    for_all = [
        f"{line['rule']}={'off' if line['origin'] == 'off' else format(line['line'], '.12g')}"
        for line in screened.get("lines", ()) if line["origin"] in {"option", "off"}
    ]  # fmt: skip
    found = []
    for text in (*for_all, *screened.get("own_lines", ()), *screened.get("switched_off", ())):
        try:
            found += read_lines([text])
        except UserError:  # of a rule that this version does not have
            continue
    return found


def merged(earlier: Sequence[Line], given: Sequence[Line], concept_of: Callable[[str], str]) -> Standing:
    """Lines set earlier, then `given`, which take their places; `concept_of`: a concept as typed -> its id."""
    held: dict[tuple[str, str], Line] = {}
    gone = []
    for line in earlier:
        try:
            held[concept_of(line.concept) if line.concept else "", line.rule] = line
        except UserError as error:
            gone.append(f"the line {line.text}, set earlier, no longer holds: {error.what}")
    new = []
    for line in given:
        try:
            concept = concept_of(line.concept) if line.concept else ""
        except UserError:  # told with all the others when its pictures are looked for
            concept = line.concept
        held.pop((concept, line.rule), None)
        if not line.is_pool:
            new.append(line)
    return Standing([*held.values(), *new], tuple(line.text for line in held.values()), tuple(gone))
