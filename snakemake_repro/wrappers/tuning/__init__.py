"""Hyperparameter search that can be repeated bit for bit."""
