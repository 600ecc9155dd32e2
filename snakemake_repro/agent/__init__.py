"""The agent: a small clean process beside each Ray worker that starts jobs and ends them.

A Ray worker has threads, Ray's environment and Ray's memory; jobs are forked from here instead,
from a single-threaded process that holds nothing of Ray. When the worker dies, its end of the
pipe closes, and the agent ends the job's whole process tree.
"""
