"""Advice in the words of the door that shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.errors import UserError
from pictus.speech import in_python, pieces

SOURCE = Path(__file__).parent.parent / "src" / "pictus"


@pytest.mark.parametrize(("shell", "python"), [
    ("pictus taxonomy add 'barn owl' --role group", 'taxonomy.add(project, "barn owl", role="group")'),
    ("did you mean owl?    else: pictus taxonomy add 'owll'",
     'did you mean owl?    else: taxonomy.add(project, "owll")'),
    ("pictus annotate plan --concept lamp puts them back", 'annotate.plan(project, concept="lamp") puts them back'),
    ("pictus collect add PICTURES --by-folder", 'collect.add(project, "PICTURES", by_folder=True)'),
    ("pictus annotate plan --kind box && pictus annotate serve",
     'annotate.plan(project, kind="box"), then pictus annotate serve'),
    ('pictus annotate skeleton "a,b" --concept x --concept y',
     'annotate.skeleton(project, "a,b", concept=["x", "y"])'),
    ("pictus taxonomy import --folders P    (or --file, --wordnet)",
     'taxonomy.import_(project, folders="P")    (or file=…, wordnet=…)'),
    ("pictus annotate gold    (to mark known answers), or --method dawid-skene",
     'annotate.gold(project)    (to mark known answers), or method="dawid-skene"'),
    ("pictus annotate rule x.jpg --concept owl --not", 'annotate.rule(project, "x.jpg", concept="owl", not_=True)'),
    ("pictus status", "overview.status(project)"), ("pictus new birds", 'pictus.new("birds")'),
    ("prune the run it came from by a greater --sparsity", "prune the run it came from by a greater sparsity=…"),
    ("leave it out, or --set lr=0.1", 'leave it out, or set_="lr=0.1"'),
    ("or leave out --not", "or leave out not_=True"),
    ("pictus train settings    lists all", "train.settings(project)    lists all"),
    ("--threshold 0.9", "threshold=0.9"), ("leave them out with --skip-bad", "leave them out with skip_bad=True"),
    ("pip install 'pictus[train]'", "pip install 'pictus[train]'"), ("one of: csv, coco", "one of: csv, coco"),
])  # fmt: skip
def test_what_to_type_is_said_in_python_where_python_asked(shell: str, python: str) -> None:
    assert in_python(shell) == python
    assert str(UserError("No.", fix=shell)) == f"No.\nfix: {python}"
    assert UserError("No.", fix=shell).fix == shell, "doors say it as it was written"


def test_a_page_tells_commands_from_the_words_around_them() -> None:
    told = pieces("did you mean owl?    else: pictus taxonomy add 'owll'")
    assert told == [("did you mean owl?    else: ", False), ("pictus taxonomy add 'owll'", True)]


def test_every_advice_in_the_source_can_be_said() -> None:
    texts = [text for path in SOURCE.rglob("*.py") for text in re.findall(r'fix=f?"([^"\n]+)"', path.read_text())]
    assert len(texts) > 200
    for text in texts:
        assert "".join(part for part, _ in pieces(text)) == text
        assert in_python(text)


@given(st.text(alphabet="pictus anoe-'\"\\add--by=,.()…\n", max_size=80))
def test_whatever_stands_in_an_advice_an_error_can_be_shown(text: str) -> None:
    for fix in (text, f"pictus annotate {text}", f"pictus taxonomy add {text}"):
        assert "".join(part for part, _ in pieces(fix)) == fix
        str(UserError("No.", fix=fix))
