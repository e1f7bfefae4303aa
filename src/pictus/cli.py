"""The command line: `pictus STAGE VERB`, derived from the steps.

Exit codes: 0 done, 1 something the user can fix, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pictus.chapters import chapters
from pictus.errors import UserError
from pictus.forms import STAGES, Field, Form, stage_forms
from pictus.written import written_forms

if TYPE_CHECKING:
    from pictus.project import Project
    from pictus.registry import Outcome

INTERRUPTED = 130

OTHERS: dict[str, str] = {
    "new": "Make a project folder",
    "status": "Where every picture stands, and what to type next",
    "show": "One picture's whole history: why is it here?",
    "web": "The pages: concepts, pictures, histories, search",
    "demo": "Draw a world, run the whole journey on it, look at the report",
}

JOURNEY: dict[str, tuple[str, ...]] = {"clean": ("check", "match", "dedupe", "screen")}
"""What `pictus STAGE` without a verb runs."""

MOST_MATCHED = 100_000
"""Pictures up to which `pictus clean` also matches: some 10 ms each on one core, so 17 minutes."""

_ASKS_HELP = "pictus.asks-help"
"""In click's context: only help is wanted, which needs no import of a stage."""

QUIET = "Nothing on stderr but errors: no progress, no warnings, no next steps."

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Root(click.Group):
    """Imports a stage only when one of its commands is run: `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return ["new", *STAGES, "status", "show", "web", "demo"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        forms = written_forms if ctx.meta.get(_ASKS_HELP) else stage_forms
        if cmd_name in STAGES:
            return _stage_group(cmd_name, forms(cmd_name))
        if cmd_name in ("status", "show"):
            return _command(next(form for form in forms(cmd_name) if form.step.name == cmd_name), cmd_name)
        return {"new": new_command, "web": web_command, "demo": demo_command}.get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The stages in journey order, from one-line texts: nothing is imported for it."""
        del ctx
        with formatter.section("Journey"):
            formatter.write_dl([("new", OTHERS["new"]), *STAGES.items()])
        with formatter.section("Any time"):
            formatter.write_dl([(name, OTHERS[name]) for name in ("status", "show", "web", "demo")])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from pictus.registry import unknown  # noqa: PLC0415

        name = args[0]
        if name not in self.list_commands(ctx):
            error = unknown("command", name, self.list_commands(ctx))
            ctx.fail(f"{error.what} {error.fix}")
        is_bare = len(args) == 1 and name in STAGES and name not in JOURNEY  # shows its help
        ctx.meta[_ASKS_HELP] = is_bare or bool({"-h", "--help"} & set(args[1:]))
        return super().resolve_command(ctx, args)


class Stage(click.Group):
    """Its --help lists the commands in the order of work, under headings."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As `chapters` has them."""
        found = chapters(self.name or "", self.list_commands(ctx))
        width = max((len(name) for name in self.commands), default=0)
        room = formatter.width - formatter.current_indent - width - 6
        for heading, names in found:
            with formatter.section(heading):
                formatter.write_dl([
                    (name.ljust(width), self.commands[name].get_short_help_str(room)) for name in names
                ])  # fmt: skip


