"""Pictures in object stores: s3://bucket/prefix, gs://…, and every other store that fsspec has a driver for.

The person named the store, so the guard against private addresses does not apply; who may read it is fsspec's
business: its environment (FSSPEC_S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID …) and its files of settings, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pictus import archives
from pictus.collect import parquets
from pictus.collect.found import Found
from pictus.collect.members import in_archive
from pictus.errors import UserError, clipped
from pictus.extras import need
from pictus.pixels import MAX_BYTES

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_WEB = frozenset({"http", "https"})
_NO_STORE = _WEB | {
    "file", "local", "data", "dir", "cached", "blockcache", "filecache", "simplecache", "reference", "generic", "zip",
    "tar", "libarchive", "async_wrapper", "git", "jupyter", "dask",
}  # fmt: skip
"""What fsspec also opens: this machine, the open web, and wrappers around other addresses."""

_OUR_OWN = frozenset({"builtins", "pictus", "pyarrow"})
_BLOCK_BYTES = 8 * 2**20
_MAX_DEPTH = 64  # of folders: no person goes deeper

AT_ONCE = 32
AT_ONCE_BYTES = 64 * 2**20
"""Pictures asked for together: a store answers each in some 50 ms, whatever its size."""


def is_bucket(place: str) -> bool:
    """Whether a place is written as an address that a store's driver may know."""
    match = _ADDRESS.match(place)
    return bool(match) and match[1].lower() not in _WEB  # type: ignore[index]  # it matched


def look_in_bucket(place: str, *, how: str, with_bytes: bool) -> Iterator[Found]:  # noqa: ARG001  nothing to choose
    """Objects below a prefix, in the order of their names: pictures, archives and tables of pictures."""
    bucket = _opened(place)
    try:
        first = _listed(bucket, bucket.root)
    except Exception as error:  # the drivers' own kinds; a bug of ours goes on
        _check_is_drivers(error)
        raise UserError(
            f"{clipped(place, 200)} cannot be read: {_why(error)}.",
            fix="check its name; keys and an endpoint come from the environment: AWS_ACCESS_KEY_ID,"
            " AWS_SECRET_ACCESS_KEY, FSSPEC_S3_ENDPOINT_URL",
        ) from error
    yield from _walked(bucket, first, 0, with_bytes=with_bytes)


class _Bucket(NamedTuple):
    store: Any
    root: str
    protocol: str

    def address(self, name: str) -> str:
        return f"{self.protocol}://{name.lstrip('/')}"


