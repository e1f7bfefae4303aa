"""Many labels per picture by questions from the top of the tree down (Deng et al. 2014, "Scalable multi-label
annotation", CHI).

"Any animal?" A no answers the whole subtree; a yes opens the children. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from pictus.annotate.tasks import ACCEPTED, Closed, Wanted
from pictus.concepts import Taxonomy


def first(taxonomy: Taxonomy) -> tuple[str, ...]:
    """The questions every picture is asked first."""
    return tuple(root for root in taxonomy.roots if _leads(taxonomy, root))


def follow(closed: Closed, taxonomy: Taxonomy) -> Sequence[Wanted]:
    """The questions that a yes about a group opens: its children, as far as classes lie below them."""
    if closed.state != ACCEPTED or closed.concept_id not in taxonomy or taxonomy.get(closed.concept_id).is_class:
        return ()
    reason = f"it is {taxonomy.name(closed.concept_id)}: which?"
    return tuple(
        Wanted(closed.kind, child, closed.image_id, 0, reason)
        for child in taxonomy.children(closed.concept_id) if _leads(taxonomy, child)
    )  # fmt: skip


def _leads(taxonomy: Taxonomy, concept_id: str) -> bool:
    below = (concept_id, *taxonomy.descendants(concept_id))
    return any(taxonomy.get(one).is_class for one in below)
