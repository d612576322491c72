"""PNG and JPEG pictures, alone and in folders."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from tests.fuzzing.case import Build, Case, Random, chest_hu, cut, flipped, spoilt, write

MODES = dict.fromkeys(("1", "P", "L", "LA", "RGB", "RGBA", "I;16"), "png") | dict.fromkeys(
    ("CMYK", "YCbCr", "LAB", "I", "F"), "tif"
)
"""Modes and the format that holds them."""


def cases() -> Iterator[Case]:
    """Yield pictures."""
    for suffix in ("png", "jpg"):
        make = _sound_maker(suffix)
        for share in (0.0, 0.01, 0.2, 0.9):
            yield Case(suffix, f"cut to {share}", spoilt(f"a.{suffix}", make, cut(share)))
        for number in range(8):
            yield Case(suffix, f"flipped {number}", spoilt(f"a.{suffix}", make, flipped(6, 8)))
    for mode, suffix in MODES.items():
        yield Case(suffix, f"mode {mode}", write(f"a.{suffix}", partial(_in_mode, mode, suffix)))
    yield from _headers()
    for name in STRANGE:
        yield Case("png", name, write("a.png", partial(_strange, name)))
    yield from _special()
    yield from _folders()


@lru_cache(maxsize=1)
def grey() -> NDArray[np.uint8]:
    """Return a slice of the chest in a lung window, 192 pixels wide."""
    hu = chest_hu()[9].repeat(3, axis=0).repeat(3, axis=1).astype(np.float32)
    return np.asarray(np.clip((hu + 1250) / 1400 * 255, 0, 255), dtype=np.uint8)


def encoded(values: NDArray[Any], suffix: str, **options: Any) -> bytes:
    """Return values as a picture."""
    stream = BytesIO()
    kind = {"jpg": "JPEG", "png": "PNG", "tif": "TIFF"}[suffix]
    Image.fromarray(values).save(stream, kind, **options)
    return stream.getvalue()


def _sound_maker(suffix: str) -> Any:
    return lambda: encoded(grey(), suffix)


def _in_mode(mode: str, suffix: str) -> bytes:
    if mode in ("I;16", "F"):
        return encoded(grey().astype(np.uint16 if mode == "I;16" else np.float32) * 16, suffix)
    stream = BytesIO()
    picture = Image.fromarray(grey())
    if mode == "LAB":
        here, there = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        turned = ImageCms.profileToProfile(picture.convert("RGB"), here, there, outputMode="LAB")
        assert turned is not None
        picture = turned
    else:
        picture = picture.convert("RGB").convert("L" if mode == "I" else mode).convert(mode)
    picture.save(stream, "PNG" if suffix == "png" else "TIFF")
    return stream.getvalue()


def _png(width: int, height: int, depth: int = 8, colour: int = 0, data: bytes = b"") -> bytes:
    """Return a PNG file that says what it is told to."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _headers() -> Iterator[Case]:
    for width, height in ((0, 0), (1, 1), (2**31 - 1, 2**31 - 1), (60000, 60000), (64, 2**30)):
        yield Case("png", f"says {width} x {height}", write("a.png", _png(width, height)))
    yield Case("png", "depth 3", write("a.png", _png(64, 64, depth=3)))
    yield Case("png", "colour type 5", write("a.png", _png(64, 64, colour=5)))
    bomb = partial(_png, 60_000, 1000, data=bytes(1000))
    yield Case("png", "wide and cut off", write("a.png", bomb))
    yield Case("png", "bomb", write("a.png", lambda: _png(9000, 9000, data=bytes(81_009_000))))


STRANGE: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "black": np.zeros_like,
    "white": lambda grey: np.full_like(grey, 255),
    "noise": lambda grey: np.random.default_rng(5).integers(0, 256, grey.shape).astype(np.uint8),
    "inverted": lambda grey: 255 - grey,
    "one pixel": lambda grey: grey[:1, :1],
    "one row": lambda grey: grey[:1],
    "two levels": lambda grey: (grey > 100).astype(np.uint8) * 255,
    "ramp": lambda _: np.add.outer(np.arange(128), np.arange(128)).astype(np.uint8),
    "marks": lambda grey: np.stack([np.where(grey > 200, 0, grey), grey, grey], -1),
    "lung cropped": lambda grey: grey[40:150, 20:170],
    "sixteen bits of HU": lambda _: (chest_hu()[9].astype(np.int32) + 32768).astype(np.uint16),
}
"""Pictures made from a slice of the chest."""


def _strange(name: str) -> bytes:
    return encoded(np.ascontiguousarray(STRANGE[name](grey())), "png")


def _special() -> Iterator[Case]:
    yield Case("png", "animated", write("a.png", _animated))
    yield Case("jpg", "turned", write("a.jpg", _turned))
    yield Case("png", "text bomb", write("a.png", _with_text))
    yield Case("png", "is a jpeg", write("a.png", lambda: encoded(grey(), "jpg")))
    yield Case("png", "no suffix", write("picture", lambda: encoded(grey(), "png")))
    yield Case("gif", "picture", write("a.gif", _gif))


def _animated() -> bytes:
    frames = [Image.fromarray(grey()), Image.fromarray(255 - grey())]
    stream = BytesIO()
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def _turned() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return encoded(grey(), "jpg", exif=exif.tobytes())


def _with_text() -> bytes:
    notes = PngInfo()
    notes.add_text("note", "x" * 80_000_000, zip=True)
    return encoded(grey(), "png", pnginfo=notes)


def _gif() -> bytes:
    stream = BytesIO()
    Image.fromarray(grey()).save(stream, "GIF")
    return stream.getvalue()


def _folder_of(make: Callable[[], dict[str, bytes]]) -> Build:
    def build(folder: Path, _: Random) -> Path:
        for name, data in make().items():
            (folder / name).write_bytes(data)
        return folder

    return build


@lru_cache(maxsize=1)
def _stack() -> dict[str, bytes]:
    return dict.fromkeys((f"slice{i}.png" for i in range(12)), encoded(grey(), "png"))


@lru_cache(maxsize=1)
def _deep() -> dict[str, bytes]:
    deep = (chest_hu()[9] + 1024).astype(np.uint16)
    return dict.fromkeys((f"{i}.tif" for i in range(8)), encoded(deep, "tif"))


def _half(suffix: str) -> bytes:
    return encoded(grey()[::2, ::2].astype(np.uint16 if suffix == "tif" else np.uint8), suffix)


def _folders() -> Iterator[Case]:
    makers: dict[str, Callable[[], dict[str, bytes]]] = {
        "sound": _stack,
        "of two sizes": lambda: _stack() | {f"h{i}.png": _half("png") for i in range(3)},
        "one damaged": lambda: _stack() | {"slice5.png": _stack()["slice5.png"][:300]},
        "all damaged": lambda: {name: data[:60] for name, data in _stack().items()},
        "with junk": lambda: _stack() | {"Thumbs.db": b"junk", "a.txt": b""},
        "png and jpeg": lambda: _stack() | {"z.jpg": encoded(grey(), "jpg")},
        "tiff slices": _deep,
        "tiff of two sizes": lambda: _deep() | {"9.tif": _half("tif")},
        "tiff and png": lambda: _deep() | _stack(),
    }
    for name, make in makers.items():
        yield Case("pictures", name, _folder_of(make))
