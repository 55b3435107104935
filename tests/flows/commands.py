"""`ganaug` as a user starts it: a process, with Prefect settings of its own instead of the session's."""

import os
import signal
import subprocess
import sys
from pathlib import Path


def start(*words: str, home: Path) -> subprocess.Popen[str]:
    """Start the command in a session of its own; what it says comes through its `stdout`."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *words],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=own | {"PREFECT_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])},
        preexec_fn=_hear_interrupts,
        start_new_session=True,
    )


def _hear_interrupts() -> None:
    """A suite that was started in the background ignores them, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
