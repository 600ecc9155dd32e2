"""What there is to say when an engine or a registry refuses."""

from __future__ import annotations

from snakemake_repro.logic.redaction import strip_credentials


def cause(exc: BaseException) -> str:
    """Return the system's own words from below the layers of a library."""
    below: BaseException | None = exc
    while below is not None:
        if isinstance(below, OSError) and below.strerror:
            return below.strerror
        inner = [arg for arg in below.args if isinstance(arg, BaseException)]
        below = inner[0] if inner else below.__cause__ or below.__context__
    return strip_credentials(" ".join(str(exc).split()))


def advice(said: str) -> str:
    """Return what may help, by the words of a refusal."""
    words = said.lower()
    if any(word in words for word in ("denied", "unauthorized", "auth credentials")):
        return (
            "Is the name right? For a private image, `docker login` (or `podman login`) gives the "
            "credentials."
        )
    if "unknown" in words or "not found" in words:
        return "Check the name and tag, or the digest, in `container:` and in the lock."
    if "device driver" in words:
        return "GPUs in containers need NVIDIA's container toolkit on the node."
    if "no space" in words:
        return "Free some space where the engine keeps its images (`docker system prune`)."
    return "Can this machine reach the registry? The engine's own log says more."
