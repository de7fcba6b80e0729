"""Several processes on one verification: process 0 leads and judges, the others simulate blocks of seeds for it.

Who is who is found out as `jax.distributed` does it, or given. Its service is not used: where the coordinator does not
answer, or dies, jaxlib 0.10.2 aborts the process and Python hears nothing of it (measured; `client.h` there). Nothing
needs the devices of several hosts at once either: what travels is records of the ledger, as canonical JSON over TCP.

Process 0 hands out one block after another to whoever is idle, keeps what comes back in its ledger, and alone decides
what comes next: a process that dies costs the blocks that it was at, which are simulated elsewhere.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Condition, Event, Thread
from typing import Any

from idealab.compute.cluster import roles
from idealab.compute.line import Head, Line, accept, dial
from idealab.compute.run import Batch, Runner, Task, batch_of
from idealab.errors import DeclarationError, IdealabError, LedgerError, NothingMatchedError, UsageError
from idealab.ledger.records import canonical, decode

_GOES_ON = "every finished block of seeds is in the ledger; run the same command to go on, with any number of processes"


class Hosts:
    """The processes of one run, as a context: entering waits until all of them are there.

    Parameters
    ----------
    coordinator
        ``"host:port"``, where process 0 listens and the others find it.
    processes, process
        How many there are, and which of them this is, from 0.
    timeout
        Seconds within which all must have come, and after which a process that gives no sign of life is lost.

    With none of the first three, `jax.distributed`'s detection is asked: Slurm, Open MPI, Kubernetes, Cloud TPU.

    Raises
    ------
    UsageError
        On construction, if they do not fit together or nothing is detected; on entering, if somebody does not come.
    """

    def __init__(
        self,
        coordinator: str | None = None,
        processes: int | None = None,
        process: int | None = None,
        timeout: float = 60.0,
    ) -> None:
        if not 0 < timeout < 1e6:
            raise UsageError(f"timeout={timeout!r} must be a positive number of seconds, a million at most")
        self.timeout = timeout
        self._place, self.processes, self.process = roles(coordinator, processes, process, timeout)
        self._lines: dict[int, Line] = {}  # of the living: process 0 has one to each, each has one to process 0
        self._changed, self._closing = Condition(), Event()
        self._run = 0
        self._ready: dict[tuple[int, int], Head] = {}
        self._failed: dict[int, IdealabError] = {}
        self._lost: list[str] = []
        self._away: dict[int, tuple[int, Future[Batch]]] = {}  # by number: which process is at a block
        self._slots: dict[int, int] = {}
        self._count = 0
        self.blocks = 0
        """Blocks that this process has simulated for process 0."""
        self._inbox: SimpleQueue[tuple[Head, bytes] | BaseException] = SimpleQueue()
        self._runner: Runner | None = None

    def __enter__(self) -> Hosts:
        if self.process == 0:
            self._lines = accept(self._place, self.processes, self.timeout)
        else:
            self._lines = {0: dial(self._place, self.process, self.processes, self.timeout)}
        read = self._read_worker if self.process == 0 else self._read_leader
        self._readers = [Thread(target=read, args=item, daemon=True) for item in self._lines.items()]
        for thread in (*self._readers, Thread(target=self._ping, daemon=True)):
            thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._tell_all({"kind": "failed", "run": self._run, **_said(error)})
        self._closing.set()
        # A socket that is closed before the other end has read everything may take the rest along: let them go first.
        self._tell_all({"kind": "leave"})
        for line in list(self._lines.values()):
            line.finish()
        until = time.monotonic() + self.timeout
        for thread in self._readers:
            thread.join(max(0.0, until - time.monotonic()))
        for line in list(self._lines.values()):
            line.close()

    @contextlib.contextmanager
    def running(self) -> Generator[None]:
        """One verification: what ends it in this process ends it in the others, with the same words."""
        with self._changed:
            self._run += 1
            self._away.clear()
        try:
            yield
        except BaseException as error:
            self._tell_all({"kind": "failed", "run": self._run, **_said(error)})
            raise

    def share(self, runner: Runner, tasks: Sequence[Task], lead: Callable[[], list[str]]) -> list[str]:
        """Simulate together; what ``lead`` returns in process 0, in every process, with the same batches in all tasks.

        Raises
        ------
        UsageError
            If process 0 is lost, or processes were not asked for the same.
        IdealabError
            What another process raised.
        """
        if runner.ledger is None:
            raise UsageError("several processes need a ledger, through which their blocks of seeds go: record them")
        self._runner = runner
        asked = {
            "declaration": runner.declaration,
            "precision": runner.precision,
            "master_seed": runner.master_seed,
            **runner.environment,
        }
        if self.process:
            self._tell_all({"kind": "ready", "run": self._run, "asked": asked, "slots": runner.workers})
            return self._serve(runner, tasks)
        runner.progress.stage("waiting for the other processes")
        self._warn()
        self._agree(asked)
        runner.hosts = self
        words = lead()
        self._end(runner, tasks, words)
        return words

    # What process 0 does.

    @property
    def slots(self) -> int:
        """Blocks that other processes can be at, all together."""
        with self._changed:
            return sum(slots for process, slots in self._slots.items() if process in self._lines)

    @property
    def away(self) -> int:
        """Blocks that other processes are at."""
        with self._changed:
            return len(self._away)

    def simulate(self, task: Task) -> Future[Batch] | None:
        """The next block of a task, in a process that is idle; None if there is none.

        The future raises `ConnectionError` if that process is lost.
        """
        with self._changed:
            if self._run in self._failed:
                raise self._failed[self._run]
            busy = [process for process, _ in self._away.values()]
            idle = {process: n - busy.count(process) for process, n in self._slots.items() if process in self._lines}
            process = max(idle, key=lambda process: idle[process], default=0)
            if idle.get(process, 0) < 1:
                return None
            self._count += 1
            number, future = self._count, Future[Batch]()
            self._away[number] = process, future
            line = self._lines[process]
        head: Head = {"kind": "simulate", "run": self._run, "number": number, "first": task.seeds, **_key(task)}
        with contextlib.suppress(ConnectionError):  # its reader hears of it too, and says so
            line.send(head)
        return future

    def _warn(self) -> None:
        """Tell of those that were lost, as soon as there is a run to tell."""
        with self._changed:
            runner, words = self._runner, self._lost
            if runner is None:
                return
            self._lost = []
        for line in words:
            runner.progress.warn(f"{line}; going on without it")

    def _agree(self, asked: Mapping[str, Any]) -> None:
        """Wait until every process that lives has derived and declared the same."""
        with self._changed:
            while self._run not in self._failed and any((self._run, p) not in self._ready for p in self._lines):
                self._changed.wait(0.2)  # each gives signs of life, or is lost after the timeout
            if self._run in self._failed:
                raise self._failed[self._run]
            ready = {process: self._ready[self._run, process] for process in self._lines}
        self._slots = {process: int(head["slots"]) for process, head in ready.items()}
        for process, head in ready.items():
            other = head["asked"]
            unequal = [name for name in asked if other.get(name) != asked[name]]
            differ = [f"{name} is {other.get(name)!r} there and {asked[name]!r} here" for name in unequal]
            if differ:
                raise UsageError(
                    f"process {process} is not at the same verification as process 0: {'; '.join(differ[:3])}; give "
                    "every process the same command, the same code and the same versions"
                )

    def _end(self, runner: Runner, tasks: Sequence[Task], words: list[str]) -> None:
        assert runner.ledger is not None
        for task, batch in [(one, batch) for one in tasks for batch in one.batches]:
            if self._lines and batch.record is not None:
                head: Head = {"kind": "block", "run": self._run, "reused": batch.reused, **_key(task)}
                self._tell_all(head, canonical(runner.ledger.get(batch.record)))
        self._tell_all({"kind": "end", "run": self._run, "words": words})

    def _read_worker(self, process: int, line: Line) -> None:
        """In a thread of its own: everything that one process says, until it leaves or is lost."""
        try:
            while True:
                head, body = line.receive()
                if head["kind"] == "leave":
                    break
                with self._changed:
                    if head["kind"] == "ready":
                        self._ready[head["run"], process] = head
                    elif head["kind"] == "failed":
                        error = _error(f"process {process}", head)
                        self._failed.setdefault(head["run"], error)
                        self._give_back(process, error)
                    self._changed.notify_all()
                if head["kind"] == "block":
                    self._arrived(head, body)
        except ConnectionError as error:
            with self._changed:
                if not self._closing.is_set():
                    self._lost.append(str(error))
        with self._changed:
            self._lines.pop(process, None)
            self._give_back(process, ConnectionError())
            self._changed.notify_all()
        self._warn()
        line.close()

    def _give_back(self, process: int, error: Exception) -> None:
        mine = [number for number, (who, _) in self._away.items() if who == process]
        for number in mine:
            self._away.pop(number)[1].set_exception(error)

    def _arrived(self, head: Head, body: bytes) -> None:
        with self._changed:
            _, future = self._away.pop(head["number"], (0, None))
            runner = self._runner
        if future is None or runner is None or runner.ledger is None:
            return  # of a run that has ended
        try:
            document = decode(body)
            runner.ledger.put(document)
            future.set_result(batch_of(document, bool(head["reused"])))
        except Exception as error:
            future.set_exception(error)

    # What the others do.

    def _serve(self, runner: Runner, tasks: Sequence[Task]) -> list[str]:
        """Simulate what process 0 asks for, until it says that this was all."""
        known = {tuple(_key(task).values()): task for task in tasks}
        for task in tasks:
            runner.find(task)
        final = {task: list[Batch]() for task in tasks}
        with runner.pool() as pool:
            while True:
                said = self._inbox.get()
                if isinstance(said, ConnectionError):
                    raise UsageError(f"{said}; {_GOES_ON}") from said
                if isinstance(said, BaseException):
                    raise said
                head, body = said
                if head["run"] != self._run:
                    continue
                if head["kind"] == "failed":
                    raise _error("process 0", head)
                if head["kind"] == "end":
                    break
                task = known[head["experiment"], head["label"]]
                if head["kind"] == "simulate":
                    pool.submit(self._work, runner, task, head)
                else:
                    final[task].append(self._kept(runner, task, head, body))
        for task in tasks:
            task.batches[:] = final[task]
        return list(head["words"])

    def _work(self, runner: Runner, task: Task, head: Head) -> None:
        try:
            first = int(head["first"])
            batch = task.stored.get(first)
            if batch is None:
                # Process 0 has the batches that come before; here it is enough to know how many seeds they have.
                task.batches[:] = [Batch(0, first, {}, {}, 0.0, None, True)] if first else []
                batch = task.stored[first] = runner.block(task)
                runner.progress.step(f"{task.experiment.name}: {task.label}")
            assert runner.ledger is not None
            assert batch.record is not None
            body = canonical(runner.ledger.get(batch.record))
            told: Head = {"kind": "block", "run": self._run, "number": head["number"], "reused": batch.reused}
            self._lines[0].send(told, body)
            with self._changed:
                self.blocks += 1
        except BaseException as error:
            self._inbox.put(error)

    def _kept(self, runner: Runner, task: Task, head: Head, body: bytes) -> Batch:
        document = decode(body)
        assert runner.ledger is not None
        if document["first_seed"] not in task.stored:  # a ledger that is not shared is complete now
            runner.ledger.put(document)
        return batch_of(document, bool(head["reused"]))

    def _read_leader(self, process: int, line: Line) -> None:
        try:
            while True:
                head, body = line.receive()
                if head["kind"] == "leave":
                    raise ConnectionError(f"{line.who} has ended")
                self._inbox.put((head, body))
        except ConnectionError as error:
            self._inbox.put(error)

    # What all do.

    def _ping(self) -> None:
        while not self._closing.wait(self.timeout / 4):
            self._tell_all({"kind": "ping"})

    def _tell_all(self, head: Head, body: bytes = b"") -> None:
        with self._changed:
            lines = list(self._lines.values())
        for line in lines:
            with contextlib.suppress(ConnectionError):  # whoever reads from it hears of it too, and says so
                line.send(head, body)


def _key(task: Task) -> dict[str, str]:
    return {"experiment": task.experiment.name, "label": task.label}


def _said(error: BaseException) -> dict[str, str]:
    words = str(error) if isinstance(error, IdealabError) else f"{type(error).__name__}: {error}".rstrip(": ")
    return {"error": type(error).__name__, "words": "interrupted" if isinstance(error, KeyboardInterrupt) else words}


def _error(who: str, head: Head) -> IdealabError:
    """What another process raised, as an error of the same kind."""
    kinds = {kind.__name__: kind for kind in (DeclarationError, LedgerError, NothingMatchedError)}
    return kinds.get(str(head["error"]), UsageError)(f"{who} ended: {head['words']}; {_GOES_ON}")
