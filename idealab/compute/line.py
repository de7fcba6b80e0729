"""A line between two processes: frames over TCP, each a JSON object and some bytes; silence and noise end it."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from threading import Lock
from typing import Any

from idealab.errors import UsageError

Head = dict[str, Any]
Place = tuple[str, int]

_PROTOCOL = "idealab/hosts/1"
_LENGTHS = struct.Struct(">II")
_LONGEST = 2**20, 2**26  # of the JSON object, which lists no data; of the bytes, a record of the ledger
_GREETING = 5.0  # seconds within which whoever connects must say who it is


class Line:
    """One end of a connection; several threads may send, one receives.

    Every failure is a `ConnectionError` whose text names the other end, ``who``.
    """

    def __init__(self, connection: socket.socket, timeout: float, who: str) -> None:
        self.connection, self.who = connection, who
        self._sending = Lock()
        self.patience(timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, head: Head, body: bytes = b"") -> None:
        """Send one frame, whole."""
        data = json.dumps(head).encode()
        try:
            with self._sending:
                self.connection.sendall(_LENGTHS.pack(len(data), len(body)) + data + body)
        except OSError as error:
            raise self._lost(error) from error

    def receive(self) -> tuple[Head, bytes]:
        """Wait for a frame, as long as there are signs of life."""
        while True:
            lengths = _LENGTHS.unpack(self._exactly(_LENGTHS.size))
            if any(length > longest for length, longest in zip(lengths, _LONGEST, strict=True)):
                raise ConnectionError(f"{self.who} does not speak the protocol {_PROTOCOL}")
            data, body = (self._exactly(length) for length in lengths)
            try:
                head = json.loads(data)
                if head["kind"] != "ping":
                    return head, body
            except (ValueError, KeyError, TypeError) as error:
                raise ConnectionError(f"{self.who} does not speak the protocol {_PROTOCOL}") from error

    def patience(self, timeout: float) -> None:
        """Change how many seconds without a sign of life are waited for."""
        self.timeout = timeout
        self.connection.settimeout(timeout)

    @property
    def gone(self) -> bool:
        """Whether the other end has closed the connection, or was killed; what it sent before stays to be received."""
        self.connection.settimeout(0.0)
        try:
            return self.connection.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:  # nothing to read, and nothing wrong
            return False
        except OSError:
            return True
        finally:
            self.connection.settimeout(self.timeout)

    def finish(self) -> None:
        """Send no more; the other end reads what is under way."""
        with contextlib.suppress(OSError):  # it may be gone already
            self.connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of the connection."""
        self.connection.close()

    def _exactly(self, length: int) -> bytes:
        parts = bytearray()
        try:
            while len(parts) < length:
                part = self.connection.recv(min(length - len(parts), 2**16))
                if not part:
                    raise ConnectionResetError("the connection was closed")
                parts += part
        except OSError as error:
            raise self._lost(error) from error
        return bytes(parts)

    def _lost(self, error: OSError) -> ConnectionError:
        silent = isinstance(error, TimeoutError)
        why = f"no sign of life for {self.timeout:g} s" if silent else str(error.strerror or error)
        return ConnectionError(f"{self.who} was lost ({why[0].lower()}{why[1:]})")


