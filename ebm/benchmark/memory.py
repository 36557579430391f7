"""Peak memory of a piece of work, as torch's allocator counts it."""

import json
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

MEGABYTE = 2**20


def peak(work: Callable[[], object], device: torch.device | None = None) -> float:
    """Return the most megabytes that some work holds, beside what was held before it.

    Tensors that the work leaves behind, such as gradients, count. On a CPU the allocations
    are those that the profiler records, so neither the interpreter nor other processes
    disturb the number; scratch that libraries take from the system itself is not in it.
    """
    if device is not None and device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return (torch.cuda.max_memory_allocated(device) - before) / MEGABYTE
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler says that it starts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the profiler's own
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
            work()
        with tempfile.TemporaryDirectory() as folder:
            trace = Path(folder, "trace.json")
            recorded.export_chrome_trace(str(trace))
            events = json.loads(trace.read_text())["traceEvents"]
    changes = [event for event in events if event.get("name") == "[memory]"]
    held = most = 0
    for event in sorted(changes, key=lambda event: event["ts"]):
        held += event["args"]["Bytes"]
        most = max(most, held)
    return most / MEGABYTE
