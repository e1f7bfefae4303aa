"""`pictus serve export`, `start` and `predict`: a run as an ONNX bundle, as an endpoint, or over files."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus import finite, graphs, models, quantised_networks, stores
from pictus.clock import now
from pictus.engine import cpu_count
from pictus.errors import PictureError, UserError, counted
from pictus.extras import need
from pictus.project import Project, bare
from pictus.registry import Outcome, step
from pictus.serve.bundle import CARD_NAME, Bundle, Parity, open_bundle, sha256, write_bundle
from pictus.serve.export import FLOAT, INT8, network_probabilities, parity
from pictus.serve.recogniser import Recogniser

MAX_PORT = 65535

SHOWN = 50
"""Pictures that people are told about; --jsonl gives all."""

NOT_FOUND = "not-found: there is no such file"

CAUSES = {
    "empty": "the file has no bytes",
    "too-many-bytes": "the file is larger than a picture may be",
    "not-an-image": "the file does not begin as a picture does",
    "too-many-pixels": "more pixels than can be decoded safely",
    "too-many-scans": "a JPEG made to be slow to decode",
    "truncated": "the picture ends too early",
    "damaged": "the picture is damaged",
    "unsupported": "a picture format that cannot be decoded here",
}
"""What people read for each cause; a decoder's own words are not for them."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2"})
"""What is taken from a folder; a file that is named is tried whatever its name."""