class Verb(click.Command):
    """Says how a value is typed where its name was given and is not wanted, or the other way round."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if told := self._told(ctx, error):
                raise click.UsageError(told, ctx) from error
            raise

    def _told(self, ctx: click.Context, error: click.UsageError) -> str:
        """What to type; "" where click has said it."""
        name = error.option_name.lstrip("-") if isinstance(error, click.NoSuchOption) else ""
        if any(isinstance(one, click.Argument) and one.name == name for one in self.params):
            return f"{name.upper()} is typed without --{name}: {ctx.command_path} {name.upper()}"
        options = {one.name for one in self.params if isinstance(one, click.Option)}
        is_run = name == "run" or error.message.startswith("Got unexpected extra argument (")
        for option in ("run", "network"):  # of a probe a network may be a run
            if is_run and option in options:
                return f"{error.message.rstrip('.')}. A run is named by --{option}."
        return ""


@click.group(
    cls=Root, context_settings=CONTEXT, epilog="Start with:  pictus demo    or    pictus new birds && cd birds"
)  # fmt: skip
@click.version_option(package_name="pictus", prog_name="pictus")
@click.option(
    "-C", "--project", "project_path", type=click.Path(path_type=Path), help="The project's folder, for every command."
)
def root(project_path: Path | None) -> None:
    """Build your own ImageNet: concepts, pictures, labels, releases, models, search."""


def main() -> None:
    """Run the command line and turn what the user can fix into one message and exit code 1."""
    as_json = "--json" in sys.argv
    try:
        root.main(standalone_mode=False)
    except UserError as error:
        from pictus.output import print_error  # noqa: PLC0415

        print_error(error, as_json=as_json)
        sys.exit(1)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: run the same command again, it continues where it stopped", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone: nothing is left to say
        sys.exit(0)


def _stage_group(stage: str, found: list[Form]) -> click.Command:
    forms = {form.verb: form for form in found}
    verbs = JOURNEY.get(stage, ())

    def run_all(**options: Any) -> None:  # noqa: ANN401  click's values
        context = click.get_current_context()
        if context.invoked_subcommand is None:
            _run_all(stage, [forms[verb] for verb in verbs], options)

    group = Stage(
        stage, help=STAGES[stage] + (f".\n\nWithout a verb: {', '.join(verbs)}." if verbs else "."),
        invoke_without_command=bool(verbs), no_args_is_help=not verbs, callback=run_all if verbs else None,
        params=_shared_options() if verbs else [], context_settings=CONTEXT,
    )  # fmt: skip
    for verb, form in forms.items():
        group.add_command(_command(form, verb))
    if stage == "annotate":
        group.add_command(desk_command)
    return group


def _run_all(stage: str, forms: list[Form], shared: dict[str, Any]) -> None:
    """Every step in turn, told as it ends; as JSON one object with the summary of each."""
    outcomes = []
    for form in forms:
        project = _project(form, shared)
        outcome = _left_out(form, project) or form.step.function(project)
        outcomes.append(outcome)
        if not shared["as_json"] or shared["as_jsonl"]:
            _print(form, outcome, shared, says_next=form is forms[-1])
    if shared["as_json"] and not shared["as_jsonl"]:
        from pictus.output import print_json  # noqa: PLC0415
        from pictus.registry import Outcome  # noqa: PLC0415

        problems = tuple(problem for outcome in outcomes for problem in outcome.problems)
        summary = {form.verb: outcome.summary for form, outcome in zip(forms, outcomes, strict=True)}
        whole: Outcome[Any] = Outcome(stage, summary, outcomes[-1].headline, problems, outcomes[-1].next)
        print_json(whole)


def _left_out(form: Form, project: "Project") -> "Outcome[Any] | None":
    """What is said in place of a step of JOURNEY that this machine cannot take, or only in long; None: it is taken."""
    if (form.stage, form.verb) != ("clean", "match"):
        return None
    from importlib.util import find_spec  # noqa: PLC0415

    from pictus.registry import Outcome  # noqa: PLC0415

    why = ""
    if find_spec("cv2") is None:
        why = "OpenCV is not installed; it finds crops, turned and edited copies: pip install 'pictus[vision]'"
    elif (pictures := project.tables.count("images")) > MOST_MATCHED:
        why = f"{pictures:,} pictures, some 10 ms each: pictus clean match, then pictus clean dedupe"
    words = f"match was left out: {why}"
    return Outcome("clean match", {"left_out": why}, words) if why else None


def _command(form: Form, name: str) -> click.Command:
    def run(**values: Any) -> None:  # noqa: ANN401  click's values
        shared = {key: values.pop(key) for key in ("project_path", "as_json", "as_jsonl", "quiet")}
        context = click.get_current_context().parent
        before = context.params if context else {}  # `pictus clean -C birds check`: said to the group
        shared = {key: value or before.get(key, value) for key, value in shared.items()}
        _run(form, {_python_name(form, key): value for key, value in values.items()}, shared)

    examples = "\n".join(f"  {example}" for example in form.examples)
    description = form.summary + (f"\n\n{form.description}" if form.description else "")
    return Verb(
        name, callback=run, help=description, short_help=form.summary, context_settings=CONTEXT,
        epilog=f"\b\nExamples:\n{examples}" if examples else None,
        params=[*(_parameter(field) for field in form.fields), *_shared_options()],
    )  # fmt: skip


def _parameter(field: Field) -> click.Parameter:
    kind: Any = {str: str, int: int, float: float, bool: bool, Path: click.Path(path_type=Path)}[field.kind]
    if field.choices:
        kind = click.Choice(field.choices)
    destination = field.name.rstrip("_")
    has_default = not field.required and not field.many and field.default not in ("", None)
    default = {"default": field.default} if has_default else {}
    if not field.is_option:
        return click.Argument(
            [destination], type=kind, nargs=-1 if field.many else 1, required=field.required, **default
        )  # fmt: skip
    if field.kind is bool and not field.many:
        names = f"{field.flag}/--no-{field.flag[2:]}" if field.default else field.flag
        return click.Option([names, destination], is_flag=True, default=field.default, help=field.text)
    return click.Option(
        [field.flag, destination], type=kind, multiple=field.many, required=field.required,
        show_default=field.default_says_something, help=field.text, **default,
    )  # fmt: skip


def _shared_options() -> list[click.Parameter]:
    where = "The project's folder (default: here or above)."
    return [
        click.Option(
            ["-C", "--project", "project_path"], type=click.Path(path_type=Path), help=where
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON object instead of text."),
        click.Option(["--jsonl", "as_jsonl"], is_flag=True, help="Every record as a line of JSON."),
        click.Option(["-q", "--quiet", "quiet"], is_flag=True, help=QUIET),
    ]  # fmt: skip


def _python_name(form: Form, destination: str) -> str:
    return next((field.name for field in form.fields if field.name.rstrip("_") == destination), destination)


def _run(form: Form, values: dict[str, Any], shared: dict[str, Any]) -> None:
    given = {
        name: value for name, value in values.items()
        if value != () and (  # nothing was said: the step's own default, which need not be empty
            value is not None or next(field.default for field in form.fields if field.name == name) is None
        )
    }  # fmt: skip
    outcome = form.step.function(_project(form, shared), **given)
    _print(form, outcome, shared)


def _print(form: Form, outcome: "Outcome[Any]", shared: dict[str, Any], *, says_next: bool = True) -> None:
    from pictus import output  # noqa: PLC0415  rich is not needed for --help

    if shared["as_jsonl"]:
        output.print_jsonl(outcome)
    elif shared["as_json"]:
        output.print_json(outcome)
    else:
        output.print_outcome(
            outcome, with_records=form.step.shows_records, says_next=says_next, is_quiet=shared["quiet"]
        )
    if outcome.is_vain:
        sys.exit(1)


def _project(form: Form, shared: dict[str, Any]) -> "Project":
    from pictus.output import TerminalProgress, talk  # noqa: PLC0415
    from pictus.progress import Silent  # noqa: PLC0415
    from pictus.project import bare, find_root, open_project  # noqa: PLC0415

    progress = Silent() if shared["quiet"] else TerminalProgress(talk())
    context = click.get_current_context(silent=True)
    outer = context.find_root().params.get("project_path") if context else None
    named: Path | None = shared["project_path"] or outer
    path = named or Path()
    if not form.step.needs_project and find_root(path) is None:
        return bare(path, progress=progress)
    if named and not named.expanduser().is_dir():  # else a slip of the pen would change the project around it
        raise _no_project(named)
    return open_project(path, progress=progress)


def _no_project(named: Path) -> UserError:
    what = f"There is no Pictus project at {named.expanduser().absolute()}."
    return UserError(what, fix=f"name a project's folder, or make one:    pictus new {shlex.quote(str(named))}")


def _folder(named: Path | None, default: str = "") -> Path:
    """The FOLDER of a command that is no step: its own, or that of `pictus -C FOLDER`."""
    context = click.get_current_context()
    outer: Path | None = context.find_root().params.get("project_path")
    if named and outer:
        raise click.UsageError(f"two folders are named: {outer} and {named}", context)
    if not (named or outer or default):
        raise click.UsageError("Missing argument 'FOLDER'.", context)
    return named or outer or Path(default)


@click.command("new", context_settings=CONTEXT, epilog="\b\nExamples:\n  pictus new birds && cd birds")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--database-url", default="", help="PostgreSQL instead of the project's own SQLite file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option("-q", "--quiet", is_flag=True, help=QUIET)
def new_command(folder: Path | None, database_url: str, *, as_json: bool, quiet: bool) -> None:
    """Make a project folder."""
    from pictus.output import print_json, print_outcome  # noqa: PLC0415
    from pictus.project import new  # noqa: PLC0415
    from pictus.registry import Outcome  # noqa: PLC0415

    target = _folder(folder)
    project = new(target, database_url=database_url)
    if database_url:
        project.journal.log("project", "project_made")
    outcome: Outcome[Any] = Outcome(
        "new", {"root": str(project.root), "name": project.name}, f"{project.name}: an empty project at {project.root}",
        next=(f"cd {target}", "pictus taxonomy import --folders PICTURES    (or --file, --ilsvrc, --wordnet)"),
    )  # fmt: skip
    print_json(outcome) if as_json else print_outcome(outcome, with_records=False, is_quiet=quiet)


@click.command("web", context_settings=CONTEXT, epilog="\b\nExamples:\n  pictus web\n  pictus web birds --port 8000")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8400, show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option("-q", "--quiet", is_flag=True, help="As in every command; the address is said all the same.")
def web_command(folder: Path | None, host: str, port: int, *, quiet: bool) -> None:
    """The pages: concepts, pictures, one picture's whole history, search."""
    from pictus.project import find_root, open_project  # noqa: PLC0415
    from pictus.web.server import serve  # noqa: PLC0415

    del quiet  # without its address a server is of no use, and it says nothing else
    path = _folder(folder, ".")
    is_named = path != Path()
    if is_named and find_root(path) != path.expanduser().resolve():
        raise _no_project(path)
    project = open_project(path)
    try:
        serve(project, host, port)
    except KeyboardInterrupt:  # as its first line says it is stopped: nothing was broken off
        click.echo("stopped", err=True)


