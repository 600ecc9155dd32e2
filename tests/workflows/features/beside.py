"""A module beside the Snakefile."""

VALUE = "from a module beside the Snakefile"


def tripled(text: str) -> str:
    """Say it three times."""
    return text * 3
