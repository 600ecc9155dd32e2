"""All side effects: files, processes, git, SQLite, MLflow, Ray. Each wraps foreign exceptions."""
