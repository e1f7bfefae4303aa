"""The endpoint as a client sees it, without a socket; test_steps.py starts a real server."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from pictus import pixels
from pictus.errors import PictureError
from pictus.serve.admission import Limits
from pictus.serve.app import make_app
from pictus.serve.recogniser import Recogniser


@pytest.fixture
def client(recogniser: Recogniser) -> Iterator[TestClient]:
    with TestClient(make_app(recogniser, Limits(max_bytes=100_000)), raise_server_exceptions=False) as found:
        yield found


def error_of(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    body = response.json()
    assert list(body) == ["error"]
    assert sorted(body["error"]) == ["fix", "what"]
    assert all(isinstance(text, str) and text for text in body["error"].values())
    return str(body["error"]["what"])


def test_bytes_in_classes_out(client: TestClient, recogniser: Recogniser, make_jpeg: Any) -> None:
    data = make_jpeg(80, 60, 5)
    answer = client.post("/predict", content=data).json()
    assert answer["run"] == "first"
    assert answer["guesses"] == [guess._asdict() for guess in recogniser.classify(data)]
    shares = [guess["probability"] for guess in answer["guesses"]]
    assert len(shares) == 4  # four classes: five guesses are all of them
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert shares == sorted(shares, reverse=True)


def test_a_form_with_a_file_gives_the_same(client: TestClient, make_jpeg: Any) -> None:
    data = make_jpeg(80, 60, 5)
    whole = client.post("/predict", content=data).json()["guesses"]
    form = client.post("/predict?top=2", files={"picture": ("photo.jpg", data, "image/jpeg")}).json()["guesses"]
    assert form == whole[:2]


def test_any_content_type_is_read_as_bytes(client: TestClient, make_jpeg: Any) -> None:
    data = make_jpeg(40, 40, 1)
    for kind in ("application/x-www-form-urlencoded", "application/octet-stream", "image/jpeg", "text/plain"):
        assert client.post("/predict", content=data, headers={"content-type": kind}).status_code == 200


def test_png_grey_and_transparent_pictures_are_read(client: TestClient) -> None:
    for mode in ("L", "RGBA", "P", "CMYK"):
        buffer = io.BytesIO()
        Image.new(mode, (50, 40), 7).save(buffer, "TIFF" if mode == "CMYK" else "PNG")
        assert client.post("/predict", content=buffer.getvalue()).status_code == 200, mode


def test_what_is_no_picture_is_told(client: TestClient, make_jpeg: Any) -> None:
    assert "not-an-image" in error_of(client.post("/predict", content=b"hello, world, this is text"), 400)
    assert "empty" in error_of(client.post("/predict", content=b""), 400)
    assert "cannot be used" in error_of(client.post("/predict", content=make_jpeg(80, 60, 5)[:900]), 400)


def test_an_address_is_never_fetched(client: TestClient) -> None:
    for body in (b'{"url": "http://169.254.169.254/latest/"}', b"http://169.254.169.254/latest/", b"url=http://x"):
        response = client.post("/predict", content=body)
        assert "not-an-image" in error_of(response, 400)
        assert "address is not fetched" in response.json()["error"]["fix"]
    assert "no file" in error_of(client.post("/predict", files={"url": (None, "http://x")}), 400)


def test_a_picture_bomb_is_refused_by_its_header(client: TestClient) -> None:
    """A PNG of a few bytes that declares 30,000 x 30,000 px: 2.7 GB if it were decoded."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 1000)), chunk(b"IEND", b"")
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    assert "too-many-pixels" in error_of(client.post("/predict", content=bomb), 400)
    with pytest.raises(PictureError, match="too-many-pixels"):
        pixels.sniff(bomb)


def test_too_many_bytes_are_refused_by_their_announcement(client: TestClient) -> None:
    assert "100,000 bytes" in error_of(client.post("/predict", content=b"x" * 100_001), 413)
    assert client.post("/predict", content=b"x" * 100_000).status_code == 400  # read, and found to be no picture


def test_too_many_bytes_are_refused_while_they_come(client: TestClient) -> None:
    """Without a Content-Length nobody knows beforehand; counting stops the reading, also before the form's parser."""
    sent = 0

    def body(prefix: bytes) -> Iterator[bytes]:
        nonlocal sent
        yield prefix
        for _ in range(200):
            sent += 10_000
            yield b"x" * 10_000

    assert "100,000 bytes" in error_of(client.post("/predict", content=body(b"")), 413)
    boundary = {"content-type": "multipart/form-data; boundary=b"}
    start = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f.jpg"\r\n\r\n'
    assert "100,000 bytes" in error_of(client.post("/predict", content=body(start), headers=boundary), 413)


def test_compressed_bodies_are_refused(client: TestClient, make_jpeg: Any) -> None:
    response = client.post("/predict", content=make_jpeg(40, 40, 1), headers={"content-encoding": "gzip"})
    assert "compressed" in error_of(response, 415)


