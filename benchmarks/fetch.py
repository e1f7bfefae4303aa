"""Pictures per second fetched from a server on this machine, beside img2dataset.

    python benchmarks/fetch.py [--pictures 20000] [--rounds 3]

All sides fetch the same list from the same small server (no latency, one process, prepared bytes) and take turns.
The pictures are photographs of ImageNet size where PICTUS_REAL_DATA has them, drawn ones of that size elsewhere;
each is made a picture of its own by one entry of its quantisation table and its name behind its last marker.

- bytes: as they come. Ours: `pictus collect fetch --rate 0` with what can be turned off turned off: the server has
  no robots.txt and says nothing about use, its host is named, so that no address is refused. Still on: name
  resolved and connected to by number, byte, time and pixel caps, header check, sha256, each attempt recorded,
  fsync before every commit. img2dataset: --resize_mode no --disable_all_reencoding True (nothing is looked at;
  its default sha256 is on).
- everything: ours with a robots.txt of 32 rules to check every address by, and consent headers to read. img2dataset
  as in `bytes`: it has none of this.
- resized: both store JPEGs of 256 px on the short side and of quality 90: ours --resize 256, img2dataset --resize_mode
  keep_ratio --encode_quality 90. A quarter of the pictures.

The bytes each side wrote are printed: those of the tar files, which all hold the same pictures.

img2dataset has a process for each CPU and 32 or 64 threads in each, whichever was faster in the first round; it is
installed into an environment of its own. The rate is that of the pictures after the first 200, so that starting
up (img2dataset imports for seconds) counts for nobody; CPU time is that of each side's processes.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
FIRST, FEW = 200, 2_000
LIMIT_S = 600
MODES = ("bytes", "everything", "resized")
ROBOTS = b"User-agent: *\n" + b"".join(b"Disallow: /private/%d/\n" % n for n in range(30))
ROBOTS += b"Disallow: /*.php$\nDisallow: /*?session=\n\nUser-agent: otherbot\nDisallow: /\n"
HEADER = b"X-Robots-Tag: noindex, max-image-preview: large\r\nTDM-Reservation: 0\r\n"

OURS = """
import json, resource, sys
from pathlib import Path
import pictus
from pictus import collect

root, urls, port, resize = sys.argv[1:]
host = f"127.0.0.1:{port}"
found = collect.fetch(pictus.new(root), Path(urls), allow_host=(host,), rate=0, resize=int(resize)).summary
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"kept": found["added"] + found["again"], "peak_mb": peak // 1024}))
"""

PEER = """
import sys
from img2dataset import download

if __name__ == "__main__":
    kept = dict(resize_mode="no", disable_all_reencoding=True)
    small = dict(resize_mode="keep_ratio", image_size=256, encode_quality=90)
    download(
        url_list=sys.argv[2], output_folder=sys.argv[1], input_format="csv", url_col="url", output_format="webdataset",
        processes_count=int(sys.argv[3]), thread_count=int(sys.argv[4]), retries=0, number_sample_per_shard=500,
        timeout=10, **(small if sys.argv[5] == "resized" else kept),
    )
