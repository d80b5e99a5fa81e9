"""What a study's ``slurm:`` may ask of the cluster, for each cell.

The names are submitit's, and most of them sbatch's too.
"""

from typing import Any

OPTIONS: dict[str, tuple[type, Any]] = {
    "partition": (str, None),
    "account": (str, None),
    "qos": (str, None),
    "constraint": (str, None),
    "exclude": (str, None),
    "gres": (str, None),
    "timeout_min": (int, 60),
    "signal_delay_s": (int, 120),
    "cpus_per_task": (int, 1),
    "gpus_per_node": (int, None),
    "mem_gb": (float, None),
    "array_parallelism": (int, 256),
    "setup": (list, None),
    "additional_parameters": (dict, None),
}
"""Option -> (its type, its default; None: the cluster's).

``timeout_min`` is the time limit of a task; a cell that needs more is requeued, and goes on from
the checkpoint that it is told to write ``signal_delay_s`` seconds before. ``gpus_per_node`` is the
number of GPUs that one cell trains on. At most ``array_parallelism`` cells run at a time. ``setup``
are shell commands before each cell, ``additional_parameters`` further options of sbatch by name.
"""


def problems_of(options: dict[str, Any]) -> list[str]:
    """One line for each option that cannot be used."""
    found = [
        f"slurm: unknown option {name}; known: {', '.join(OPTIONS)}"
        for name in options
        if name not in OPTIONS
    ]
    for name, (kind, _) in OPTIONS.items():
        if name not in options:
            continue
        value, least = options[name], 0 if name == "gpus_per_node" else 1
        if type(value) is not kind and not (kind is float and type(value) is int):
            found.append(f"slurm: {name} is {value!r}, not a {kind.__name__}")
        elif kind is int and value < least:
            found.append(f"slurm: {name} is {value}; at least {least} is needed")
        elif kind is float and value <= 0:
            found.append(f"slurm: {name} is {value}; more than 0 is needed")
        elif kind is list:
            found += [
                f"slurm: {name} has {v!r}, not a command" for v in value if type(v) is not str
            ]
    return found


def with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    """The options, and the default of each that is missing."""
    defaults = {name: default for name, (_, default) in OPTIONS.items() if default is not None}
    return defaults | options
