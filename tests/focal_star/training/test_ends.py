"""However a training ends, it does so at once, and all of its processes with it."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from ablations.identity.snapshot import checkout
from ablations.runner.processes import ForkServer, Start
from focal_star.config import CONFIGS
from focal_star.training import checkpoints
from focal_star.training.command import DIVERGED, UNUSABLE
from focal_star.training.interruption import CTRL_C, INTERRUPTED, REPEAT_SECONDS

DRIVER = Path(__file__).with_name("ending_training.py")
MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
END_SECONDS = 10
WAIT_SECONDS = 180
"""Only a test that is about to fail waits as long."""

pytestmark = pytest.mark.slow


def members(session: int) -> list[int]:
    """The living processes of a session; one that only waits to be collected is not alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, owner = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(owner) == session and state != "Z":
            found.append(int(path.parent.name))
    return sorted(found)


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@dataclass
class Training:
    """A training at work: the leader of a session of its own."""

    pid: int
    driver: subprocess.Popen
    log: Path
    folder: Path
    code: int | None = None

    def text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def wait_until_it_trains(self, num_processes: int) -> None:
        """Until its first iterations are done, by so many processes."""
        metrics = self.folder / "metrics.json"
        wait_for(lambda: metrics.exists() and metrics.stat().st_size > 0)
        assert len(members(self.pid)) >= num_processes, self.text()

    def end(self, number: int) -> int:
        """The exit code, after a signal to all of its processes."""
        os.killpg(self.pid, number)
        return self.exit_code()

    def wait(self) -> int:
        if self.code is None:
            self.code = int(self.driver.stdout.readline())
        return self.code

    def exit_code(self) -> int:
        """That of the main process; all others are dead soon after, soon after the last write."""
        code = self.wait()
        ended = time.time()
        last_write = max(p.stat().st_mtime for p in [self.log, *self.folder.rglob("*")])
        assert ended - last_write < END_SECONDS
        deadline = time.monotonic() + END_SECONDS
        while members(self.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert members(self.pid) == []
        return code


@pytest.fixture(scope="module")
def driver() -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, DRIVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    yield process
    process.stdin.close()
    process.wait(WAIT_SECONDS)


@pytest.fixture
def start(driver, tiny_overrides, tmp_path) -> Iterator[Callable[..., Training]]:
    started = []

    def start(
        *keys: object,
        workers: int | None = 0,
        ranks: int = 1,
        flags=(),
        config: Path = MINI,
        seconds_per_batch: float = 0,
    ) -> Training:
        keys = ["TEST.LOSS_PERIOD", 0, *keys]
        keys += [] if workers is None else ["DATALOADER.NUM_WORKERS", workers]
        overrides = [*tiny_overrides, *keys, "OUTPUT_DIR", tmp_path / "train"]
        job = {
            "arguments": ["--config-file", str(config), *flags, *map(str, overrides)],
            "log": str(tmp_path / "log.txt"),
            "ranks": ranks,
            "seconds_per_batch": seconds_per_batch,
        }
        print(json.dumps(job), file=driver.stdin, flush=True)
        pid = int(driver.stdout.readline())
        started.append(Training(pid, driver, tmp_path / "log.txt", tmp_path / "train"))
        return started[-1]

    yield start
    for training in started:
        for left in members(training.pid):
            os.kill(left, signal.SIGKILL)
        training.wait()


LONG = ("SOLVER.MAX_ITER", 5000)
EXPLODING = ("SOLVER.BASE_LR", "1e30", "SOLVER.WARMUP_FACTOR", "1e-33")  # in the second step


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_one_that_is_done(start, workers):
    training = start(workers=workers)
    assert training.exit_code() == 0, training.text()
    assert (training.folder / "model_final.pth").exists()


def test_a_config_of_coco_with_its_own_workers(start):
    config = CONFIGS / "coco" / "retinanet_R_50_FPN_1x_600_FL.yaml"
    # The keys of every training here are of the mini study.
    keys = (
        "EXTENSIONS",
        "['mini']",
        "MODEL.DEVICE",
        "cpu",
        "MODEL.WEIGHTS",
        "",
        "INPUT.SHORT_EDGE",
        64,
    )
    keys += ("SOLVER.MAX_ITER", 2, "SOLVER.IMS_PER_BATCH", 1, "TEST.LOSS_DISTRIBUTION", False)
    training = start(*keys, workers=None, config=config)
    assert training.exit_code() == 0, training.text()
    assert (training.folder / "model_final.pth").exists()
    assert "NUM_WORKERS: 4\n" in (training.folder / "config.yaml").read_text()


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_one_that_diverges(start, workers):
    training = start(*EXPLODING, workers=workers)
    assert training.exit_code() == DIVERGED, training.text()


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_ctrl_c(start, workers):
    training = start(*LONG, workers=workers)
    training.wait_until_it_trains(1 + workers)
    assert training.end(signal.SIGINT) == CTRL_C
    assert "train_net.py: interrupted by Ctrl-C; --resume continues" in training.text()
    assert "Traceback" not in training.text()


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_sigterm_to_all_of_its_processes(start, workers):
    training = start(*LONG, workers=workers)
    training.wait_until_it_trains(1 + workers)
    assert training.end(signal.SIGTERM) == INTERRUPTED, training.text()
    assert len(checkpoints.numbered(training.folder)) == 1
    assert "Traceback" not in training.text()


def test_a_second_sigterm(start):
    """The first one finds the training in an iteration that does not end."""
    training = start(*LONG, workers=2)
    training.wait_until_it_trains(3)
    workers = set(members(training.pid)) - {training.pid}
    stop(workers)
    for seconds in (1 + REPEAT_SECONDS, 0.5):
        os.kill(training.pid, signal.SIGTERM)
        time.sleep(seconds)
    assert training.wait() == INTERRUPTED
    go_on(workers)
    wait_for(lambda: not members(training.pid))


def test_ctrl_c_again_and_again_leaves_no_traceback(start):
    training = start(*LONG, workers=2)
    training.wait_until_it_trains(3)
    for _ in range(3):
        with suppress(ProcessLookupError):  # it has ended
            os.killpg(training.pid, signal.SIGINT)
        time.sleep(0.05)
    assert training.exit_code() == CTRL_C
    assert "interrupted by Ctrl-C" in training.text()


def test_a_kill(start):
    training = start(*LONG, workers=4)
    training.wait_until_it_trains(5)
    os.kill(training.pid, signal.SIGKILL)
    assert training.exit_code() == -signal.SIGKILL


def test_ctrl_c_where_it_is_stuck(start):
    training = start(*LONG, workers=2)
    training.wait_until_it_trains(3)
    workers = set(members(training.pid)) - {training.pid}
    stop(workers)
    os.kill(training.pid, signal.SIGINT)
    assert training.wait() == CTRL_C
    go_on(workers)
    wait_for(lambda: not members(training.pid))


def stop(workers: set[int]) -> None:
    """Have workers do nothing, so that their training soon waits for them."""
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    time.sleep(1)


def go_on(workers: set[int]) -> None:
    for worker in workers:
        os.kill(worker, signal.SIGCONT)


def test_an_image_that_cannot_be_read(start, tiny_data, tmp_path):
    folder = shutil.copytree(tiny_data, tmp_path / "data")
    for image in (folder / "images").glob("train*"):
        os.truncate(image, image.stat().st_size // 2)
    keys = ("DATASETS.FOLDER", folder, "DATASETS.CHECK", False, "MODEL.BACKBONE.FREEZE_AT", 0)
    training = start(*LONG, *keys, "TEST.LOSS_DISTRIBUTION", False, workers=2)
    assert training.exit_code() == UNUSABLE, training.text()
    assert "train_net.py: error: " in training.text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, CTRL_C), (signal.SIGTERM, 4)])
