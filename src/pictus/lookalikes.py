"""Concepts that may be taken for one: near it in the tree, else alike in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache

from pictus.concepts import Taxonomy

GROUP_FRAC = 0.8
"""A group counts so much of a class as near, beside a class: people mix up classes, but not "owl" and "mammals"."""

_WORD = re.compile(r"[^\W\d_]{3,}")
_EMPTY = frozenset({"and", "any", "are", "for", "from", "has", "its", "not", "one", "that", "the", "used", "with"})
_NONE: Mapping[str, int] = {}


def alike(
    taxonomy: Taxonomy, concept_id: str, most: int, *, confused: Mapping[str, int] = _NONE,
    rather: Collection[str] = (), only_near: bool = False,
) -> list[str]:  # fmt: skip
    """Up to `most` concepts that may be taken for this one, the likeliest first; never what is above or below it.

    First those it is confused with (`confused`: how often), then the nearest by `nearness`; of equally near ones those
    in `rather`, then those with more words of names and gloss in common, then by id. What is above or below one that
    stands already comes last: it says the same again. `only_near`: those alone that something speaks for: they are
    confused, have an ancestor in common or a word; else a flat list gives any.
    """
    kin = taxonomy.ancestors(concept_id) | taxonomy.descendants(concept_id) | {concept_id}
    near = _near(taxonomy, concept_id, kin, 4 * most)
    near |= {one: near.get(one, 0.0) for one in confused if one in taxonomy and one not in kin}
    least = sorted(near.values(), reverse=True)[: 4 * most][-1] if near else 0.0
    words, favoured = _words_of(taxonomy, concept_id), frozenset(rather)
    ordered = sorted(
        (
            one for one, share in near.items() if one in confused or (share >= least and not (
                only_near and not share and not words & _words_of(taxonomy, one)
            ))
        ),
        key=lambda one: (
            -confused.get(one, 0), -round(near[one], 9), one not in favoured,
            -_in_common(words, _words_of(taxonomy, one)), one,
        ),
    )  # fmt: skip
    found: list[str] = []
    covered: set[str] = set()
    for one in ordered:
        if len(found) == most:
            break
        if one not in covered:
            found.append(one)
            covered |= {one} | taxonomy.ancestors(one) | taxonomy.descendants(one)
    return [*found, *(one for one in ordered if one not in found)][:most]


def is_near(taxonomy: Taxonomy, a: str, b: str) -> bool:
    """Whether two concepts have an ancestor in common below the top of the tree, or a word."""
    common = (taxonomy.ancestors(a) & taxonomy.ancestors(b)) - set(taxonomy.roots)
    return bool(common or _words_of(taxonomy, a) & _words_of(taxonomy, b))


def nearness(taxonomy: Taxonomy, a: str, b: str) -> float:
    """How near two concepts are in the tree, in [0, 1]: 2 d(lca) / (d(a) + d(b)), d: depth, of a root 1.

    Wu & Palmer 1994, Verb semantics and lexical selection, section 4: the lower what they have in common lies, the
    nearer; steps far up in the tree count less than steps far down. 0 without a common ancestor.
    """
    common = (taxonomy.ancestors(a) | {a}) & (taxonomy.ancestors(b) | {b})
    lowest = max((taxonomy.depth(one) + 1 for one in common), default=0)
    return 2 * lowest / (taxonomy.depth(a) + taxonomy.depth(b) + 2)


def _near(taxonomy: Taxonomy, concept_id: str, kin: Collection[str], most: int) -> dict[str, float]:
    """At least the `most` nearest concepts with their nearness, and all that are as near as the last of them."""
    others = set(taxonomy.concepts) - set(kin)
    if taxonomy.cycles:  # has no depths
        return dict.fromkeys(others, 0.0)
    here, counts_groups_less = taxonomy.depth(concept_id) + 1, taxonomy.get(concept_id).is_class
    found: dict[str, float] = {}
    for above in sorted(taxonomy.ancestors(concept_id), key=lambda one: (-taxonomy.depth(one), one)):
        level = taxonomy.depth(above) + 1
        if sum(share >= 2 * level / (here + level + 1) for share in found.values()) >= most:
            return found  # nothing that meets it here or higher up is as near
        for one in taxonomy.descendants(above) & others:
            others.discard(one)
            share = 2 * level / (here + taxonomy.depth(one) + 1)
            found[one] = share * (1.0 if taxonomy.get(one).is_class or not counts_groups_less else GROUP_FRAC)
    return found if len(found) >= most else found | dict.fromkeys(others, 0.0)


def _in_common(some: frozenset[str], others: frozenset[str]) -> float:
    """Words of both over words of either (Jaccard), in [0, 1]."""
    return len(some & others) / len(some | others) if some and others else 0.0


def _words_of(taxonomy: Taxonomy, concept_id: str) -> frozenset[str]:
    concept = taxonomy.get(concept_id)
    return _words("\n".join([*concept.names, concept.gloss]))


@lru_cache(maxsize=1 << 15)  # more than ImageNet has; a page asks for all of a flat list
def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower().replace("_", " "))) - _EMPTY
