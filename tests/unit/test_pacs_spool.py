from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pytest

from groundglass.errors import PacsError
from groundglass.pacs.listen import Listen, listen, read_callers
from groundglass.pacs.nodes import Login, Peer, Web, parse_node, require_ae
from groundglass.pacs.receive import parse_instance
from groundglass.pacs.rules import Rules, SeriesFacts, decide, read_rules
from groundglass.pacs.spool import Spool, spool_summary
from groundglass.pacs.study import FullError, Instance, Limits, State, digest
from groundglass.pacs.work import Plan, Worker, last_words
from tests.series import block, make_slices

STUDY = "1.2.826.0.1.77"
KEY = digest(STUDY)


def instance(number: int, data: bytes = b"x" * 100, study: str = STUDY) -> Instance:
    return Instance(study, f"{study}.1", f"{study}.1.{number}", data)


def filled(root: Path, numbers: Sequence[int] = range(5), **limits: int) -> Spool:
    spool = Spool(root, Limits(reserve_bytes=0, **limits))
    for number in numbers:
        spool.add(instance(number), "SENDER", "2026-01-01T00:00:00+00:00")
    return spool


def images(spool: Spool, state: State, among: str = "instances") -> int:
    return len(list(spool.path(KEY, state).glob(f"{among}/*/*.dcm")))