def test_an_evaluation(start, tiny_cfg, save_busy_detector, tmp_path, number, code):
    weights = save_busy_detector(tmp_path / "weights", tiny_cfg)
    keys = ("MODEL.WEIGHTS", weights, "TEST.IMS_PER_BATCH", 1)
    # Its workers are slow, or it may be done before the signal.
    training = start(*keys, workers=2, flags=["--eval-only"], seconds_per_batch=5)
    wait_for(lambda: len(members(training.pid)) == 3)
    os.killpg(training.pid, number)
    assert training.exit_code() == code, training.text()
    assert "Traceback" not in training.text()


@pytest.mark.parametrize(
    ("number", "code"),
    [(None, 0), (signal.SIGINT, CTRL_C), (signal.SIGTERM, INTERRUPTED), (signal.SIGKILL, -9)],
)
def test_ranks_with_workers(start, number, code):
    """The kill is of the process that launched them, alone."""
    keys = LONG if number else ("TEST.LOSS_DISTRIBUTION", False)
    training = start(*keys, workers=1, ranks=2)
    if number:
        training.wait_until_it_trains(6)  # and the tracker of multiprocessing's resources
    if number == signal.SIGKILL:
        os.kill(training.pid, number)
    elif number:
        os.killpg(training.pid, number)
    assert training.exit_code() == code, training.text()
    if number == signal.SIGINT:
        assert training.text().count("interrupted by Ctrl-C") == 1
        assert "Traceback" not in training.text()


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGKILL])
def test_a_cell_that_the_runner_forked(tiny_overrides, tmp_path, number):
    """The kill is of the cell's process, alone."""
    folder = tmp_path / "train"
    keys = [*tiny_overrides, *map(str, LONG if number else ()), "DATALOADER.NUM_WORKERS", "2"]
    lock, log = (tmp_path / "lock").open("w"), tmp_path / "log.txt"
    with lock:
        arguments = ("--config-file", str(MINI), *keys)
        start = Start(checkout(), arguments, {"OMP_NUM_THREADS": "1"}, log, lock)
        cell = ForkServer(1, tmp_path / "server.txt", checkout()).start(start)
    try:
        if number:
            wait_for(lambda: (folder / "metrics.json").exists() and len(members(cell.pid)) == 3)
            os.kill(cell.pid, number)
        wait_for(lambda: cell.poll() is not None)
        code = {None: 0, signal.SIGTERM: INTERRUPTED}.get(number, -signal.SIGKILL)
        assert cell.poll() == code, log.read_text()
        wait_for(lambda: members(cell.pid) == [])
    finally:
        for left in members(cell.pid):
            os.kill(left, signal.SIGKILL)
    with (tmp_path / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody holds it
