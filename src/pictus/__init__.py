"""Pictus: build your own ImageNet.

    import pictus
    from pictus import clean

    if __name__ == "__main__":  # worker processes import the script
        project = pictus.open("birds")
        for check in clean.check(project):
            ...

A step is a function from a project and a few plain values to an `Outcome`; the command line,
the HTTP API and the web pages change things only by calling steps.
"""

from __future__ import annotations

from importlib.metadata import version

from pictus.errors import PictureError, UserError, spoken_by
from pictus.project import Project, new
from pictus.project import open_project as open  # noqa: A004  pictus.open("birds") reads right

__all__ = ["PictureError", "Project", "UserError", "__version__", "new", "open"]

__version__ = version("pictus")


def _in_python(fix: str) -> str:
    from pictus.speech import in_python  # noqa: PLC0415  read when something went wrong

    return in_python(fix)


spoken_by(_in_python)
