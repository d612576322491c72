"""What classifiers say, as a part of the document."""

from __future__ import annotations

from groundglass.core.results import Prediction
from groundglass.writers.document import PredictionPart, SliceChancePart


def prediction_part(prediction: Prediction) -> PredictionPart:
    """Return a prediction with its numbers rounded."""
    return PredictionPart(
        model=prediction.model,
        label=prediction.label,
        probabilities=dict(prediction.probabilities),
        note=prediction.note,
        reason=prediction.reason,
        wanted=prediction.wanted,
        slices=[
            SliceChancePart(
                index=one.index,
                probability=round(one.probability, 4),
                strangeness=None if one.strangeness is None else round(one.strangeness, 3),
                counts=one.counts,
            )
            for one in prediction.slices
        ],
    )
