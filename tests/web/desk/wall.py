"""What a page of the grid says of itself, and what the journal says of it."""

from __future__ import annotations

from typing import Any

import pictus

from .conftest import at_wall

WAITS = "() => document.getElementById('saved').textContent.includes('for the connection')"
SAVED = "() => document.getElementById('saved').textContent === 'Saved'"
MARKED = """() => Object.fromEntries([...document.querySelectorAll(".mark")].map((tile) => [
    tile.querySelector("img").src.split("/").at(-2), tile.getAttribute("aria-checked")]))"""
PAGE = """() => document.querySelector(".mark img").src.split("/").at(-4)"""
NEXT = "before => document.querySelector('.mark img')?.src.split('/').at(-4) !== before"
IS = "wanted => document.querySelector('.mark img')?.src.split('/').at(-4) === wanted"
ANSWERS = {"true": "yes", "false": "no", "mixed": "unsure"}


def next_page(page: Any, *keys: str) -> tuple[str, dict[int, str]]:
    """Mark by `keys`, hand in -> the page and what was marked."""
    at_wall(page)
    for key in keys:
        page.keyboard.press(key)
    page_id = page.evaluate(PAGE)
    marked = {int(place): ANSWERS[said] for place, said in page.evaluate(MARKED).items()}
    page.keyboard.press("Enter")
    return page_id, marked


def answers_of(project: pictus.Project, name: str) -> dict[tuple[str, int], str]:
    """(page, position) -> the answer of its latest revision."""
    import sqlalchemy as sa

    query = "SELECT page_id, position, answer FROM answers WHERE annotator = :name AND kind = 'grid' ORDER BY revision"
    with project.journal.engine.connect() as connection:
        return {(row[0], row[1]): row[2] for row in connection.execute(sa.text(query), {"name": name})}


def flat(handed_in: list[tuple[str, dict[int, str]]]) -> dict[tuple[str, int], str]:
    return {(page_id, place): answer for page_id, marked in handed_in for place, answer in marked.items()}
