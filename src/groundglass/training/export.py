"""From a trained network to files: safetensors, ONNX checked against the network, card."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import nn

from groundglass.errors import ModelError
from groundglass.models.card import ModelCard, card_path, sha256_of, write_card
from groundglass.models.catalogue import Entry, Origin
from groundglass.models.familiar import Familiarity
from groundglass.models.runtime import Model
from groundglass.systems.recipes import Recipe
from groundglass.training.fit import save_weights

LARGEST_DIFFERENCE = 1e-4
"""From this difference on an export is refused: of a probability, or as a share of the largest
answer where that is above 1."""
CHECK_SLICES = 3
LIBRARIES = ("groundglass", "torch", "lightning", "numpy", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Origins:
    """Where a model comes from, as its card tells."""

    name: str
    """Name of the model."""
    licence: str
    """Licence of its weights."""
    training_data: tuple[str, ...]
    """Data sets it has seen."""
    leak: str | None = None
    """What ``--allow-leak`` let through."""
    split_sha256: str | None = None
    """Hash of the split."""
    folds_seen: tuple[int, ...] = ()
    """Folds of the data set's own split that were trained on."""
    familiarity: Familiarity | None = None
    """What its training pictures are like."""


def versions() -> dict[str, str]:
    """Return the versions that a run depends on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def export_model(
    recipe: Recipe,
    network: nn.Module,
    origins: Origins,
    folder: Path,
    real: Sequence[NDArray[np.float32]] = (),
) -> Entry:
    """Write ``model.safetensors``, ``model.onnx`` and ``model.card.json``.

    Parameters
    ----------
    recipe : Recipe
        What it was trained by.
    network : nn.Module
        The trained network.
    origins : Origins
        Where it comes from.
    folder : Path
        Where to.
    real : sequence of ndarray
        Prepared slices, (rows, columns) or (channels, rows, columns) each, on which export and
        network are compared besides random ones.

    Raises
    ------
    ModelError
        If the export answers otherwise than the network; nothing is left behind then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    facts = recipe.facts
    shape = (facts.preparation.channels, *facts.preparation.size)
    if recipe.half_storage:
        round_weights(network)
    outer = recipe.exported(network.cpu()).eval()
    generator = np.random.default_rng(0)
    checks = [generator.random((2, *shape), dtype=np.float32)]
    checks += [one.reshape(1, *shape) for one in real[:CHECK_SLICES]]
    with torch.inference_mode():
        wanted = [_all(outer(torch.tensor(one))) for one in checks]
    write_onnx(outer, path, shape, halves=recipe.half_storage, output=facts.output)
    card = _card(recipe, network, origins, path)
    entry = Entry(card, path, Origin.FILE)
    difference = largest_difference(entry, checks, wanted)
    if not difference < LARGEST_DIFFERENCE:
        path.unlink()
        msg = (
            f"the export answers otherwise than the network, by up to {difference:.2g} where "
            f"{LARGEST_DIFFERENCE:g} is the limit; it was deleted"
        )
        raise ModelError(msg)
    save_weights(network, folder / "model.safetensors")
    write_card(card, card_path(path))
    return entry


@torch.no_grad()
def round_weights(network: nn.Module) -> None:
    """Round all weights to half precision in place, so that storing them so loses nothing."""
    for value in network.state_dict().values():
        if value.dtype == torch.float32:
            value.copy_(value.half().float())


def store_halves(model: Any, smallest: int = 256) -> Any:
    """Return an ONNX model that stores its large weights in half and computes in single precision.

    Parameters
    ----------
    model : onnx.ModelProto
    smallest : int
        Fewest values of a weight that is stored so.
    """
    import onnx  # noqa: PLC0415 - needed only here

    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    casts = []
    for weight in stored.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < smallest:
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        node = onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT)
        casts.append(node)
    nodes = [*casts, *stored.graph.node]
    del stored.graph.node[:]
    stored.graph.node.extend(nodes)
    return stored


