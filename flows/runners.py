"""Task runners of the tasks that are one a generator or class: threads that start processes, Dask, or Ray."""

import os
from collections.abc import Callable
from typing import Any

from prefect.task_runners import ThreadPoolTaskRunner

from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.workers import usable_cores, workers


def threads(config: Config) -> Any:
    """As many tasks at a time as there are workers; `pipeline/stages/train.py` gives each a process."""
    return ThreadPoolTaskRunner(max_workers=workers(config))


def dask(config: Config) -> Any:
    """The Dask cluster that is configured, or one of one-thread processes on this machine."""
    from prefect_dask import DaskTaskRunner

    if config.cluster:
        return DaskTaskRunner(address=config.cluster)
    here = {"n_workers": _here(config), "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    return DaskTaskRunner(cluster_class="distributed.LocalCluster", cluster_kwargs=here)


def ray(config: Config) -> Any:
    """The Ray cluster that is configured, or one of one-thread processes here, which listens beyond the loopback
    interface, as Ray does, but answers only those who have the token that Ray keeps in `~/.ray`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray looks when it is imported
    from prefect_ray import RayTaskRunner

    here = {"num_cpus": _here(config), "include_dashboard": False, "log_to_driver": False}
    return RayTaskRunner(address=config.cluster) if config.cluster else RayTaskRunner(init_kwargs=here)


RUNNERS: dict[str, Callable[[Config], Any]] = {"local": threads, "process": threads, "dask": dask, "ray": ray}


def task_runner(config: Config) -> Any:
    """A Prefect task runner, to be entered; InputError where the extra that it needs is not installed."""
    try:
        return RUNNERS[config.runner](config)
    except ImportError as error:
        raise InputError(
            f"runner = {config.runner} needs more than is installed ({error}); pip install 'ganaug[{config.runner}]'."
        ) from None


def _here(config: Config) -> int:
    return config.workers or usable_cores()
