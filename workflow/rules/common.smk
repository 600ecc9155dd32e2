"""What the rules have in common: which files, runs and classes there are."""

SDIST_SHA256 = "198986128db3afd1ca9f510f18fa31c8f6d6cc6852a69888613835548c35e21a"
SDIST = "results/corsika/corsika_panama-1.0.4.tar.gz"
MAGIC = "magic"
MAGIC_FEATURES = [
    "length",
    "width",
    "size",
    "conc",
    "conc1",
    "asym",
    "m3_long",
    "m3_trans",
    "alpha",
    "dist",
]
MAGIC_CLASSES = {"gamma": "g", "hadron": "h"}
PRIMARIES = list(config["primaries"])


def find_runs(directory: str) -> list[str]:
    """Return the names of the CORSIKA files of the study."""
    if not directory:
        return [f"DAT{number:06d}" for number in range(50)]
    runs = sorted(
        path.name
        for path in Path(directory).glob("DAT*")
        if path.name[3:].isdigit() and path.is_file()
    )
    if not runs:
        raise WorkflowError(
            f"corsika_dir: no CORSIKA files in {directory}: expected files named DAT and a number, "
            "found none. Name the folder that holds them, or leave corsika_dir empty for the "
            "showers of corsika-panama."
        )
    return runs


def check_tasks() -> None:
    """Check what the schema cannot: that names used in one place are defined in another."""
    for task in config["tasks"]:
        if task not in config["classes"] and task != MAGIC:
            known = ", ".join([*config["classes"], MAGIC])
            raise WorkflowError(
                f"tasks: {task} is not defined: expected one of {known}. Define it under classes."
            )
        classes = MAGIC_CLASSES if task == MAGIC else config["classes"][task]
        if config["positive"].get(task) not in classes:
            raise WorkflowError(
                f"positive: expected one of the classes of {task} ({', '.join(classes)}), "
                f"got {config['positive'].get(task)}."
            )
        if task == MAGIC:
            continue
        unknown = sorted({name for names in classes.values() for name in names} - set(PRIMARIES))
        if unknown:
            raise WorkflowError(
                f"classes: {task} uses {', '.join(unknown)}: expected names of primaries "
                f"({', '.join(PRIMARIES)}). Add the code of the particle under primaries."
            )


def check_models() -> None:
    """Check that each model is of a family, and has a space to search where it is tuned."""
    for model in config["models"]:
        if model not in FAMILIES:
            raise WorkflowError(
                f"models: {model} is not defined: expected one of {', '.join(FAMILIES)}. "
                "Add an entry to rules/families.smk."
            )
        if config["trials"].get(model) and not config["spaces"].get(model):
            raise WorkflowError(
                f"trials: {model} has no parameters to search: expected some under spaces, found "
                "none. Add them, or take the model out of trials."
            )
    for task, models in config["adapted"].items():
        for model, parameters in models.items():
            known = config["parameters"].get(model, {})
            for name in parameters.keys() - known.keys():
                raise WorkflowError(
                    f"adapted: {task} gives {model} {name}: expected one of "
                    f"{', '.join(known) or 'its parameters, which are none'}. "
                    "Name it under parameters first, with the value for other tasks."
                )


def asked_primaries() -> list[str]:
    """Return the primaries to write ROOT files of: all, or of one's own files those in a task."""
    if not config["corsika_dir"]:
        return PRIMARIES
    groups = [names for task in SHOWER_TASKS for names in config["classes"][task].values()]
    return sorted({name for names in groups for name in names})


SHOWER_TASKS = [task for task in config["tasks"] if task != MAGIC]
RUNS = find_runs(config["corsika_dir"])
CORSIKA_DIR = config["corsika_dir"] or "results/corsika"
FOLDS = list(range(config["folds"]))
check_tasks()
check_models()


wildcard_constraints:
    run=r"DAT\d+",
    primary="|".join(PRIMARIES),
    task="|".join([*config["classes"], MAGIC]),
    model="|".join(FAMILIES),
    fold=r"\d+",
    hadronic="[A-Za-z0-9]+",
    projectile="[A-Za-z0-9]+",
