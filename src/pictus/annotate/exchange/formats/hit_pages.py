"""Pages of 48 pictures as HTML of their own: the form that Mechanical Turk shows, and a preview for the owner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import jinja2

_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1a1a1a; --quiet: #5f6368; --tile: #e8eaed; --accent: #0b57d0;
  --yes: #0b7a3b; --no: #b3261e; --unsure: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181b; --ink: #e8eaed; --quiet: #9aa0a6; --tile: #2b2f34;
  --accent: #8ab4f8; --yes: #6dd58c; --no: #f2b8b5; --unsure: #fdd663; } }
body { margin: 0 auto; padding: 16px; max-width: 1280px; background: var(--ground); color: var(--ink);
  font: 14px/20px system-ui, sans-serif; }
h1, h2 { font-size: 20px; line-height: 28px; font-weight: 600; margin: 0 0 4px; }
p { margin: 0 0 8px; color: var(--quiet); }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(128px, 1fr)); gap: 4px;
  margin: 8px 0 32px; padding: 0; list-style: none; }
.cell { position: relative; aspect-ratio: 1; padding: 0; border: 0; background: var(--tile); color: var(--quiet);
  overflow: hidden; font: 11px/16px ui-monospace, monospace; display: block; width: 100%; }
.cell img { width: 100%; height: 100%; object-fit: cover; display: block; }
.cell .name { position: absolute; inset: auto 4px 4px; overflow-wrap: anywhere; text-align: left; }
.cell .mark { position: absolute; top: 4px; right: 4px; padding: 0 6px; border-radius: 8px; background: var(--ground);
  font: 600 12px/16px system-ui, sans-serif; }
"""

_PREVIEW = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style }}
.is-yes { outline: 3px solid var(--yes); outline-offset: -3px } .is-yes .mark { color: var(--yes) }
.is-no { outline: 3px solid var(--no); outline-offset: -3px } .is-no .mark { color: var(--no) }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>For you alone: annotators do not see which pictures are controls.</p>
{% for page in pages %}
<section aria-label="{{ page.name }}">
<h2>{{ page.name }}</h2>
<p>{{ page.gloss }}{% if page.gloss %} · {% endif %}page {{ loop.index }}
{%- if page.page_id %} · {{ page.page_id }}{% endif %} · {{ page.cells|length }} pictures,
{{ page.yes }} known to be right, {{ page.no }} known to be wrong
{%- if page.missing %}, {{ page.missing }} not in the project{% endif %}</p>
<ol class="grid">
{% for cell in page.cells %}<li class="cell{% if cell.known %} is-{{ cell.known }}{% endif %}">
{%- if cell.picture %}<img src="{{ cell.picture }}" alt="{{ cell.name }}" loading="lazy">
{%- else %}<span class="name">{{ cell.name }}</span>{% endif %}
{%- if cell.known %}<span class="mark">known: {{ cell.known }}</span>{% endif %}</li>
{% endfor %}</ol>
</section>
{% endfor %}
</body>
</html>
"""

_MTURK = """<!-- Made by Pictus. Paste it as the design of a project; the table beside it is its batch. -->
<script src="https://assets.crowd.aws/crowd-html-elements.js"></script>
<style>{{ style }}
.cell { cursor: pointer } .cell:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
.cell[data-answer=yes] { box-shadow: inset 0 0 0 4px var(--yes) } .cell[data-answer=yes] img { opacity: .85 }
.cell[data-answer=unsure] { box-shadow: inset 0 0 0 4px var(--unsure) }
.cell[data-answer=yes] .mark { color: var(--yes) } .cell[data-answer=unsure] .mark { color: var(--unsure) }
.cell .mark:empty { display: none } .cell[hidden] { display: none }
.cell[data-answer=yes] img, .cell[data-answer=unsure] img { transform: scale(.92) }
</style>
<crowd-form>
<h1>Which pictures show: <b>${name}</b>?</h1>
<p>${gloss}</p>
<p>Click a picture that shows it; click again if you cannot tell; a third time takes it back.
Space and Enter do the same. Leave the others as they are.</p>
<div class="grid" id="grid">
{% for number in numbers %}<button type="button" class="cell" data-number="{{ number }}" data-answer="no"
aria-label="Picture {{ number }}: no"><img src="${image_{{ number }}}" alt=""><span class="mark"></span></button>
{% endfor %}</div>
<input type="hidden" name="yes" id="yes"><input type="hidden" name="unsure" id="unsure">
<input type="hidden" name="seen" id="seen" value="0">
</crowd-form>
<script>
(function () {
  var next = { no: "yes", yes: "unsure", unsure: "no" };
  var cells = Array.prototype.slice.call(document.querySelectorAll("#grid .cell"));
  function numbers(answer) {
    return cells.filter(function (cell) { return !cell.hidden && cell.dataset.answer === answer; })
      .map(function (cell) { return cell.dataset.number; }).join(" ");
  }
  function tell() {
    document.getElementById("yes").value = numbers("yes");
    document.getElementById("unsure").value = numbers("unsure");
    document.getElementById("seen").value = cells.filter(function (cell) { return !cell.hidden; }).length;
  }
  cells.forEach(function (cell) {
    cell.hidden = !cell.querySelector("img").getAttribute("src");
    cell.addEventListener("click", function () {
      var answer = next[cell.dataset.answer];
      cell.dataset.answer = answer;
      cell.querySelector(".mark").textContent = answer === "no" ? "" : answer === "yes" ? "yes" : "?";
      cell.setAttribute("aria-label", "Picture " + cell.dataset.number + ": " + answer);
      tell();
    });
  });
  tell();
})();
</script>
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture of a preview. picture: a data: address, "" for a placeholder; known: yes, no or ""."""

    name: str
    picture: str
    known: str


@dataclass(frozen=True, slots=True)
class PreviewPage:
    """One page of a preview."""

    page_id: str
    name: str
    gloss: str
    cells: tuple[Cell, ...]

    @property
    def yes(self) -> int:
        return sum(cell.known == "yes" for cell in self.cells)

    @property
    def no(self) -> int:
        return sum(cell.known == "no" for cell in self.cells)

    @property
    def missing(self) -> int:
        return sum(not cell.picture for cell in self.cells)


def preview(title: str, pages: Iterable[PreviewPage]) -> str:
    """All pages one below the other, controls outlined and named. Whatever a file says is text here."""
    return _templates().get_template("preview").render(title=title, pages=tuple(pages), style=_styled())


def mturk_template(count: int) -> str:
    """The form for `count` pictures: ${name}, ${gloss} and ${image_1} … are filled in by Mechanical Turk."""
    return _templates().get_template("mturk").render(numbers=range(1, count + 1), style=_styled())


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.DictLoader({"preview": _PREVIEW, "mturk": _MTURK})
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)


def _styled() -> object:
    import markupsafe  # noqa: PLC0415  comes with jinja2

    return markupsafe.Markup(_STYLE)  # noqa: S704  our own constant
