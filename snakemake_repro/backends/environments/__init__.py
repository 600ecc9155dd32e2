"""Environments on this node: what the host has, and what a lock names."""
