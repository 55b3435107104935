"""`ganaug` as a user starts it: a process, with Prefect settings of its own instead of the session's."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path


def start(*words: str, home: Path, interrupts: signal.Handlers = signal.SIG_DFL) -> subprocess.Popen[str]:
    """Start the command in a session of its own; what it says comes through its `stdout`.

    `interrupts` is what it does on SIGINT: by default it hears it, also where a suite in the background does not.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *words],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=own | {"PREFECT_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])},
        preexec_fn=partial(signal.signal, signal.SIGINT, interrupts),
        start_new_session=True,
    )
