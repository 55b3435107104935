"""Text for a terminal."""


def on_one_line(path: str) -> str:
    """A path as a terminal may show it: control characters are replaced."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in path)
