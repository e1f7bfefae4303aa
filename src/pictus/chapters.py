"""In which order a stage's commands are used, under headings, for its --help. What is not named comes last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

CHAPTERS: dict[str, dict[str, tuple[str, ...]]] = {
    "taxonomy": {
        "Make": ("import", "add"),
        "Look": ("show", "check"),
        "Plan the search": ("queries",),
    },
    "collect": {
        "Bring in": ("add", "find", "fetch"),
        "Look": ("status", "coverage"),
    },
    "clean": {
        "Measure": ("check", "match", "faces", "safety", "relevance"),
        "Decide": ("dedupe", "preview", "screen", "restore"),
        "Protect": ("hashes", "leaks", "privacy"),
    },
    "annotate": {
        "Prepare": ("plan", "queue", "unplan", "gold", "examples", "skeleton", "suspects"),
        "People": ("invite", "links", "revoke", "people", "pause", "readmit", "reopen"),
        "Work": ("serve",),
        "Decide": ("settle", "shapes", "rule", "take-back"),
        "Look back": ("skills", "trust", "audit", "audited", "history"),
        "Exchange": ("import", "export", "preview"),
    },
    "release": {
        "Make": ("split", "cut"),
        "Look": ("list", "diff", "verify"),
        "Exchange": ("export", "import"),
    },
    "train": {
        "Train": ("run", "resume", "list", "settings"),
        "Look": ("card", "compare", "views", "robustness", "forgetting"),
        "Find settings": ("find-lr", "tune"),
        "From what is known": ("probe", "few-shot", "pretrain", "active"),
        "Smaller and faster": ("prune", "quantise", "pack"),
    },
}
"""Stage -> heading -> commands."""

LAST = "More"


def chapters(stage: str, verbs: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Headings with the commands there are; of a stage without headings all under one."""
    left = list(verbs)
    declared = CHAPTERS.get(stage, {})
    for heading, names in declared.items():
        if there := [name for name in names if name in left]:
            yield heading, there
        left = [name for name in left if name not in names]
    if left:
        yield LAST if declared else "Commands", left
