"""Run the law suite with many seeds: `python -m tests.flakiness --runs 20`.

Every run draws other batches. All of them have to be green: a law that fails now and then is
a law with a wrong tolerance. Prints each run's time and the count of false alarms.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Return 0 if every run was green, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--workers", default="0", help="processes of pytest-xdist")
    options = parser.parse_args()
    red = 0
    for seed in range(options.first, options.first + options.runs):
        start = time.monotonic()
        command = [sys.executable, "-m", "pytest", "tests/test_laws.py", "-q", "-m", "not slow"]
        if options.workers != "0":
            command += ["-n", options.workers]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "EBM_LAW_SEED": str(seed)},
            capture_output=True,
            text=True,
            check=False,
        )
        red += done.returncode != 0
        lines = done.stdout.strip().splitlines()
        summary = lines[-1].strip("= ") if lines else done.stderr.strip()[-200:]
        say(f"seed {seed}: {summary} ({time.monotonic() - start:.0f} s)")
        if done.returncode != 0:
            say("\n".join(lines[-60:]))
    say(f"{options.runs - red} of {options.runs} runs green, {red} false alarms")
    return 1 if red else 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
