from __future__ import annotations

import pickle
import pydoc
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from pictus import Project
from pictus.errors import UserError
from pictus.registry import STEPS, Outcome, Registry, step


def test_a_miss_proposes_the_nearest_name() -> None:
    methods: Registry[int] = Registry("method")
    methods.register("dawid-skene")(1)
    methods.register("majority")(2)
    with pytest.raises(UserError, match="There is no method 'dawid-skne'") as caught:
        methods.get("dawid-skne")
    assert caught.value.fix == "did you mean dawid-skene?"
    with pytest.raises(UserError) as caught:
        methods.get("zzz")
    assert caught.value.fix == "one of: dawid-skene, majority"


def test_a_name_is_registered_once() -> None:
    methods: Registry[int] = Registry("method")
    methods.register("a")(1)
    with pytest.raises(ValueError, match="registered twice"):
        methods.register("a")(2)


def test_an_outcome_reads_its_records_back_each_time() -> None:
    outcome = Outcome("x", {}, source=lambda: iter([1, 2]))
    assert list(outcome) == list(outcome) == [1, 2]


def test_a_step_that_something_it_calls_wants_to_end_is_an_error_that_tells(project: Project) -> None:
    name = "test ended"
    try:

        @step(name, changes=False)
        def ended(project: Project) -> Outcome[int]:
            sys.exit(3)

        with pytest.raises(UserError, match=r"'test ended' was ended from within.*sys\.exit\(3\)"):
            ended(project)
    finally:
        STEPS.pop(name, None)


def test_a_step_is_registered_once() -> None:
    name = "test once"
    try:
        step(name, changes=False)(lambda project: Outcome(name, {}))
        with pytest.raises(ValueError, match="registered twice"):
            step(name, changes=False)(lambda project: Outcome(name, {}))
    finally:
        STEPS.pop(name, None)


def taking(  # the kinds of parameter that steps have
    project: object, path: Path, texts: tuple[str, ...] = (), *, maybe: Path | None = None, version: str = "",
    count: int = 0, files: tuple[Path, ...] = (),
) -> Outcome[object]:  # fmt: skip
    """Hand back what came in."""
    return Outcome("test taking", {"path": path, "texts": texts, "maybe": maybe, "version": version,
                                   "count": count, "files": files})  # fmt: skip


@pytest.fixture
def taker() -> Iterator[Callable[..., Outcome[object]]]:
    yield step("test taking", changes=False)(taking)
    STEPS.pop("test taking")


def test_from_python_a_path_may_be_a_text(taker: Callable[..., Outcome[object]]) -> None:
    found = taker(None, "a/b", maybe="~/c", version=Path("1.0.0")).summary
    assert (found["path"], found["maybe"], found["version"]) == (Path("a/b"), Path("~/c"), "1.0.0")
    assert taker(None, path="a").summary["path"] == Path("a")
    assert taker(None, Path("a")).summary["maybe"] is None


def test_from_python_one_is_several_of_one_and_a_list_will_do(taker: Callable[..., Outcome[object]]) -> None:
    found = taker(None, "a", "owl", files="photos").summary
    assert (found["texts"], found["files"]) == (("owl",), (Path("photos"),))
    found = taker(None, "a", ["owl", "wren"], files=["x", Path("y")]).summary
    assert (found["texts"], found["files"]) == (("owl", "wren"), (Path("x"), Path("y")))
    found = taker(None, "a", (), files=(name for name in "xy")).summary
    assert (found["texts"], found["files"]) == ((), (Path("x"), Path("y")))


def test_what_cannot_be_fitted_is_handed_on_as_it_is(taker: Callable[..., Outcome[object]]) -> None:
    assert taker(None, 5, None, count="3").summary | {"files": 0} == {
        "path": 5, "texts": None, "maybe": None, "version": "", "count": "3", "files": 0
    }  # fmt: skip
    with pytest.raises(TypeError, match=r"taking\(\) missing 1 required positional argument: 'path'"):
        taker(None)
    with pytest.raises(TypeError, match=r"taking\(\) got an unexpected keyword argument 'colour'"):
        taker(None, "a", colour=1)
    with pytest.raises(TypeError, match=r"taking\(\) takes from 2 to 3 positional arguments but 4 were given"):
        taker(None, "a", (), ())


def test_a_step_keeps_its_name_its_text_and_its_types() -> None:
    from pictus import taxonomy

    shown = pydoc.plain(pydoc.render_doc(taxonomy.import_))
    assert "import_(" in shown
    for part in ("project:", "folders: 'Path | None' = None", "root: 'tuple[str, ...]' = ()", "-> 'Outcome["):
        assert part in shown
    assert (taxonomy.import_.__doc__ or "").splitlines()[0] in shown
    assert pickle.loads(pickle.dumps(taxonomy.import_)) is taxonomy.import_  # workers are handed steps by name


def test_installed_plugins_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def points(*, group: str) -> tuple[metadata.EntryPoint, ...]:
        looked.append(group)
        return (metadata.EntryPoint("more", "math:pi", group),)

    monkeypatch.setattr(metadata, "entry_points", points)
    numbers: Registry[float] = Registry("number", "pictus.numbers")
    assert [numbers.names() for _ in range(3)] == [["more"]] * 3
    assert numbers.get("more") > 3
    assert looked == ["pictus.numbers"]


def test_a_plugin_that_cannot_be_imported_is_named_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    point = metadata.EntryPoint("broken", "no_such_module_at_all:thing", "pictus.tests")
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: (point,) if group == "pictus.tests" else ())
    methods: Registry[int] = Registry("method", "pictus.tests")
    methods.register("majority")(1)
    found, told = methods.usable()
    assert found == {"majority": 1}
    assert len(told) == 1
    assert told[0].startswith("The method 'broken' of no_such_module_at_all:thing cannot be imported: ModuleNotFound")
    with pytest.raises(UserError, match="method 'broken' of no_such_module_at_all:thing cannot be imported") as raised:
        methods.get("broken")
    assert "pip uninstall" in raised.value.fix
