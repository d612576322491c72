"""Tiny networks as ONNX files, made by hand, with cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from groundglass.models.card import (
    ModelCard,
    Preparation,
    Scale,
    Task,
    card_path,
    sha256_of,
    write_card,
)


def onnx_bytes(
    channels: int = 1, labels: int = 1, weight: float = 8.0, bias: float = -4.0
) -> bytes:
    """Return a network that answers sigmoid(weight * input + bias) on every label."""
    from onnx import TensorProto, helper, numpy_helper

    kernel = np.full((labels, channels, 1, 1), weight / channels, np.float32)
    shape: list[str | int | None] = ["batch", channels, "rows", "columns"]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "kernel", "bias"], ["logits"]),
            helper.make_node("Sigmoid", ["logits"], ["probability"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(
                "probability", TensorProto.FLOAT, ["batch", labels, "rows", "columns"]
            )
        ],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.full(labels, bias, np.float32), "bias"),
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    made: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return made


def classifier_bytes(cells: int = 8, weight: float = 40.0) -> bytes:
    """Return a classifier with a linear head: dark raises the first label, bright the second.

    Its maps are the means of cells of the input in which what is above 0.7, and what is below 0.3,
    remains.
    """
    from onnx import TensorProto, helper, numpy_helper

    kernels = np.array([-1.0, 1.0], np.float32).reshape(2, 1, 1, 1)
    head = weight * np.eye(2, dtype=np.float32)
    constants = {
        "kernels": kernels,
        "shifts": np.array([0.3, -0.7], np.float32),
        "head": head,
        "head_kernels": head[:, :, None, None],
        "bias": np.array([0.5, -0.5], np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["tones", "kernels", "shifts"], ["raised"]),
            helper.make_node("Relu", ["raised"], ["kept"]),
            helper.make_node(
                "AveragePool", ["kept"], ["maps"], kernel_shape=[cells] * 2, strides=[cells] * 2
            ),
            helper.make_node("GlobalAveragePool", ["maps"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["features"]),
            helper.make_node("Gemm", ["features", "head", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
            helper.make_node("Conv", ["maps", "head_kernels"], ["weighted"]),
            helper.make_node("Div", ["weighted", "places"], ["attention"]),
        ],
        "classifier",
        [helper.make_tensor_value_info("tones", TensorProto.FLOAT, ["n", 1, 32, 32])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info("attention", TensorProto.FLOAT, ["n", 2, None, None]),
        ],
        [
            *(numpy_helper.from_array(one, name) for name, one in constants.items()),
            numpy_helper.from_array(np.array((32 // cells) ** 2, np.float32), "places"),
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    made: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return made


def write_classifier(folder: Path, **changes: Any) -> Path:
    """Write a tiny classifier with its card; return its path."""
    data = classifier_bytes()
    values: dict[str, Any] = {
        "name": "tiny-classes",
        "task": Task.CLASSES,
        "system": "covid-ct",
        "labels": ("other", "COVID-19"),
        "thresholds": {"COVID-19": 0.5},
        "preparation": Preparation(Scale.BYTES, (-1150.0, 150.0), (32, 32)),
        "training_data": ("drawn pictures",),
    }
    card = card_for(data, **{**values, **changes})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card.name}.onnx"
    path.write_bytes(data)
    write_card(card, card_path(path))
    return path


def card_for(data: bytes, **changes: Any) -> ModelCard:
    """Return a card that fits a network."""
    values: dict[str, Any] = {
        "name": "tiny",
        "task": Task.INFECTION,
        "system": "covid-rate",
        "preset": "ours",
        "summary": "A test.",
        "architecture": "Conv1x1",
        "architecture_config": {"weight": 8.0, "nested": {"widths": [1, 2]}},
        "parameters": 2,
        "sha256": sha256_of(data),
        "licence": "Apache-2.0",
        "training_data": ("none",),
        "labels": ("infection",),
        "thresholds": {"infection": 0.5},
        "preparation": Preparation(size=(32, 32)),
    }
    return ModelCard(**{**values, **changes})


def write_model(folder: Path, **changes: Any) -> Path:
    """Write a tiny network with its card; return its path. Weight and bias are the network's."""
    numbers = {name: changes.pop(name) for name in ("weight", "bias") if name in changes}
    data = onnx_bytes(labels=len(changes.get("labels", ("infection",))), **numbers)
    card = card_for(data, **changes)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card.name}.onnx"
    path.write_bytes(data)
    write_card(card, card_path(path))
    return path


def write_regressor(folder: Path, **changes: Any) -> None:
    """Write a network that answers 100 times the mean of its input, with its card."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("Mul", ["flat", "hundred"], ["percent"]),
        ],
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 64, 64])],
        [helper.make_tensor_value_info("percent", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor("hundred", TensorProto.FLOAT, [1], [100.0])],
    )
    opsets = [helper.make_opsetid("", 17)]
    content = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    card = card_for(
        content,
        name="bright",
        task=Task.PERCENT,
        system="per-covid-19",
        labels=("percent",),
        thresholds={},
        preparation=Preparation(Scale.BYTES, (-1350.0, 150.0), (64, 64)),
        **changes,
    )
    folder.mkdir()
    (folder / "bright.onnx").write_bytes(content)
    write_card(card, card_path(folder / "bright.onnx"))
