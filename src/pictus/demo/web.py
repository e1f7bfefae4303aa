"""Draws the messy web once into a folder, and serves it on loopback while it is asked for.

web/pack-000.bin       the bytes of many addresses, one after the other
web/pack-000.parquet   the truth about them: one row for each, with its offset
web/ports.json         where each host listens, kept so that a stopped fetch continues
"""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from pictus.demo.mess import HOSTS, Candidate, Mixture, body_of, plan
from pictus.demo.tree import NAMES
from pictus.engine import cpu_count, end_with_parent
from pictus.progress import Progress
from pictus.project import write_bytes, write_text

PACK = 48
"""Addresses per pack: about a second of drawing, so that a kill costs little."""

_TEXTS = ("path", "host", "concept_id", "true_concept", "kind", "variant", "cause", "original", "licence", "author")
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in (*_TEXTS, "scene", "pack")),
        *((name, pa.int64()) for name in ("size", "offset")),
        ("seed", pa.list_(pa.int64())),
        ("box", pa.list_(pa.int32(), 4)),
    ]
)


def build(folder: Path, concepts: Sequence[str], mixture: Mixture, seed: int, progress: Progress) -> list[Candidate]:
    """Draw every picture that is not there yet -> the truth, one candidate for each address."""
    wanted = sorted(plan(concepts, mixture, seed), key=lambda one: (one.concept_id, one.original or one.path, one.path))
    packs = [(number, wanted[start : start + PACK]) for number, start in enumerate(range(0, len(wanted), PACK))]
    missing = [pack for pack in packs if not _truth_path(folder, pack[0]).exists()]
    folder.mkdir(parents=True, exist_ok=True)
    if missing:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["pictus.demo.mess", "scipy.ndimage"])
        with (
            progress.track("drawing pictures", len(wanted)) as meter,
            ProcessPoolExecutor(cpu_count(), context, end_with_parent) as pool,
        ):
            meter.advance(len(wanted) - sum(len(pack) for _, pack in missing))
            for count in pool.map(partial(_draw_pack, folder), missing):
                meter.advance(count)
    return read_truth(folder)


def _draw_pack(folder: Path, pack: tuple[int, list[Candidate]]) -> int:
    number, candidates = pack
    name = f"pack-{number:03}.bin"
    rows, bodies, offset = [], [], 0
    for candidate in candidates:
        body, known = body_of(candidate)
        rows.append({**asdict(known), "pack": name, "offset": offset})
        bodies.append(body)
        offset += len(body)
    write_bytes(folder / name, b"".join(bodies))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), buffer)
    write_bytes(_truth_path(folder, number), buffer.getvalue())
    return len(candidates)


def read_truth(folder: Path) -> list[Candidate]:
    """What is known of every address drawn so far, in the order of the packs."""
    names = [entry.name for entry in fields(Candidate)]
    rows = [
        row for path in sorted(folder.glob("pack-*.parquet")) for row in pq.read_table(path, columns=names).to_pylist()
    ]
    return [Candidate(**{**row, "seed": tuple(row["seed"]), "box": tuple(row["box"])}) for row in rows]


def where_things_are(folder: Path) -> dict[str, tuple[str, str, Path, int, int]]:
    """Path -> host, variant, pack file, offset, size: what a server needs."""
    found = {}
    for path in sorted(folder.glob("pack-*.parquet")):
        for row in pq.read_table(path, columns=["path", "host", "variant", "pack", "offset", "size"]).to_pylist():
            found[row["path"]] = (row["host"], row["variant"], folder / row["pack"], row["offset"], row["size"])
    return found


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """Run the servers in a process of their own -> host name -> "http://127.0.0.1:PORT".

    The process ends with this block, or with this process, however that ends.
    """
    with ExitStack() as stack:
        sockets = {host: stack.enter_context(_listening(port)) for host, port in _ports(folder).items()}
        ports = {host: int(listener.getsockname()[1]) for host, listener in sockets.items()}
        write_text(folder / "ports.json", json.dumps(ports))
        numbers = [listener.fileno() for listener in sockets.values()]
        command = [
            sys.executable,
            "-m",
            "pictus.demo.server",
            str(folder),
            *(f"{host}={number}" for host, number in zip(sockets, numbers, strict=True)),
        ]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=numbers)  # noqa: S603  our own module
        try:
            for listener in sockets.values():
                listener.close()
            yield {host: f"http://127.0.0.1:{port}" for host, port in ports.items()}
        finally:
            if server.stdin:
                server.stdin.close()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _ports(folder: Path) -> dict[str, int]:
    """The ports of the last time, 0 (any) for a host without one."""
    try:
        known = json.loads((folder / "ports.json").read_text(encoding="utf-8"))
        return {host: int(known.get(host, 0)) for host in HOSTS}
    except (OSError, ValueError, AttributeError):
        return dict.fromkeys(HOSTS, 0)


def _listening(port: int) -> socket.socket:
    """A listening socket on loopback; on another port where the wanted one is taken by now."""
    for attempt in (port, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", attempt))
            listener.listen(512)
        except OSError:
            listener.close()
            continue
        return listener
    message = "no free port on 127.0.0.1"
    raise OSError(message)


def write_list(path: Path, candidates: Sequence[Candidate], origins: dict[str, str]) -> None:
    """The list of addresses as a searcher would hand it over: CSV with url, concept, query, licence, author."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(("url", "concept", "query", "licence", "author"))
    for one in candidates:
        name = NAMES[one.concept_id]
        writer.writerow((origins[one.host] + one.path, one.concept_id, name, one.licence, one.author))
    write_text(path, buffer.getvalue())


def path_of(address: str) -> str:
    """The path of an address: names a candidate, whatever port its host had that day."""
    return urlsplit(address).path


def _truth_path(folder: Path, number: int) -> Path:
    return folder / f"pack-{number:03}.parquet"
