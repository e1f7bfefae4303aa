"""How good the labels are, as experts found in an audit: for the status, and for the datasheet of a release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pictus.project import Project

LABELS = "labels"
"""What an audit of the project's labels is about; that of a release has its version instead."""


def latest_audit(project: Project, of: str = LABELS) -> dict[str, Any] | None:
    """What the latest audit reported that anybody has answered; None where there is none.

    {audit_id, at, presence: {estimate, low, high, n …}, best: {…}, …}: the event `labels_audited`.
    """
    for event in project.journal.events(of, event="labels_audited"):
        if event.data["presence"]["n"]:
            return {**event.data, "at": event.at}
    return None


def told(audit: Mapping[str, Any] | None) -> str:
    """Beside a count of labels: " (99.4 %, CI 99.1-99.6)"; "" without an audit."""
    if audit is None:
        return ""
    estimate, low, high = (f"{100 * audit['presence'][name]:.1f}" for name in ("estimate", "low", "high"))
    return f" ({estimate} %, CI {low}-{high})"
