"""The shape of the code, held by a test: layers, no cycles, budgets on the tail."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from pictus.forms import STAGES, all_forms

SOURCE = Path(__file__).parent.parent / "src" / "pictus"
FILES = sorted(SOURCE.rglob("*.py"))

# Each file imports only those above it; several on one line do not import each other's later ones.
FOUNDATION = (
    "errors", "extras", "clock", "progress", "records", "registry", "stats", "pixels", "archives", "tiff", "blocks",
    "reports", "run_files",
    "metadata", "hashes", "neighbours", "shards", "tables", "migrations", "journal", "project", "precision", "journey",
    "clusters", "engine", "concepts", "lookalikes", "metrics", "releases", "stores", "tasks", "network_names",
    "narrow_networks", "quantised_networks", "plain_network", "networks", "finite", "several_looks", "models", "graphs",
)  # fmt: skip
DOORS = ("overview", "forms", "written", "speech", "chapters", "reference", "output", "cli", "api", "web", "demo",
         "__main__", "__init__")  # fmt: skip
OPTIONAL = {"torch", "torchvision", "timm", "safetensors", "tensorboard", "onnx", "onnxruntime", "onnxscript",
            "fastapi", "prometheus_client", "ray", "lance", "cv2", "av", "fsspec", "s3fs", "optuna",
            "wandb", "mlflow"}  # fmt: skip

UNEXPLAINED = {"demo.album", "forms", "search.steps", "serve.steps"}
"""Files that still end an error without a reason beside it: to be emptied, not to be added to."""

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_STEP_PARAMETERS = 6
MANY_PARAMETERS = {"collect fetch": 8, "annotate import": 8, "train tune": 7, "train run": 7, "train probe": 7}
"""What is probed is a network, its weights, or columns.
What a run is made of is its recipe; where its processes run is not.
A study has its end in trials and minutes, its workers, and what is tried beside what is the same. A fetch has
manners (rate, contact, hosts), a choice of what to ask again, and a machine to run on; an import what
its files are, what they are about, what of them may be left out, and whose they are."""


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts)


def room(module: str) -> str:
    """The folder or top-level file a module belongs to."""
    return module.partition(".")[0]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(node: ast.AST, *, deep: bool) -> Iterator[str]:
    """Imported modules; with `deep` also those inside functions. TYPE_CHECKING blocks do not count."""
    for child in ast.iter_child_nodes(node):
        if is_for_types_only(child):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif deep or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from imports(child, deep=deep)


def own(names: Iterator[str]) -> set[str]:
    """pictus.x.y -> x, only where x is a room."""
    found = set()
    for name in names:
        parts = name.split(".")
        is_room = len(parts) > 1 and ((SOURCE / parts[1]).is_dir() or (SOURCE / f"{parts[1]}.py").exists())
        if parts[0] == "pictus" and is_room:
            found.add(parts[1])
    return found


def insides(names: Iterator[str]) -> set[str]:
    """Modules inside a stage, besides its steps (steps.py, find_steps.py …), the words of its causes and tasks."""
    words = {"collect.causes", "annotate.tasks"}
    modules = {name for name in map(module_name, FILES) if not name.endswith("steps")} - words
    found = {name.removeprefix("pictus.") for name in names if name.startswith("pictus.")}
    return {name for name in found & modules if "." in name and room(name) in STAGES}


def writes(found: ast.Module) -> list[int]:
    """Lines that change a table or the journal; that a project was made is the command line's to say."""
    changing = {"append", "replace", "upsert", "delete", "drop", "compact", "tag", "log", "add_votes", "add_vote_table"}
    calls = [node for node in ast.walk(found) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return [
        call.lineno for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in changing
        and ast.unparse(call.func.value).rpartition(".")[2] in {"tables", "journal"}
        and "'project_made'" not in ast.unparse(call)
    ]  # fmt: skip


def test_a_door_that_reaches_into_a_stage_or_writes_is_seen() -> None:
    reaching = "from pictus.clean import restore, verdicts\nfrom pictus.clean.verdicts import decide\nimport pictus"
    assert insides(imports(ast.parse(reaching), deep=True)) == {"clean.verdicts"}
    assert insides(imports(ast.parse("from pictus.collect.causes import GOOD"), deep=True)) == set()
    writing = "def f(project):\n    project.tables.read('x')\n    project.tables.append('x', y)\n    journal.log('x')"
    assert writes(ast.parse(writing)) == [3, 4]


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_file_imports_only_what_its_layer_may(path: Path) -> None:
    here = room(module_name(path))
    used = own(imports(tree(path), deep=True)) - {here}
    if here in FOUNDATION:
        allowed = set(FOUNDATION[: FOUNDATION.index(here)])
    elif here in STAGES:
        allowed = set(FOUNDATION)
    else:
        assert here in DOORS, f"{path.name} has no place in the layers: add it to FOUNDATION or DOORS"
        assert (inner := insides(imports(tree(path), deep=True))) == set(), f"{path.name}: {inner} is inside a stage"
        assert (calls := writes(tree(path))) == [], f"{path.name} writes at lines {calls}: only steps do"
        return
    assert used <= allowed, f"{here} may not import {sorted(used - allowed)}"


def test_every_foundation_file_exists_and_none_is_a_door() -> None:
    missing = [name for name in FOUNDATION if not (SOURCE / f"{name}.py").exists() and not (SOURCE / name).is_dir()]
    assert missing == []


def test_there_is_no_import_cycle() -> None:
    graph = {module_name(path): module_imports(path) for path in FILES}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module in done:
            return
        for other in graph.get(module, ()):
            visit(other, (*trail, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def module_imports(path: Path) -> set[str]:
    modules = {module_name(file) for file in FILES}
    found = set()
    for name in imports(tree(path), deep=False):
        inner = name.removeprefix("pictus.")
        if name.startswith("pictus.") and inner in modules and inner != module_name(path):
            found.add(inner)
    return found


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_files_and_functions_keep_their_budget(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_FILE_LINES, f"{path.name} has {lines} lines"
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno:
            size = node.end_lineno - node.lineno + 1
            assert size <= MAX_FUNCTION_LINES, f"{path.name}: {node.name} has {size} lines"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_optional_packages_are_imported_where_used(path: Path) -> None:
    found = {name.partition(".")[0] for name in imports(tree(path), deep=False)}
    assert not found & OPTIONAL, f"top-level import of {found & OPTIONAL}"


@pytest.mark.parametrize("path", [path for path in FILES if room(module_name(path)) not in DOORS], ids=module_name)
def test_only_doors_print(path: Path) -> None:
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    assert not [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


def reasons(text: str) -> set[int]:
    """The lines with a comment that says something: `noqa` and `fmt` alone do not."""
    found = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        said = re.sub(r"(# )?(noqa: [A-Z0-9, ]+|fmt: \w+|type: ignore\S*)", "", token.string)
        if token.type == tokenize.COMMENT and said.strip("# "):
            found.add(token.start[0])
    return found


def swallowed(text: str) -> list[int]:
    """Lines at which an error ends without a word: not raised, told or used, and without a reason in a comment.

    A bare `pass` needs more than a reason.
    """
    told = reasons(text)
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            inside = [part for line in node.body for part in ast.walk(line)]
            is_used = any(
                isinstance(part, (ast.Raise, ast.Call, ast.JoinedStr))
                or (isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value)
                or (isinstance(part, ast.Name) and part.id == node.name)
                for part in inside
            )
            is_explained = bool(told & {*range(node.lineno - 1, (node.body[-1].end_lineno or 0) + 1)})
            is_bare = all(isinstance(line, ast.Pass) for line in node.body)
            found += [node.lineno] if is_bare or not (is_used or is_explained) else []
        elif isinstance(node, ast.withitem) and "suppress(" in ast.unparse(node.context_expr):
            line = node.context_expr.lineno
            found += [line] if not told & {line - 1, line, line + 1} else []
    return found


@pytest.mark.parametrize(
    "body",
    [
        "try:\n    f()\nexcept OSError:\n    pass  # a reason",
        "try:\n    f()\nexcept OSError:\n    return None",
        "for x in y:\n    try:\n        f()\n    except OSError:  # noqa: PERF203\n        continue",
        "try:\n    f()\nexcept OSError as error:\n    found = []",
        "with contextlib.suppress(OSError):\n    f()",
    ],
)
def test_an_error_that_ends_without_a_word_is_seen(body: str) -> None:
    text = "def g():\n" + "".join(f"    {line}\n" for line in body.split("\n"))
    assert len(swallowed(text)) == 1


@pytest.mark.parametrize(
    "body",
    [
        "try:\n    f()\nexcept OSError:\n    return None  # not there yet",
        "try:\n    f()\nexcept OSError as error:\n    return str(error)",
        "try:\n    f()\nexcept OSError:\n    who = 'another process'",
        "try:\n    f()\nexcept OSError:\n    meter.say(1)\n    found = []",
        "try:\n    f()\nexcept OSError as error:\n    raise ValueError from error",
        "with contextlib.suppress(OSError):  # somebody else removed it\n    f()",
    ],
)
def test_an_error_that_is_told_used_or_explained_is_not_swallowed(body: str) -> None:
    assert swallowed("def g():\n" + "".join(f"    {line}\n" for line in body.split("\n"))) == []


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_nothing_is_swallowed_and_no_pickle_is_read(path: Path) -> None:
    if module_name(path) not in UNEXPLAINED:
        lines = swallowed(path.read_text(encoding="utf-8"))
        assert lines == [], f"{path.name} ends errors at these lines without a reason"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant), f"{path.name}: allow_pickle must be written out"
            assert node.value.value is False
    assert "pickle" not in {name.partition(".")[0] for name in imports(tree(path), deep=True)}


def test_a_step_has_few_parameters_and_says_what_each_is() -> None:
    for form in all_forms():
        most = MANY_PARAMETERS.get(form.step.name, MAX_STEP_PARAMETERS)
        assert len(form.fields) <= most, f"{form.step.name} has {len(form.fields)} parameters"
        assert form.summary.endswith((".", "?")), f"{form.step.name}: the first line is a sentence"
        assert form.examples, f"{form.step.name} has no example"
        assert [field.name for field in form.fields if not field.text] == [], form.step.name


def test_importing_pictus_brings_nothing_heavy() -> None:
    import subprocess

    program = "import sys, pictus; print([name for name in sys.argv[1:] if name in sys.modules])"
    heavy = ["numpy", "pyarrow", "torch", "PIL", "sqlalchemy", "rich", "click", "scipy", "httpx"]
    command = [sys.executable, "-c", program, *heavy]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "[]"
