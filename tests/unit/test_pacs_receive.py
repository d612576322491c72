"""Images and the end of their connection are told by different threads, in any order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from groundglass.pacs.receive import OK, Receiver
from groundglass.pacs.spool import Spool
from groundglass.pacs.study import Instance, Limits, Note, State
from tests.series import block, make_slices


class Call:
    """A connection, as an event names it."""

    class requestor:  # noqa: N801
        ae_title = "SENDER"


class Event:
    """What the library tells."""

    def __init__(self, call: Call, dataset: Dataset | None = None) -> None:
        self.assoc = call
        self._dataset = dataset

    def encoded_dataset(self) -> bytes:
        file = BytesIO()
        assert self._dataset is not None
        self._dataset.save_as(file, enforce_file_format=True)
        return file.getvalue()


class LateSpool(Spool):
    """A queue in which the connection ends while an image is kept."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, Limits(reserve_bytes=0))
        self.ends: list[Callable[[], None]] = []

    def add(self, instance: Instance, sender_ae: str, received: str, *, first: bool = False) -> str:
        key = super().add(instance, sender_ae, received, first=first)
        for end in self.ends:
            end()
        return key


@pytest.fixture
def images() -> list[Dataset]:
    return make_slices(block((3, 16, 16)))


def only_note(spool: Spool) -> Note:
    (key,) = spool.keys(State.INCOMING)
    return spool.note(key, State.INCOMING)


@pytest.mark.parametrize("before", [0, 1, 2], ids=["first", "second", "third"])
def test_a_connection_lost_while_an_image_is_kept_counts(
    before: int, images: list[Dataset], tmp_path: Path
) -> None:
    spool = LateSpool(tmp_path)
    receiver, call = Receiver(spool), Call()
    for dataset in images[:before]:
        assert receiver.on_store(Event(call, dataset)) == OK
    spool.ends.append(lambda: receiver.on_close(Event(call)))
    assert receiver.on_store(Event(call, images[before])) == OK
    note = only_note(spool)
    assert (note.open, note.reason) == (
        0,
        "the connection was lost while the study came in; send it again",
    )


def test_an_image_kept_after_its_connection_was_lost_counts(
    images: list[Dataset], tmp_path: Path
) -> None:
    spool = Spool(tmp_path, Limits(reserve_bytes=0))
    receiver, call = Receiver(spool), Call()
    receiver.on_close(Event(call))
    assert receiver.on_store(Event(call, images[0])) == OK
    assert only_note(spool).broken_at is not None
    assert only_note(spool).open == 0


@pytest.mark.parametrize("late", [False, True])
def test_a_release_counts_whatever_comes_after_it(
    late: bool, images: list[Dataset], tmp_path: Path
) -> None:
    spool = LateSpool(tmp_path)
    receiver, call = Receiver(spool), Call()
    receiver.on_store(Event(call, images[0]))
    ends = [receiver.on_release, receiver.on_close]
    spool.ends += [partial(end, Event(call)) for end in ends if late]
    receiver.on_store(Event(call, images[1]))
    for end in ends:
        end(Event(call))
    note = only_note(spool)
    assert (note.open, note.broken_at, note.reason) == (0, None, "")


def test_another_connection_that_carries_the_study_stays_counted(
    images: list[Dataset], tmp_path: Path
) -> None:
    spool = Spool(tmp_path, Limits(reserve_bytes=0))
    receiver, one, other = Receiver(spool), Call(), Call()
    for call in (one, other):
        receiver.on_store(Event(call, images[0]))
    assert only_note(spool).open == 2
    receiver.on_release(Event(one))
    assert only_note(spool).open == 1
    receiver.on_close(Event(other))
    assert only_note(spool).open == 0
    assert only_note(spool).broken_at is not None
