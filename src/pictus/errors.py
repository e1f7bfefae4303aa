"""What can go wrong that a person can mend. Anything else is a bug and shows a traceback."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_SPEAKERS: list[Callable[[str], str]] = [str]


def spoken_by(speaker: Callable[[str], str]) -> None:
    """Say what to type in other words wherever an error is shown as a text: `import pictus` makes that Python."""
    _SPEAKERS.append(speaker)


class UserError(Exception):
    """A mistake the user can fix: what, where, what was found, and what to type.

    Doors print `what` and `fix` and exit with 1 (HTTP 400); they never show a traceback for it. `fix` says what to type
    in a shell; as a text, which a Python program shows, the error says it in Python (`spoken_by`).
    """

    def __init__(self, what: str, *, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\nfix: {_SPEAKERS[-1](self.fix)}" if self.fix else self.what

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_user_error, (self.what, self.fix)


class NotThereError(UserError):
    """What was asked for by its name or id is not there. Over HTTP that is 404; elsewhere it is like any UserError."""

    def __reduce__(self) -> tuple[object, ...]:
        return NotThereError._rebuilt, (self.what, self.fix)

    @staticmethod
    def _rebuilt(what: str, fix: str) -> "NotThereError":
        return NotThereError(what, fix=fix)


class PictureError(Exception):
    """One picture that cannot be used. The row is recorded with `cause`; the run goes on.

    `cause` is a short kebab-case word that stays stable (`truncated`, `too-many-pixels`);
    `detail` says what was found.
    """

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause
        self.detail = detail

    def __reduce__(self) -> tuple[object, ...]:
        return PictureError, (self.cause, self.detail)


def bad_rows(where: str, problems: Sequence[str], *, fix: str, shown: int = 20) -> UserError:
    """One error for all the bad rows of an input: the first 20 and the count."""
    lines = [f"{where}: {counted(len(problems), 'bad row')}."]
    lines += [f"  {problem}" for problem in problems[:shown]]
    if len(problems) > shown:
        lines.append(f"  … and {len(problems) - shown:,} more")
    return UserError("\n".join(lines), fix=fix)


def clipped(value: object, most: int = 80) -> str:
    """A value from a file as a message may echo it: in quotes, on one line, its middle left out when it is long."""
    text = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
    line = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in " ".join(text[:200].split()))
    if len(text) <= most:
        return f"'{line}'"
    return f"'{line[: most - 20]}…' ({len(text):,} characters)"


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 picture", "1,200 pictures"; `many` where it is not `one` + s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _rebuild_user_error(what: str, fix: str) -> UserError:
    return UserError(what, fix=fix)
