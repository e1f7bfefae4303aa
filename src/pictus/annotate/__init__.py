"""Labels and votes in; what is true, and how sure."""

from pictus.annotate import box_loop, dynamic, grid, shapes, thrifty
from pictus.annotate.audit_steps import audit, audited
from pictus.annotate.exchange_steps import export, preview_
from pictus.annotate.links_steps import links, revoke
from pictus.annotate.people_steps import invite, pause, people, readmit, reopen
from pictus.annotate.plan_steps import plan
from pictus.annotate.queue_steps import gold_, queue
from pictus.annotate.shape_steps import shapes_
from pictus.annotate.steps import import_, settle
from pictus.annotate.suspect_steps import suspects
from pictus.annotate.trust_steps import skills, trust_

__all__ = [
    "audit", "audited", "box_loop", "dynamic", "export", "gold_", "grid", "import_", "invite", "links", "pause",
    "people", "plan", "preview_", "queue", "readmit", "reopen", "revoke", "settle", "shapes", "shapes_", "skills",
    "suspects", "thrifty", "trust_",
]  # fmt: skip