def test_instances_are_kept_once(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    assert spool.add(instance(3, b"other"), "SENDER", "later") == KEY
    assert images(spool, State.INCOMING) == 5
    kept = next(spool.path(KEY, State.INCOMING).glob(f"*/*/{digest(f'{STUDY}.1.3')}.dcm"))
    assert kept.read_bytes() == b"x" * 100
    note = spool.note(KEY, State.INCOMING)
    assert (note.study_uid, note.sender_ae, note.received[:4]) == (STUDY, "SENDER", "2026")


def test_nothing_of_the_patient_is_in_a_name_or_in_the_overview(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    names = " ".join(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert STUDY not in names
    assert STUDY not in spool_summary(spool)
    row = json.loads(spool_summary(spool))[0]
    assert (row["state"], row["images"], row["from"]) == ("incoming", 5, "SENDER")
    assert (tmp_path.stat().st_mode & 0o777) == 0o700


@pytest.mark.parametrize("limits", [{"instances": 5}, {"bytes": 520}])
def test_a_study_that_is_too_large_is_refused_and_the_rest_kept(
    limits: dict[str, int], tmp_path: Path
) -> None:
    spool = filled(tmp_path, range(5), **limits)
    with pytest.raises(FullError):
        spool.add(instance(9), "SENDER", "")
    assert images(spool, State.INCOMING) == 5
    spool.add(instance(1), "SENDER", "")
    spool.add(instance(1, study="1.2.3.9"), "SENDER", "")
    again = Spool(tmp_path, spool.limits)
    with pytest.raises(FullError):
        again.add(instance(9), "SENDER", "")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = filled(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        spool.add(instance(9), "SENDER", "")
    assert images(spool, State.INCOMING) == 5
    assert not list(tmp_path.rglob(".part-*"))


def test_a_disk_that_is_nearly_full_takes_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, Limits(reserve_bytes=1 << 60))
    with pytest.raises(FullError):
        spool.add(instance(1), "SENDER", "")


def test_what_a_kill_left_is_taken_up_again(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    spool.move(KEY, State.INCOMING, State.READY)
    spool.move(KEY, State.READY, State.WORKING, attempts=1)
    series = next(spool.path(KEY, State.WORKING).glob("instances/*"))
    (series / ".part-abc").write_bytes(b"half")
    assert Spool(tmp_path).recover() == 1
    assert spool.find(KEY) is State.READY
    assert spool.note(KEY, State.READY).attempts == 1
    assert not list(tmp_path.rglob(".part-*"))


def test_a_study_that_was_coming_in_when_the_node_was_killed_is_not_taken_for_whole(
    tmp_path: Path,
) -> None:
    spool = filled(tmp_path, ())
    spool.add(instance(1), "SENDER", "", first=True)
    spool.add(instance(2), "SENDER", "")
    again = Spool(tmp_path, spool.limits)
    again.recover()
    assert not Worker(again, Plan(quiet_seconds=0.0)).step()
    note = again.note(KEY, State.FAILED)
    assert note.reason == "the listener was stopped while the study came in; send it again"
    again.add(instance(3), "SENDER", "", first=True)
    again.set_down(KEY, time.time())
    note = again.note(KEY, State.INCOMING)
    assert (note.broken_at, note.open, note.reason) == (None, 0, "")
    assert images(again, State.INCOMING) == 3


def test_the_quiet_time_begins_anew_with_the_node(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    os.utime(spool.path(KEY, State.INCOMING) / "touched", (1.0, 1.0))
    spool.recover()
    assert spool.idle_seconds(KEY) < 60
    assert spool.note(KEY, State.INCOMING).broken_at is None


def test_a_study_of_which_nothing_was_acknowledged_is_none(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    home = spool.path(KEY, State.INCOMING) / "instances" / "series"
    home.mkdir(parents=True)
    (home / ".part-abc").write_bytes(b"half")
    spool.recover()
    assert spool.find(KEY) is None


def test_a_study_without_a_sender_gets_it_with_the_next_image(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    (spool.path(KEY, State.INCOMING) / "study.json").unlink()
    spool.move(KEY, State.INCOMING, State.DONE, reason="the study holds no image")
    spool.add(instance(9), "SENDER", "now", first=True)
    note = spool.note(KEY, State.INCOMING)
    assert (note.study_uid, note.sender_ae, note.open, note.reason) == (STUDY, "SENDER", 1, "")


def test_what_is_noted_late_makes_no_second_study(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    spool.move(KEY, State.INCOMING, State.READY)
    spool.drop(KEY, "the connection was lost")
    spool.set_down(KEY, time.time())
    with pytest.raises(OSError, match="No such file"):
        spool.change(KEY, State.INCOMING, reason="late")
    assert [row[:2] for row in spool.overview()] == [(KEY, State.READY)]
    assert spool.note(KEY, State.READY).broken_at is None


def test_two_listeners_do_not_share_a_folder(tmp_path: Path) -> None:
    handle = Spool(tmp_path).lock()
    with pytest.raises(PacsError, match="another listener"):
        Spool(tmp_path).lock()
    os.close(handle)
    os.close(Spool(tmp_path).lock())


@pytest.mark.parametrize("state", [State.READY, State.FAILED, State.DONE])
def test_new_images_reopen_a_study_without_result(state: State, tmp_path: Path) -> None:
    spool = filled(tmp_path)
    spool.move(KEY, State.INCOMING, state)
    spool.add(instance(2), "SENDER", "")
    assert spool.find(KEY) is state
    spool.add(instance(9), "SENDER", "")
    assert spool.find(KEY) is State.INCOMING
    assert images(spool, State.INCOMING) == 6


@pytest.mark.parametrize("state", [State.WORKING, State.DONE])
def test_images_that_come_late_are_kept_aside(state: State, tmp_path: Path) -> None:
    spool = filled(tmp_path)
    spool.move(KEY, State.INCOMING, state, result="result-1")
    for number in (2, 9):
        spool.add(instance(number), "SENDER", "")
    assert spool.find(KEY) is state
    assert (images(spool, state), images(spool, state, "late")) == (5, 1)


def test_a_finished_study_is_analyzed_again_only_if_asked(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    spool.move(KEY, State.INCOMING, State.DONE, result="result-1")
    spool.add(instance(9), "SENDER", "")
    assert not spool.again(KEY)
    assert spool.again(KEY, analyze=True)
    assert images(spool, State.READY) == 6
    assert spool.note(KEY, State.READY).result is None


def test_a_failed_return_is_tried_again_without_analyzing(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    spool.move(KEY, State.INCOMING, State.FAILED, result="result-1", sends=5, reason="gone")
    assert spool.again(KEY)
    note = spool.note(KEY, State.READY)
    assert (note.result, note.sends, note.reason) == ("result-1", 0, "")


def test_a_study_whose_connection_broke_waits_to_be_sent_again(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    worker = Worker(spool, Plan(quiet_seconds=0.0))
    spool.drop(KEY, "the connection was lost")
    assert not worker.step()
    assert "send it again" in spool.note(KEY, State.FAILED).reason
    spool.add(instance(2), "SENDER", "")
    assert spool.find(KEY) is State.INCOMING


def test_what_no_program_can_read_fails_alone(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    worker = Worker(spool, Plan(quiet_seconds=0.0))
    assert not worker.step()
    assert spool.find(KEY) is State.FAILED
    assert "failed in a way it should not" in spool.note(KEY, State.FAILED).reason


def test_finished_studies_are_forgotten_if_asked(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    spool.move(KEY, State.INCOMING, State.DONE)
    Worker(spool, Plan(keep_days=1.0)).step()
    assert spool.find(KEY) is State.DONE
    Worker(spool, Plan(keep_days=0.0)).step()
    assert spool.find(KEY) is None


class Analysis(Worker):
    """A worker whose analysis is given."""

    def __init__(self, spool: Spool, plan: Plan, code: int, said: str = "") -> None:
        super().__init__(spool, plan)
        self.answer = code, said
        self.runs = 0

    def _run(self, series: Path, out: Path) -> tuple[int, str]:
        assert len(list(series.rglob("*.dcm"))) == 24
        (out / "dicom").mkdir(parents=True)
        for name in ("seg.dcm", "sr.dcm"):
            shutil.copy(next(series.rglob("*.dcm")), out / "dicom" / name)
        self.runs += 1
        return self.answer


def ct_study(root: Path) -> tuple[Spool, str]:
    spool = Spool(root, Limits(reserve_bytes=0))
    for dataset in make_slices(block((24, 16, 16))):
        file = BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        one = parse_instance(file.getvalue())
        assert one is not None
        key = spool.add(one, "SENDER", "")
    return spool, key


def test_a_study_goes_through_the_queue_once(tmp_path: Path) -> None:
    spool, key = ct_study(tmp_path)
    worker = Analysis(spool, Plan(quiet_seconds=0.0, return_to=None), 0)
    assert worker.step()
    assert not worker.step()
    assert (spool.find(key), worker.runs) == (State.DONE, 1)
    assert spool.again(key, analyze=True)
    assert worker.step()
    assert (spool.find(key), worker.runs) == (State.DONE, 2)
    assert len(list(spool.path(key, State.DONE).glob("result-*"))) == 1


def test_a_refused_study_is_kept_with_its_reason(tmp_path: Path) -> None:
    spool, key = ct_study(tmp_path)
    Analysis(spool, Plan(quiet_seconds=0.0), 1, "Not analyzed: no lung was found.").step()
    assert spool.find(key) is State.FAILED
    assert spool.note(key, State.FAILED).reason == "Not analyzed: no lung was found."


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_results_nobody_takes_are_offered_again_without_analyzing(tmp_path: Path) -> None:
    spool, key = ct_study(tmp_path)
    worker = Analysis(spool, Plan(quiet_seconds=0.0), 0)
    worker.step()
    assert "nobody said where SENDER listens" in spool.note(key, State.FAILED).reason
    spool.again(key)
    plan = Plan(quiet_seconds=0.0, return_to=Peer("GONE", "127.0.0.1", 1))
    worker = Analysis(spool, plan, 0)
    worker.step()
    note = spool.note(key, State.READY)
    assert (worker.runs, note.sends, spool.find(key)) == (0, 1, State.READY)
    assert note.not_before > time.time()
    assert not worker.step()


def test_identifiers_stay_out_of_the_reason() -> None:
    said = "reading\nNot analyzed: of 2 series none fits: 1.2.840.113619.2.55.3.6, 168 images.\n\n"
    assert last_words(said) == "Not analyzed: of 2 series none fits: (UID), 168 images."
    assert last_words("\n") == ""


def test_an_analysis_that_never_answers_is_given_up(tmp_path: Path) -> None:
    spool, key = ct_study(tmp_path)
    worker = Analysis(spool, Plan(quiet_seconds=0.0), 0)
    spool.change(key, State.INCOMING, attempts=5)
    worker.step()
    assert "ended 5 times without an answer" in spool.note(key, State.FAILED).reason
    assert worker.runs == 0


def test_an_analysis_ended_by_somebody_else_is_tried_again(tmp_path: Path) -> None:
    spool, key = ct_study(tmp_path)
    Analysis(spool, Plan(quiet_seconds=0.0), -9).step()
    note = spool.note(key, State.READY)
    assert note.reason == "the analysis was ended by signal 9 and is tried again"
    assert note.attempts == 1
    assert note.not_before > time.time()


def test_an_analysis_is_stopped_and_taken_up_again(tmp_path: Path) -> None:
    spool, key = ct_study(tmp_path)
    worker = Analysis(spool, Plan(quiet_seconds=0.0), -9)
    worker.stop()
    worker.step()
    assert spool.find(key) is State.READY
    assert spool.note(key, State.READY).attempts == 0


FACTS = SeriesFacts("a", "CT", "CHEST", "Thorax  Lung 1.0", "CT Thorax", 120)


@pytest.mark.parametrize(
    ("rules", "facts", "why"),
    [
        (Rules(), {}, ""),
        (Rules(), {"modality": "MR"}, "modality"),
        (Rules(), {"slices": 3}, "fewer than 20 slices"),
        (Rules(body_parts=("chest",)), {}, ""),
        (Rules(body_parts=("CHEST",)), {"body_part": ""}, ""),
        (Rules(body_parts=("CHEST",)), {"body_part": "HEAD"}, "body part"),
        (Rules(series_like=("*thorax lung*", "x")), {}, ""),
        (Rules(series_like=("*abdomen*",)), {}, "series description"),
        (Rules(series_unlike=("*LUNG*",)), {}, "series description that is left out"),
        (Rules(studies_like=("*head*",)), {}, "study description"),
    ],
)
def test_rules(rules: Rules, facts: dict[str, object], why: str) -> None:
    from dataclasses import replace

    decision = decide([replace(FACTS, **facts)], rules)  # type: ignore[arg-type]
    assert decision.series == (() if why else ("a",))
    assert why in decision.reason
    assert "Thorax" not in decision.reason


def test_rules_are_read_from_a_file_and_slips_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text('{"series_like": ["*lung*"], "least_slices": 30}')
    assert read_rules(path) == Rules(series_like=("*lung*",), least_slices=30)
    path.write_text('{"modality": "CT"}')
    with pytest.raises(ValueError, match="unknown configuration key 'modality'"):
        read_rules(path)
    assert decide([], Rules()).reason == "the study holds no image"


def test_nodes_are_named_in_two_ways() -> None:
    assert parse_node("PACS@10.0.0.7:104") == Peer("PACS", "10.0.0.7", 104)
    assert parse_node("A B@[::1]:11112") == Peer("A B", "::1", 11112)
    assert parse_node("https://pacs/dicom-web/") == Web("https://pacs/dicom-web")
    for wrong in ("PACS", "PACS@host", "PACS@host:0", "PACS@host:70000", "@host:104", "ftp://x"):
        with pytest.raises(ValueError, match="AE"):
            parse_node(wrong)
    with pytest.raises(ValueError, match="1 to 16"):
        require_ae("A" * 17)
    assert "secret" not in repr(Login("secret", "name", "secret"))
    assert read_callers(["A", "B@h:1"]) == (("A", "B"), {"B": Peer("B", "h", 1)})


def test_beyond_this_machine_callers_must_be_named(tmp_path: Path) -> None:
    settings = Listen("GG", 0, tmp_path, Plan(), bind="0.0.0.0")
    with pytest.raises(PacsError, match="--allow"):
        listen(settings, threading.Event())
    settings = Listen("GG", 0, tmp_path, Plan())
    with pytest.raises(PacsError, match="nobody said where it listens"):
        listen(settings, threading.Event())
