"""The process behind `pictus annotate serve`: listens, says where, hands out the links, stops when it is told to."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pictus import annotate
from pictus.annotate.desk.desk_steps import open_desk
from pictus.annotate.queues import effort_steps
from pictus.errors import UserError, counted
from pictus.project import Project
from pictus.web.desk.app import build_desk_app
from pictus.web.security import LOOPBACK
from pictus.web.server import QUIET_S, listen

OWNER_DAYS = 1.0
"""How long the owner's own link can be used; a new one is made at every start."""

OTHERS = (
    "! others can reach this address: whoever has a link sees the project's pictures page by page, without GPS, but\n"
    "  with all faces as they were found, and the names and glosses of concepts; nobody sees what others answered\n"
)
PLAIN = "! without https, names and answers can be read on the way: put a proxy with https before it, and --address\n"
FEW = (
    "! the rule {rule} learns of each concept from a few pictures that {needed} people look at, as ImageNet's did;\n"
    "  {people} can come in so far: until there are {needed} those pictures stay open, and the others are decided as\n"
    "  for people who are right 4 times in 5. Invite more, or for a small team: --rule online\n"
)


@dataclass(frozen=True)
class Service:
    """How the desk is served. `address`: what people type where that is not host and port, behind a proxy."""

    host: str = "127.0.0.1"
    port: int = 8500
    address: str = ""
    invite: int = 0
    quota: int = 0
    days: float = 14.0
    is_kiosk: bool = False
    rule: str = "dynamic"
    tells_accuracy: bool = False  # people see how many known answers they gave right
    pay: str = ""  # for an hour, as it was typed: the owner sees what was earned and what the rest costs


def serve_desk(project: Project, service: Service) -> None:
    """Serve until interrupted. A port in use, and a kiosk that others could reach, are said before anything starts.

    The links go to stdout, one a line, the owner's first; everything else to stderr.
    """
    import uvicorn  # noqa: PLC0415  0.2 s that --help does not pay

    pay = effort_steps.pay_of(service.pay)
    from pictus.web.desk.connections import Door, Patience, most_connections  # noqa: PLC0415  as above

    is_open = service.host not in LOOPBACK or bool(service.address)
    if service.is_kiosk and is_open:
        raise UserError(
            "A kiosk is for this machine only: others who reach the address could answer under any name.",
            fix="leave out --kiosk and hand out links: --invite 12",
        )
    outer = _outer(service.address)
    listener = listen(service.host, service.port)
    try:
        hosts = answers_to(service.host, outer)
        desk = open_desk(project, rule=service.rule)
        app = build_desk_app(
            project, desk, hosts=hosts, is_kiosk=service.is_kiosk, tells_accuracy=service.tells_accuracy,
            address=service.address,
        )  # fmt: skip
        app.state.pay = service.pay  # for the owner's page
        shown = service.host if service.host not in ("0.0.0.0", "::") else "localhost"  # noqa: S104  compared, not bound
        shown = f"[{shown}]" if ":" in shown else shown
        address = service.address.rstrip("/") or f"http://{shown}:{listener.getsockname()[1]}"
        sys.stderr.write(f"{project.name}: {address}    (Ctrl-C stops it)\n")
        if is_open:
            sys.stderr.write(OTHERS + ("" if address.startswith("https:") else PLAIN))
        _hand_out(project, service, address)
        needed, there = desk.lacks_people()
        if needed:
            sys.stderr.write(FEW.format(rule=service.rule, needed=needed, people=counted(there, "person", "people")))
        door: Any = Door(Patience(most=most_connections()))
        sys.stderr.write("".join(f"{line}\n" for line in effort_steps.words(effort_steps.works(project), pay)))
        config = uvicorn.Config(
            app, http=door.protocol, ws="none", log_level="warning", timeout_graceful_shutdown=QUIET_S,
            server_header=False,
        )  # fmt: skip
        gc.collect()
        gc.freeze()  # what is loaded by now stays: nobody's page waits while the collector walks through all of it
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()


def _hand_out(project: Project, service: Service, address: str) -> None:
    if service.is_kiosk:
        sys.stderr.write("kiosk: whoever answers opens that address on this machine and types a name, no more\n")
    owner = annotate.invite(project, role="owner", days=OWNER_DAYS, note="serve").summary["links"]
    sys.stderr.write("your own link, as owner, for one use within a day; those who answer do not need it, nor do you\n"
                     "where you are still signed in:\n")  # fmt: skip
    sys.stderr.flush()
    _print(address, owner)
    if service.invite:
        made = annotate.invite(project, many=service.invite, quota=service.quota, days=service.days, note="serve")
        sys.stderr.write(f"{counted(service.invite, 'link')}, each for one person, until {made.summary['expires_at']}; "
                         "shown this once:\n")  # fmt: skip
        sys.stderr.flush()
        _print(address, made.summary["links"])


def _print(address: str, links: list[str]) -> None:
    sys.stdout.write("".join(f"{address}{link}\n" for link in links))
    sys.stdout.flush()  # a pipe would keep them until the end


def answers_to(host: str, outer: str) -> frozenset[str]:
    """Names that may stand in a Host header; empty for any. A proxy on this machine may also ask by this machine's."""
    here = LOOPBACK if host in LOOPBACK else frozenset[str]()
    return here | {outer} if outer else here


def _outer(address: str) -> str:
    """The host of --address as it stands in a Host header; "" where there is none."""
    if not address:
        return ""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""  # such as http://[: said below
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/"):
        raise UserError(f"--address {address[:80]!r} is no address people could type.", fix="https://label.example.org")
    return f"[{host}]" if ":" in host else host
