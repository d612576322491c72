"""The order of the steps, and what is still known when one of them refuses."""

import numpy as np
import pytest

import groundglass as gg
from groundglass.errors import NoLungsError


def test_a_refusal_keeps_what_was_found_out_about_the_values() -> None:
    slopes = np.tile(np.arange(64, dtype=np.int16) * 60, (4, 64, 1))
    scan = gg.Scan.from_array(slopes, (5.0, 3.0, 3.0), intensity=gg.Intensity.UNKNOWN)
    with pytest.raises(NoLungsError) as refusal:
        gg.analyze(scan)
    said = {verdict.check: verdict.done for verdict in refusal.value.verdicts}
    assert "grey values" in said["intensity"]
