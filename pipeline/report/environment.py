"""What every page of the project shares: escaping, masking of secrets, the style."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.masking import mask_secrets
from pipeline.report import formatting


def page_environment(*folders: Path) -> Environment:
    """Templates of `folders`, then of this package (`style.css.j2`); whatever they print is escaped.

    Filters: `name` for one line of what a user named, `masked` against secrets, `spoken` for identifiers.
    """
    environment = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "spoken": formatting.spoken,
        "name": formatting.printable,
        "masked": lambda text: mask_secrets(str(text)),
    }
    return environment


def as_text(html: str) -> str:
    """A page that can be written as UTF-8, whatever the file names in it."""
    return html.encode("utf-8", "replace").decode("utf-8")
