"""A served classifier beside FastAPI + eager PyTorch: the same MobileNetV2, the same JPEGs, one client.

    python benchmarks/serve.py [--pictures 60] [--rounds 3]

Both are real servers on loopback, asked in turns. What is compared is the CPU time of the server
process per picture (decode, resize, network, HTTP), which other work on the machine disturbs
least; p50 and p99 of the answer are printed beside it. The peer is what one writes first: Pillow,
torchvision's transforms, the network in eager mode on one thread.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pictus import models, networks, serve
from pictus.project import bare

MODEL, CLASSES, SIDE = "mobilenet_v2", 1000, 224

PEER = """
import io, sys
import fastapi, torch, torchvision, uvicorn
from PIL import Image
from safetensors.torch import load_file

torch.set_num_threads(1)
model = torchvision.models.mobilenet_v2()
model.load_state_dict(load_file(sys.argv[1]))
model.eval()
prepare = torchvision.transforms.Compose([
    torchvision.transforms.Resize(256), torchvision.transforms.CenterCrop(224), torchvision.transforms.ToTensor(),
    torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
])
app = fastapi.FastAPI()

@app.post("/predict")
async def predict(request: fastapi.Request):
    picture = prepare(Image.open(io.BytesIO(await request.body())).convert("RGB"))
    with torch.inference_mode():
        shares = torch.softmax(model(picture[None]), 1)[0]
    best = shares.topk(5)
    return {"guesses": [{"concept_id": int(i), "probability": float(p)} for p, i in zip(best.values, best.indices)]}

uvicorn.run(app, port=int(sys.argv[2]), access_log=False)
"""


class Server:
    """One server process; asks it, and reads the CPU time it has used."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr
        seen = ""
        while not (found := re.search(r"127\.0\.0\.1:(\d+)", seen)):
            line = self.process.stderr.readline()
            if not line:
                raise SystemExit(f"{command[:4]} did not start:\n{seen}")
            seen += line
        self.connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)

    def ask(self, data: bytes) -> dict:
        self.connection.request("POST", "/predict", data, {"content-type": "image/jpeg"})
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise SystemExit(f"status {response.status}: {answer}")
        return answer

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def drawn(count: int) -> list[bytes]:
    """JPEGs of 500 x 375 px, about 60 kB, like ILSVRC's."""
    generator = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        total = np.zeros((375, 500, 3))
        for cells, weight in ((4, 1.0), (16, 0.5), (64, 0.25), (200, 0.12)):
            noise = Image.fromarray(generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
            total += weight * np.asarray(noise.resize((500, 375), Image.Resampling.BICUBIC), dtype=np.float64)
        buffer = io.BytesIO()
        Image.fromarray((total / total.max() * 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        pictures.append(buffer.getvalue())
    return pictures


def write_run(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = networks.make(MODEL, CLASSES, size=SIDE)
    with torch.no_grad():  # new weights say 1/1000 to everything: make the scores as spread as a trained network's
        network.classifier[1].weight *= 3 / network.eval()(torch.randn(4, 3, SIDE, SIDE)).std()
    folder.mkdir(parents=True)
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, folder / "model.safetensors")
    names = [f"class {label}" for label in range(CLASSES)]
    card = {
        "format": 1, "name": folder.name, "model": MODEL, "status": "finished", "classes": names, "class_names": names,
        "started_at": "", "finished_at": "",
        "preprocessing": {
            "size": SIDE, "resize": 256, "mean": networks.IMAGENET_MEAN, "std": networks.IMAGENET_STD
        },
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(card))


def through_http_as_in_torch(server: Server, folder: Path, pictures: list[bytes]) -> float:
    """The greatest difference between a served probability and the network's own on the same bytes."""
    run = models.open_run(folder)
    logits = models.predict_logits(models.load_run(run, device="cpu"), run, pictures).astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    place = {concept_id: label for label, concept_id in enumerate(run.classes)}
    return max(
        abs(guess["probability"] - shares[row, place[guess["concept_id"]]])
        for row, data in enumerate(pictures)
        for guess in server.ask(data)["guesses"]
    )


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--pictures", type=int, default=60)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    pictures = drawn(given.pictures)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_run(root / "models/first")
        serve.export(bare(root))
        (root / "peer.py").write_text(PEER)
        ours = [sys.executable, "-m", "pictus.cli", "serve", "start", "--run", "first", "--port", "0"]
        peer = [sys.executable, "peer.py", str(root / "models/first/model.safetensors"), str(free_port())]
        servers = {"pictus": Server(ours, root), "fastapi + eager torch": Server(peer, root)}
        cpu_ms: dict[str, list[float]] = {name: [] for name in servers}
        wall_ms: dict[str, list[float]] = {name: [] for name in servers}
        try:
            difference = through_http_as_in_torch(servers["pictus"], root / "models/first", pictures[:8])
            for server in servers.values():
                for data in pictures[:10]:
                    server.ask(data)
            for _ in range(given.rounds):
                for name, server in servers.items():
                    before = server.cpu_s()
                    for data in pictures:
                        started = time.perf_counter()
                        server.ask(data)
                        wall_ms[name].append((time.perf_counter() - started) * 1000)
                    cpu_ms[name].append((server.cpu_s() - before) * 1000 / len(pictures))
        finally:
            for server in servers.values():
                server.stop()
    print(f"{MODEL} at {SIDE} px, {len(pictures)} JPEGs of 500 x 375 px, {given.rounds} rounds in turns\n")
    print("server                   CPU ms/picture (spread)   pictures/CPU-s   p50 ms   p99 ms")
    for name in servers:
        middle, wall = statistics.median(cpu_ms[name]), np.quantile(wall_ms[name], [0.5, 0.99])
        spread = f"({min(cpu_ms[name]):.1f}-{max(cpu_ms[name]):.1f})"
        print(f"{name:24} {middle:8.2f} {spread:16} {1000 / middle:15.1f} {wall[0]:8.1f} {wall[1]:8.1f}")
    rate = {name: round(1000 / statistics.median(found), 1) for name, found in cpu_ms.items()}
    own = rate.pop("pictus")
    print(f"\ngreatest difference of a served probability from the network's own: {difference:.1e}")
    print(json.dumps({
        "name": "serve", "ours": own, "peer": rate, "unit": "pictures/CPU-s",
        "ratio": {name: round(own / value, 2) for name, value in rate.items()}, "n": len(pictures) * given.rounds,
        "checks": {"served probabilities are the network's to 1e-4": bool(difference < 1e-4)},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
