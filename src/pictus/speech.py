"""What to type, in the words of who reads it: advice is written as shell commands, and put otherwise here alone.

    shell     pictus taxonomy add owl --role group
    Python    taxonomy.add(project, "owl", role="group")
    a page    the command as code, between the words around it
"""

from __future__ import annotations

import keyword
import re
import shlex
from functools import cache

from pictus.forms import STAGES, Field, Form
from pictus.written import written_form, written_forms

_WORD = r"(?:\"[^\"]*\"|'[^']*'|[^\s,;()&]+)"
_COMMAND = re.compile(rf"pictus((?: (?!(?:or|and|then|pictus)\b){_WORD})+)")
_OPTION = re.compile(rf"(?<![\w-])--([a-z][a-z-]*)(?: (?!(?:or|and|then|is|to|lists?|looks?)\b)({_WORD}))?")
_PLACE = re.compile(r"[a-z-]+")
_RENAMED = {"new": "pictus.new"}


def in_python(fix: str) -> str:
    """Advice as a Python program takes it: every command that is a step as its call, options as arguments.

    Servers are no steps, and stay the shell's.
    """
    found = pieces(fix)
    forms = [_form_of(re.findall(_WORD, text)[1:])[0] for text, is_command in found if is_command]
    valued = {one.flag for form in forms if form for one in form.fields if one.is_option and one.kind is not bool}

    def takes(flag: str) -> bool:
        """A value: as the commands beside it say; with none, as any step has it."""
        return flag in (valued if any(forms) else _valued())

    def argument(match: re.Match[str]) -> str:
        """An option that stands alone."""
        name, value = match[1].replace("-", "_"), match[2]
        name += "_" if keyword.iskeyword(name) or name == "set" else ""  # as steps call them
        if value is None:
            return f"{name}={'…' if takes('--' + match[1]) else 'True'}"
        inner = value.strip("\"'")
        return f"{name}={inner if _is_number(inner) else _quoted(inner)}"

    parts = [(_call(text) or text) if is_command else _OPTION.sub(argument, text) for text, is_command in found]
    return "".join(parts).replace(" && ", ", then ")


@cache
def _valued() -> frozenset[str]:
    """Options that take a value wherever a step has them."""
    fields = [one for stage in STAGES for form in written_forms(stage) for one in form.fields if one.is_option]
    return frozenset(one.flag for one in fields) - {one.flag for one in fields if one.kind is bool}


def pieces(fix: str) -> list[tuple[str, bool]]:
    """Advice in its parts: (text, whether that is a command). Words that follow a command are none of it."""
    found: list[tuple[str, bool]] = []
    end = 0
    for match in _COMMAND.finditer(fix):
        command = _cut(match[0])
        if command:
            found += [(fix[end : match.start()], False), (command, True)]
            end = match.start() + len(command)
    return [(text, is_command) for text, is_command in [*found, (fix[end:], False)] if text]


def _form_of(words: list[str]) -> tuple[Form | None, int]:
    """The step that a command names, and how many words its name takes."""
    if words[0] in ("status", "show"):
        return written_form(words[0]), 1
    if words[0] in STAGES and len(words) > 1 and _PLACE.fullmatch(words[1]):
        return written_form(" ".join(words[:2])), 2
    return None, 0


def _cut(text: str) -> str:
    """A command without the words of the sentence that goes on after it; "" where it is none."""
    words = re.findall(_WORD, text)[1:]
    form, count = _form_of(words)
    if form is None:
        known = {*STAGES, "new", "web", "demo"}
        return text.rstrip(".:") if words[0] in known else ""
    places = sum(not field.is_option for field in form.fields)
    is_many = any(field.many and not field.is_option for field in form.fields)
    options = {field.flag: field for field in form.fields if field.is_option}
    kept, at = ["pictus", *words[:count]], count
    while at < len(words):
        word = words[at]
        field = options.get(word.partition("=")[0])
        takes = field is not None and field.kind is not bool and "=" not in word
        if word.startswith("--"):
            kept += words[at : at + 1 + takes]
            at += 1 + takes
        elif places and (not is_many or at == count or "." in word or word.isupper()):
            kept.append(word)
            places -= not is_many
            at += 1
        else:
            break
    end = 0
    for word in kept:
        end = text.index(word, end) + len(word)
    return text[:end].rstrip(".:…").rstrip() if text[:end].endswith((".", ":")) else text[:end]


def _call(command: str) -> str:
    """A command as a call; "" where it is no step."""
    try:
        words = shlex.split(command)[1:]
    except ValueError:  # a quotation mark within a name
        return ""
    if words[0] in _RENAMED:
        return f"{_RENAMED[words[0]]}({', '.join(map(_quoted, words[1:]))})"
    form, count = _form_of(words)
    if form is None:
        return ""
    module = form.stage if form.stage in STAGES else "overview"
    options = {field.flag: field for field in form.fields if field.is_option}
    given, named, rest = ["project"], dict[str, list[str]](), words[count:]
    while rest:
        word = rest.pop(0)
        flag, _, value = word.partition("=")
        field = options.get(flag) or options.get(flag.replace("--no-", "--", 1))
        if not word.startswith("--"):
            given.append(word if word == "…" else _quoted(word))
        elif field is None or field.kind is bool:
            name = field.name if field else flag[2:].replace("-", "_")
            named[name] = ["False" if field and flag != field.flag else "True"]
        else:
            named.setdefault(field.name, []).append(_fitted(field, value or (rest.pop(0) if rest else "")))
    arguments = [f"{name}={values[0] if len(values) == 1 else '[' + ', '.join(values) + ']'}"
                 for name, values in named.items()]  # fmt: skip
    return f"{module}.{form.step.function.__name__}({', '.join([*given, *arguments])})"


def _fitted(field: Field, value: str) -> str:
    return value if field.kind in (int, float) and _is_number(value) else _quoted(value)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
