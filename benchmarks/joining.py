"""What a class costs that joins a finished workspace: `python -m benchmarks.joining --help`.

One workspace gets the classes of DATASET and a finished run, and then `--joins` as one class more; another gets all of
them at once. Compared is what was trained for each.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.runs import table
from pipeline.log import read_log
from pipeline.store import read_json
from pipeline.workspace import Workspace


def main() -> None:
    """Build both workspaces and print what they cost as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="class folders")
    parser.add_argument("--joins", type=Path, required=True, help="folder of the class that joins")
    parser.add_argument("--out", type=Path, default=Path("out/joining"))
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    given = parser.parse_args()
    if given.out.exists():
        shutil.rmtree(given.out)
    first = sorted(folder for folder in given.dataset.iterdir() if folder.is_dir())
    grown, at_once = Workspace(given.out / "grown"), Workspace(given.out / "at-once")

    fill(grown, first, given.overrides)
    before, files = trained(grown), models(grown)
    fill(grown, [given.joins], given.overrides)
    fill(at_once, [*first, given.joins], given.overrides)

    joined, full = trained(grown)[len(before) :], trained(at_once)
    whole = sum(event["seconds"] for event in full)
    rows = {f"{len(first) + 1} classes at once": full, f"`{given.joins.name}` joins {len(first)} classes": joined}
    header = ["", "generators trained", "steps", "seconds of training", "share"]
    print("\n".join(table(header, (_cells(what, events, whole) for what, events in rows.items()))))
    print(f"\nTrained when it joined: {', '.join(event['generator'] for event in joined)}.")
    same = sum(models(grown)[file] == time for file, time in files.items())
    print(f"Of {len(files)} files of generators and candidates, {same} were not written again.")
    print(f"The report covers {', '.join(read_json(grown.run.metrics)['dataset']['classes'])}.")


def fill(workspace: Workspace, folders: list[Path], overrides: list[str]) -> None:
    """Add classes as a person would, and run once they are all there."""
    words = [word for setting in overrides for word in ("--set", setting)]
    for folder in folders:
        command = [sys.executable, "-m", "flows.cli", "class", "add", folder.name, str(folder)]
        more = [] if folder == folders[-1] else ["--no-train"]
        subprocess.run([*command, "--workspace", str(workspace.root), *words, *more], check=True)  # noqa: S603 (ours)


def trained(workspace: Workspace) -> list[dict[str, Any]]:
    """The log's lines about generators that were trained to their end."""
    ended = [event for event in read_log(workspace.run.log) if (event["stage"], event["event"]) == ("train", "done")]
    return [event for event in ended if "generator" in event]


def models(workspace: Workspace) -> dict[str, int]:
    """Files of generators and candidates, with the times at which they were written."""
    kinds, out = ("store/generator-*", "store/candidates-*", "generators/*/*.safetensors"), workspace.run.out
    return {str(file.relative_to(out)): file.stat().st_mtime_ns for kind in kinds for file in out.glob(kind)}


def _cells(what: str, events: list[dict[str, Any]], whole: float) -> list[str]:
    seconds = sum(event["seconds"] for event in events)
    steps = sum(event["step"] for event in events)
    return [what, str(len(events)), str(steps), f"{seconds:.0f}", f"{100 * seconds / whole:.1f} %"]


if __name__ == "__main__":
    main()
