"""The taxonomy as lines of text: a tree, deep enough to see its shape, short enough to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pictus.concepts import Taxonomy


@dataclass(frozen=True)
class Counts:
    """How many classes and pictures lie at or below each concept."""

    classes: Mapping[str, int]
    pictures: Mapping[str, int]


def counts(taxonomy: Taxonomy, pictures: Mapping[str, int]) -> Counts:
    """Add up classes and pictures over each concept and what is below it, each concept once."""
    n_classes: dict[str, int] = dict.fromkeys(taxonomy.concepts, 0)
    n_pictures: dict[str, int] = dict.fromkeys(taxonomy.concepts, 0)
    for concept in taxonomy:
        has = pictures.get(concept.concept_id, 0)
        if has or concept.is_class:
            for above in taxonomy.ancestors(concept.concept_id) | {concept.concept_id}:
                n_classes[above] += concept.is_class
                n_pictures[above] += has
    return Counts(n_classes, n_pictures)


def preorder(taxonomy: Taxonomy, roots: Sequence[str]) -> Iterator[str]:
    """Every concept at or below the roots, parents before children, kin by name, each once."""
    seen: set[str] = set()
    waiting = list(reversed(_by_name(taxonomy, roots)))
    while waiting:
        concept_id = waiting.pop()
        if concept_id not in seen:
            seen.add(concept_id)
            yield concept_id
            waiting.extend(reversed(_by_name(taxonomy, taxonomy.children(concept_id))))


def outline(taxonomy: Taxonomy, roots: Sequence[str], counted: Counts, limit: int = 60) -> list[str]:
    """The tree in at most about `limit` lines: opened level by level while they last.

    A chain of single children stands on one line; what is not opened says how much it holds.
    """
    opened = _opened(taxonomy, roots, limit)
    lines: list[str] = []
    waiting = [(root, "", "") for root in reversed(_by_name(taxonomy, roots))]
    shown: set[str] = set()
    while waiting:
        concept_id, lead, branch = waiting.pop()
        chain = _chain(taxonomy, concept_id)
        end = chain[-1]
        is_again = end in shown
        shown.add(end)
        children = [] if is_again else _by_name(taxonomy, taxonomy.children(end))
        is_open = concept_id in opened and not is_again
        lines.append(lead + branch + _line(taxonomy, chain, counted, is_again))
        if is_open:
            under = lead + {"": "", "├ ": "│ ", "└ ": "  "}[branch]
            last = len(children) - 1
            waiting.extend(
                (child, under, "└ " if position == last else "├ ")
                for position, child in reversed(list(enumerate(children)))
            )
    if len(lines) > limit:
        lines[limit:] = [f"… {len(lines) - limit:,} more"]
    return lines


def _opened(taxonomy: Taxonomy, roots: Sequence[str], limit: int) -> set[str]:
    opened: set[str] = set()
    level, n_lines = list(roots), len(roots)
    while level:
        following = [child for one in level for child in taxonomy.children(_chain(taxonomy, one)[-1])]
        n_lines += len(following)
        if n_lines > limit and opened:
            break
        opened.update(level)
        level = following
    return opened


def _chain(taxonomy: Taxonomy, concept_id: str) -> list[str]:
    chain = [concept_id]
    while len(taxonomy.children(chain[-1])) == 1 and not taxonomy.concepts[chain[-1]].is_class:
        chain.append(taxonomy.children(chain[-1])[0])
    return chain


def _line(taxonomy: Taxonomy, chain: list[str], counted: Counts, is_again: bool) -> str:
    end = chain[-1]
    text = " › ".join(taxonomy.name(one) for one in chain)
    if is_again:
        return f"{text}  (see above)"
    numbers = [end]
    if taxonomy.children(end):
        n_classes = counted.classes[end]
        numbers.append(f"{n_classes:,} class{'es' if n_classes != 1 else ''}")
    elif not taxonomy.concepts[end].is_class:
        numbers.append("no class")
    if counted.pictures[end]:
        n_pictures = counted.pictures[end]
        numbers.append(f"{n_pictures:,} picture{'s' if n_pictures != 1 else ''}")
    return f"{text}  {' · '.join(numbers)}"


def _by_name(taxonomy: Taxonomy, concept_ids: Sequence[str]) -> list[str]:
    return sorted(concept_ids, key=lambda one: (taxonomy.name(one).casefold(), one))
