"""What the search page asks and shows; a picture that cannot be used is said on the page it was sent from."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from pictus import pixels, search
from pictus.errors import PictureError, UserError
from pictus.project import Project
from pictus.tables import one_of

MAX_UPLOAD = 20_000_000
SHOWN = 60
QUERY_PX = 320
EMBEDDINGS = "embeddings_"


async def uploaded(request: Request) -> bytes:
    """The bytes of the one picture in the form, or a UserError that says what to send."""
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > MAX_UPLOAD:
        raise UserError(f"The picture is larger than {MAX_UPLOAD // 10**6} MB.", fix="send a smaller one")
    try:
        async with request.form(max_files=1, max_fields=2) as form:
            sent = form.get("image")
            if sent is None or isinstance(sent, str) or not sent.filename:
                raise UserError("No picture was sent.", fix="choose a file, or drag one onto the page")
            return await sent.read()
    except HTTPException as error:
        raise UserError(f"What was sent cannot be read: {error.detail}", fix="choose one file") from error


def nothing(problem: UserError | None = None) -> dict[str, Any]:
    """What the template needs before anything was asked, or when what was sent is of no use."""
    return {"text": "", "like": "", "query": "", "hits": [], "said": "", "problem": problem, "notes": ()}


def answer(project: Project, *, text: str = "", like: str = "", image_bytes: bytes | None = None) -> dict[str, Any]:
    """The hits of one question, with the sizes of their pictures; a UserError becomes `problem`."""
    asked = nothing() | {"text": text, "like": like}
    if not text and not like and image_bytes is None:
        return asked
    try:
        if image_bytes is None:
            outcome = search.query(project, text=text, like=like, count=SHOWN)
        else:
            asked["query"] = _shown(image_bytes)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "your picture"
                path.write_bytes(image_bytes)
                outcome = search.query(project, image=path, count=SHOWN)
    except UserError as error:
        return asked | {"problem": error}
    hits = list(outcome)
    where = one_of("image_id", [hit.image_id for hit in hits]) if hits else None
    rows = project.tables.read("images", ["image_id", "width", "height"], where=where).to_pylist() if hits else []
    size = {row["image_id"]: row for row in rows}
    shown = [(hit, size[hit.image_id]) for hit in hits if hit.image_id in size]
    return asked | {"hits": shown, "said": outcome.headline, "notes": outcome.problems}


def has_index(project: Project) -> bool:
    """Whether anything can be found by picture."""
    return any(name.startswith(EMBEDDINGS) for name in project.tables.names())


def _shown(image_bytes: bytes) -> str:
    """The picture asked with, as an address the page can hold: it is not kept anywhere."""
    try:
        small = pixels.thumbnail(image_bytes, QUERY_PX)
    except PictureError as error:
        what = "That file is empty." if error.cause == "empty" else f"That file cannot be used as a picture: {error}."
        raise UserError(what, fix="send a JPEG, PNG or WebP picture") from error
    return "data:image/jpeg;base64," + base64.b64encode(small).decode()
