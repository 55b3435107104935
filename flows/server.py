"""How Prefect runs here: its embedded server on loopback, quiet, unless the user has set one up."""

import logging
import os

DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # its first start migrates a database
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
RUN_LOGS = ("prefect.flow_runs", "prefect.task_runs")


def quiet_prefect(*, tracebacks: bool = False) -> None:
    """Set the defaults that the environment leaves open; call before Prefect is imported.

    A failure is told in one line by the command and in full by `log.jsonl`. Prefect would print its traceback once a
    task and once a flow besides: `tracebacks` lets it. Its server gets them either way.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    for name in RUN_LOGS:
        logging.getLogger(name).propagate = tracebacks
