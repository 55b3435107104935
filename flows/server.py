"""How Prefect runs here: its embedded server on loopback, quiet, unless the user has set one up."""

import os

DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # its first start migrates a database
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}


def quiet_prefect() -> None:
    """Set the defaults that the environment leaves open; call before Prefect is imported."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
