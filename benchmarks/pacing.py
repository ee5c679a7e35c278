"""Requests that come at random times, so many a second, each timed by the kernel: ``python -m benchmarks.pacing``.

A process of its own, told in lines of JSON. No answer is waited for before the next request is sent, and whatever
keeps this process from looking at an answer does not count: the time is that from just before a request goes to the
kernel to the moment at which the kernel had the last of its answer.
"""

import gc
import json
import random
import re
import select
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

_CONNECTIONS = 32
_PATIENCE = 15.0
"""Seconds that an answer is waited for."""
_STAMP = getattr(socket, "SO_TIMESTAMPNS", 35)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_TIMESPEC = struct.Struct("ll")


@dataclass(slots=True, eq=False)
class _Line:
    """A keep-alive connection with one request at a time."""

    socket: socket.socket
    sent: int = 0
    received: bytearray = field(default_factory=bytearray)

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, request: bytes, held_back: float) -> None:
        """Send it; for so many seconds it has waited already, as every connection was busy."""
        self.sent = time.clock_gettime_ns(time.CLOCK_REALTIME) - round(1e9 * held_back)
        self.socket.sendall(request)

    def seconds(self) -> float | None:
        """How long the answer took; None while there is more to come. Raises RuntimeError where it is none."""
        data, told, _, _ = self.socket.recvmsg(1 << 16, socket.CMSG_SPACE(_TIMESPEC.size))
        if not data:
            raise RuntimeError("the server closed a connection")
        self.received += data
        head = self.received.find(b"\r\n\r\n")
        length = _LENGTH.search(self.received, 0, head) if head >= 0 else None
        if length is None or len(self.received) < head + 4 + int(length[1]):
            return None
        if not self.received.startswith(b"HTTP/1.1 200") or b'"errors":' in self.received:
            raise RuntimeError(self.received[:500].decode(errors="replace"))
        self.received.clear()
        for _, _, stamp in told:
            whole, part = _TIMESPEC.unpack(stamp)
            return float(whole * 1_000_000_000 + part - self.sent) / 1e9
        # The kernel begins to stamp a moment after it is asked to.
        return (time.clock_gettime_ns(time.CLOCK_REALTIME) - self.sent) / 1e9


def _line(host: str, port: int) -> _Line:
    found = socket.create_connection((host, port))
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found.setsockopt(socket.SOL_SOCKET, _STAMP, 1)
    return _Line(found)


def paced(lines: list[_Line], requests: list[bytes], rate: float) -> dict[str, Any]:
    """Send them at random times; tells how long each took in seconds, and by how much this client was late at most.

    What waits because no connection is free waits for the server: that counts.
    """
    waiting, busy, idle = deque(requests), set[_Line](), deque(lines)
    taken: list[float] = []
    late = 0.0
    due = freed = time.monotonic()
    while waiting or busy:
        now = time.monotonic()
        if waiting and now >= due and idle:
            held = due < freed
            late = max(late, 0.0 if held else now - due)
            line = idle.popleft()
            line.send(waiting.popleft(), now - due if held else 0.0)
            busy.add(line)
            due += random.expovariate(rate)  # nobody is to guess it
            continue
        patience = max(due - now, 0.0) if waiting and idle else _PATIENCE
        ready, _, _ = select.select(busy, (), (), patience)
        if not ready and patience == _PATIENCE:
            raise RuntimeError("there is no answer")
        for line in ready:
            seconds = line.seconds()
            if seconds is not None:
                freed = freed if idle else time.monotonic()
                taken.append(seconds)
                busy.discard(line)
                idle.append(line)
    return {"seconds": taken, "late": late}


def main(host: str, port: str) -> None:
    """Do what each line of the standard input asks for, until there are no more."""
    lines = [_line(host, int(port)) for _ in range(_CONNECTIONS)]
    gc.freeze()
    gc.disable()
    for told in sys.stdin:
        asked = json.loads(told)
        print(json.dumps(paced(lines, [one.encode() for one in asked["requests"]], asked["rate"])), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
