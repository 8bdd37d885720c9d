"""Does jobs in a process of its own: `python -m ktrans.executors.worker_process MODULE:FUNCTION`.

Standard input has a job in each line, as JSON, and the answer to each is a line of standard output.
The line `stop` interrupts the job that is being done. The process ends when standard input does, which
is when the process that started it has ended. It ignores the signals that a service manager sends to
all processes of a service.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import sys
import threading
from types import FrameType

STOP = b"stop\n"
INTERRUPTED = b"interrupted\n"


class _Interruption:
    """Raises KeyboardInterrupt in the main thread, but only while it does a job.

    Attributes:
        busy: the main thread does a job.
        wanted: the last job that was sent should be interrupted.
    """

    busy = False
    wanted = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.busy:
            self.busy = False
            raise KeyboardInterrupt


def main(reference: str) -> None:
    """Do the jobs that standard input names, until it ends."""
    for ignored in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    interruption = _Interruption()
    signal.signal(signal.SIGINT, interruption)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_lines, args=(lines, interruption), daemon=True).start()
    module, _, name = reference.partition(":")
    work = getattr(importlib.import_module(module), name)
    while True:
        line = lines.get()
        try:
            interruption.busy = True
            if interruption.wanted:  # before it began
                raise KeyboardInterrupt
            answer = json.dumps(work(json.loads(line))).encode() + b"\n"
            interruption.busy = False
        except KeyboardInterrupt:
            interruption.busy = False
            answer = INTERRUPTED
        answers.write(answer)
        answers.flush()


def _read_lines(lines: queue.SimpleQueue[bytes], interruption: _Interruption) -> None:
    """Pass on the jobs, and interrupt the main thread; a thread of its own."""
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    for line in sys.stdin.buffer:
        interruption.wanted = line == STOP
        if line != STOP:
            lines.put(line)
        elif interruption.busy:
            signal.pthread_kill(main_thread, signal.SIGINT)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
