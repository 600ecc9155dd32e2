"""One use case per module: execute a job, deliver a journal, report, verify, lock."""
