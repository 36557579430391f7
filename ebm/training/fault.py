"""The error that stops a run whose data, loader or disk failed."""


class Fault(RuntimeError):
    """Something outside the method failed: its data, a loader's worker or the disk.

    The message says what, what is saved and how to go on; `__cause__` is the error itself.
    """


class DiskFault(Fault):
    """The disk did not take what a run writes: a checkpoint would not help."""


def reason(error: BaseException) -> str:
    """Return an error in one line."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
