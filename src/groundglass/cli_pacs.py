"""The commands around a PACS: ask it, send to it, listen to it."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundglass.sealed import require_network

if TYPE_CHECKING:
    from groundglass.pacs.nodes import Caller, Node

FAILED = 1
SPOOL = Path("groundglass-spool")
TOKEN, PASSWORD = "GROUNDGLASS_DICOMWEB_TOKEN", "GROUNDGLASS_DICOMWEB_PASSWORD"
"""Environment variables with secrets, which do not belong on a command line."""

pacs = typer.Typer(
    no_args_is_help=True, help="Ask a PACS, fetch from it, send to it, or listen for studies."
)


class Level(StrEnum):
    """What a query asks for."""

    STUDY = "study"
    SERIES = "series"


NodeText = Annotated[
    str, typer.Argument(metavar="NODE", help="AE@HOST:PORT, or the address of a DICOMweb service.")
]
Ae = Annotated[str, typer.Option("--ae", help="Our own AE title.")]
User = Annotated[str | None, typer.Option(help=f"DICOMweb user; the password is in {PASSWORD}.")]
TlsCert = Annotated[Path | None, typer.Option("--tls-cert", help="Our certificate (PEM).")]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="Its key (PEM).")]
TlsCa = Annotated[Path | None, typer.Option("--tls-ca", help="Certificates we trust (PEM).")]
Study = Annotated[str, typer.Option(help="Study Instance UID.")]
SeriesUid = Annotated[str, typer.Option("--series", help="Series Instance UID.")]
SpoolFolder = Annotated[Path, typer.Option(help="Folder of the queue.")]


def add_pacs(app: typer.Typer) -> None:
    """Add ``groundglass pacs`` to the command line."""
    app.add_typer(pacs, name="pacs")


@contextmanager
def _told() -> Iterator[None]:
    """Turn what goes wrong into one sentence and exit code 1, or 2 for wrong use."""
    from groundglass.console import complain  # noqa: PLC0415 - keeps --help quick
    from groundglass.errors import GroundglassError  # noqa: PLC0415

    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    except GroundglassError as error:
        complain(f"{str(error).rstrip('.')}.")
        raise typer.Exit(FAILED) from error
    except OSError as error:
        complain(f"A file or folder cannot be used: {error.strerror or type(error).__name__}.")
        raise typer.Exit(FAILED) from error
    except ImportError as error:
        complain(f"{error.name} is missing: pip install 'groundglass[pacs]'.")
        raise typer.Exit(FAILED) from error


def _node(text: str) -> Node:
    from groundglass.pacs.nodes import parse_node  # noqa: PLC0415

    require_network("asking a PACS")
    return parse_node(text)


def _caller(
    ae: str, user: str | None, cert: Path | None, key: Path | None, ca: Path | None
) -> Caller:
    from groundglass.pacs.nodes import Caller, Login, Tls  # noqa: PLC0415

    return Caller(
        ae, Tls(cert, key, ca), Login(os.environ.get(TOKEN), user, os.environ.get(PASSWORD))
    )


@pacs.command()
def echo(  # noqa: PLR0913, PLR0917 - one parameter for each option
    node: NodeText,
    ae: Ae = "GROUNDGLASS",
    user: User = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
) -> None:
    """Look whether a node answers."""
    with _told():
        from groundglass.pacs import ask  # noqa: PLC0415

        ask.echo(_node(node), _caller(ae, user, tls_cert, tls_key, tls_ca))
        typer.echo(f"{node} answers")


@pacs.command()
def find(  # noqa: PLR0913, PLR0917 - one parameter for each option
    node: NodeText,
    level: Annotated[Level, typer.Option(help="Studies, or series of a study.")] = Level.STUDY,
    patient: Annotated[str, typer.Option(help="Patient ID; * stands for anything.")] = "",
    study: Study = "",
    date: Annotated[str, typer.Option(help="Study date or range: 20260101-20260131.")] = "",
    modality: Annotated[str, typer.Option(help="Modality, e.g. CT.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ae: Ae = "GROUNDGLASS",
    user: User = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
) -> None:
    """List the studies or series of a node."""
    with _told():
        from groundglass.pacs import ask  # noqa: PLC0415

        wanted = ask.Wanted(level.value.upper(), patient, study, "", date, modality)
        caller = _caller(ae, user, tls_cert, tls_key, tls_ca)
        rows = ask.find(_node(node), wanted, caller)
        _print_rows(rows, as_json=as_json)


def _print_rows(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        typer.echo("\t".join(str(value) for value in row.values()))
    typer.echo(f"{len(rows)} found", err=True)


@pacs.command()
def get(  # noqa: PLR0913, PLR0917 - one parameter for each option
    node: NodeText,
    study: Study,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files.")],
    series: SeriesUid = "",
    ae: Ae = "GROUNDGLASS",
    user: User = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
) -> None:
    """Fetch a study or one of its series."""
    with _told():
        from groundglass.pacs import ask  # noqa: PLC0415

        wanted = ask.Wanted("SERIES" if series else "STUDY", study=study, series=series)
        caller = _caller(ae, user, tls_cert, tls_key, tls_ca)
        files = ask.get(_node(node), wanted, out, caller)
        typer.echo(f"{len(files)} files in {out}")


@pacs.command()
def send(  # noqa: PLR0913, PLR0917 - one parameter for each option
    node: NodeText,
    paths: Annotated[list[Path], typer.Argument(help="DICOM files, or folders with them.")],
    ae: Ae = "GROUNDGLASS",
    user: User = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
) -> None:
    """Store files at a node; fails unless it says that it stored every one."""
    with _told():
        from groundglass.pacs import ask  # noqa: PLC0415

        count = ask.send(_node(node), paths, _caller(ae, user, tls_cert, tls_key, tls_ca))
        typer.echo(f"{count} objects stored at {node}")


Port = Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 for a free one.")]
RulesFile = Annotated[
    Path | None, typer.Option(help="JSON file of rules: which studies are analyzed.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Settings of the analysis, as analyze reads them.")
]
Allow = Annotated[
    list[str] | None,
    typer.Option(help="AE title that may call, or AE@HOST:PORT to return results there."),
]
ReturnTo = Annotated[str, typer.Option(help="sender, nobody, or AE@HOST:PORT for all results.")]
ReturnCert = Annotated[
    Path | None, typer.Option("--return-tls-cert", help="Another certificate to return results.")
]
ReturnKey = Annotated[Path | None, typer.Option("--return-tls-key", help="Its key (PEM).")]
ReturnCa = Annotated[
    Path | None, typer.Option("--return-tls-ca", help="Others to trust when results are returned.")
]
ReturnClear = Annotated[
    bool, typer.Option("--return-clear", help="Return results without TLS, though it is used here.")
]
QuietTime = Annotated[
    float, typer.Option(min=0.1, help="Seconds without images after which a study is complete.")
]
KeepDays = Annotated[
    float | None, typer.Option(min=0, help="Days after which a finished study is removed.")
]
Bind = Annotated[str, typer.Option(help="Address to bind.")]
MaxInstances = Annotated[int, typer.Option(min=1, help="Most images of a study.")]
MaxMb = Annotated[int, typer.Option(min=1, help="Most megabytes of a study.")]
ReserveMb = Annotated[int, typer.Option(min=0, help="Megabytes left free on the disk.")]


@pacs.command()
def listen(  # noqa: PLR0913, PLR0917 - one parameter for each option
    port: Port,
    ae: Ae = "GROUNDGLASS",
    spool: SpoolFolder = SPOOL,
    rules: RulesFile = None,
    config: ConfigFile = None,
    allow: Allow = None,
    return_to: ReturnTo = "sender",
    quiet_time: QuietTime = 30.0,
    keep_days: KeepDays = None,
    bind: Bind = "127.0.0.1",
    max_instances: MaxInstances = 10_000,
    max_mb: MaxMb = 16_384,
    reserve_mb: ReserveMb = 1024,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
    return_tls_cert: ReturnCert = None,
    return_tls_key: ReturnKey = None,
    return_tls_ca: ReturnCa = None,
    return_clear: ReturnClear = False,
) -> None:
    """Receive studies, analyze those the rules want, and return SEG, SR and PDF."""
    with _told():
        require_network("listening for studies")
        from groundglass.pacs import listen as node  # noqa: PLC0415
        from groundglass.pacs.nodes import Tls  # noqa: PLC0415
        from groundglass.pacs.study import Limits  # noqa: PLC0415

        tls = Tls(tls_cert, tls_key, tls_ca)
        titles, peers = node.read_callers(allow or [])
        plan = node.make_plan(rules, quiet_time, return_to, peers)
        back = tls.replaced(return_tls_cert, return_tls_key, return_tls_ca)
        back = Tls() if return_clear else back
        plan = replace(plan, ae=ae, tls=back, keep_days=keep_days, config=config)
        limits = Limits(max_instances, max_mb * 2**20, reserve_mb * 2**20)
        settings = node.Listen(ae, port, spool, plan, bind, titles, limits, tls)
        _log_to_stderr()
        node.listen(settings, _stop_event(), lambda at: typer.echo(f"{ae} listens on {at}"))


def _log_to_stderr() -> None:
    """Show what the node does; its log holds nothing about patients."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("groundglass.pacs")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def _stop_event() -> threading.Event:
    """Return an event that Ctrl-C and SIGTERM set."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


@pacs.command()
def status(spool: SpoolFolder = SPOOL) -> None:
    """Print the state of every study in the queue, as JSON, with nothing about patients."""
    with _told():
        from groundglass.pacs.spool import Spool, spool_summary  # noqa: PLC0415

        typer.echo(spool_summary(Spool(spool)))


@pacs.command()
def retry(
    study: Annotated[str, typer.Argument(help="Key of a study from status, its UID, or all.")],
    spool: SpoolFolder = SPOOL,
    again: Annotated[
        bool, typer.Option("--again", help="Analyze anew, even a study that is done.")
    ] = False,
) -> None:
    """Put studies that failed back into the queue."""
    with _told():
        from groundglass.errors import PacsError  # noqa: PLC0415
        from groundglass.pacs.spool import Spool  # noqa: PLC0415
        from groundglass.pacs.study import State, digest  # noqa: PLC0415

        queue = Spool(spool)
        keys = queue.keys(State.FAILED) if study == "all" else [study]
        moved = [
            key
            for name in keys
            for key in (name, digest(name))
            if queue.find(key) is not None and queue.again(key, analyze=again)
        ]
        if not moved and study != "all":
            msg = "no such study is in a state to be tried again; a finished one needs --again"
            raise PacsError(msg)
        typer.echo(f"{len(moved)} studies are queued again")
