"""Labels and votes in; what is true, and how sure."""

from pictus.annotate.desk import grid
from pictus.annotate.desk.example_steps import examples
from pictus.annotate.desk.links_steps import links, revoke
from pictus.annotate.desk.people_steps import invite, pause, people, readmit, reopen
from pictus.annotate.exchange.exchange_steps import export, preview
from pictus.annotate.queues.audit_steps import audit, audited
from pictus.annotate.queues.gold_steps import gold
from pictus.annotate.queues.plan_steps import plan
from pictus.annotate.queues.queue_steps import queue
from pictus.annotate.queues.suspect_steps import suspects
from pictus.annotate.queues.unplan_steps import unplan
from pictus.annotate.review.review_steps import history, rule, take_back
from pictus.annotate.shapes import box_loop, shapes
from pictus.annotate.shapes.shape_steps import shapes_
from pictus.annotate.shapes.skeleton_steps import skeleton
from pictus.annotate.steps import import_, settle
from pictus.annotate.stops import dynamic, thrifty
from pictus.annotate.truth.trust_steps import skills, trust

__all__ = [
    "audit", "audited", "box_loop", "dynamic", "examples", "export", "gold", "grid", "history", "import_", "invite",
    "links", "pause", "people", "plan", "preview", "queue", "readmit", "reopen", "revoke", "rule", "settle", "shapes",
    "shapes_", "skeleton", "skills", "suspects", "take_back", "thrifty", "trust", "unplan",
]  # fmt: skip
