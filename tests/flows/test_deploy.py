"""`prefect.yaml` as a user deploys it: to a work pool on a real server."""

import os
import subprocess
import sys
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, get_current_settings

ROOT = Path(__file__).parents[2]


def test_all_is_deployed_with_its_schedules() -> None:
    assert get_current_settings().api.url
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="ganaug", type="process"))
    own = {"PREFECT_API_URL": PREFECT_API_URL.value(), "GANAUG_WORKSPACE": "/data/line3", "GANAUG_WATCH": "/data/in"}
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with get_client(sync_client=True) as client:
        made = {one.name: one for one in client.read_deployments() if one.work_pool_name == "ganaug"}
    assert set(made) == {"augment", "report", "judge", "judge-images", "add-class", "update", "retrain", "collect"}
    plans = {name: [schedule.schedule.cron for schedule in one.schedules] for name, one in made.items()}
    assert plans == {
        "augment": [],
        "report": [],
        "judge": [],
        "judge-images": [],
        "add-class": [],
        "update": ["0 3 * * sun"],
        "retrain": ["0 1 * * *"],
        "collect": ["*/5 * * * *"],
    }
    alone = {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    for name in ("update", "retrain", "collect"):
        limit, options = made[name].global_concurrency_limit, made[name].concurrency_options
        assert limit is not None and options is not None
        assert {"limit": limit.limit, "collision_strategy": options.collision_strategy.value} == alone, name
    assert made["add-class"].parameters == {"workspace": "/data/line3"}
    assert made["collect"].parameters == {"workspace": "/data/line3", "watch": "/data/in"}
    assert made["update"].schedules[0].parameters == {"fresh": True}
