"""The report as a PDF inside DICOM."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from PIL import ImageFile
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from groundglass.dicomout.instance import NOTICE, Series, blank_instance
from groundglass.dicomout.source import Source, reference
from groundglass.writers import codes

NO_WEASYPRINT = "the report as PDF needs weasyprint: pip install 'groundglass[pdf]'"
NO_PANGO = (
    "the report as PDF needs the system's Pango library: apt install libpango-1.0-0 "
    "libpangoft2-1.0-0, or the like"
)
PRINT_CSS = """
@page { margin: 14mm 14mm 18mm; @bottom-center { font: 8pt sans-serif; color: #444;
  content: "Research use only. Not for diagnosis. Page " counter(page) " of " counter(pages); } }
.shot { height: 0; } .shot img { top: 0; left: 0; } .mark { z-index: 2; }
.verdicts { break-before: avoid; } summary, .pictures p, h2 + p { break-after: avoid; }
pre { columns: 3; font-size: 6pt; } footer { display: none; }
"""
"""What a browser does by itself and the PDF engine does not; and what paper needs."""
CURVE_CSS = (
    "<style>text{fill:#444;font:13px sans-serif}.strong{fill:#000}.axis{stroke:#bbb}"
    ".area{fill:#ccc}.line{fill:none;stroke:#b5125f;stroke-width:2.5}.dot{fill:#b5125f}"
    ".strip{fill:#555}.curve-text{fill:#b5125f}</style>"
)
"""The engine reads only the style inside a drawing."""
_RATIO = re.compile(r'style="aspect-ratio:(\d+)/(\d+)"')
_DRAWING = re.compile(r"<svg [^>]*>")


class PdfMissingError(Exception):
    """No PDF can be made on this machine; the message says what to install."""


def render_pdf(html: str) -> bytes:
    """Return the report as PDF; nothing outside the text itself is ever opened.

    Parameters
    ----------
    html : str
        The report, pictures inside it.

    Raises
    ------
    PdfMissingError
        If a library is missing.
    """
    if find_spec("weasyprint") is None:
        raise PdfMissingError(NO_WEASYPRINT)
    with _strict_pictures():
        return _rendered(for_paper(html))


def _rendered(html: str) -> bytes:
    try:
        from weasyprint import CSS, HTML  # noqa: PLC0415 - an extra, and two seconds
        from weasyprint.urls import URLFetcher  # noqa: PLC0415
    except OSError as error:
        raise PdfMissingError(NO_PANGO) from error
    fetcher = URLFetcher(allowed_protocols=["data"])
    page: Any = HTML(string=html, url_fetcher=fetcher)
    data: bytes = page.write_pdf(stylesheets=[CSS(string=PRINT_CSS, url_fetcher=fetcher)])
    return data


@contextmanager
def _strict_pictures() -> Iterator[None]:
    """Undo what weasyprint does to the whole process: broken pictures read as whole."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def for_paper(html: str) -> str:
    """Return the report with what the PDF engine cannot do said in another way."""
    boxed = _RATIO.sub(lambda m: f'style="padding-top:{100 * int(m[2]) / int(m[1]):.3f}%"', html)
    return _DRAWING.sub(lambda m: m[0] + CURVE_CSS, boxed)


def build_pdf(data: bytes, source: Source, series: Series) -> Dataset:
    """Return a PDF as an encapsulated document of the study.

    Parameters
    ----------
    data : bytes
        The PDF.
    source : Source
        The slices it reports on.
    series : Series
        The new series.
    """
    dataset = blank_instance(source.first, EncapsulatedPDFStorage, "DOC", series)
    dataset.ConversionType = "WSD"
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "NO"
    dataset.RecognizableVisualFeatures = "NO"
    dataset.DocumentTitle = f"Chest CT report, {NOTICE}"
    dataset.ConceptNameCodeSequence = [codes.REPORT_TITLE.item()]
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.SourceInstanceSequence = [reference(each) for each in source.datasets]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(data)
    dataset.EncapsulatedDocument = data + b"\0" * (len(data) % 2)
    return dataset