@dataclass(frozen=True, slots=True)
class Exported:
    """One bundle: where it lies and how closely its graph follows the network."""

    run: str
    path: str
    size: int
    n_drawn: int
    n_real: int
    greatest_difference: float
    mean_difference: float
    n_other: int  # first guesses that differ


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one file shows: the likeliest class, then all guesses; or why it cannot be used."""

    path: str
    name: str
    probability: float
    guesses: tuple[str, ...]  # concept ids, best first
    names: tuple[str, ...]  # of the same classes
    probabilities: tuple[float, ...]
    cause: str


@step("serve export", changes=True, needs_project=False)
def export(project: Project, *, run: str = "", release: str = "") -> Outcome[Exported]:
    """Write a run as an ONNX bundle with the preprocessing inside, checked against the network.

    run: Name or folder of the training run; the newest finished one when empty.
    release: Version, folder or address whose pictures both are asked about; the newest when empty, drawn ones if none.

    Examples:
        pictus serve export --run first
    """
    found = models.find_run(project, run)
    with _lock(project):
        bundle = _export(project, found, release)
    return _exported(project, found, bundle)


@step("serve start", changes=True, needs_project=False)
def start(project: Project, *, run: str = "", host: str = "127.0.0.1", port: int = 8500) -> Outcome[Exported]:
    """Serve a model over HTTP: POST a picture to /predict, or drop one on the page. Ends with Ctrl-C.

    run: Name or folder of a training run, or the folder of a bundle; the newest finished run when empty.
    host: Address to listen on; 0.0.0.0 lets other machines in.
    port: Port to listen on; 0 picks a free one.

    Examples:
        pictus serve start --run first
        curl --data-binary @photo.jpg localhost:8500/predict
    """
    uvicorn = need("uvicorn", "serve")
    from pictus.serve.app import make_app  # noqa: PLC0415  Starlette, only for a server

    listening = _listen(host, port)
    try:
        bundle, called, notes = _bundle(project, run)
        address = f"http://{host}:{listening.getsockname()[1]}"
        if project.exists:
            project.journal.log("serve", "server_started", subject=bundle.run, address=address)
        server = uvicorn.Server(uvicorn.Config(make_app(Recogniser(bundle)), log_level="warning", access_log=False))
        label = f"{called} at {address}    Ctrl-C ends it"
        with project.progress.track(label, None), suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
    finally:
        listening.close()
    n = server.server_state.total_requests
    return Outcome(
        "serve start", {"run": bundle.run, "address": address, "requests": n},
        f"{called} at {address} answered {counted(n, 'request')}", notes,
        source=lambda: iter([_record(bundle)]),
    )  # fmt: skip


@step("serve predict", changes=True, needs_project=False)
def predict(project: Project, files: tuple[Path, ...], *, run: str = "", top: int = 5) -> Outcome[Prediction]:
    """What is on these pictures: the same model and preprocessing as the endpoint, without a server.

    files: Pictures, or folders of them.
    run: Name or folder of a training run, or the folder of a bundle; the newest finished run when empty.
    top: How many guesses for each.

    Examples:
        pictus serve predict photo.jpg
        pictus serve predict ~/photos --run first --jsonl
    """
    if top < 1:
        raise UserError(f"--top {top} asks for no guess.", fix="--top 5")
    paths = _pictures(files)
    bundle, called, notes = _bundle(project, run)
    recogniser = Recogniser(bundle)
    found: list[Prediction] = []
    with project.progress.track("recognise", len(paths)) as meter, ThreadPoolExecutor(cpu_count()) as pool:
        waiting = iter(paths)
        while batch := list(islice(waiting, 256)):  # as many read ahead, so that a million files fit
            for prediction in pool.map(lambda path: _predict(recogniser, path, top), batch):
                found.append(prediction)
                meter.advance()
    failed = [one for one in found if one.cause]
    problems = [f"{one.path}: {one.cause}" for one in failed[:20]]
    if len(failed) > len(problems):
        problems.append(f"… and {len(failed) - len(problems):,} more")
    if len(failed) == len(found):
        raise _none_usable(len(found), problems)
    return Outcome(
        "serve predict", {"run": recogniser.bundle.run, "pictures": len(found), "failed": len(failed)},
        _drawn(called, found), problems=(*notes, *problems), source=lambda: iter(found),
    )  # fmt: skip


def _drawn(called: str, found: list[Prediction]) -> str:
    """What people read: a line for each picture, its guesses by name. The records have the concept ids too."""
    good = [one for one in found if not one.cause]
    lines = [f"{called} looked at {counted(len(good), 'picture')}"]
    if len(good) < len(found):
        lines[0] += f"; {len(found) - len(good):,} could not be used"
    width = max((len(one.path) for one in good[:SHOWN]), default=0)
    for one in good[:SHOWN]:
        guesses = (f"{name} {share:.1%}" for name, share in zip(one.names, one.probabilities, strict=True))
        lines.append(f"{one.path:<{width}}  {', '.join(guesses)}")
    if len(good) > SHOWN:
        lines.append(f"… and {len(good) - SHOWN:,} more; --jsonl gives all")
    return "\n".join(lines)


def _predict(recogniser: Recogniser, path: Path, top: int) -> Prediction:
    try:
        guesses = recogniser.classify(path.read_bytes(), top)
    except PictureError as error:
        return _unusable(path, f"{error.cause}: {CAUSES[error.cause]}" if error.cause in CAUSES else error.cause)
    except FileNotFoundError:
        return _unusable(path, NOT_FOUND)
    except OSError as error:
        return _unusable(path, f"unreadable: {error.strerror}")
    ids, names, shares = zip(*guesses, strict=True)
    rounded = tuple(round(share, 4) for share in shares)
    return Prediction(str(path), names[0], rounded[0], ids, names, rounded, "")


def _none_usable(n: int, problems: list[str]) -> UserError:
    fix = "give JPEG, PNG or WebP files that open in a picture viewer"
    if n == 1:
        return UserError(f"The picture cannot be used: {problems[0]}.", fix=fix)
    return UserError("\n  ".join([f"None of the {n:,} pictures can be used:", *problems]), fix=fix)


def _unusable(path: Path, cause: str) -> Prediction:
    return Prediction(str(path), "", 0.0, (), (), (), cause)


def _pictures(files: tuple[Path, ...]) -> list[Path]:
    """Every file named, there or not, and every picture in the folders named, sorted within each."""
    if files and not any(path.expanduser().exists() for path in files):
        raise UserError(f"Not found: {', '.join(map(str, files))}.", fix="check the names")
    found: list[Path] = []
    for path in (path.expanduser() for path in files):
        if path.is_dir():
            found += sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES and one.is_file())
        else:
            found.append(path)
    if not found:
        raise UserError("There is no picture to look at.", fix=f"name files or folders of {' '.join(sorted(SUFFIXES))}")
    return found


class _Chosen(NamedTuple):
    """A bundle, what people call it, and what they should know of the run it is of."""

    bundle: Bundle
    called: str
    notes: tuple[str, ...]


def _bundle(project: Project, run: str) -> _Chosen:
    """The bundle of a run, exported when there is none of its present weights; or a bundle by its folder."""
    for folder in (Path(run).expanduser(), project.bundles_dir / run):
        if run and (folder / CARD_NAME).is_file() and not _is_run(project, run):
            found_bundle = open_bundle(folder)
            return _Chosen(found_bundle, found_bundle.run, ())
    found = models.find_run(project, run)
    # Looked for without the lock: any number may use a bundle at once. Again within it: another may just have made it.
    present = None
    with suppress(UserError):  # read while another writes it a bundle looks damaged; within the lock that would be true
        present = _present(project, found)
    if present is None:
        with _lock(project):
            present = _present(project, found) or _export(project, found, "")
    return _Chosen(present, models.called(found), models.unfinished(found))


def _present(project: Project, run: models.Run) -> Bundle | None:
    """The bundle of a run's present weights, if it has been exported."""
    folder = project.bundles_dir / run.name
    if not (folder / CARD_NAME).is_file():
        return None
    bundle = open_bundle(folder)
    return bundle if bundle.weights_sha256 == models.weights_sha256(run) else None


