"""What a source finds: bytes that claim to be a picture, where they lie, and what is said of them there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Said(NamedTuple):
    """What a place says of one picture, in its own words. An empty field says nothing."""

    concept: str = ""  # a name or an id; the taxonomy may not know it
    query: str = ""  # what was looked for when it was found, or its caption
    licence: str = ""
    author: str = ""
    url: str = ""  # the address that it was fetched from before it came to this place


class Found(NamedTuple):
    """One thing that claims to be a picture.

    With a `cause` (a word of causes.py, or the source's own) it has no bytes and is recorded as a failure.
    `remark` is told and counted; with a remark and neither bytes nor a cause, nothing else happens.
    """

    address: str  # unique, and the same the next time: /path/owl.jpg, /path/trip.tar!/owl.jpg, s3://bucket/owl.jpg
    kind: str  # folder | archive | parquet | video | bucket, or a word of the source's own
    folder: str  # the name of the folder it lies in; an archive's own name for members at its top
    image_bytes: bytes
    cause: str = ""
    detail: str = ""
    said: Said = Said()
    remark: str = ""


class LookIn(Protocol):
    """Everything at `place` that claims to be a picture, in an order that is the same the next time.

    `how` is what a person typed behind the source's name (--source NAME:HOW), "" for nothing. Without `with_bytes`
    only addresses and folders are asked for: a source that cannot tell them cheaply may give the bytes all the
    same. A place that cannot be read at all is a UserError; one picture that cannot be read is a cause.
    """

    def __call__(self, place: str, *, how: str, with_bytes: bool) -> Iterator[Found]: ...
