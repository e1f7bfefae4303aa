"""Pictures per second fetched from a server on this machine, beside img2dataset.

    python benchmarks/fetch.py

All sides fetch from the same small server (no latency, one process) and take turns.
- pictus: as `pictus collect fetch --rate 0` does, in one process, with robots.txt, address check, byte and
  pixel caps, header check, sha256 and every attempt recorded; bytes stored as they come.
- img2dataset bytes: --resize_mode no --disable_all_reencoding True, a process for each CPU, 32 threads each:
  bytes stored as they come, nothing looked at.
- img2dataset: as it is by default (decode, resize to 256, encode), the same processes and threads.

The rate is that of the pictures after the first 200, so that starting up (img2dataset imports for seconds)
counts for nobody; the CPU time is that of the processes of each side. img2dataset is installed into an
environment of its own.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np
from PIL import Image

FIRST, ROUNDS = 200, 3
PICTURES = {"pictus": 4_000, "img2dataset bytes": 4_000, "img2dataset": 1_200}
LIMIT_S = 240

OURS = """
import sys
from pathlib import Path
import pictus
from pictus import collect

root, urls, port = sys.argv[1:]
outcome = collect.fetch(pictus.new(root), Path(urls), allow_host=(f"127.0.0.1:{port}",), rate=0)
print(outcome.summary["added"])
"""

PEER = """
import sys
from img2dataset import download

if __name__ == "__main__":
    download(
        url_list=sys.argv[2], output_folder=sys.argv[1], input_format="csv", url_col="url", output_format="webdataset",
        processes_count=int(sys.argv[3]), thread_count=32, retries=0, number_sample_per_shard=500, timeout=10,
        **(dict(resize_mode="no", disable_all_reencoding=True) if sys.argv[4] == "img2dataset bytes" else {}),
    )
"""


def picture() -> bytes:
    """About 30 KB, as photographs of the web are once they are made small."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((512, 384), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


class Server(asyncio.Protocol):
    """Answers GET /N.jpg with a picture of its own (the number stands behind the last marker)."""

    image_bytes = picture()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            name = head.split(b" ", 2)[1]
            is_picture = name.endswith(b".jpg")
            body = self.image_bytes + name if is_picture else b""
            line = b"200 OK" if is_picture else b"404 Not Found"
            keep = b"close" if b"connection: close" in head.lower() else b"keep-alive"
            answer = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nContent-Type: image/jpeg\r\nConnection: %s\r\n\r\n"
            self.transport.write(answer % (line, len(body), keep) + body)  # type: ignore[attr-defined]
            if keep == b"close":
                self.transport.close()


def serve() -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=512)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(run())


def peer_python(folder: Path) -> Path:
    python = folder / "venv" / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "img2dataset==1.47.0"], check=True)
        (folder / "ready").touch()
    return python


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
    cpu_s = now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime
    return time.perf_counter() - started, cpu_s, said


def stored(folder: Path) -> int:
    """Pictures img2dataset says it stored."""
    return sum(json.loads(path.read_text())["successes"] for path in folder.glob("*_stats.json"))


def run(side: str, root: Path, urls: Path, port: str, python: Path) -> tuple[float, float, int]:
    """Seconds, CPU seconds, pictures stored."""
    if side == "pictus":
        seconds, cpu_s, said = timed([sys.executable, "-c", OURS, root, urls, port])
        return seconds, cpu_s, int(said)
    program = root.with_suffix(".py")
    program.write_text(PEER)
    seconds, cpu_s, _ = timed([python, program, root, urls, str(os.cpu_count()), side])
    return seconds, cpu_s, stored(root)


def measure(folder: Path, port: str, python: Path) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Pictures per second, and per CPU second, of each side in each round."""
    rates: dict[str, list[float]] = {side: [] for side in PICTURES}
    per_cpu_s: dict[str, list[float]] = {side: [] for side in PICTURES}
    for turn in range(ROUNDS):
        for side, pictures in PICTURES.items():
            taken = []
            for count in (FIRST, pictures):
                urls = folder / "urls.csv"
                urls.write_text("url\n" + "".join(f"http://127.0.0.1:{port}/{n}.jpg\n" for n in range(count)))
                root = folder / f"{side.replace(' ', '-')}-{turn}-{count}"
                *cost, kept = run(side, root, urls, port, python)
                assert kept == count, f"{side} stored {kept} of {count}"
                taken.append(cost)
            rates[side].append((pictures - FIRST) / (taken[1][0] - taken[0][0]))
            per_cpu_s[side].append((pictures - FIRST) / (taken[1][1] - taken[0][1]))
    return rates, per_cpu_s


def main() -> None:
    place = Path(tempfile.gettempdir()) / "pictus-benchmark-img2dataset"
    place.mkdir(exist_ok=True)
    python = peer_python(place)
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            rates, per_cpu_s = measure(Path(folder), port, python)
    finally:
        server.kill()
        server.wait()
    size = len(Server.image_bytes)
    print(f"{'pictures/s':20}{'median':>8}{'min':>8}{'max':>8}{'per CPU s':>12}   of {size / 1000:.0f} KB each")
    for side, found in rates.items():
        cpu = statistics.median(per_cpu_s[side])
        print(f"{side:20}{statistics.median(found):8.0f}{min(found):8.0f}{max(found):8.0f}{cpu:12.0f}")
    medians = {side: statistics.median(found) for side, found in rates.items()}
    ours = medians.pop("pictus")
    result = {
        "name": "fetch", "ours": round(ours), "peer": {side: round(rate) for side, rate in medians.items()},
        "unit": "pictures/s", "ratio": {side: round(ours / rate, 2) for side, rate in medians.items()},
        "n": PICTURES["pictus"],
        "checks": {
            "per_cpu_s": {side: round(statistics.median(found)) for side, found in per_cpu_s.items()},
            "rounds": ROUNDS, "cpus": os.cpu_count(), "bytes_each": size,
        },
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
