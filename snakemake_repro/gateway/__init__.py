"""The gateway: the child process of the driver that owns the Ray connection."""
