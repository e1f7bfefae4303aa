"""Object stores: fsspec's memory, and an S3 of a few lines on the loopback interface."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pictus import Project, collect
from pictus.collect.buckets import is_bucket, look_in_bucket
from pictus.collect.found import Found
from pictus.errors import UserError

fsspec = pytest.importorskip("fsspec", reason="the extra `cloud` is not installed")

MakeJpeg = Callable[..., bytes]


def look(place: str, *, with_bytes: bool = True) -> list[Found]:
    return list(look_in_bucket(place, how="", with_bytes=with_bytes))


def objects(make_jpeg: MakeJpeg) -> dict[str, bytes]:
    """owl/0.jpg, jay/1.jpg, a zip and a table with one picture each, and things that are none."""
    packed, table = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("owl/2.jpg", make_jpeg(seed=2))
    pq.write_table(pa.table({"image": [make_jpeg(seed=3)]}), table)
    return {
        "photos/owl/0.jpg": make_jpeg(seed=0), "photos/jay/1.jpg": make_jpeg(seed=1),
        "photos/more.zip": packed.getvalue(), "photos/part.parquet": table.getvalue(),
        "photos/.hidden.jpg": b"x", "photos/notes.txt": b"x", "photos/empty.jpg": b"", "photos/meta.parquet": b"PAR1",
        "other/4.jpg": b"not asked for",
    }  # fmt: skip


FOUND = [
    ("photos/.hidden.jpg", "hidden"), ("photos/empty.jpg", ""), ("photos/jay/1.jpg", ""),
    ("photos/meta.parquet", "broken-table"), ("photos/more.zip!/owl/2.jpg", ""), ("photos/owl/0.jpg", ""),
    ("photos/part.parquet#row=0", ""),
]  # fmt: skip


@pytest.fixture
def memory(make_jpeg: MakeJpeg) -> Iterator[str]:
    """memory://bucket with `objects` in it."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    for name, data in objects(make_jpeg).items():
        store.pipe_file(f"/bucket/{name}", data)
    yield "memory://bucket"
    store.store.clear()
    store.pseudo_dirs[:] = [""]


def test_a_prefix_is_walked_in_the_order_of_names(memory: str) -> None:
    found = look(f"{memory}/photos")
    assert [(one.address.removeprefix(f"{memory}/"), one.cause) for one in found] == FOUND
    assert {one.folder for one in found if one.address.endswith("1.jpg")} == {"jay"}
    assert [one.address for one in look(f"{memory}/photos/", with_bytes=False)] == [one.address for one in found]
    assert {len(one.image_bytes) for one in look(f"{memory}/photos", with_bytes=False)} == {0}


def test_one_object_may_be_named(memory: str) -> None:
    assert [one.address for one in look(f"{memory}/photos/owl/0.jpg")] == [f"{memory}/photos/owl/0.jpg"]
    assert [one.address for one in look(f"{memory}/photos/more.zip")] == [f"{memory}/photos/more.zip!/owl/2.jpg"]


