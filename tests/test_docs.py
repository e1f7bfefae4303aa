"""Docs say only what is true: commands exist, options exist, links lead somewhere, nothing private slips in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pictus.cli import OTHERS, desk_command
from pictus.forms import STAGES, all_forms

REPOSITORY = Path(__file__).parent.parent
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
SHARED_FLAGS = {"--json", "--jsonl", "--quiet", "--project", "--help", "-C", "-q", "-h"}
FORMS = {form.step.name: form for form in all_forms()}


def code_lines(text: str) -> list[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    fenced = [line for block in blocks for line in block.splitlines()]
    return [re.sub(r"\s+#.*", "", line).strip().removeprefix("$ ") for line in fenced]


def pictus_commands(page: Path) -> list[str]:
    lines = code_lines(page.read_text(encoding="utf-8"))
    parts = [part.strip() for line in lines for part in re.split(r"&&|;", line)]
    return [part for part in parts if part.startswith("pictus ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_exists_with_its_options(page: Path) -> None:
    for command in pictus_commands(page):
        words = command.split()[1:]
        has_verb = words[0] in STAGES and len(words) > 1 and not words[1].startswith("-")
        name = " ".join(words[:2]) if has_verb else words[0]
        if name in FORMS:
            flags = {field.flag for field in FORMS[name].fields if field.is_option} | SHARED_FLAGS
            flags |= {"--no-" + flag[2:] for flag in flags}
            used = {word.partition("=")[0] for word in words if re.match(r"^--?[a-z]", word)}
            assert used <= flags, f"{page.name}: {command}: {sorted(used - flags)}"
        elif name == "annotate serve":  # a server of its own, and no step
            flags = {flag for option in desk_command.params for flag in option.opts}
            assert {word for word in words if word.startswith("-")} <= flags, f"{page.name}: {command}"
        else:
            assert name in OTHERS or name in STAGES or name.startswith("-"), f"{page.name}: there is no {command!r}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http", "mailto")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_has_a_page(stage: str) -> None:
    assert (REPOSITORY / "docs" / f"{stage}.md").read_text(encoding="utf-8").startswith("# ")


def test_the_changelog_has_something_unreleased_on_top() -> None:
    lines = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    headings = [line for line in lines if line.startswith("## ")]
    assert headings[0] == "## Unreleased"
    assert any(line.startswith("- ") for line in lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_waits_for_its_figures(page: Path) -> None:
    assert not re.search(r"\b(TODO|FIXME|TBD|FIGURES)\b", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("stage", ["annotate", "train"])
def test_a_long_page_lists_its_sections_in_their_order(stage: str) -> None:
    text = (REPOSITORY / "docs" / f"{stage}.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\d+\. \[(.+?)\]\(#(.+?)\)", text, re.MULTILINE)
    assert [name for name, _ in listed] == re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert all(re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") == anchor for name, anchor in listed)
    assert not re.findall(r"\b([a-z]{2,}) \1\b", text)
