"""Prefect's defaults: its embedded server on loopback, without telemetry, unless the user has configured one."""

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

    The command reports a failure in one line, `log.jsonl` in full. Prefect would also print its traceback once for the
    task and once for the flow: `tracebacks` allows that. Its server gets them either way.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    for name in RUN_LOGS:
        logging.getLogger(name).propagate = tracebacks