def test_forms_that_are_not_forms_are_told(client: TestClient) -> None:
    boundary = {"content-type": "multipart/form-data; boundary=b"}
    error_of(client.post("/predict", content=b"no form at all", headers=boundary), 400)
    error_of(client.post("/predict", content=b"x", headers={"content-type": "multipart/form-data"}), 400)
    two = {"a": ("a.jpg", b"x"), "b": ("b.jpg", b"y")}
    told = error_of(client.post("/predict", files=two), 400)
    assert "Too many files" in told
    assert re.search(r"[^.]\.$", told), "one full stop, though Starlette's own message has one too"


def test_every_other_mistake_has_the_same_shape(client: TestClient) -> None:
    assert "Not Found" in error_of(client.get("/nothing"), 404)
    assert "Method Not Allowed" in error_of(client.get("/predict"), 405)
    assert "top" in error_of(client.post("/predict?top=many", content=b"x"), 400)
    assert "top" in error_of(client.post("/predict?top=0", content=b"x"), 400)


def test_a_bug_shows_no_details(
    client: TestClient, recogniser: Recogniser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Recogniser, image_bytes: bytes, top: int) -> None:
        message = "secret path /etc/shadow"
        raise RuntimeError(message)

    monkeypatch.setattr(Recogniser, "classify", broken)
    response = client.post("/predict", content=b"x")
    error_of(response, 500)
    assert "shadow" not in response.text
    assert "shadow" in caplog.text


def test_health_ready_and_page(client: TestClient, recogniser: Recogniser) -> None:
    assert client.get("/health").json() == {"status": "alive"}
    ready = client.get("/ready")
    assert (ready.status_code, ready.json()["graph_sha256"]) == (200, recogniser.bundle.graph_sha256)
    page = client.get("/")
    assert "first (small-cnn) knows 4 classes" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http://" not in page.text.replace("http://www.w3.org/2000/svg", "")
    assert client.head("/").status_code == 200


def test_not_ready_before_the_model_has_answered(recogniser: Recogniser) -> None:
    app = make_app(recogniser)
    assert TestClient(app).get("/ready").status_code == 503  # no lifespan: it has not begun
    with TestClient(app) as begun:
        assert begun.get("/ready").status_code == 200


def test_metrics_count_requests_and_guesses(client: TestClient, make_jpeg: Any) -> None:
    for seed in range(3):
        client.post("/predict", content=make_jpeg(40, 40, seed))
    client.post("/predict", content=b"x")
    client.post("/predict", content=b"x" * 200_000)
    client.get("/a/path/of/a/scanner")
    lines = client.get("/metrics").text.splitlines()
    assert 'pictus_requests_total{route="/predict",status="200"} 3.0' in lines
    assert 'pictus_requests_total{route="/predict",status="400"} 1.0' in lines
    assert 'pictus_requests_total{route="/predict",status="413"} 1.0' in lines
    assert 'pictus_requests_total{route="other",status="404"} 1.0' in lines
    assert "pictus_predict_seconds_count 3.0" in lines
    assert sum(float(line.split()[-1]) for line in lines if line.startswith("pictus_predictions_total")) == 3


def test_two_servers_in_one_process_count_apart(recogniser: Recogniser, make_jpeg: Any) -> None:
    with TestClient(make_app(recogniser)) as first, TestClient(make_app(recogniser)) as second:
        first.post("/predict", content=make_jpeg(40, 40, 0))
        assert "pictus_predict_seconds_count 1.0" in first.get("/metrics").text
        assert "pictus_predict_seconds_count 0.0" in second.get("/metrics").text


def test_many_at_once_give_each_their_own_answer(client: TestClient, recogniser: Recogniser, make_jpeg: Any) -> None:
    pictures = [make_jpeg(40 + seed, 40, seed) for seed in range(12)]
    expected = [[guess._asdict() for guess in recogniser.classify(data)] for data in pictures]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda data: client.post("/predict", content=data).json()["guesses"], pictures))
    assert answers == expected


def test_too_many_in_line_are_told_to_come_again(
    recogniser: Recogniser, make_jpeg: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, free = threading.Event(), threading.Event()
    classify = Recogniser.classify

    def slow(self: Recogniser, image_bytes: bytes, top: int) -> Any:
        entered.set()
        assert free.wait(10)
        return classify(self, image_bytes, top)

    monkeypatch.setattr(Recogniser, "classify", slow)
    data = make_jpeg(40, 40, 0)
    with TestClient(make_app(recogniser, Limits(max_waiting=1))) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/predict", content=data)
        assert entered.wait(10)
        response = client.post("/predict", content=data)
        assert "1 request is waiting already" in error_of(response, 503)
        assert response.headers["retry-after"] == "1"
        assert client.get("/health").status_code == 200  # looking is always possible
        assert "pictus_waiting_requests 1.0" in client.get("/metrics").text
        free.set()
        assert first.result().status_code == 200
        assert client.post("/predict", content=data).status_code == 200
