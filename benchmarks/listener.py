"""How many studies an hour the listening node does, and what kills do to ten in a row.

    python benchmarks/listener.py DATA --rate                      # whole series, default settings
    python benchmarks/listener.py DATA --kills --every 6 --shrink 4 --rule    # thinned: quicker

``DATA`` is the folder of COVID-CT-MD. Every study is a copy of one of its series with fresh UIDs
in the transfer syntax it has; ``--every N`` takes every Nth slice, ``--shrink N`` every Nth row and
column, uncompressed; ``--rule`` analyzes by rules alone. The node is the real command,
``groundglass pacs listen``, in a process of its own with its queue in a new folder; studies go to
it over DIMSE, and results come back over DIMSE to a receiver here that notes every object.

``--rate`` sends three studies and reports how many an hour that makes, and the processor time of
the node with its analyses. ``--kills`` sends ten, one after the other, and meanwhile kills the node
(and with it the analysis) or the analysis alone with SIGKILL, ten times at random moments, a third
of them while images come in, and starts it again. The sender sends a study again when it was not
told that every image was stored; when all is quiet, studies whose reason asks to be sent again are.
A study is *lost* if it does not end as done with all its images and with results returned, and
*doubled* if more than one SEG, SR or PDF came back for it, by UID or by content.
Without one of both options both are done.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import pydicom

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.analyze_time import machine
from benchmarks.listener_studies import SERIES, Returned, Study, image, make_studies, receiver

RESULTS = Path(__file__).parent / "results" / "listener.json"
STATES = ("incoming", "ready", "working", "done", "failed")
RULE = '{"infection_method": "training-free", "cross_check": false}'
QUIET_SECONDS = 3.0
PATIENCE_SECONDS = 7200.0


def main() -> None:
    """Measure, print, and write the JSON; what was not measured stays as it was."""
    arguments = parse()
    warnings.simplefilter("ignore")
    report = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    both = not (arguments.rate or arguments.kills)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    for name, asked, measure in (("rate", arguments.rate, rate), ("kills", arguments.kills, kills)):
        if asked or both:
            with tempfile.TemporaryDirectory() as scratch:
                report[name] = {**about(arguments), **measure(arguments, Path(scratch))}
            arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of COVID-CT-MD")
    parser.add_argument("--rate", action="store_true", help="measure studies an hour")
    parser.add_argument("--kills", action="store_true", help="kill the node at random moments")
    parser.add_argument("--every", type=int, default=1, help="take every Nth slice")
    parser.add_argument("--shrink", type=int, default=1, help="take every Nth row and column")
    parser.add_argument("--rule", action="store_true", help="analyze by rules, without networks")
    parser.add_argument("--seed", type=int, default=7, help="of the moments of the kills")
    parser.add_argument("--output", type=Path, default=RESULTS)
    return parser.parse_args()


def studies_for(arguments: argparse.Namespace, folder: Path, count: int) -> list[Study]:
    """Write the studies."""
    return make_studies(arguments.data, folder, count, arguments.every, arguments.shrink)


def about(arguments: argparse.Namespace) -> dict[str, Any]:
    """Describe how it was measured."""
    return {
        "machine": machine(),
        "groundglass": metadata.version("groundglass"),
        "every_nth_slice": arguments.every,
        "every_nth_row_and_column": arguments.shrink,
        "analysis": "rules alone" if arguments.rule else "default settings",
        "quiet_seconds": QUIET_SECONDS,
    }


class Node:
    """The listening node as a process that is killed and started again.

    Parameters
    ----------
    folder : Path
        For queue, log and settings.
    sender : str
        Where results go.
    rule : bool
        Whether to analyze by rules alone.
    """

    def __init__(self, folder: Path, sender: str, *, rule: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.spool, self.log, self.port = folder / "spool", folder / "log", 0
        listen = ["pacs", "listen", "--port", "0", "--spool", str(self.spool)]
        listen += ["--allow", sender, "--quiet-time", str(QUIET_SECONDS), "--reserve-mb", "1"]
        if rule:
            (folder / "config.json").write_text(RULE)
            listen += ["--config", str(folder / "config.json")]
        self._command = [sys.executable, "-m", "groundglass", *listen]
        self.start()

    def start(self) -> None:
        """Start it, on a free port, and wait until it listens."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "GROUNDGLASS_OFFLINE": "0"},
            )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if "listens on" not in said:
            raise SystemExit(self.log.read_text())
        self.port = int(said.rpartition(" ")[2])

    def kill(self) -> None:
        """Kill it as hard as possible, and start it again."""
        self._process.kill()
        self._process.wait()
        self.start()

    def kill_analysis(self) -> bool:
        """Kill the analysis alone; return whether there was one."""
        listing = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        children = listing.read_text().split()
        for child in children:
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(int(child), signal.SIGKILL)
        return bool(children)

    def stop(self) -> None:
        """Ask it to end, if it has not."""
        self._process.terminate()
        self._process.wait()

    def states(self) -> dict[str, int]:
        """Return the number of studies in each state."""
        return {one: len(list((self.spool / one).glob("*/"))) for one in STATES}

    def send(self, study: Study) -> bool:
        """Send a study; return whether every image was said to be stored."""
        from groundglass.errors import PacsError
        from groundglass.pacs.nodes import Peer
        from groundglass.pacs.send import send_files

        peer = Peer("GROUNDGLASS", "127.0.0.1", self.port)
        try:
            send_files(peer, sorted(study.folder.iterdir()), "SENDER")
        except PacsError:
            return False
        return True

    def notes(self) -> dict[str, tuple[str, str]]:
        """Return state and reason of every study, by its UID."""
        found = {}
        for path in self.spool.glob("*/*/study.json"):
            note = json.loads(path.read_text())
            found[note["study_uid"]] = (path.parent.parent.name, note["reason"])
        return found


