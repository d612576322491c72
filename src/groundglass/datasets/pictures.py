"""Reading one picture of a data set, whatever its format and colour mode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from groundglass.core.scan import Intensity
from groundglass.datasets.slices import Slice
from groundglass.errors import ReadError


def read_picture(path: Path) -> Slice:
    """Return a picture with its colours; transparency is dropped, grey has three equal channels.

    Raises
    ------
    ReadError
        If the file is missing or not a picture.
    """
    try:
        with Image.open(path) as picture:
            colours = np.asarray(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        msg = f"the picture '{path.name}' cannot be read"
        raise ReadError(msg) from error
    grey = np.asarray(Image.fromarray(colours).convert("L"))
    return Slice(grey, Intensity.DISPLAY, None, colours=colours)
