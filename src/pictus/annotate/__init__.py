"""Labels and votes in; what is true, and how sure."""

from pictus.annotate import box_loop, shapes
from pictus.annotate.plan_steps import plan
from pictus.annotate.steps import import_, settle, skills

__all__ = ["box_loop", "import_", "plan", "settle", "shapes", "skills"]