def _is_run(project: Project, run: str) -> bool:
    return any((folder / models.CARD_NAME).is_file() for folder in (project.models_dir / run, Path(run).expanduser()))


def _export(project: Project, run: models.Run, release: str) -> Bundle:
    """Export, compare, and only then write."""
    with project.progress.track(f"export {run.name}", 3) as meter:
        rule = INT8 if quantised_networks.split(run.model_name)[1] else FLOAT
        real = _real_pictures(project, run, release, rule.n_real)
        model = models.load_run(run, device="cpu")
        meter.advance()
        task = str(run.card.get("recipe", {}).get("task", "classification"))  # cards of before know no other
        graph = graphs.graph_of(model, run.preprocessing, task)
        root = project.bundles_dir / run.name
        none = Parity(0, 0, 0.0, 0.0, 0)
        draft = Bundle(
            root, run.name, run.model_name, run.classes, run.class_names, run.preprocessing, models.weights_sha256(run),
            sha256(graph), none, now(), graph,
        )  # fmt: skip
        meter.advance()
        network = network_probabilities(model, run.preprocessing, task)
        finite.check(network(np.zeros((1, *(run.preprocessing.size,) * 2, 3), np.uint8)), run.name, model)
        found = parity(network, Recogniser(draft).probabilities, real, run.preprocessing.size, rule=rule)
        meter.advance()
    if not found.holds:
        raise UserError(
            f"The exported graph of {run.name} does not follow the network: probabilities differ by up to"
            f" {found.greatest_difference:.2g} (at most {found.tolerance:.0e} is allowed), {found.n_other} first"
            f" guesses of {found.n_drawn + found.n_real} are others. Nothing was written.",
            fix=rule.fix,
        )
    bundle = replace(draft, parity=found)
    write_bundle(bundle)
    return bundle


def _real_pictures(project: Project, run: models.Run, release: str, count: int) -> list[NDArray[np.uint8]]:
    """Some pictures of a release, spread over it; none where there is no release and none was named."""
    try:
        found = stores.asked(project, release, run.card)
    except UserError:
        if release:
            raise
        return []
    rows = found.pictures
    reader = stores.picker_of(found)
    real = []
    for row in np.unique(np.linspace(0, rows.num_rows - 1, count).astype(int)) if rows.num_rows else ():
        place = (rows.column(name)[int(row)].as_py() for name in ("shard", "offset", "size"))
        try:
            real.append(models.prepare(reader.read(*place), run.preprocessing))
        except PictureError:
            continue  # a broken picture proves nothing about the graph
    return real


@contextmanager
def _lock(project: Project) -> Iterator[None]:
    project.bundles_dir.mkdir(parents=True, exist_ok=True)
    with (project if project.exists else bare(project.bundles_dir)).lock("serve"):
        yield


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything slow happens."""
    if not 0 <= port <= MAX_PORT:
        raise UserError(f"There is no port {port}.", fix=f"--port 0..{MAX_PORT}; 0 picks a free one")
    with ExitStack() as stack:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            # With the protocol named, asyncio switches Nagle's algorithm off: else every answer waits 40 ms.
            found = stack.enter_context(socket.socket(family, kind, protocol))
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(128)  # from now on callers wait in line instead of being refused
        except OSError as error:
            is_taken = error.errno == errno.EADDRINUSE
            why = "is in use by another program" if is_taken else f"cannot be listened on ({error})"
            raise UserError(
                f"Port {port} on {host} {why}.", fix=f"pictus serve start --port {port + 1 if port < MAX_PORT else 0}"
            ) from error
        stack.pop_all()
    return found


def _record(bundle: Bundle) -> Exported:
    found = bundle.parity
    return Exported(
        bundle.run, str(bundle.root), len(bundle.graph), found.n_drawn, found.n_real, found.greatest_difference,
        found.mean_difference, found.n_other,
    )  # fmt: skip


def _agreed(record: Exported) -> str:
    count = record.n_drawn + record.n_real
    return f"{count - record.n_other} of {count} first guesses equal" if record.n_other else "first guesses equal"


def _exported(project: Project, run: models.Run, bundle: Bundle) -> Outcome[Exported]:
    record = _record(bundle)
    summary = {**asdict(record), "weights_sha256": bundle.weights_sha256, "graph_sha256": bundle.graph_sha256}
    if project.exists:
        project.journal.log("serve", "run_exported", subject=bundle.run, **summary)
    return Outcome(
        "serve export", summary,
        f"{bundle.root}: {record.size / 1e6:.1f} MB of {models.called(run)}; probabilities within"
        f" {record.greatest_difference:.0e} of the network's on {record.n_drawn} drawn and {record.n_real} real"
        f" pictures, {_agreed(record)}", models.unfinished(run),
        next=(f"pictus serve start --run {bundle.run}", f"pictus serve predict FILE --run {bundle.run}"),
        source=lambda: iter([record]),
    )  # fmt: skip