@click.command(
    "serve", context_settings=CONTEXT, short_help="The pages at which people answer, for a team or a crowd.",
    epilog="\b\nExamples:\n  pictus annotate serve --kiosk\n  pictus annotate serve --invite 12 --quota 500\n"
    "  pictus annotate serve --address https://label.example.org",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8500, show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option("--address", default="", help="What people type, where a proxy stands before it.")
@click.option("--invite", type=click.IntRange(0, 10_000), default=0, help="Make so many links, each for one person.")
@click.option("--quota", type=click.IntRange(0), default=0, help="Pictures each of them may answer; 0 for no limit.")
@click.option("--days", type=float, default=14.0, show_default=True, help="How long their links can be used.")
@click.option("--kiosk", is_flag=True, help="No links: a name is enough. For this machine only.")
@click.option("--rule", default="dynamic", show_default=True, help="When a picture was asked about enough: dynamic, "
              "online, thrifty or fixed.")
@click.option("--pay", default="", help='What an hour is paid, "15 EUR": owners see what the rest costs.')
@click.option("--tell-accuracy", "tells_accuracy", is_flag=True, help="People see their accuracy on known answers.")
@click.option("-C", "--project", "path", type=click.Path(path_type=Path), help="The project's folder.")
@click.option("-q", "--quiet", is_flag=True, help="As in every command; addresses and links are said all the same.")
def desk_command(path: Path | None, *, kiosk: bool, quiet: bool, **service: Any) -> None:  # noqa: ANN401  click's
    """The desk: pages of pictures at which people mark, draw and judge, until you stop it.

    Prints a link for yourself, and with --invite one for each of a team. `pictus annotate plan` fills the queue.
    """
    from pictus.project import open_project  # noqa: PLC0415
    from pictus.web.desk.server import Service, serve_desk  # noqa: PLC0415

    del quiet  # without its links a desk is of no use
    context = click.get_current_context()
    outer: Path | None = (context.parent.params.get("project_path") if context.parent else None)
    named = path or outer or context.find_root().params.get("project_path")
    if named and not named.expanduser().is_dir():
        raise _no_project(named)
    try:
        serve_desk(open_project(named or Path()), Service(is_kiosk=kiosk, **service))
    except KeyboardInterrupt:  # as its first line says it is stopped: nothing was broken off
        click.echo("stopped", err=True)


@click.command("demo", context_settings=CONTEXT, epilog="\b\nExamples:\n  pictus demo\n  pictus demo world --small")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--small", is_flag=True, help="A tenth of the world: under a minute.")
@click.option("--seed", default=7, show_default=True, help="Another seed draws another world.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def demo_command(folder: Path | None, seed: int, *, small: bool, as_json: bool, quiet: bool) -> None:
    """Draw a world with known truth, run the whole journey on it, compare found with true."""
    import json  # noqa: PLC0415

    from pictus.demo import run_demo  # noqa: PLC0415
    from pictus.output import TerminalProgress, talk  # noqa: PLC0415
    from pictus.progress import Silent  # noqa: PLC0415

    progress = Silent() if quiet else TerminalProgress(talk())
    result = run_demo(_folder(folder, "demo"), small=small, seed=seed, progress=progress)
    click.echo(json.dumps(result.as_json()) if as_json else result.as_text())


if __name__ == "__main__":
    main()
