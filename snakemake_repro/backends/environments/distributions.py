"""Installed distributions, by name and version."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator, Sequence
from email import message_from_string
from email.message import Message
from importlib.metadata import Distribution, DistributionFinder

from packaging.utils import canonicalize_name


def distributions(path: Sequence[str] | None = None) -> Iterator[tuple[str, str, Distribution]]:
    """Yield normalised name, version and distribution, in the order of a search path.

    What an aborted installation left without metadata is passed over.

    Args:
        path: Directories; that of this process by default.
    """
    # not `importlib.metadata.distributions`: the backport of that module, once anybody has
    # imported it, shows everything there a second time
    context = DistributionFinder.Context(path=list(sys.path if path is None else path))
    for found in importlib.metadata.MetadataPathFinder().find_distributions(context):
        metadata = _headers(found)
        if "Name" in metadata and "Version" in metadata:
            yield canonicalize_name(metadata["Name"]), metadata["Version"], found


def _headers(found: Distribution) -> Message:
    """Return a distribution's metadata without the description, which takes longest to parse."""
    names = ("METADATA", "PKG-INFO", "")  # as `Distribution.metadata` has them
    text = next(filter(None, map(found.read_text, names)), "")
    return message_from_string(text.partition("\n\n")[0])
