"""The libraries that the wrappers train with, each behind the same small interface."""
