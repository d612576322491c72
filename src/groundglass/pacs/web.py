"""Calling a DICOMweb service: the same questions as to a DICOM node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pydicom
from pydicom.dataset import Dataset

from groundglass.errors import PacsError
from groundglass.pacs.nodes import Caller, Web, is_loopback
from groundglass.readers.dicom_file import quiet_pydicom

_AS_STORED = (("application/dicom", "*"),)
_SECONDS = 120


def echo(web: Web, caller: Caller) -> None:
    """Make sure that a service answers a query.

    Raises
    ------
    PacsError
        If it does not.
    """
    with _client(web, caller) as client:
        client.search_for_studies(limit=1)


def find(web: Web, query: Mapping[str, str], level: str, caller: Caller) -> list[Dataset]:
    """Return what a service holds that matches a query (QIDO-RS).

    Parameters
    ----------
    web : Web
        The service.
    query : mapping of str to str
        Values by keyword; empty ones are asked for.
    level : str
        ``STUDY`` or ``SERIES``.
    caller : Caller
        Who asks; without an authority of its own we trust those whom everybody trusts.

    Raises
    ------
    PacsError
        If the service refuses or fails.
    """
    filters = {keyword: value for keyword, value in query.items() if value}
    study = filters.pop("StudyInstanceUID", None) if level == "SERIES" else None
    fields = [keyword for keyword, value in query.items() if not value]
    with _client(web, caller) as client:
        if level == "SERIES":
            found = client.search_for_series(study, search_filters=filters, fields=fields)
        else:
            found = client.search_for_studies(search_filters=filters, fields=fields)
        with quiet_pydicom():
            return [Dataset.from_json(one) for one in found]


def get(web: Web, query: Mapping[str, str], out: Path, caller: Caller) -> tuple[Path, ...]:
    """Fetch a study or series as it is stored (WADO-RS) and return the files.

    Raises
    ------
    PacsError
        If the service refuses, fails or holds nothing of that UID.
    """
    out.mkdir(parents=True, exist_ok=True)
    study, series = query["StudyInstanceUID"], query.get("SeriesInstanceUID")
    with _client(web, caller) as client:
        if series:
            found = client.iter_series(study, series, media_types=_AS_STORED)
        else:
            found = client.iter_study(study, media_types=_AS_STORED)
        files = []
        for number, dataset in enumerate(found):
            path = out / f"{number:05d}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            files.append(path)
    if not files:
        msg = "the DICOMweb service holds nothing of that UID"
        raise PacsError(msg)
    return tuple(files)


def send_files(web: Web, files: Sequence[Path], caller: Caller) -> int:
    """Store files at a service (STOW-RS); return their number.

    Raises
    ------
    PacsError
        If one of them was not stored: the answer is counted, since services may say yes and store
        nothing.
    """
    stored = 0
    with _client(web, caller) as client:
        for path in files:
            with quiet_pydicom():
                answer = client.store_instances([pydicom.dcmread(path)])
            stored += len(answer.get("ReferencedSOPSequence", ()))
    if stored != len(files):
        msg = f"the DICOMweb service stored {stored} of {len(files)} objects"
        raise PacsError(msg)
    return stored


@contextmanager
def _client(web: Web, caller: Caller) -> Iterator[Any]:
    """Open a client, and turn what it raises into a sentence without addresses of studies."""
    parts, tls, login = urlsplit(web.url), caller.tls, caller.login
    if login.is_given and parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        msg = "a token or password goes over https only; use the https address of the service"
        raise PacsError(msg)
    tls.client()  # files that cannot be used are told as for DICOM
    import requests  # noqa: PLC0415 - an extra
    from dicomweb_client.api import DICOMwebClient  # noqa: PLC0415

    session = requests.Session()
    session.trust_env = False
    session.verify = True if tls.ca is None else str(tls.ca)
    session.cert = None if tls.cert is None else (str(tls.cert), str(tls.key or tls.cert))
    if login.token is not None:
        session.headers["Authorization"] = f"Bearer {login.token}"
    elif login.user is not None:
        session.auth = (login.user, login.password or "")
    client = DICOMwebClient(web.url, session=session, timeout=_SECONDS)
    client.set_http_retry_params(retry=False)
    try:
        yield client
    except requests.HTTPError as error:
        code = 0 if error.response is None else error.response.status_code
        hint = "; check token or password" if code in (401, 403) else ""
        msg = f"the DICOMweb service refused with HTTP {code}{hint}"
        raise PacsError(msg) from error
    except requests.exceptions.SSLError as error:
        msg = (
            "the DICOMweb service and we do not trust each other's certificates; --tls-ca names "
            "its authority, --tls-cert and --tls-key are ours"
        )
        raise PacsError(msg) from error
    except (requests.RequestException, OSError) as error:
        msg = f"the DICOMweb service cannot be reached ({type(error).__name__})"
        raise PacsError(msg) from error
    finally:
        session.close()