"""


class Photo(NamedTuple):
    image_bytes: bytes
    table: int  # where the 64 entries of its first quantisation table begin


def photos() -> list[Photo]:
    archive = REAL / "imagenet_photos_240" / "imagenet_photos_240.tar"
    found = []
    if archive.exists():
        with tarfile.open(archive) as members:
            files = [members.extractfile(member) for member in members if member.name.endswith(".JPEG")]
            found = [file.read() for file in files if file]
    else:
        chance = np.random.default_rng(0)
        for _ in range(60):
            noise = chance.integers(0, 256, (60, 80, 3), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(noise).resize((500, 375), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=93)
            found.append(buffer.getvalue())
    return [Photo(one, one.index(b"\xff\xdb") + 5) for one in found]


class Server:
    """Answers GET /N.jpg with a picture of its own; epoll and prepared bytes, so that it is not what is measured."""

    def __init__(self, *, is_polite: bool) -> None:
        self.photos = photos()
        self.header = HEADER if is_polite else b""
        self.robots = ROBOTS if is_polite else b""
        self.epoll = select.epoll()
        self.open: dict[int, socket.socket] = {}
        self.rest: dict[int, memoryview] = {}

    def serve(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        listener.setblocking(False)
        self.epoll.register(listener, select.EPOLLIN)
        size = statistics.mean(len(photo.image_bytes) for photo in self.photos)
        print(listener.getsockname()[1], int(size), flush=True)
        while True:
            for number, event in self.epoll.poll():
                if number == listener.fileno():
                    self.accept(listener)
                    continue
                try:
                    self.answer(number, is_writable=bool(event & select.EPOLLOUT))
                except ConnectionError:
                    self.close(number)

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                made, _ = listener.accept()
            except BlockingIOError:
                return
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
            self.open[made.fileno()] = made
            self.epoll.register(made, select.EPOLLIN)

    def answer(self, number: int, *, is_writable: bool) -> None:
        connection = self.open[number]
        try:
            if is_writable:
                rest = self.rest.pop(number)
                self.rest[number] = rest[connection.send(rest):]
            else:
                request = connection.recv(65536)
                if not request:
                    self.close(number)
                    return
                parts = self.parts(request.split(b" ", 2)[1])
                sent = connection.sendmsg(parts)
                is_whole = sent == sum(map(len, parts))
                self.rest[number] = memoryview(b"" if is_whole else b"".join(parts))[sent:]
        except BlockingIOError:
            return
        if not self.rest[number]:
            del self.rest[number]
        if is_writable != (number in self.rest):
            self.epoll.modify(number, select.EPOLLOUT if number in self.rest else select.EPOLLIN)

    def parts(self, name: bytes) -> list[bytes | memoryview]:
        if not name.endswith(b".jpg"):
            robots = self.robots if name == b"/robots.txt" else b""
            status = b"200 OK" if robots else b"404 Not Found"
            head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nContent-Type: text/plain\r\n\r\n" % (status, len(robots))
            return [head, robots]
        turn, which = divmod(int(name[1:-4]), len(self.photos))
        whole, table = memoryview(self.photos[which].image_bytes), self.photos[which].table
        at = table + turn % 64
        entry = bytes([min(255, whole[at] + 1 + turn // 64)])
        head = (
            b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: bench\r\nContent-Type: image/jpeg\r\n"
            b'ETag: "%d"\r\n%sContent-Length: %d\r\n\r\n' % (turn, self.header, len(whole) + len(name))
        )
        return [head, whole[:at], entry, whole[at + 1 :], name]

    def close(self, number: int) -> None:
        self.epoll.unregister(number)
        self.open.pop(number).close()
        self.rest.pop(number, None)


def peer_python(folder: Path) -> Path:
    python = folder / "venv" / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "img2dataset==1.47.0"], check=True)
        (folder / "ready").touch()
    return python


class Run(NamedTuple):
    seconds: float
    cpu_s: float
    kept: int
    peak_mb: int = 0
    written: int = 0  # bytes of the tar files


def timed(command: list[str | Path]) -> tuple[float, float, str]:
    """Seconds, CPU seconds of the process and its children, and what it said."""
    started, spent = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    quiet = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=quiet, start_new_session=True
    )
    try:
        said, complaint = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    if process.returncode:
        raise RuntimeError(complaint)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - started, now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime, said


def written(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*.tar"))


class Bench:
    def __init__(self, folder: Path, python: Path) -> None:
        self.folder, self.python = folder, python
        self.size = 0
        self.written: dict[str, int] = {}  # mode and side -> bytes for each picture

    def once(self, mode: str, threads: int, count: int) -> Run:
        """One fetch of `count` pictures: ours with `threads` 0, else img2dataset with so many."""
        root, urls = self.folder / "out", self.folder / "urls.csv"
        arguments = [sys.executable, __file__, "serve", mode]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                port, size = server.stdout.readline().split()
                self.size = int(size)
                urls.write_text("url\n" + "".join(f"http://127.0.0.1:{port}/{n}.jpg\n" for n in range(count)))
                if not threads:
                    resize = "256" if mode == "resized" else "0"
                    seconds, cpu_s, said = timed([sys.executable, "-c", OURS, root, urls, port, resize])
                    return Run(seconds, cpu_s, **json.loads(said), written=written(root))
                program = self.folder / "peer.py"
                program.write_text(PEER)
                seconds, cpu_s, _ = timed(
                    [self.python, program, root, urls, str(os.cpu_count()), str(threads), mode]
                )
                kept = sum(json.loads(path.read_text())["successes"] for path in root.glob("*_stats.json"))
                return Run(seconds, cpu_s, kept, written=written(root))
            finally:
                server.kill()
                shutil.rmtree(root, ignore_errors=True)

    def rates(self, mode: str, threads: int, count: int) -> tuple[float, float]:
        """Pictures per second, and per CPU second, after the first ones."""
        first, whole = self.once(mode, threads, FIRST), self.once(mode, threads, count)
        assert (first.kept, whole.kept) == (FIRST, count), f"{mode}: {whole.kept} of {count} were stored"
        self.written[f"{mode} {'img2dataset' if threads else 'pictus'}"] = whole.written // count
        return (count - FIRST) / (whole.seconds - first.seconds), (count - FIRST) / (whole.cpu_s - first.cpu_s)


def measure(bench: Bench, pictures: int, rounds: int) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """(mode, side) -> rates of each round, the sides in turns."""
    found = defaultdict(list)
    best: dict[str, int] = {}
    for turn in range(rounds):
        for mode in MODES:
            count = max(pictures // 4, 2 * FIRST) if mode == "resized" else pictures
            found[mode, "pictus"].append(bench.rates(mode, 0, count))
            if mode == "everything":
                continue  # img2dataset does the same work as in `bytes`
            if turn == 0:
                tried = {threads: bench.rates(mode, threads, count) for threads in (32, 64)}
                best[mode] = max(tried, key=lambda threads: tried[threads][0])
                found[mode, "img2dataset"].append(tried[best[mode]])
            else:
                found[mode, "img2dataset"].append(bench.rates(mode, best[mode], count))
    found["everything", "img2dataset"] = found["bytes", "img2dataset"]
    return found


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--pictures", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    place = Path(tempfile.gettempdir()) / "pictus-benchmark-img2dataset"
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), peer_python(place))
        peaks = {count: bench.once("bytes", 0, count).peak_mb for count in (FEW, given.pictures)}
        found = measure(bench, given.pictures, given.rounds)
    medians = {key: [statistics.median(column) for column in zip(*rates, strict=True)] for key, rates in found.items()}
    ratios = {mode: round(medians[mode, "pictus"][0] / medians[mode, "img2dataset"][0], 2) for mode in MODES}
    print(f"{'pictures/s':12}{'pictus':>8}{'img2dataset':>13}{'ratio':>8}   per CPU second of each")
    for mode in MODES:
        (ours, ours_cpu), (peer, peer_cpu) = medians[mode, "pictus"], medians[mode, "img2dataset"]
        print(f"{mode:12}{ours:8.0f}{peer:13.0f}{ratios[mode]:8.2f}   {ours_cpu:.0f} and {peer_cpu:.0f}")
    print("bytes written for each picture:", ", ".join(f"{side} {size:,}" for side, size in bench.written.items()))
    told = ", ".join(f"{peak} MB at {count:,}" for count, peak in peaks.items())
    print(f"pictures of {bench.size / 1e3:.0f} KB; peak memory of pictus: {told}")
    result = {
        "name": "fetch", "ours": round(medians["bytes", "pictus"][0]),
        "peer": {"img2dataset": round(medians["bytes", "img2dataset"][0])}, "unit": "pictures/s",
        "ratio": {"img2dataset": ratios["bytes"]}, "n": given.pictures,
        "checks": {
            "ratios": ratios,
            "pictures_per_s": {f"{mode} {side}": round(rate) for (mode, side), (rate, _) in medians.items()},
            "per_cpu_s": {f"{mode} {side}": round(rate) for (mode, side), (_, rate) in medians.items()},
            "peak_mb": peaks, "rounds": given.rounds, "cpus": os.cpu_count(), "bytes_each": bench.size,
            "bytes_written_each": bench.written,
        },
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        Server(is_polite=sys.argv[2] == "everything").serve()
    else:
        main()