@contextmanager
def running(arguments: argparse.Namespace, scratch: Path, sender: str) -> Iterator[Node]:
    """Run a node, and end it whatever happens."""
    node = Node(scratch / "node", sender, rule=arguments.rule)
    try:
        yield node
    finally:
        node.stop()


def rate(arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Return how long three studies take from the first image sent to the last result returned."""
    studies = studies_for(arguments, scratch, len(SERIES))
    with receiver() as (returned, sender), running(arguments, scratch, sender) as node:
        started, before = time.monotonic(), children_seconds()
        for study in studies:
            assert node.send(study)
        wait_until(lambda: settled(node, len(studies)))
        seconds = time.monotonic() - started
        node.stop()
    assert all(returned.objects[study.uid] for study in studies), node.log.read_text()
    return {
        "studies": len(studies),
        "slices": [len(list(study.folder.iterdir())) for study in studies],
        "seconds": round(seconds, 1),
        "cpu_seconds": round(children_seconds() - before, 1),
        "studies_an_hour": round(3600 * len(studies) / seconds, 1),
    }


def kills(arguments: argparse.Namespace, scratch: Path, count: int = 10) -> dict[str, Any]:
    """Return what became of ten studies while the node was killed ten times."""
    studies = studies_for(arguments, scratch, count)
    with receiver() as (returned, sender), running(arguments, scratch, sender) as node:
        started = time.monotonic()
        assert node.send(studies[0])
        wait_until(lambda: settled(node, 1))
        span = 2.0 * (time.monotonic() - started)
        sent = [1]
        pauses = [random.Random(arguments.seed + i).uniform(0, span / 4) for i in range(1, count)]  # noqa: S311
        remaining = (node, studies[1:], pauses, sent)
        sending = threading.Thread(target=send_all, args=remaining, daemon=True)
        sending.start()
        killed = kill_at_random(node, random.Random(arguments.seed), span, count)  # noqa: S311
        sending.join()
        asked = finish(node, studies)
        node.stop()
    judged = judge(node, studies, returned)
    log = node.log.read_text()
    return {
        "studies": count,
        "slices": [len(list(study.folder.iterdir())) for study in studies],
        "seed": arguments.seed,
        "seconds": seconds_since(started),
        "kills": killed,
        "sendings": sum(sent),
        "sent_again_as_the_reason_asked": asked,
        **judged,
        "personal_words_in_the_log": sum(w in log for study in studies for w in study.secrets),
    }


def send_all(node: Node, studies: list[Study], pauses: list[float], sent: list[int]) -> None:
    """Send studies one after the other, each until every image is stored."""
    for study, pause in zip(studies, pauses, strict=True):
        time.sleep(pause)
        sent.append(1)
        while not node.send(study):
            sent.append(1)
            time.sleep(1.0)


def kill_at_random(
    node: Node, chance: random.Random, span: float, count: int
) -> list[dict[str, Any]]:
    """Kill the node or its analysis; return what was killed, when, and how the queue stood."""
    killed: list[dict[str, Any]] = []
    while len(killed) < count:
        started, waited = time.monotonic(), chance.uniform(0.0, span)
        if chance.random() < 1 / 3:
            while time.monotonic() - started < span and not node.states()["incoming"]:
                time.sleep(0.02)
            waited = chance.uniform(0.0, 1.0)
        time.sleep(waited)
        states = node.states()
        alone = chance.random() < 0.25 and node.kill_analysis()
        if not alone:
            node.kill()
        what = "analysis" if alone else "node"
        killed.append({"what": what, "after_seconds": seconds_since(started), "queue": states})
    return killed


def seconds_since(start: float) -> float:
    """Return the time since a moment."""
    return round(time.monotonic() - start, 1)


def finish(node: Node, studies: list[Study]) -> int:
    """Wait until all is quiet; send again what asks for it, and return how many did."""
    asked = 0
    while True:
        wait_until(lambda: settled(node, len(studies)))
        notes = node.notes()
        again = [one for one in studies if "send it again" in notes.get(one.uid, ("", ""))[1]]
        if not again:
            return asked
        for study in again:
            asked += 1
            node.send(study)


def judge(node: Node, studies: list[Study], returned: Returned) -> dict[str, Any]:
    """Return how many studies were lost or doubled, and how often results came again unchanged."""
    notes, states = node.notes(), node.states()
    lost, doubled, repeated = 0, 0, 0
    for study in studies:
        counts = returned.counts(study.uid)
        whole = kept(node, study) == {path.name: image(path) for path in study.folder.iterdir()}
        lost += not (notes[study.uid][0] == "done" and whole and {"SEG", "SR"} <= set(counts))
        doubled += any(len(objects) > 1 for objects in counts.values())
        repeated += any(max(objects.values()) > 1 for objects in counts.values())
    return {
        "queue_at_the_end": states,
        "lost": lost,
        "doubled": doubled,
        "results_sent_again_unchanged": repeated,
        "results_in_the_queue": len(list(node.spool.glob("*/*/result-*"))),
        "reasons": dict(Counter(reason for _, reason in notes.values())),
    }


def kept(node: Node, study: Study) -> dict[str, str]:
    """Return the images of a study in the queue, under the names they were sent with."""
    names = {str(pydicom.dcmread(p).SOPInstanceUID): p.name for p in study.folder.iterdir()}
    found = {}
    for note in node.spool.glob("*/*/study.json"):
        if json.loads(note.read_text())["study_uid"] == study.uid:
            for path in note.parent.glob("instances/*/*.dcm"):
                found[names[str(pydicom.dcmread(path).SOPInstanceUID)]] = image(path)
    return found


def settled(node: Node, count: int) -> bool:
    """Return whether every study is done or has failed."""
    states = node.states()
    return states["done"] + states["failed"] >= count


def wait_until(what: Callable[[], bool]) -> None:
    """Wait until something is true.

    Raises
    ------
    SystemExit
        If it never is.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not what():
        if time.monotonic() > end:
            msg = "nothing moves any more"
            raise SystemExit(msg)
        time.sleep(0.2)


def children_seconds() -> float:
    """Return processor time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
