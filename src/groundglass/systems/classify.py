"""How alike a scan is to the pictures a classifier was trained on: slices, then the patient.

The answer is a likeness to training pictures, not a diagnosis. No statement is made where too few
slices can be looked at, most of them are unlike anything the classifier has seen, or the
probability lies in the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import Attention, LungMask, Prediction, SliceChance, SliceSelection
from groundglass.core.scan import Intensity, Scan
from groundglass.errors import ModelError, UnknownModelError
from groundglass.models.card import Measured, ModelCard
from groundglass.models.catalogue import DEFAULT, find_model
from groundglass.models.runtime import Model
from groundglass.systems.class_views import (
    PictureAnswers,
    View,
    classify_pictures,
    enlarged,
    view_of,
)

SYSTEM = "covid-ct"
SHOWN_PLACES = 16
"""Places of the attention along a side of a slice."""
NO_STATEMENT = "no statement"
NONE = "none"
METHOD = (
    "what each place of the last maps adds to the logit (Grad-CAM, exact for a linear head over "
    "pooled maps); what is negative is cut; slices between two that were looked at take the nearer"
)


@dataclass(frozen=True)
class ClassifyConfig:
    """Settings of the classifier."""

    model: str = DEFAULT
    """Name or file of a classifier; ``default`` for the shipped one, if there is one, ``none`` to
    do without."""
    most_slices: int = 40
    """Slices looked at, evenly chosen among those kept by lung area."""
    least_slices: int = 5
    """Slices of a volume that must have a say."""
    least_share: float = 0.5
    """Share of the slices looked at that must have a say."""
    undecided: tuple[float, float] = (0.4, 0.6)
    """Probabilities between which no statement is made."""
    window_hu: tuple[float, float] = (-1150.0, 150.0)
    """Window in which slices are shown to the classifier, low and high end."""
    margin_mm: float = 25.0
    """Margin around the lungs that is shown to the classifier."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """What a classifier says about a scan."""

    predictions: tuple[Prediction, ...] = ()
    """The statement; empty without a classifier."""
    attention: Attention | None = None
    """Where the answer comes from; ``None`` where the classifier cannot tell."""


def open_classifier(name: str) -> Model | None:
    """Return a classifier; ``None`` for ``none``, or where no default one is shipped.

    Raises
    ------
    UnknownModelError
        If there is no model of a given name.
    """
    if name == NONE:
        return None
    try:
        return Model(find_model(name, SYSTEM))
    except UnknownModelError:
        if name == DEFAULT:
            return None
        raise


def classify_scan(
    scan: Scan,
    lungs: LungMask,
    selection: SliceSelection,
    config: ClassifyConfig | None = None,
    model: Model | None = None,
) -> Likeness:
    """Return how alike a scan is to a classifier's training pictures, and where.

    Parameters
    ----------
    scan : Scan
        A chest CT, or pictures of one.
    lungs : LungMask
        Where its lungs are.
    selection : SliceSelection
        Slices kept by lung area.
    config : ClassifyConfig, optional
        Settings.
    model : Model, optional
        An opened classifier; that of the settings where not given.

    Returns
    -------
    Likeness
        Empty without a classifier; no statement, with its reason, where one cannot be used.
    """
    config = config or ClassifyConfig()
    try:
        model = model or open_classifier(config.model)
        return Likeness() if model is None else _likeness(scan, lungs, selection, config, model)
    except ModelError as error:
        reason = str(error).rstrip(".")
        return Likeness((Prediction(config.model, NO_STATEMENT, {}, "", reason),))


def _likeness(
    scan: Scan, lungs: LungMask, selection: SliceSelection, config: ClassifyConfig, model: Model
) -> Likeness:
    card = model.card
    if scan.intensity is Intensity.UNKNOWN:
        reason = "the meaning of the values is not known, so that slices cannot be shown"
        return Likeness((_without(card, reason),))
    places = chosen_places(selection.kept, config.most_slices)
    if not places:
        return Likeness((_without(card, "no slice was chosen by lung area"),))
    view = view_of(scan, lungs, config.window_hu, config.margin_mm)
    pictures = [view.of(scan.voxels[place]) for place in places]
    answers = classify_pictures(model, pictures)
    chances = _chances(card, places, pictures, answers)
    single = scan.intensity is Intensity.DISPLAY
    prediction = decide(card, chances, answers.probabilities, config, single=single)
    return Likeness((prediction,), _attention(scan, card, places, view, answers))


def chosen_places(kept: NDArray[np.bool_], most: int) -> list[int]:
    """Return at most so many of the kept slices, evenly spread."""
    found = np.flatnonzero(kept)
    if found.size <= most:
        return [int(place) for place in found]
    steps = np.linspace(0, found.size - 1, most).round().astype(int)
    return [int(place) for place in found[steps]]


def _chances(
    card: ModelCard,
    places: Sequence[int],
    pictures: Sequence[NDArray[np.uint8]],
    answers: PictureAnswers,
) -> tuple[SliceChance, ...]:
    wanted = card.labels.index(wanted_label(card))
    found = []
    for row, place in enumerate(places):
        known = card.familiarity
        strangeness = None if known is None else known.strangeness(pictures[row])
        counts = strangeness is None or strangeness <= 1
        probability = float(answers.probabilities[row, wanted])
        found.append(SliceChance(place, probability, strangeness, counts))
    return tuple(found)


def wanted_label(card: ModelCard) -> str:
    """Return the label a classifier looks for: the last one."""
    return card.labels[-1]


def decide(
    card: ModelCard,
    chances: Sequence[SliceChance],
    probabilities: NDArray[np.floating],
    config: ClassifyConfig,
    *,
    single: bool = False,
) -> Prediction:
    """Return what follows from the slices: the mean of those that have a say, or no statement.

    Parameters
    ----------
    card : ModelCard
        The classifier's.
    chances : sequence of SliceChance
        What was said about the slices.
    probabilities : ndarray
        (slices, labels) of the same.
    config : ClassifyConfig
        When no statement is made.
    single : bool
        Whether these are pictures, of which one is enough, and no volume.
    """
    counted = np.array([chance.counts for chance in chances], bool)
    if not counted.any():
        reason = f"none of {len(chances)} slices is like the pictures the model was trained on"
        return _without(card, reason, chances)
    mean = probabilities[counted].astype(np.float64).mean(axis=0)
    mean /= mean.sum()
    why = _reason(float(mean[-1]), int(counted.sum()), len(chances), config, single=single)
    likely = card.labels[int(mean.argmax())]
    return Prediction(
        model=card.name,
        label=NO_STATEMENT if why else f"more like its {likely} pictures",
        probabilities=dict(zip(card.labels, (float(one) for one in mean), strict=True)),
        note=note_of(card),
        reason=why,
        wanted=wanted_label(card),
        slices=tuple(chances),
    )


def _reason(
    probability: float, counted: int, looked_at: int, config: ClassifyConfig, *, single: bool
) -> str | None:
    """Return why no statement is made; ``None`` if one is."""
    low, high = config.undecided
    if counted < config.least_share * looked_at:
        return (
            f"{looked_at - counted} of {looked_at} slices are unlike the pictures the model was "
            "trained on"
        )
    if not single and counted < config.least_slices:
        return f"{counted} slices have a say, {config.least_slices} are needed"
    if low < probability < high:
        return f"the probability lies between {low:g} and {high:g}"
    return None


def _without(card: ModelCard, reason: str, chances: Sequence[SliceChance] = ()) -> Prediction:
    return Prediction(
        card.name, NO_STATEMENT, {}, note_of(card), reason, wanted_label(card), tuple(chances)
    )


def note_of(card: ModelCard) -> str:
    """Return what a classifier was trained on, how good it is, and what its answer is not."""
    said = [
        "A likeness to training pictures, not a diagnosis.",
        f"Trained on {', '.join(card.training_data)}.",
    ]
    auc = measured_auc(card)
    if auc is not None:
        ends = "" if auc.low is None or auc.high is None else f" ({auc.low:.2f} to {auc.high:.2f})"
        said.append(f"AUC {auc.value:.2f}{ends} on {auc.count} pictures: {auc.data}.")
    said.append(
        "Probabilities were fitted to single pictures; how often a statement about a patient is "
        "right has not been measured."
    )
    if card.familiarity is None:
        said.append("The model cannot tell pictures it has never seen the like of.")
    return " ".join((*said, *card.limits))


def measured_auc(card: ModelCard) -> Measured | None:
    """Return the measured AUC, of the test part if there is one."""
    found = [one for one in card.scores if one.metric == "auc"]
    tested = [one for one in found if "test" in one.data]
    best = tested or found
    return best[-1] if best else None


def _gathered(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return maps of about so many places a side as can be told apart, those of a block added up.

    What a peak adds lies in one place of a fine map; beside it all others would be invisible.
    """
    for axis in (1, 2):
        count = maps.shape[axis]
        starts = np.arange(0, count, max(count // SHOWN_PLACES, 1))
        maps = np.add.reduceat(maps, starts, axis=axis)
    return maps


def _attention(
    scan: Scan, card: ModelCard, places: Sequence[int], view: View, answers: PictureAnswers
) -> Attention | None:
    """Return the attention on the scan's grid, the largest value of the scan as 100."""
    if answers.attention is None:
        return None
    shape = (view.rows[1] - view.rows[0], view.columns[1] - view.columns[0])
    raised = np.maximum(_gathered(answers.attention[:, -1]), 0)
    largest = float(raised.max())
    values = np.zeros(scan.shape, np.uint8)
    nearest = np.abs(np.subtract.outer(np.arange(scan.shape[0]), np.array(places))).argmin(axis=1)
    for row, one in enumerate(raised):
        shares = np.clip(enlarged(one, shape, card.preparation) / max(largest, 1e-12), 0, 1)
        part = np.rint(100 * shares).astype(np.uint8)
        for index in np.flatnonzero(nearest == row):
            if places[0] <= index <= places[-1]:
                values[index, slice(*view.rows), slice(*view.columns)] = part
    return Attention(values, scan.geometry, card.name, wanted_label(card), METHOD)
