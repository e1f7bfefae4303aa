"""Ray: the cluster that RAY_ADDRESS names, or one on this machine for one call; and what its errors mean to a person.

Ray stays silent but for errors, and never speaks on stdout: that belongs to results.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pictus.errors import UserError
from pictus.extras import need

ADDRESS = "RAY_ADDRESS"

_PLACE = re.compile(r"[^/]+:\d{1,5}")
_PATIENCE_S = 10.0
_log = logging.getLogger(__name__)


class Joined(NamedTuple):
    """The module `ray`, connected, and how many CPUs the cluster has."""

    module: Any
    cpus: int


@contextmanager
def joined(workers: int) -> Iterator[Joined]:
    """The cluster this process has joined, or joins for as long as the context lasts. Errors of Ray become ours."""
    ray: Any = need("ray", "ray")
    is_joined_here = not ray.is_initialized()
    if is_joined_here:
        _join(ray, workers)
    try:
        with told(ray):
            yield Joined(ray, max(1, int(ray.cluster_resources().get("CPU", workers))))
    finally:
        if is_joined_here:
            ray.shutdown()


@contextmanager
def told(ray: Any) -> Iterator[None]:  # noqa: ANN401  a module
    """What a worker raised comes out as itself; a cluster that failed, as a UserError."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise _cause_of(error) from None
    except ray.exceptions.RayError as error:
        first = str(error).strip().partition("\n")[0]
        raise UserError(
            f"The Ray cluster lost work too often to go on: {type(error).__name__}: {first[:300]}"
            " What was committed before is safe.",
            fix="see to its nodes (ray status), then run the same command again: it continues where it stopped",
        ) from error


def _cause_of(error: Any) -> BaseException:  # noqa: ANN401  ray.exceptions.RayTaskError
    cause: BaseException = error.cause if isinstance(error.cause, BaseException) else error
    if isinstance(cause, ModuleNotFoundError):
        return UserError(
            f"A node of the cluster has no module {cause.name!r}.",
            fix="install on every node the same pictus, with the same extras and the same Python",
        )
    if isinstance(cause, FileNotFoundError):
        return UserError(
            f"A node of the cluster does not find {cause.filename}.",
            fix="put the project on a file system that every node sees under the same path",
        )
    if not isinstance(cause, UserError):
        cause.add_note(str(error))  # where in the worker it happened
    return cause


def _join(ray: Any, workers: int) -> None:  # noqa: ANN401  a module
    address = os.environ.get(ADDRESS, "")
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if not address:
        _log.warning(
            "%s names no cluster: one is started on this machine, with %d CPUs (%s=auto takes one that runs here)",
            ADDRESS, workers, ADDRESS,
        )  # fmt: skip
        quiet |= {"num_cpus": workers, "include_dashboard": False}
    try:
        if _PLACE.fullmatch(address):  # Ray itself would try for minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S).close()
        with warnings.catch_warnings():
            # Ray's daemons are forked and replaced by exec at once: Lance's state is never used in the fork.
            warnings.filterwarnings("ignore", message="lance is not fork-safe")
            ray.init(address=address or "local", **quiet)
    except (OSError, ray.exceptions.RayError, RuntimeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise UserError(
            f"The Ray cluster at {address or 'this machine'} cannot be joined: {first[:300]}",
            fix=f"start it (ray start --head), then export {ADDRESS}=HOST:6379; or unset {ADDRESS} for this machine",
        ) from error
