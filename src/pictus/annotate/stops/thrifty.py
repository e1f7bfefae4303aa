"""Votes where they save most: `online`, but asking goes on as long as a vote is worth its price, and no longer.

`online` asks until a question is sure enough, each by itself: one where people will never agree takes all the votes
that are allowed, and one that two votes would make surer by far stops as soon as it passes. Here asking goes on while
the next few votes lower the expected error, min(P(yes), P(no)), by at least `Stops.worth` for each vote; what is then
accepted, rejected or left undecided is up to `Stops.threshold` as ever. For the same votes fewer labels are wrong in
all. It is the rule of the value of information (Howard 1966), looked ahead AHEAD votes.

    >>> rule = Thrifty(Stops(worth=0.01))
    >>> for name in ("ada", "bob", "cyd"):
    ...     decision = rule.add(Cast(7, "owl", name, "yes", ""))
    >>> decision.state
    'accepted'
"""

from __future__ import annotations

import math
from operator import mul

from pictus.annotate.stops.online import Floats, Online, Prior
from pictus.annotate.stops.stopping import RULES, Cast, Stops  # noqa: F401  the example reads them

AHEAD = 4


@RULES.register("thrifty")
class Thrifty(Online):
    """Ask while a vote saves `Stops.worth` errors."""

    def wanted(self, joint: Floats, prior: Prior, left: int) -> int:
        """The number of votes, up to AHEAD, that save most per vote; 0 where none saves enough."""
        rates, total = self.rates(), sum(joint)
        by_yes = [one * share / total for one, share in zip(joint, prior.shows, strict=True)]
        by_no = [one * (1 - share) / total for one, share in zip(joint, prior.shows, strict=True)]
        now = min(sum(by_yes), sum(by_no))
        best, most = 0, self.stops.worth
        for more in range(1, min(left, AHEAD) + 1):
            if now / more < most:
                break
            error = 0.0
            for yes in range(more + 1):
                likely = [rate**yes * (1 - rate) ** (more - yes) for rate in rates]
                error += math.comb(more, yes) * min(sum(map(mul, by_yes, likely)), sum(map(mul, by_no, likely)))
            if (now - error) / more >= most:
                best, most = more, (now - error) / more
        return best
