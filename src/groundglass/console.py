"""What the command line says and how: progress, errors, silence of the libraries below."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from groundglass.core.progress import OnProgress, Progress, silent

DEBUG_VARIABLE = "GROUNDGLASS_DEBUG"
"""Environment variable that brings tracebacks and library messages back when set."""


def debugging() -> bool:
    """Return whether tracebacks are wanted."""
    return bool(os.environ.get(DEBUG_VARIABLE))


def out_console() -> Console:
    """Return the console for results."""
    return Console(file=sys.stdout, highlight=False)


def complain(text: str) -> None:
    """Say one sentence on stderr, unwrapped so that it can be searched for."""
    Console(file=sys.stderr, highlight=False, markup=False, soft_wrap=True).print(text)


@contextmanager
def hushed() -> Iterator[TextIO]:
    """Keep what libraries print, in Python or below it, from both streams.

    Yields
    ------
    text stream
        Reaches the real stderr while the hush lasts.
    """
    if debugging():
        yield sys.stderr
        return
    with warnings.catch_warnings(), _no_descriptors() as talk:
        warnings.simplefilter("ignore")
        root = logging.getLogger()
        quiet = logging.NullHandler()
        root.addHandler(quiet)
        try:
            yield talk
        finally:
            root.removeHandler(quiet)


@contextmanager
def _no_descriptors() -> Iterator[TextIO]:
    """Point file descriptors 1 and 2 to nowhere; C libraries write there."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    try:
        kept = [os.dup(number) for number in (1, 2)]
    except OSError:
        yield sys.stderr
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)
    talk = _talk(kept[1])
    try:
        yield talk
    finally:
        for stream in (sys.stdout, sys.stderr, talk):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def _talk(copy: int) -> TextIO:
    """Return a stream to the kept stderr, or to what stands in for it."""
    try:
        real = sys.stderr.fileno() == 2
    except (OSError, ValueError, io.UnsupportedOperation):
        real = False
    if not real:
        return sys.stderr
    return open(copy, "w", encoding="utf-8", errors="replace", closefd=False)


@contextmanager
def progress_bar(talk: TextIO, *, quiet: bool) -> Iterator[OnProgress]:
    """Draw a bar on a terminal, one line a stage elsewhere, nothing if ``quiet``."""
    console = Console(file=talk, highlight=False)
    if quiet:
        yield silent
    elif not console.is_terminal:
        yield _StageLines(console)
    else:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
        )
        with Bar(*columns, console=console, transient=True) as bar:
            task = bar.add_task("starting", total=None)

            def show(told: Progress) -> None:
                bar.update(
                    task,
                    description=told.stage,
                    completed=told.done,
                    total=told.total or None,
                )

            yield show


class _StageLines:
    """Prints the name of every new stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""

    def __call__(self, told: Progress) -> None:
        if told.stage != self._last:
            self._last = told.stage
            self._console.print(told.stage)
