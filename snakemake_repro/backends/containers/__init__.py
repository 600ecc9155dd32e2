"""Container engines: Docker, and Podman through the same interface."""
