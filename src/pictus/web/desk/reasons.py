"""Why a concept is asked, in words for those who answer: what the owner still lacks is not their business."""

from __future__ import annotations

from pictus.annotate.tasks import ROLES
from pictus.concepts import Taxonomy

OWNER = ROLES[-1]
_OWNERS = ("starving: ", "production: ")
"""How the owner's own reasons begin (annotate/queues/priorities.py)."""
_BIASED = ("suspect", "disputed", "case from production", "cases from production")
"""What others, or a model, think of the pictures: who reads it answers differently."""


def told(reason: str, role: str, concept_id: str, taxonomy: Taxonomy) -> str:
    """The reason of a heap for somebody of this role; "" where nothing of it is for them."""
    is_group = concept_id in taxonomy and not taxonomy.get(concept_id).is_class  # never labelled: it can lack none
    if role == OWNER and not is_group:
        return reason
    parts = [part for part in reason.split("; ") if not part.startswith(_OWNERS)]
    if role != OWNER:
        parts = [_plain(part) for part in parts if not part.endswith(_BIASED) and not part.endswith("suspects")]
    return "; ".join(parts)


def _plain(part: str) -> str:
    """`113 that nobody has looked at` alone says too little."""
    count, _, rest = part.partition(" that nobody has looked at")
    if rest or count == part:
        return part
    return f"nobody has looked at {count} {'picture' if count == '1' else 'pictures'} yet"