def _opened(place: str) -> _Bucket:
    match = _ADDRESS.match(place)
    protocol = match[1].lower() if match else ""
    if not match or "::" in place or protocol in _NO_STORE:
        raise UserError(
            f"{clipped(place, 200)} is not the address of a store.",
            fix="s3://BUCKET/PREFIX, gs://BUCKET/PREFIX …; a folder is named by its path, and web addresses are for"
            " pictus collect fetch LIST.csv",
        )
    fsspec = need("fsspec", "cloud")
    try:
        store, root = fsspec.core.url_to_fs(place, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        what = f"{clipped(place, 200)} cannot be opened: {_why(error)}."
        raise UserError(what, fix="pip install 'pictus[cloud]', or the driver that fsspec names") from error
    return _Bucket(store, root, protocol)


def _walked(bucket: _Bucket, entries: list[dict[str, Any]], depth: int, *, with_bytes: bool) -> Iterator[Found]:
    waiting: list[dict[str, Any]] = []  # pictures that lie one after the other
    for entry in entries:
        last = entry["name"].rstrip("/").rpartition("/")[2]
        is_picture = entry["type"] != "directory" and archives.claims_picture(last) and not last.startswith(".")
        if is_picture and (entry.get("size") or 0) <= MAX_BYTES:
            if len(waiting) >= AT_ONCE or sum(one.get("size") or 0 for one in waiting) >= AT_ONCE_BYTES:
                yield from _pictures(bucket, waiting, with_bytes=with_bytes)
                waiting = []
            waiting.append(entry)
            continue
        yield from _pictures(bucket, waiting, with_bytes=with_bytes)
        waiting = []
        try:
            yield from _other(bucket, entry, last, depth, with_bytes=with_bytes)
        except Exception as error:  # noqa: BLE001  the drivers' own kinds; a bug of ours goes on
            _check_is_drivers(error)
            yield _failed(bucket, entry["name"], "unreadable", _why(error))
    yield from _pictures(bucket, waiting, with_bytes=with_bytes)


def _pictures(bucket: _Bucket, entries: list[dict[str, Any]], *, with_bytes: bool) -> Iterator[Found]:
    """The objects' bytes, all asked for at the same time where the driver can; at most MAX_BYTES and one of each."""
    names = [entry["name"] for entry in entries]
    asked = [entry["name"] for entry in entries if with_bytes and entry.get("size") != 0]
    held: dict[str, bytes | Exception] = {}
    if asked:
        starts, ends = [0] * len(asked), [MAX_BYTES + 1] * len(asked)
        try:
            answers = bucket.store.cat_ranges(asked, starts, ends, on_error="return")
        except Exception as error:  # noqa: BLE001  some drivers raise all the same
            answers = [error] * len(asked)
        held = dict(zip(asked, answers, strict=True))
    for name in names:
        answer = held.get(name, b"")
        if isinstance(answer, Exception):
            _check_is_drivers(answer)
            yield _failed(bucket, name, "unreadable", _why(answer))
        else:
            yield Found(bucket.address(name), "bucket", _folder_of(name), bytes(answer))


def _other(bucket: _Bucket, entry: dict[str, Any], last: str, depth: int, *, with_bytes: bool) -> Iterator[Found]:
    """What lies below a prefix, in an archive or a table; nothing for an object that does not say it has pictures."""
    name = entry["name"]
    address, folder = bucket.address(name), _folder_of(name)
    if last.startswith("."):
        if archives.claims_picture(last):
            yield _failed(bucket, name, "hidden", "")
    elif entry["type"] == "directory":
        inside = _listed(bucket, name) if depth < _MAX_DEPTH else []
        yield from _walked(bucket, inside, depth + 1, with_bytes=with_bytes)
    elif archives.claims_picture(last):
        yield _failed(bucket, name, "too-big", f"{entry['size']:,} bytes")
    elif archives.is_archive(last):
        with bucket.store.open(name, "rb", block_size=_BLOCK_BYTES) as file:
            yield from in_archive(file, address, archives.stem(last), with_bytes=with_bytes)
    elif parquets.is_table(last):
        with bucket.store.open(name, "rb", block_size=_BLOCK_BYTES) as file:
            yield from parquets.in_table(
                file, address, folder, with_bytes=with_bytes, is_named=False, is_near=False
            )


def _listed(bucket: _Bucket, name: str) -> list[dict[str, Any]]:
    """What lies directly below a prefix, by name, or the one object of that name; not the mark of the prefix itself."""
    found = bucket.store.ls(name, detail=True)
    own = name.strip("/")
    if len(found) == 1 and found[0]["name"].lstrip("/") == own and found[0]["type"] != "directory":
        return list(found)
    return sorted((one for one in found if one["name"].strip("/") != own), key=lambda one: one["name"])


def _failed(bucket: _Bucket, name: str, cause: str, detail: str) -> Found:
    return Found(bucket.address(name), "bucket", _folder_of(name), b"", cause, detail)


def _folder_of(name: str) -> str:
    return name.strip("/").rpartition("/")[0].rpartition("/")[2]


def _check_is_drivers(error: Exception) -> None:
    """Drivers raise OSError, ValueError and kinds of their libraries (botocore, aiohttp, google); all else is ours."""
    is_known = isinstance(error, (OSError, ValueError))
    if isinstance(error, UserError) or not (is_known or type(error).__module__.partition(".")[0] not in _OUR_OWN):
        raise error


def _why(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "nothing of that name is there"
    return clipped(str(error) or type(error).__name__, 200).strip("'")