def drop_notes(model: Any) -> None:
    """Take the exporter's notes, which hold paths of this machine, out of an ONNX model.

    Parameters
    ----------
    model : onnx.ModelProto
    """
    graph = model.graph
    values = (*graph.value_info, *graph.input, *graph.output, *graph.initializer)
    for one in (model, graph, *graph.node, *values):
        one.ClearField("metadata_props")


def write_onnx(
    outer: nn.Module,
    path: Path,
    shape: tuple[int, ...],
    *,
    halves: bool = False,
    output: str = "probabilities",
) -> None:
    """Write a module in evaluation mode as ONNX, the number of slices free.

    Parameters
    ----------
    outer : nn.Module
        What answers.
    path : Path
        Where to.
    shape : tuple of int
        Channels, rows and columns of the input; one channel where it has but rows and columns.
    halves : bool
        Store large weights in half precision; round them before.
    output : str
        Name of the output; a module with several names them itself, in ``outputs``.

    Raises
    ------
    ValueError
        If the outermost module is in training mode: the exporter would leave batch normalisation
        so.
    """
    if outer.training:
        msg = "the outermost module must be in evaluation mode before it is exported"
        raise ValueError(msg)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            outer,
            (torch.zeros(2, *((1, *shape)[-3:])),),
            input_names=["tones"],
            output_names=list(getattr(outer, "outputs", (output,))),
            dynamic_shapes=({0: torch.export.Dim("slices", min=1, max=4096)},),
            opset_version=18,
            dynamo=True,
            optimize=False,
            verbose=False,
        )
    partial = path.with_name(path.name + ".part")
    model = store_halves(program.model_proto) if halves else program.model_proto
    drop_notes(model)
    partial.write_bytes(model.SerializeToString())
    partial.replace(path)


def largest_difference(
    entry: Entry,
    checks: Sequence[NDArray[np.float32]],
    wanted: Sequence[Sequence[NDArray[np.float32]]],
) -> float:
    """Return the largest difference between the answers of ONNX Runtime and of the network.

    All outputs are compared; where the answers of one exceed 1, as a share of the largest.
    """
    model = Model(entry)
    found = [tuple(model.run_all(one).values()) for one in checks]
    gaps = []
    for own, others in zip(zip(*found, strict=True), zip(*wanted, strict=True), strict=True):
        gap = max(float(np.abs(a - b).max()) for a, b in zip(own, others, strict=True))
        gaps.append(gap / max(1.0, *(float(np.abs(one).max()) for one in others)))
    return max(gaps)


def _all(answer: Any) -> tuple[NDArray[np.float32], ...]:
    """Return the outputs of a module, one or several, as arrays."""
    several = answer if isinstance(answer, tuple) else (answer,)
    return tuple(one.numpy() for one in several)


def _card(recipe: Recipe, network: nn.Module, origins: Origins, path: Path) -> ModelCard:
    facts = recipe.facts
    config = TypeAdapter(type(recipe.config)).dump_python(recipe.config, mode="json")
    return ModelCard(
        name=origins.name,
        task=facts.task,
        system=recipe.system,
        preset=recipe.preset,
        summary=facts.summary,
        architecture=facts.architecture,
        architecture_config=config,
        parameters=sum(one.numel() for one in network.parameters()),
        sha256=sha256_of(path.read_bytes()),
        licence=origins.licence,
        training_data=origins.training_data,
        labels=facts.labels,
        thresholds=facts.thresholds,
        preparation=facts.preparation,
        limits=facts.limits,
        folds_seen=origins.folds_seen,
        familiarity=origins.familiarity,
        leak=origins.leak,
        split_sha256=origins.split_sha256,
        versions=versions(),
    )


def rename_model(entry: Entry, name: str) -> Entry:
    """Return the entry under another name, its card rewritten."""
    card = replace(entry.card, name=name)
    write_card(card, card_path(entry.path))
    return Entry(card, entry.path, entry.origin)
