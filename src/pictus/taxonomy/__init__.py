"""From WordNet, ImageNet's lists, CSV, YAML or folder names to the concepts a project is about."""

from pictus.taxonomy.query_steps import queries
from pictus.taxonomy.steps import add, check, import_, show

__all__ = ["add", "check", "import_", "queries", "show"]
