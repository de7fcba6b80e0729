"""A line between two processes: who may come, who is turned away, and what ends it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from idealab.compute.line import Line, accept, dial, place_of
from idealab.errors import UsageError

LOOPBACK = "127.0.0.1"


@pytest.fixture
def place() -> str:
    """A port of this machine that nobody listens at."""
    with socket.create_server((LOOPBACK, 0)) as server:
        return f"{LOOPBACK}:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("text", "place"), [("node7:4321", ("node7", 4321)), ("[::1]:80", ("::1", 80)), ("10.0.0.1:1", ("10.0.0.1", 1))]
)
def test_a_place(text: str, place: tuple[str, int]) -> None:
    assert place_of(text) == place


@pytest.mark.parametrize("text", ["node7", ":1", "node7:", "node7:0", "node7:65536", "node7:x", "node7:²"])
def test_no_place(text: str) -> None:
    with pytest.raises(UsageError, match="must be HOST:PORT"):
        place_of(text)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server((LOOPBACK, 0)) as server, socket.create_connection(server.getsockname()) as first:
        second, _ = server.accept()
        with second:
            yield first, second


def test_silence_ends_a_line_and_signs_of_life_do_not(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = (Line(end, 0.5, "process 1 (there)") for end in ends)
    speaking = threading.Event()

    def speak() -> None:
        for _ in range(4):
            there.send({"kind": "ping"})
            speaking.wait(0.25)
        there.send({"kind": "block"}, b"\0\1")

    thread = threading.Thread(target=speak)
    thread.start()
    assert here.receive() == ({"kind": "block"}, b"\0\1")
    thread.join()
    with pytest.raises(ConnectionError, match=r"process 1 \(there\) was lost \(no sign of life for 0.5 s\)"):
        here.receive()


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\2\0\0\0\0[]", b"\0\0\0\2\0\0\0\0{]"])
def test_noise_ends_a_line(ends: tuple[socket.socket, socket.socket], noise: bytes) -> None:
    ends[1].sendall(noise)
    with pytest.raises(ConnectionError, match="does not speak the protocol"):
        Line(ends[0], 1.0, "somebody").receive()


def test_strangers_and_wrong_numbers_are_turned_away_and_the_others_are_let_in(place: str) -> None:
    where = place_of(place)
    found: dict[int, Line] = {}
    listening = threading.Thread(target=lambda: found.update(accept(where, 2, 20.0)))
    listening.start()
    while True:
        try:
            stranger = socket.create_connection(where)
            break
        except ConnectionRefusedError:
            time.sleep(0.01)
    stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
    stranger.close()
    for process, processes, words in ((1, 3, "told of 3 processes, process 0 of 2"), (2, 2, "must be from 1 to 1")):
        with pytest.raises(UsageError, match=words):
            dial(where, process, processes, 20.0)
    mine = dial(where, 1, 2, 20.0)
    listening.join()
    assert found.keys() == {1}
    found[1].send({"kind": "end"})
    assert mine.receive() == ({"kind": "end"}, b"")
    for line in (mine, found[1]):
        line.close()


def test_who_was_killed_before_all_came_may_come_again(place: str) -> None:
    where = place_of(place)
    found: dict[int, Line] = {}
    mine: dict[str, Line] = {}
    listening = threading.Thread(target=lambda: found.update(accept(where, 3, 20.0)))
    listening.start()

    def come(name: str, process: int) -> threading.Thread:
        thread = threading.Thread(target=lambda: mine.update({name: dial(where, process, 3, 20.0)}))
        thread.start()
        return thread

    killed = joined(where, 1, 3)
    with pytest.raises(UsageError, match="refuses process 1: there is a process 1 already"):
        dial(where, 1, 3, 20.0)
    killed.close()
    second = come("second", 2)
    second.join(0.5)
    assert second.is_alive(), "with process 1 gone, the run has not begun"
    again = come("again", 1)
    for thread in (listening, second, again):
        thread.join(20.0)
    assert found.keys() == {1, 2}
    found[1].send({"kind": "end"})
    assert mine["again"].receive() == ({"kind": "end"}, b"")
    for line in (*found.values(), *mine.values()):
        line.close()


def joined(where: tuple[str, int], process: int, processes: int) -> Line:
    """A process that has come and waits, as long as it is let live."""
    head = {"kind": "join", "protocol": "idealab/hosts/1", "process": process, "processes": processes, "host": "there"}
    while True:
        try:
            line = Line(socket.create_connection(where), 20.0, "process 0")
            break
        except ConnectionRefusedError:
            time.sleep(0.01)
    line.send(head)
    assert line.receive()[0]["kind"] == "wait"
    return line


def test_who_closes_without_an_answer_is_nobody_of_idealab(place: str) -> None:
    with socket.create_server(place_of(place)) as server:

        def close_all() -> None:
            with contextlib.suppress(OSError):  # the server is shut down
                while True:
                    server.accept()[0].close()

        closing = threading.Thread(target=close_all)
        closing.start()
        words = "waited 1 s .+ \\(last try: the connection was closed without an answer: nobody of idealab is there\\)"
        with pytest.raises(UsageError, match=words):
            dial(place_of(place), 1, 2, 1.0)
        server.shutdown(socket.SHUT_RDWR)
        closing.join()