def place_of(text: str) -> Place:
    """Read ``host:port``, also ``[::1]:port``.

    Raises
    ------
    UsageError
        If it is something else.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 2**16:
        raise UsageError(f"coordinator={text!r} must be HOST:PORT with a port from 1 to 65535, such as 10.0.0.1:4321")
    return host, int(port)


def dial(place: Place, process: int, processes: int, timeout: float) -> Line:
    """Connect to process 0, trying again until the timeout.

    Raises
    ------
    UsageError
        If it does not answer by then, or refuses this process.
    """
    until, last, name = time.monotonic() + timeout, "nothing was heard", f"process 0 at {_shown(place)}"
    answered = False
    join: Head = {"kind": "join", "protocol": _PROTOCOL, "process": process, "processes": processes, "host": _host()}
    while (left := until - time.monotonic()) > 0:
        line = None
        try:
            line = Line(socket.create_connection(place, timeout=left), left, name)
            line.send(join)
            while (answer := line.receive()[0])["kind"] == "wait":
                last, answered = "it answered, and waits for other processes", True
        except OSError as error:
            if isinstance(error.__cause__, (ConnectionResetError, BrokenPipeError)) and not answered:
                last = "the connection was closed without an answer: nobody of idealab is there"
            elif not isinstance(error.__cause__, TimeoutError):
                last = str(error.strerror or error)
            if line is not None:
                line.close()
            time.sleep(min(0.2, max(0.0, until - time.monotonic())))
            continue
        if answer["kind"] != "welcome":
            line.close()
            raise UsageError(f"{name} refuses process {process}: {answer.get('words')}")
        line.who = f"process 0 ({answer.get('host')})"
        line.patience(timeout)
        return line
    raise UsageError(
        f"waited {timeout:g} s for the coordinator, {name} (last try: {last}); is it running, and can it be reached "
        "from here? --timeout waits longer"
    )


def accept(place: Place, processes: int, timeout: float) -> dict[int, Line]:
    """Listen until all other processes have come.

    Raises
    ------
    UsageError
        If one has not come by the timeout, or the place is not this machine's.
    """
    lines: dict[int, Line] = {}
    if processes == 1:
        return lines
    until = time.monotonic() + timeout
    with _listening(place) as listener:
        while _waiting(lines, processes):
            listener.settimeout(max(0.01, until - time.monotonic()))
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                absent = ", ".join(str(p) for p in range(1, processes) if p not in lines)
                words = (
                    f"waited {timeout:g} s at {_shown(place)} for process {absent} of {processes} (counted from 0), "
                    "which did not come, or was lost again; was it started, and can it reach this place? --timeout "
                    "waits longer"
                )
                for line in lines.values():
                    with contextlib.suppress(ConnectionError):
                        line.send({"kind": "refused", "words": words})
                    line.close()
                raise UsageError(words) from None
            _waiting(lines, processes)  # who was killed may have been started again
            found = _greeted(connection, processes, lines, timeout)
            if found is not None:
                lines[found[0]] = found[1]
    for line in lines.values():
        with contextlib.suppress(ConnectionError):  # who reads from it hears of it too
            line.send({"kind": "welcome", "host": _host()})
    return lines


def _waiting(lines: dict[int, Line], processes: int) -> bool:
    """Whether a process is still to come; one that came and is gone has to come again."""
    for process in [process for process, line in lines.items() if line.gone]:
        lines.pop(process).close()
    return len(lines) < processes - 1


def _greeted(
    connection: socket.socket, processes: int, lines: dict[int, Line], timeout: float
) -> tuple[int, Line] | None:
    """Who has connected; None for somebody who does not belong to this run."""
    line = Line(connection, _GREETING, "somebody")
    try:
        head, _ = line.receive()
        process = head.get("process")
        if head["kind"] != "join" or head.get("protocol") != _PROTOCOL or not isinstance(process, int):
            words = f"it does not speak the protocol {_PROTOCOL}; use the same version of idealab everywhere"
        elif head.get("processes") != processes:
            words = f"it was told of {head.get('processes')} processes, process 0 of {processes}"
        elif not 0 < process < processes:
            words = f"its number must be from 1 to {processes - 1}"
        elif process in lines:
            words = f"there is a process {process} already, {lines[process].who}"
        else:
            line.who = f"process {process} ({head.get('host')})"
            line.patience(timeout)
            line.send({"kind": "wait"})
            return process, line
        line.send({"kind": "refused", "words": words})
    except ConnectionError:
        pass
    line.close()
    return None


def _listening(place: Place) -> socket.socket:
    try:
        address = socket.gethostbyname(place[0]) if ":" not in place[0] else place[0]
        local = address.startswith("127.") or address == "::1"  # then nobody else can reach it
        if local or not socket.has_dualstack_ipv6():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return socket.create_server((address if local else "", place[1]), family=family)
        return socket.create_server(("", place[1]), family=socket.AF_INET6, dualstack_ipv6=True)
    except OSError as error:
        raise UsageError(
            f"process 0 cannot listen at {_shown(place)}: {error.strerror or error}; give --coordinator a name of this "
            "machine and a free port"
        ) from error


def _host() -> str:
    return socket.gethostname()


def _shown(place: Place) -> str:
    return f"[{place[0]}]:{place[1]}" if ":" in place[0] else f"{place[0]}:{place[1]}"
