"""Ctrl-C, SIGTERM and a worker's death end a run after the step that they fall into."""

import contextlib
import signal
import sys
import threading
import time
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

    Use as a context manager around a loop that calls `stop()` between steps if `received`, and
    `raise_deaths()`: torch raises the death of a loader's worker in whichever line is running,
    and here it waits for that.
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}
        self._main = threading.current_thread() is threading.main_thread()
        self._of_torch: Any = None
        self._child_died = False

    def __enter__(self) -> "Interruption":
        """Install the handlers, in the main thread only."""
        if self._main:
            self._previous = {s: signal.signal(s, self._note) for s in self.signals}
            with contextlib.suppress(ImportError, AttributeError):  # private to torch
                from torch.utils.data._utils import signal_handling

                signal_handling._set_SIGCHLD_handler()
            if CHILD is not None and callable(handler := signal.getsignal(CHILD)):
                self._of_torch = self._previous[CHILD] = handler
                signal.signal(CHILD, self._note_child)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the handlers back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def raise_deaths(self, within: float = 0.0) -> None:
        """Raise what torch has to say about a worker that died, or dies within so many seconds."""
        if (of_torch := self._of_torch) is None:
            return
        end = time.monotonic() + within
        while not self._child_died and time.monotonic() < end:
            time.sleep(0.01)
        if self._child_died:
            self._child_died = False
            of_torch(CHILD, None)

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
        self._child_died = True
