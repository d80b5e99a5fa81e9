"""A fake cluster in this process."""

from contextlib import nullcontext
from types import SimpleNamespace

from ablations.records.record import DONE
from ablations.runner.cell_run import CellRun
from ablations.storage.json_files import write_json


class Death(BaseException):
    """The submitter dies and cancels nothing."""


class FakeSlurm:
    """Replaces submitit and SLURM's commands.

    Attributes:
        does: cell id -> what its tasks come to, one after another: "DONE" (the cell's record),
            "RUNNING" (for ever), or a state in which a task leaves no record.
        submitted: the cells of each array.
        commands: those that were called, but for squeue.
        answers: what squeue does: None to answer, or an error.
        refusals: what sbatch does: None to accept an array, or an error.
        pauses: at how many looks nothing moves.
        dies_at: the task after which the submitter dies.
    """

    def __init__(self):
        self.does, self.submitted, self.commands, self.answers = {}, [], [], []
        self.tasks = {}  # (name, index) -> [job, SLURM's state]
        self.refusals, self.pauses, self.dies_at = [], 0, None

    def executor(self, folder, cluster, **_):
        return SimpleNamespace(
            batch=nullcontext, submit=self._submit, update_parameters=self._name, folder=folder
        )

    def _name(self, name, **parameters):
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal:
            raise refusal
        self.name, self.parameters = name, parameters
        self.submitted.append([])

    def _submit(self, task):
        index = len(self.submitted[-1])
        self.submitted[-1].append(task.job.cell.id)
        self.tasks[self.name, index] = [task.job, "PENDING"]
        if index == self.dies_at:
            raise Death
        return SimpleNamespace(job_id=f"{len(self.submitted)}_{index}")

    def call(self, program, *arguments):
        if program != "squeue":
            self.commands.append([program, *arguments])
            for task in self.tasks.values():
                task[1] = "CANCELLED"
            return ""
        answer = self.answers.pop(0) if self.answers else None
        if answer:
            raise answer
        (names,) = [a.partition("=")[2] for a in arguments if a.startswith("--name=")]
        lines, self.pauses = [], self.pauses - 1
        for number, name in enumerate(dict.fromkeys(name for name, _ in self.tasks), start=1):
            for (of, index), task in self.tasks.items():
                if of == name and name in names.split(","):
                    if self.pauses < 0:
                        self._go_on(task)
                    lines.append(f"{name}   {number}   {index}   {task[1]}   9\n")
        return "".join(lines)

    def _go_on(self, task):
        job, state = task
        if state == "RUNNING":
            then = self.does.get(job.cell.id, [])
            outcome = then.pop(0) if then else "DONE"
            if outcome == "DONE":
                leave_result(job)
                assert CellRun(job).poll() is not None
                outcome = "COMPLETED"
            elif outcome == "RUNNING":
                then.insert(0, outcome)
            task[1] = outcome
        elif state == "PENDING":
            task[1] = "RUNNING"


def leave_result(job):
    """Write the files of a cell whose process has ended, without the record."""
    layout, cell = job.layout, job.cell.id
    write_json(layout.cell_fingerprint(cell), {"fingerprint": job.identity.fingerprint})
    result = {"metrics": {"AP": 10.0}}
    write_json(layout.cell_result(cell), {"status": DONE, "error": "", "result": result, "run": {}})
