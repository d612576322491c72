"""What needs no training: every figure of a model stands beside these."""

from __future__ import annotations

import numpy as np

from groundglass.core.scan import Intensity
from groundglass.datasets.slices import Slice
from groundglass.evaluation.scores import Maps, Predict, lungs_of
from groundglass.infection.picture import PictureConfig, segment_picture

DENSE_HU = (-700, 100)
"""Range of density that counts as lesion by the plain threshold."""


def nothing(one: Slice) -> Maps:
    """Mark nothing."""
    return np.zeros((2, *one.values.shape), np.float32)


def whole_lung(one: Slice) -> Maps:
    """Mark the whole lung."""
    return np.stack([lungs_of(one), np.zeros(one.values.shape)]).astype(np.float32)


def dense_lung(one: Slice) -> Maps:
    """Mark what is dense: the training-free rule for pictures, a plain threshold for HU."""
    if one.intensity is Intensity.DISPLAY:
        labels = segment_picture(one.values, PictureConfig()).labels
        return np.stack([labels > 0, labels == 2]).astype(np.float32)
    low, high = DENSE_HU
    dense = (one.values > low) & (one.values < high) & lungs_of(one)
    return np.stack([dense, dense & (one.values > -200)]).astype(np.float32)


BASELINES: dict[str, Predict] = {
    "nothing": nothing,
    "whole lung": whole_lung,
    "training-free": dense_lung,
}
"""By the name in the tables."""
