"""The options under ``slurm:`` in a study's file."""

from typing import Annotated, Any

import msgspec

Word = Annotated[
    str,
    msgspec.Meta(pattern=r"\A[^\s\x00-\x1f\x7f]+\Z", description="without spaces and breaks"),
]
"""Text that cannot add a line to the sbatch file, which the shell would run as a command."""

Line = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A[^\x00-\x1f\x7f\x85\u2028\u2029]*\Z", description="that is on one line"
    ),
]
"""Like ``Word``, but spaces are allowed."""

_Count = Annotated[int, msgspec.Meta(ge=1)]


class SlurmOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of one task, which runs one cell. The names are submitit's, most of them sbatch's.

    None leaves an option to the cluster.

    Attributes:
        timeout_min: the time limit of a task, minutes; a cell that needs more is requeued and
            resumes from the checkpoint that it writes ``signal_delay_s`` seconds before the limit.
        gpus_per_node: the GPUs that one cell trains on.
        mem_gb: memory, GB.
        array_parallelism: the maximum number of cells that run at a time.
        setup: shell commands before each cell.
        additional_parameters: further options of sbatch, by name.
    """

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    exclude: Word | None = None
    gres: Word | None = None
    timeout_min: _Count = 60
    signal_delay_s: _Count = 120
    cpus_per_task: _Count = 1
    gpus_per_node: Annotated[int, msgspec.Meta(ge=0)] | None = None
    mem_gb: Annotated[float, msgspec.Meta(gt=0)] | None = None
    array_parallelism: _Count = 256
    setup: list[str] | None = None
    additional_parameters: dict[Word, bool | int | float | Line] | None = None

    def given(self) -> dict[str, Any]:
        """Option -> value, without those that are left to the cluster."""
        options = msgspec.structs.asdict(self)
        return {name: value for name, value in options.items() if value is not None}
