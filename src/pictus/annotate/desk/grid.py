"""The grid: one concept, 48 pictures at once, mark those that show it."""

from __future__ import annotations

from pictus.annotate.queues import hierarchy
from pictus.annotate.tasks import KINDS, Kind

PER_PAGE = 48
"""Pictures on a page: what fits a screen, and divides by 6 and 8."""

LEASE_S = 30 * 60
"""A page of 48 takes one to three minutes; a lunch break may lie between."""

GRID = KINDS.register("grid")(
    Kind(
        "grid", ("no", "yes", "unsure"), PER_PAGE, LEASE_S, votes=True, follow=hierarchy.follow,
        help="Mark every picture that shows it. Leave the others as they are; say unsure where it cannot be told.",
    )
)  # fmt: skip
