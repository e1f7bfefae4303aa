"""A taxonomy written in YAML, in whichever way is natural:

    bird:                         # a tree of names; an empty branch is a class
      owl: [barn owl, snowy owl]
      penguin:
    ---
    - name: owl                   # or a list of concepts with the CSV's columns,
      gloss: nocturnal bird       # each with its children below it
      children:
        - barn owl
        - name: snowy owl
          names: [snowy owl, Nyctea scandiaca]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from pictus.errors import UserError, bad_rows
from pictus.taxonomy.trees import Row, columns, row_of

_DEEPEST = 200
_CHILDREN = "children"
_MARKS = {"name", "names", "id"}  # what tells a concept with columns from a branch of names


def parse_yaml(text: str, where: str) -> list[Row]:
    """Rows with their line numbers. Anchors and aliases are refused: a branch that stands twice is one concept."""
    rows: list[Row] = []
    bad: list[str] = []
    for document in _documents(text, where):
        waiting: list[tuple[Any, tuple[str, ...]]] = [(document, ())]
        seen: set[int] = set()
        while waiting:
            node, parents = waiting.pop()
            if id(node) in seen:
                bad.append(f"line {_line(node)}: aliases (*name) are not read")
                continue
            seen.add(id(node))
            branches = list(_branches(node, parents, bad))
            rows.extend(row for row, _ in branches if row is not None)
            for row, child in reversed(branches):
                above = parents if row is None else (row.concept_id or row.names[0],) if row.names else ()
                if child is not None:
                    waiting.append((child, above))
    if bad:
        raise bad_rows(where, bad, fix="a concept is a name, or has a name and children (docs/taxonomy.md)")
    return rows


def _documents(text: str, where: str) -> list[Any]:
    import yaml  # noqa: PLC0415  only for those who use it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_depth(yaml.parse(text, Loader=loader), where)
        return [node for node in yaml.compose_all(text, Loader=loader) if node is not None]
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise UserError(f"{where} is not YAML: {said}.", fix="mend the line it names") from error


def _check_depth(events: Iterable[Any], where: str) -> None:
    """Composing a tree recurses in C and would crash on a file of brackets: look at the events first."""
    depth = 0
    for event in events:
        name = type(event).__name__
        depth += name.endswith("StartEvent") - name.endswith("EndEvent")
        if depth > _DEEPEST:
            raise UserError(
                f"{where} line {event.start_mark.line + 1} is nested more than {_DEEPEST} levels deep.",
                fix="write the tree as CSV: name,parent",
            )


def _branches(node: Any, parents: tuple[str, ...], bad: list[str]) -> Iterator[tuple[Row | None, Any]]:  # noqa: ANN401
    """(row, what is below it) for each concept directly in this node; (None, node) for a list in a list."""
    if node.id == "scalar":
        if not _is_empty(node):
            yield _named(node, parents), None
    elif node.id == "sequence":
        for item in node.value:
            if item.id == "scalar":
                yield from _branches(item, parents, bad)
            else:
                yield None, item
    elif any(key.value in _MARKS for key, _ in node.value if key.id == "scalar"):
        yield _concept(node, parents, bad)
    else:
        for key, child in node.value:
            if key.id == "scalar" and not _is_empty(key):
                yield _named(key, parents), None if _is_empty(child) else child
            else:
                bad.append(f"line {_line(key)}: a name is wanted before the colon")


def _named(node: Any, parents: tuple[str, ...]) -> Row:  # noqa: ANN401  a YAML node
    """The row of a mere name. At the top of the tree it says nothing of parents."""
    cells: dict[str, str | tuple[str, ...]] = {"name": node.value, **({"parent": parents} if parents else {})}
    return row_of(f"line {_line(node)}", cells)


def _concept(node: Any, parents: tuple[str, ...], bad: list[str]) -> tuple[Row, Any]:  # noqa: ANN401  a YAML node
    cells: dict[str, str | tuple[str, ...]] = {}
    below = None
    for key, value in node.value:
        if key.value == _CHILDREN:
            below = None if _is_empty(value) else value
        elif key.value not in columns():
            bad.append(f"line {_line(key)}: {key.value!r} is none of {', '.join(sorted({*columns(), _CHILDREN}))}")
        elif value.id == "scalar":
            cells[key.value] = "" if _is_empty(value) else value.value
        elif value.id == "sequence" and all(item.id == "scalar" for item in value.value):
            cells[key.value] = tuple(item.value for item in value.value)
        else:
            bad.append(f"line {_line(value)}: {key.value!r} wants a text or a list of texts")
    row = row_of(f"line {_line(node)}", cells)
    if parents:
        row = replace(row, parents=(*parents, *row.parents), columns=row.columns | {"parent"})
    return row, below


def _is_empty(node: Any) -> bool:  # noqa: ANN401
    return bool(node.tag == "tag:yaml.org,2002:null" or not node.value)


def _line(node: Any) -> int:  # noqa: ANN401
    return int(node.start_mark.line) + 1
