"""What Prometheus reads: requests, times, what was recognised. A registry of its own for every server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pictus.extras import need
from pictus.serve.bundle import Bundle
from pictus.serve.recogniser import Guess

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Monitor:
    """Counts for one server."""

    def __init__(self, bundle: Bundle) -> None:
        self._client: Any = need("prometheus_client", "serve")
        self._registry = self._client.CollectorRegistry()
        self.media_type: str = self._client.CONTENT_TYPE_LATEST
        own = {"registry": self._registry}
        counter, histogram = self._client.Counter, self._client.Histogram
        self._requests = counter("pictus_requests", "Requests answered", ["route", "status"], **own)
        self._seconds = histogram("pictus_request_seconds", "Time to answer", ["route"], buckets=SECONDS, **own)
        self._model = histogram("pictus_predict_seconds", "Waiting, decoding and model", buckets=SECONDS, **own)
        self._guesses = counter("pictus_predictions", "Pictures by first guess", ["concept_id"], **own)
        self._confidence = histogram(
            "pictus_confidence", "Probability of the first guess", buckets=[step / 10 for step in range(1, 11)], **own
        )
        self._waiting = self._client.Gauge("pictus_waiting_requests", "Requests being worked on", **own)
        self._held = self._client.Gauge("pictus_held_bytes", "Bytes of bodies being read or worked on", **own)
        self._client.Info("pictus_model", "What is served", **own).info(
            {"run": bundle.run, "graph_sha256": bundle.graph_sha256, "exported_at": bundle.exported_at}
        )

    def watch(self, waiting: Callable[[], int], held: Callable[[], int]) -> None:
        """Where to read the number of requests being worked on, and of bytes held for them."""
        self._waiting.set_function(waiting)
        self._held.set_function(held)

    def answered(self, route: str, status: int, elapsed_s: float) -> None:
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(elapsed_s)

    def predicted(self, first: Guess, elapsed_s: float) -> None:
        self._model.observe(elapsed_s)
        self._guesses.labels(first.concept_id).inc()
        self._confidence.observe(first.probability)

    def text(self) -> bytes:
        """The exposition format."""
        found: bytes = self._client.generate_latest(self._registry)
        return found
