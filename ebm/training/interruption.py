"""Ctrl-C, SIGTERM and a worker's death end a run after the step that they fall into."""

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

CHILD = getattr(signal, "SIGCHLD", None)


class Terminated(SystemExit):
    """SIGTERM ended a run after the step it fell into; the exit status is 143."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = 128 + signal.SIGTERM


class Interruption:
    """Turns the first SIGINT or SIGTERM into a flag; the second one acts at once.

    Use as a context manager around a loop that calls `stop()` between steps if `received`,
    and does each step between `hold()` and `release()`: torch raises the death of a loader's
    worker in whichever line is running, and here it waits for `release()`.
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}
        self._main = threading.current_thread() is threading.main_thread()
        self._of_torch: Any = None
        self._holding = self._child_died = False

    def __enter__(self) -> "Interruption":
        """Install the handlers, in the main thread only."""
        if self._main:
            self._previous = {s: signal.signal(s, self._note) for s in self.signals}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the handlers back."""
        if self._of_torch is not None and CHILD is not None:
            self._previous[CHILD] = self._of_torch
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def hold(self) -> None:
        """Begin what a worker's death must not break into."""
        self._holding = True
        if self._main and CHILD is not None:
            handler = signal.getsignal(CHILD)
            if callable(handler) and handler != self._note_child:
                self._of_torch = handler
                signal.signal(CHILD, self._note_child)

    def release(self) -> None:
        """Raise what torch had to say meanwhile."""
        self._holding = False
        if self._child_died:
            self._child_died = False
            self._of_torch(CHILD, None)

    def stop(self, saved: str) -> None:
        """Raise what the signal would have raised, after saying what is saved.

        Raises:
            KeyboardInterrupt: After Ctrl-C.
            Terminated: After SIGTERM; Python exits with 143.
        """
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt(f"Stopped by Ctrl-C after the step. {saved}")
        message = f"Stopped by SIGTERM after the step. {saved}"
        sys.stderr.write(f"\n{message}\n")  # an exit with a status says nothing by itself
        raise Terminated(message)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.received = number

    def _note_child(self, number: int, frame: FrameType | None) -> None:
        if self._holding:
            self._child_died = True
        else:
            self._of_torch(number, frame)