def test_an_object_over_the_cap_is_not_read(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pictus.collect.buckets.MAX_BYTES", 10)
    assert [one.cause for one in look(f"{memory}/photos/owl")] == ["too-big"]


def test_an_object_that_cannot_be_read_is_a_cause_and_the_walk_goes_on(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fsspec.filesystem("memory")
    read = type(store).cat_file

    def cat_file(self: Any, path: str, *limits: Any, **options: Any) -> Any:
        if "jay" in path:
            raise PermissionError("Access Denied")
        return read(self, path, *limits, **options)

    monkeypatch.setattr(type(store), "cat_file", cat_file)
    assert [(one.cause, one.detail) for one in look(f"{memory}/photos") if "jay" in one.address] == [
        ("unreadable", "Access Denied")
    ]
    assert len(look(f"{memory}/photos")) == len(FOUND)


def test_many_pictures_are_asked_for_together_and_come_in_order(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fsspec.filesystem("memory")
    names = [f"{number:03}.jpg" for number in range(70)]
    for name in names:
        store.pipe_file(f"/bucket/many/{name}", name.encode())
    together: list[int] = []
    read = type(store).cat_ranges

    def cat_ranges(self: Any, paths: list[str], *limits: Any, **options: Any) -> Any:
        together.append(len(paths))
        return read(self, paths, *limits, **options)

    monkeypatch.setattr(type(store), "cat_ranges", cat_ranges)
    assert [one.image_bytes.decode() for one in look(f"{memory}/many")] == names
    assert together == [32, 32, 6]


def test_a_bug_of_ours_is_no_cause(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object, **__: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr("pictus.collect.buckets.in_archive", bug)
    with pytest.raises(KeyError):
        look(f"{memory}/photos")


@pytest.mark.parametrize(
    "place",
    ["file:///etc", "local:///etc", "http://a.example/x", "https://a.example/x", "simplecache::s3://b/x",
     "zip://x::memory://y", "memory://x::y", "reference://x", "data:image/png;base64,x", "no address"],
)  # fmt: skip
def test_what_is_no_store_is_refused(place: str) -> None:
    with pytest.raises(UserError, match="is not the address of a store"):
        look(place)


def test_places_that_are_not_there_are_told_before_anything_is_added(
    project: Project, memory: str
) -> None:
    for place, message in (
        ("memory://bucket/none", "cannot be read: nothing of that name is there"),
        ("nostore://x", "cannot be opened"), ("memory://", "no picture"),
    ):  # fmt: skip
        if place == "memory://":
            fsspec.filesystem("memory").store.clear()
        with pytest.raises(UserError, match=message):
            collect.add(project, (place,))
    assert is_bucket("s3://x")
    assert not is_bucket("C:/photos")
    assert not project.tables.count("images")


def test_a_bucket_is_added_with_its_folders_as_concepts(birds: Project, memory: str) -> None:
    outcome = collect.add(birds, (f"{memory}/photos/owl", f"{memory}/photos/jay"), by_folder=True)
    assert outcome.summary["added"] == 2
    rows = birds.tables.read("sources", ["address", "kind", "concept_id"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (f"{memory}/photos/owl/0.jpg", "bucket", "n01621127"), (f"{memory}/photos/jay/1.jpg", "bucket", "n01580077"),
    ]  # fmt: skip
    assert collect.add(birds, (f"{memory}/photos/owl",)).summary["known"] == 1


# -- S3 ----------------------------------------------------------------------------------------


class S3(BaseHTTPRequestHandler):
    """HeadObject, GetObject with a range, and ListObjectsV2 with a delimiter, one key on a page."""

    protocol_version = "HTTP/1.1"
    held: dict[str, bytes]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if bucket != "bucket":
            self.answer(404, b"<Error><Code>NoSuchBucket</Code><Message>no bucket</Message></Error>")
        elif "list-type" in query:
            self.answer(200, self.listing(query))
        elif key in self.held:
            start, _, end = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
            data = self.held[key][int(start) : int(end or 10**9) + 1]
            self.answer(206 if "Range" in self.headers else 200, data)
        else:
            self.answer(404, b"" if key == "" else b"<Error><Code>NoSuchKey</Code></Error>")

    def listing(self, query: dict[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        found: dict[str, str] = {}
        for key, data in sorted(self.held.items()):
            if key.startswith(prefix):
                head, mark, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
                name = f"<Prefix>{escape(prefix + head + mark)}</Prefix>" if mark else f"<Key>{escape(key)}</Key>"
                found[name] = f"<CommonPrefixes>{name}</CommonPrefixes>" if mark else (
                    f"<Contents>{name}<Size>{len(data)}</Size><ETag>e</ETag>"
                    "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
                )
        first = int(query.get("continuation-token", 0))
        pages = list(found.values())
        more = first + 1 < len(pages)
        token = f"<NextContinuationToken>{first + 1}</NextContinuationToken>" if more else ""
        body = "".join(pages[first : first + 1])
        cut = f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}"
        return f"<ListBucketResult>{cut}{body}</ListBucketResult>".encode()

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"e"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def s3(make_jpeg: MakeJpeg, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """s3://bucket with `objects` in it, found as fsspec finds every endpoint: by its settings."""
    s3fs = pytest.importorskip("s3fs", reason="the extra `cloud` is not installed")
    handler = type("Held", (S3,), {"held": objects(make_jpeg)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    settings = {"endpoint_url": f"http://127.0.0.1:{server.server_address[1]}", "key": "k", "secret": "s",
                "client_kwargs": {"region_name": "us-east-1"},
                "config_kwargs": {"retries": {"max_attempts": 1}, "connect_timeout": 2, "read_timeout": 5}}  # fmt: skip
    monkeypatch.setitem(fsspec.config.conf, "s3", settings)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    yield "s3://bucket"
    for store in list(s3fs.S3FileSystem._cache.values()):
        if store._s3 is not None:
            s3fs.S3FileSystem.close_session(store.loop, store._s3)
    s3fs.S3FileSystem.clear_instance_cache()
    server.shutdown()
    server.server_close()
    thread.join()


def test_s3_is_listed_page_by_page_and_read(s3: str, make_jpeg: MakeJpeg) -> None:
    found = look(f"{s3}/photos")
    assert [(one.address.removeprefix(f"{s3}/"), one.cause) for one in found] == FOUND
    held = {one.address.removeprefix(f"{s3}/photos/"): one.image_bytes for one in found}
    assert held["owl/0.jpg"] == make_jpeg(seed=0)
    assert held["more.zip!/owl/2.jpg"] == make_jpeg(seed=2)
    assert held["part.parquet#row=0"] == make_jpeg(seed=3)


def test_s3_without_its_bucket_is_told(project: Project, s3: str) -> None:
    with pytest.raises(UserError, match=r"'s3://nothing/x' cannot be read") as caught:
        collect.add(project, ("s3://nothing/x",))
    assert "FSSPEC_S3_ENDPOINT_URL" in caught.value.fix
