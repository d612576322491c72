"""What making a PDF must leave alone."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec

import pytest
from PIL import ImageFile

from groundglass.dicomout import pdf


def test_a_pdf_leaves_damaged_pictures_refused() -> None:
    if find_spec("weasyprint") is None:
        pytest.skip("weasyprint is not installed")
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with contextlib.suppress(pdf.PdfMissingError):
        pdf.render_pdf("<p>page</p>")
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
