"""Command line, HTTP and reference say the same about every step, because they are derived from it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import pictus
from pictus import api
from pictus.forms import STAGES, Form, all_forms
from pictus.reference import reference
from pictus.web.server import build_app

FORMS = all_forms()
Shell = Callable[..., "subprocess.CompletedProcess[str]"]
REPOSITORY = Path(__file__).parent.parent


def run(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pictus.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, check=False)


def client(project: pictus.Project) -> TestClient:
    return TestClient(build_app(project), base_url="http://127.0.0.1")


def test_every_stage_has_steps_and_a_page_in_docs() -> None:
    for stage in STAGES:
        assert [form for form in FORMS if form.stage == stage], stage
        text = (REPOSITORY / "docs" / f"{stage}.md").read_text(encoding="utf-8")
        for form in FORMS:
            if form.stage == stage:
                assert f"pictus {form.step.name}" in text, f"docs/{stage}.md does not mention {form.step.name}"


def test_the_reference_tells_of_the_desk_with_its_options() -> None:
    told = reference().partition("### pictus annotate serve")[2].partition("###")[0]
    port = "| `--port` | int | `8500` |"
    for option in ("--kiosk", "--invite", "--address", port, "pictus annotate serve --kiosk"):
        assert option in told, option


def test_the_reference_is_what_the_code_says() -> None:
    written = (REPOSITORY / "docs" / "reference.md").read_text(encoding="utf-8")
    assert written == reference(), "run make docs"


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.step.name)
def test_every_command_has_help_with_an_example(form: Form) -> None:
    from click.testing import CliRunner

    from pictus.cli import root

    result = CliRunner().invoke(root, [*form.step.name.split(), "--help"])
    assert result.exit_code == 0, result.output
    assert "Examples:" in result.output
    assert form.examples[0] in result.output
    for field in form.fields:
        argument = f"{{{'|'.join(field.choices)}}}" if field.choices else field.name.rstrip("_").upper()
        assert (field.flag if field.is_option else argument) in result.output


def test_the_api_lists_every_step_but_the_server(project: pictus.Project) -> None:
    with client(project) as browser:
        listed = {entry["step"]: entry for entry in browser.get("/api/steps").json()["steps"]}
    assert set(listed) == {form.step.name for form in FORMS} - {"serve start"}
    assert listed["clean check"]["method"] == "POST"
    assert listed["status"]["method"] == "GET"


def test_api_and_command_line_give_the_same_json(project: pictus.Project, shell: Shell) -> None:
    out = shell("status", "--json", at=project.root)
    with client(project) as browser:
        answer = browser.get("/api/status").json()
    records = answer.pop("records")
    assert json.loads(out.stdout) == answer
    assert records[0]["stage"] == "taxonomy"


def test_an_error_has_one_shape_everywhere(project: pictus.Project, shell: Shell) -> None:
    out = shell("show", "ffffffff", "--json", at=project.root)
    with client(project) as browser:
        answer = browser.get("/api/show", params={"image": "ffffffff"})
    assert (out.returncode, answer.status_code) == (1, 404)
    assert json.loads(out.stdout) == answer.json()
    assert set(answer.json()["error"]) == {"what", "fix"}


@pytest.mark.parametrize(
    ("body", "kind", "part"),
    [
        (b"{}", "text/plain", "JSON body"),
        (b"{", "application/json", "not JSON"),
        (b"[]", "application/json", "not an object"),
        (b'{"colour": 1}', "application/json", "unknown parameter 'colour'"),
        (b'{"records": "many"}', "application/json", "not a number"),
        (b" " * (api.MAX_BODY + 1), "application/json", "larger than"),
    ],
)
def test_a_bad_body_is_refused(project: pictus.Project, body: bytes, kind: str, part: str) -> None:
    with client(project) as browser:
        answer = browser.post("/api/clean/check", content=body, headers={"content-type": kind})
    assert answer.status_code == 400
    assert part in answer.json()["error"]["what"]


def test_another_site_may_not_write_and_foreign_hosts_are_refused(project: pictus.Project) -> None:
    with client(project) as browser:
        headers = {"origin": "https://evil.example", "content-type": "application/json"}
        assert browser.post("/api/clean/check", content=b"{}", headers=headers).status_code == 403
        assert browser.get("/", headers={"host": "evil.example"}).status_code == 403
        assert browser.get("/").headers["content-security-policy"].startswith("default-src 'self'")


def test_open_to_others_the_api_only_reads_and_never_a_file_of_this_machine(project: pictus.Project) -> None:
    with TestClient(build_app(project, frozenset()), base_url="http://192.0.2.1") as browser:
        listed = browser.get("/api/steps").json()["steps"]
        assert {entry["method"] for entry in listed} == {"GET"}
        assert browser.post("/api/clean/check", json={}).status_code in (404, 405)
        assert browser.get("/api/challenge/score", params={"file": "/etc/passwd"}).status_code == 404
        assert browser.get("/api/status").status_code == 200
        assert [browser.get(path).status_code for path in ("/api/annotate/people", "/api/annotate/skills")] == [404] * 2


def test_open_to_others_no_step_takes_a_text_that_may_name_a_folder_unless_it_is_checked() -> None:
    """A new text parameter of a reading step: see that it cannot name a file, or have the API check it."""
    harmless = {("show", "image"), ("taxonomy show", "concept"), ("taxonomy queries", "concept"),
                ("annotate skills", "method"), ("annotate queue", "kind"), ("annotate queue", "pay"),
                ("clean preview", "line"), ("train settings", "recipe"), ("train settings", "find")}  # fmt: skip
    open_ones = [
        form for form in FORMS
        if not form.step.changes and form.step.name not in api.OF_PEOPLE
        and all(one.kind is not Path for one in form.fields)
    ]  # fmt: skip
    texts = {(form.step.name, field.name) for form in open_ones for field in form.fields if field.kind is str}
    checked = {*api.NAMES_OF_RELEASES, api.NAME_OF_RUN}
    assert {(step, name) for step, name in texts if name not in checked} <= harmless


def test_open_to_others_a_release_elsewhere_on_the_machine_is_neither_read_nor_told(
    project: pictus.Project, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "private"
    elsewhere.mkdir()
    with TestClient(build_app(project, frozenset()), base_url="http://192.0.2.1") as browser:
        for value in (str(elsewhere), str(tmp_path / "nothing"), "tables", "../private"):
            (project.root / "tables").mkdir(exist_ok=True)
            said = [
                browser.get("/api/release/verify", params={"version": value}).json()["error"]["what"],
                browser.get("/api/release/diff", params={"before": value, "after": value}).json()["error"]["what"],
            ]
            assert said == [f"There is no release {value!r}."] * 2
    with client(project) as browser:
        answer = browser.get("/api/release/verify", params={"version": str(elsewhere)})
        assert "is not a release" in answer.json()["error"]["what"], "for oneself, a folder is named as before"


def test_an_option_that_can_be_repeated_and_was_not_given_is_the_steps_own_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from types import SimpleNamespace

    from pictus import cli

    given: list[tuple[int, ...]] = []

    def few(_: object, *, shots: tuple[int, ...] = (1, 5)) -> None:
        given.append(shots)

    monkeypatch.setattr(cli, "_project", lambda *_: None)
    monkeypatch.setattr(cli, "_print", lambda *_, **__: None)
    field = SimpleNamespace(name="shots", default=(1, 5))
    form: Any = SimpleNamespace(step=SimpleNamespace(function=few), fields=[field])
    for said in ((), (2,)):
        cli._run(form, {"shots": said}, {})
    assert given == [(1, 5), (2,)]


def test_exit_codes(tmp_path: Path) -> None:
    assert run("new", "birds", cwd=tmp_path).returncode == 0
    assert run("new", "birds", cwd=tmp_path).returncode == 1
    assert run("new").returncode == 2
    assert run("nonsense").returncode == 2
    assert "did you mean" in run("statsu").stderr
    assert run("--help").returncode == 0
    assert run("status", cwd=tmp_path).returncode == 1


def test_a_run_in_which_everything_failed_ends_with_1_and_proposes_nothing_in_vain(
    project: pictus.Project, shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"root:x:0:0, no picture")
    (tmp_path / "list.csv").write_text("url\nhttp://127.0.0.1:9/a.jpg\n", encoding="utf-8")
    for command in (
        ("collect", "add", str(tmp_path / "broken.jpg")), ("collect", "fetch", str(tmp_path / "list.csv")),
        ("collect", "fetch", str(tmp_path / "list.csv")), ("collect", "find", "http://127.0.0.1:9/a.html"),
    ):  # fmt: skip
        out = shell(*command, at=project.root)
        assert (out.returncode, out.stdout) == (1, "")
        assert "error:" in out.stderr
        assert "next:" not in out.stderr
    again = shell("collect", "fetch", str(tmp_path / "list.csv"), "--retry", "--json", at=project.root)
    assert again.returncode == 1
    shown = shell("collect", "status", at=project.root)
    assert shown.returncode == 0
    assert "root:x:0:0" in shown.stdout


def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pictus", "new", "birds"], capture_output=True, timeout=60, cwd=tmp_path, check=False
    )
    assert done.returncode == 0
    assert any((tmp_path / "birds").iterdir())


def test_data_goes_to_stdout_and_talk_to_stderr(project: pictus.Project) -> None:
    out = run("status", "--project", str(project.root))
    assert "collected 0" in out.stdout
    assert "next:" in out.stderr
    assert "next:" not in out.stdout


def test_jsonl_gives_every_record(project: pictus.Project, shell: Shell) -> None:
    out = shell("status", "--jsonl", at=project.root)
    stages = [json.loads(line)["stage"] for line in out.stdout.splitlines()]
    assert stages == ["taxonomy", "collect", "clean", "annotate", "release", "train"]


def test_a_stage_without_a_verb_gives_one_json_object_of_all_its_steps(
    project: pictus.Project, shell: Shell, make_jpeg: Callable[..., bytes], tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/1.jpg").write_bytes(make_jpeg())
    pictus.collect.add(project, (tmp_path / "photos",))
    out = shell("clean", "--json", "--project", str(project.root), at=tmp_path)
    found = json.loads(out.stdout)
    assert found["step"] == "clean"
    assert list(found["summary"]) == ["check", "match", "dedupe", "screen"]
    assert found["summary"]["check"]["measured"] == 1


@pytest.mark.parametrize("reason", ["opencv", "size"])
def test_clean_says_when_it_leaves_match_out(
    project: pictus.Project, make_jpeg: Callable[..., bytes], tmp_path: Path, reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import importlib.util

    from click.testing import CliRunner

    from pictus import cli

    (tmp_path / "1.jpg").write_bytes(make_jpeg())
    pictus.collect.add(project, (tmp_path / "1.jpg",))
    monkeypatch.setattr(cli, "MOST_MATCHED", 0 if reason == "size" else 100)
    if reason == "opencv":
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    out = CliRunner().invoke(cli.root, ["clean", "-q", "-C", str(project.root)], catch_exceptions=False)
    (line,) = (line for line in out.output.splitlines() if "left out" in line)
    assert line.startswith("match was left out: ")
    assert ("pip install 'pictus[vision]'" if reason == "opencv" else "1 pictures, some 10 ms each") in line


def test_options_before_a_verb_count_for_it(
    project: pictus.Project, shell: Shell, make_jpeg: Callable[..., bytes], tmp_path: Path
) -> None:
    for name in ("photos", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "photos/1.jpg").write_bytes(make_jpeg())
    pictus.collect.add(project, (tmp_path / "photos",))
    out = shell("clean", "-C", str(project.root), "--json", "check", at=tmp_path / "elsewhere")
    found = json.loads(out.stdout)
    assert (found["step"], found["summary"]["measured"]) == ("clean check", 1)


def test_the_root_option_names_the_folder_of_every_command(project: pictus.Project, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from pictus.cli import root
    from pictus.web import server

    served: list[Path] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "serve", lambda opened, *_: served.append(opened.root))
        CliRunner().invoke(root, ["-C", str(project.root), "web"], catch_exceptions=False)
    assert served == [project.root]
    made = tmp_path / "made"
    assert CliRunner().invoke(root, ["-C", str(made), "new"]).exit_code == 0
    assert (made / "pictus.toml").is_file()
    twice = CliRunner().invoke(root, ["-C", str(made), "new", str(tmp_path / "other")])
    assert twice.exit_code == 2
    assert "two folders" in twice.output
    assert CliRunner().invoke(root, ["new"]).exit_code == 2


def called(function: Callable[..., object], *given: object, **named: object) -> str:
    """What a person is told; any other exception fails the test."""
    try:
        function(*given, **named)
    except pictus.UserError as error:
        return error.what
    return ""


def test_from_python_every_step_takes_its_paths_as_texts(
    project: pictus.Project, make_jpeg: Callable[..., bytes], tmp_path: Path
) -> None:
    from pictus import annotate, challenge, collect, release, search, serve, taxonomy

    (tmp_path / "photos/owl").mkdir(parents=True)
    (tmp_path / "photos/owl/1.jpg").write_bytes(make_jpeg())
    photos: Any = str(tmp_path / "photos")
    assert taxonomy.import_(project, folders=photos).summary["classes"] == 1
    assert collect.add(project, photos, by_folder=True).summary["added"] == 1
    nowhere = str(tmp_path / "nowhere")
    for told in (
        called(annotate.import_, project, [nowhere + ".csv"]),
        called(annotate.import_, project, nowhere + ".csv"),
        called(serve.predict, project, [nowhere]),
        called(search.query, project, image=nowhere),
        called(release.export, project, "1.0.0", nowhere),
        called(release.import_, project, nowhere),
        called(challenge.score, project, nowhere),
        called(challenge.rank, project, [nowhere], truth=nowhere),
    ):
        assert told


def test_quiet_is_an_option_of_every_command(project: pictus.Project, shell: Shell, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from pictus.cli import OTHERS, root

    for name in (*OTHERS, *(form.step.name for form in FORMS)):
        assert "-q, --quiet" in CliRunner().invoke(root, [*name.split(), "--help"]).output, name
    loud, quiet = (shell("new", name, *more, at=tmp_path) for name, more in (("p1", ()), ("p2", ("-q",))))
    assert (loud.returncode, quiet.returncode) == (0, 0)
    assert "next:" in loud.stderr
    assert quiet.stderr == ""


def test_quiet_reaches_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from pictus import demo
    from pictus.cli import root
    from pictus.progress import Silent

    seen: list[object] = []

    def stop(folder: Path, *, progress: object, **_: object) -> None:
        seen.append(progress)
        raise pictus.UserError("enough", fix="")

    monkeypatch.setattr(demo, "run_demo", stop)
    for options in ([], ["--quiet"]):
        assert isinstance(CliRunner().invoke(root, ["demo", str(tmp_path), *options]).exception, pictus.UserError)
    assert [isinstance(one, Silent) for one in seen] == [False, True]


def test_a_folder_that_is_named_is_the_project_and_never_the_one_around_it(
    project: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from pictus.cli import root
    from pictus.web import server

    served: list[Path] = []
    monkeypatch.setattr(server, "serve", lambda opened, *_: served.append(opened.root))
    monkeypatch.chdir(project.root)
    (project.root / "inside").mkdir()
    for words, name in (
        (["web", "nowhere"], "nowhere"), (["web", "inside"], "inside"), (["-C", "nowhere", "web"], "nowhere"),
        (["web", "pictus.toml"], "pictus.toml"), (["-C", "nowhere", "status"], "nowhere"),
        (["status", "-C", "nowhere"], "nowhere"),
    ):  # fmt: skip
        error = CliRunner().invoke(root, words).exception
        assert isinstance(error, pictus.UserError), words
        assert error.what.startswith(f"There is no Pictus project at {project.root / name}"), words
    assert served == []
    for words in (["web"], ["web", "."], ["web", str(project.root)], ["status", "-C", "inside"]):
        assert CliRunner().invoke(root, words).exception is None, words
    assert served == [project.root] * 3


def test_a_port_in_use_is_said_with_another_to_try(project: pictus.Project) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        out = run("web", str(project.root), "--port", str(port))
    assert out.returncode == 1
    assert f"Port {port} on 127.0.0.1 cannot be used" in out.stderr
    assert f"--port {port + 1}" in out.stderr


def test_a_port_that_no_machine_has_is_wrong_usage(project: pictus.Project) -> None:
    out = run("web", str(project.root), "--port", "99999")
    assert out.returncode == 2
    assert "0<=x<=65535" in out.stderr


def test_a_stopped_server_is_not_an_interrupted_command(
    project: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from pictus.cli import root
    from pictus.web import server

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "serve", stopped)
    done = CliRunner().invoke(root, ["web", str(project.root)])
    assert (done.exit_code, done.output) == (0, "stopped\n")


@pytest.mark.parametrize(("words", "told"), [
    (("train", "robustness", "--run", "b"), "RUN is typed without --run"),
    (("evaluate", "run", "b"), "A run is named by --run."),
    (("train", "probe", "--run", "b"), "No such option '--run'. A run is named by --network."),
    (("train", "few-shot", "b"), "A run is named by --network."),
    (("train", "robustness", "--walk", "b"), "No such option"),
])  # fmt: skip
def test_a_run_named_by_an_option_where_it_has_none_or_without_is_told_how(words: tuple[str, ...], told: str) -> None:
    from click.testing import CliRunner

    from pictus.cli import root

    found = CliRunner().invoke(root, words)
    assert found.exit_code == 2
    assert told in found.output
