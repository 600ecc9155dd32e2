"""Notebooks that are run with parameters, and come out the same for the same results."""
