"""`ganaug class`: a workspace's defect classes. `add`, `remove` and `update`, which train, stand with the flows."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.workspace.listing import ClassState

classes = typer.Typer(no_args_is_help=True, help="The defect classes of a workspace.")

Where = Annotated[Path, typer.Option("--workspace", help="The workspace's folder.")]


@classes.command("list")
def list_command(
    workspace: Where = Path("workspace"), as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show every class with its images, its generator and its last gain."""
    from pipeline.workspace import Workspace
    from pipeline.workspace.listing import class_states

    states = class_states(Workspace(workspace))
    if as_json:
        typer.echo(json.dumps([asdict(state) for state in states], indent=2, ensure_ascii=False))
        return
    width = max(5, *(len(state.name) for state in states)) if states else 5
    typer.echo(f"{'class':{width}}  train  test  generator  accepted  last gain, points")
    for state in states:
        typer.echo(_line(state, width))


def _line(state: "ClassState", width: int) -> str:
    accepted = "-" if state.accepted is None else str(state.accepted)
    gain = "-" if state.gain is None else f"{100 * state.gain:+.1f}"
    return f"{state.name:{width}}  {state.train:5}  {state.test:4}  {state.generator:9}  {accepted:>8}  {gain:>17}"
