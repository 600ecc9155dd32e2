"""The command line flags of the executor: ``--ray-...``."""

# No `from __future__ import annotations` here: Snakemake reads the field types at run time.

import dataclasses
from pathlib import Path
from typing import Optional

from snakemake_interface_executor_plugins.settings import ExecutorSettingsBase

CONTAINER_ENGINES = ("docker", "podman", "apptainer")
CONTAINER_NETWORKS = ("host", "none")
ENVIRONMENTS = ("auto", "container", "conda", "host")
HERMETIC = ("off", "enforce", "report")
LOCKS = ("auto", "frozen")
MLFLOW_RUNS = ("auto", "all", "tracked", "workflow")
TIERS = ("auto", "fork")
TRACES = ("auto", "off")


@dataclasses.dataclass
class ExecutorSettings(ExecutorSettingsBase):  # type: ignore[misc] # the base class is untyped
    """What ``--executor ray`` can be told."""

    address: Optional[str] = dataclasses.field(
        default=None,
        metadata={
            "help": "Address of a running Ray cluster (HOST:PORT, or 'auto' for one on this "
            "machine). Without it a local cluster is started for this run.",
            "env_var": False,
            "required": False,
        },
    )
    cpus: Optional[int] = dataclasses.field(
        default=None,
        metadata={
            "help": "Logical CPUs of the local cluster (default: all of this machine). "
            "Has no meaning with --ray-address.",
            "env_var": False,
            "required": False,
        },
    )
    environments: str = dataclasses.field(
        default="auto",
        metadata={
            "help": "'auto' runs a rule in the container or the conda: environment that it asks "
            "for, as locked; 'container' and 'conda' say which of them counts where a rule asks "
            "for both; 'host' ignores both and runs every rule on the host, recorded as unpinned.",
            "choices": ENVIRONMENTS,
            "env_var": False,
            "required": False,
        },
    )
    locks: str = dataclasses.field(
        default="auto",
        metadata={
            "help": "'auto' makes a lock that is missing, and brings one up to date whose "
            "environment file has changed; 'frozen' refuses to make or move any.",
            "choices": LOCKS,
            "env_var": False,
            "required": False,
        },
    )
    link_scripts: bool = dataclasses.field(
        default=False,
        metadata={
            "help": "Run the link scripts that conda packages bring. They may do anything, and "
            "what they do is in no lock.",
            "env_var": False,
            "required": False,
        },
    )
    container_engine: str = dataclasses.field(
        default="docker",
        metadata={
            "help": "The engine of the nodes that runs rules with container:, 'docker' or "
            "'podman', found as DOCKER_HOST or CONTAINER_HOST say, or where it usually listens; "
            "or 'apptainer', the program of that name or singularity (not tested yet).",
            "choices": CONTAINER_ENGINES,
            "env_var": False,
            "required": False,
        },
    )
    container_network: str = dataclasses.field(
        default="host",
        metadata={
            "help": "'host' gives rules with container: the network of their node, 'none' gives "
            "them none. A rule decides for itself with `resources: network=False` or True. "
            "Hermetic jobs have none in any case.",
            "choices": CONTAINER_NETWORKS,
            "env_var": False,
            "required": False,
        },
    )
    environment_store: Optional[Path] = dataclasses.field(
        default=None,
        metadata={
            "help": "Directory on each node for realised environments "
            "(default: snakemake-repro/environments below the user's cache directory).",
            "env_var": False,
            "required": False,
        },
    )
    hermetic: str = dataclasses.field(
        default="off",
        metadata={
            "help": "'enforce' shows every job its declared inputs and nothing else, keeps its "
            "declared outputs and nothing else, closes network, variables, locale and time zone, "
            "and fails jobs that want more; 'report' lets them and puts it into the record. "
            "A rule decides for itself with `resources: hermetic=True` or False.",
            "choices": HERMETIC,
            "env_var": False,
            "required": False,
        },
    )
    hermetic_trace: str = dataclasses.field(
        default="auto",
        metadata={
            "help": "'auto' watches hermetic jobs with strace where it is installed, so that "
            "undeclared reads are named; 'off' does not.",
            "choices": TRACES,
            "env_var": False,
            "required": False,
        },
    )
    base: Optional[Path] = dataclasses.field(
        default=None,
        metadata={
            "help": "Directory on each node with an unpacked root file system, whose system files "
            "hermetic jobs see (default: the node's own, recorded as unpinned).",
            "env_var": False,
            "required": False,
        },
    )
    experiment: Optional[str] = dataclasses.field(
        default=None,
        metadata={
            "help": "MLflow experiment that receives the run (default: MLFLOW_EXPERIMENT_NAME, "
            "else the name of the repository).",
            "env_var": False,
            "required": False,
        },
    )
    tracking_uri: Optional[str] = dataclasses.field(
        default=None,
        metadata={
            "help": "MLflow tracking URI (default: MLFLOW_TRACKING_URI, else MLflow's own store "
            "in the working directory).",
            "env_var": False,
            "required": False,
        },
    )
    mlflow_runs: str = dataclasses.field(
        default="auto",
        metadata={
            "help": "Which jobs get an MLflow run of their own below the workflow's: 'all', "
            "'tracked' (those that report metrics), 'workflow' (none), or 'auto' (all up to 2,000 "
            "jobs, then tracked). The complete record is kept in any case.",
            "choices": MLFLOW_RUNS,
            "env_var": False,
            "required": False,
        },
    )
    delivery_wait: int = dataclasses.field(
        default=5,
        metadata={
            "help": "Seconds that a run waits at its end for its record to reach MLflow. What is "
            "left is delivered in the background, by the next run, or by `repro sync`.",
            "env_var": False,
            "required": False,
        },
    )
    notify: Optional[str] = dataclasses.field(
        default=None,
        metadata={
            "help": "Whom to tell when the run ends, fails or is interrupted: an http(s) URL gets "
            "a JSON object by POST, a command gets it on its standard input, 'desktop' shows it. "
            "The record does not keep it.",
            "env_var": True,
            "required": False,
        },
    )
    no_record: bool = dataclasses.field(
        default=False,
        metadata={
            "help": "Hash and record nothing.",
            "env_var": False,
            "required": False,
        },
    )
    resubmissions: int = dataclasses.field(
        default=3,
        metadata={
            "help": "How often an attempt is repeated when its worker or node is lost. Such a loss "
            "does not count for --retries.",
            "env_var": False,
            "required": False,
        },
    )
    follow: bool = dataclasses.field(
        default=False,
        metadata={
            "help": "Show what jobs write while they run, each line after the job's rule and "
            "wildcards.",
            "env_var": False,
            "required": False,
        },
    )
    tier: str = dataclasses.field(
        default="auto",
        metadata={
            "help": "'auto' runs shell, script, notebook and wrapper rules directly and everything "
            "else in a fork of Snakemake on the node; 'fork' runs everything in a fork.",
            "choices": TIERS,
            "env_var": False,
            "required": False,
        },
    )
