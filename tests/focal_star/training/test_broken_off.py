"""A training that is broken off at any moment and gone on with ends as one that never was."""

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from focal_star.config import CONFIGS
from focal_star.training import checkpoints
from focal_star.training.interruption import INTERRUPTED

TRAIN_NET = CONFIGS.parent / "train_net.py"
MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
DRIVER = Path(__file__).with_name("breakable_training.py")
TIMES = {"time", "data_time", "rank_data_time", "eta_seconds"}
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}
NUM_KILLS = 14
SEED = 3
NOT_WRITTEN = 5

pytestmark = pytest.mark.slow


class Trainings:
    """Trainings of 14 iterations with random flips, and a checkpoint every 3."""

    def __init__(self, data: Path, folder: Path):
        self.data, self.folder = data, folder
        self.log = ""
        self._said = folder / "said.txt"
        with self._said.open("w") as said:
            self._driver = subprocess.Popen(
                [sys.executable, DRIVER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env=ONE_THREAD,
                text=True,
            )

    def close(self) -> None:
        self._driver.stdin.close()
        self._driver.stdout.close()
        self._driver.wait()

    def arguments(self, name: str, *flags: str, **keys: object) -> list[str]:
        pairs = {
            "DATASETS.FOLDER": self.data,
            "CACHE_DIR": self.folder / "cache",
            "OUTPUT_DIR": self.folder / name,
            "PRETRAINING.ENABLED": False,
            "SOLVER.MAX_ITER": 14,
            "SOLVER.WARMUP_ITERS": 2,
            "SOLVER.IMS_PER_BATCH": 4,
            "SOLVER.CHECKPOINT_PERIOD": 3,
            "INPUT.RANDOM_FLIP": "horizontal",
        } | {key.replace("__", "."): value for key, value in keys.items()}
        flat = [str(part) for pair in pairs.items() for part in pair]
        return ["--config-file", str(MINI), *(flags or ["--resume"]), *flat]

    def run(self, *jobs: dict) -> list[dict]:
        """What became of each job of breakable_training.py; ``log`` has what all of them said."""
        start, ended = self._said.stat().st_size, []
        for job in jobs:
            print(json.dumps(job), file=self._driver.stdin, flush=True)
            ended.append(json.loads(self._driver.stdout.readline()))
        self.log = self._said.read_bytes()[start:].decode()
        return ended

    def traces(self, name: str) -> dict:
        """All that a training leaves, times aside."""
        folder = self.folder / name
        lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
        outcome = json.loads((folder / "result.json").read_text())
        weights = torch.load(folder / "model_final.pth", weights_only=True)
        return {
            "status": outcome["status"],
            "result": outcome["result"],
            "metrics": repr([{k: v for k, v in x.items() if k not in TIMES} for x in lines]),
            "files": sorted(p.name for p in folder.iterdir() if "model" in p.name),
            "weights": {k: v.numpy().tobytes() for k, v in weights["model"].items()},
            "last_checkpoint": (folder / "last_checkpoint").exists(),
        }

    def of_run(self, name: str) -> dict:
        return json.loads((self.folder / name / "result.json").read_text())["run"]

    def resumed_at(self, name: str) -> list[int]:
        return self.of_run(name)["resumed_at"]

    def events(self, name: str) -> dict:
        """What TensorBoard shows of a training: tag -> (iteration, value), times aside."""
        shown = EventAccumulator(str(self.folder / name)).Reload()
        return {
            tag: [(event.step, repr(event.value)) for event in shown.Scalars(tag)]
            for tag in shown.Tags()["scalars"]
            if tag not in TIMES
        }


@pytest.fixture(scope="module")
def trainings(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainings]:
    trainings = Trainings(tiny_data, tmp_path_factory.mktemp("trainings"))
    yield trainings
    trainings.close()


@pytest.fixture(scope="module")
def unbroken(trainings: Trainings) -> Iterator[dict]:
    """What an unbroken training leaves, and in ``run`` what its job returned."""
    # The first training also writes what later ones find in the cache: the second one is counted.
    first, job = (
        trainings.run({"arguments": trainings.arguments(name)})[0] for name in ("first", "unbroken")
    )
    assert first["codes"] == job["codes"] == [0], trainings.log
    yield {"traces": trainings.traces("unbroken"), "run": job}


def assert_same(found: dict, expected: dict) -> None:
    for key, value in expected.items():
        assert found[key] == value, key


@pytest.fixture(scope="module")
def killed(trainings: Trainings) -> Callable[[str], Path]:
    """Makes a training that was killed in its tenth iteration, with checkpoints after 6 and 9."""
    job = {"action": "kill", "call": ["Trainer.run_step", 10]}
    (ended,) = trainings.run(job | {"arguments": trainings.arguments("killed")})
    assert ended["codes"] == [-signal.SIGKILL]
    return lambda name: shutil.copytree(trainings.folder / "killed", trainings.folder / name)


def go_on(trainings: Trainings, name: str) -> None:
    (ended,) = trainings.run({"arguments": trainings.arguments(name)})
    assert ended["codes"] == [0], trainings.log


def test_an_unbroken_training_leaves_one_small_checkpoint(trainings, unbroken):
    assert unbroken["traces"]["files"] == ["model_final.pth"]
    assert not unbroken["traces"]["last_checkpoint"]
    saved = torch.load(trainings.folder / "unbroken" / "model_final.pth", weights_only=True)
    assert set(saved) == {"model"}
    assert trainings.resumed_at("unbroken") == []
    assert list((trainings.folder / "unbroken").glob("events.out.tfevents.*"))


def test_killed_at_any_moment(trainings, unbroken):
    """At random calls of what reads, computes and writes, and at random times."""
    rng = random.Random(SEED)
    breakable = [
        [name, n + 1] for name, num in unbroken["run"]["calls"].items() for n in range(num)
    ]
    points = [{"call": call} for call in rng.sample(breakable, NUM_KILLS - 4)]
    points += [{"seconds": rng.uniform(0, unbroken["run"]["seconds"])} for _ in range(4)]
    jobs = []
    for number, point in enumerate(points):
        arguments = trainings.arguments(f"killed{number}")
        jobs += [{"arguments": arguments, "action": "kill"} | point, {"arguments": arguments}]
    ended = trainings.run(*jobs)
    for number, point in enumerate(points):
        print(f"seed {SEED}, kill {number}: {point}")
        if "call" in point:
            assert ended[2 * number]["codes"] == [-signal.SIGKILL]
        assert ended[2 * number + 1]["codes"] == [0], trainings.log
        assert_same(trainings.traces(f"killed{number}"), unbroken["traces"])


def test_killed_again_and_again(trainings, unbroken):
    rng = random.Random(SEED)
    arguments = trainings.arguments("again")
    kill = {"arguments": arguments, "action": "kill"}
    steps = [rng.randint(1, 5) for _ in range(6)]
    jobs = [kill | {"call": ["Trainer.run_step", step]} for step in steps]
    trainings.run(*jobs, {"arguments": arguments})
    assert_same(trainings.traces("again"), unbroken["traces"])
    resumed = trainings.resumed_at("again")
    assert resumed == sorted(resumed) and set(resumed) <= {3, 6, 9, 12} and len(resumed) > 1


def test_the_real_process_killed_at_random_times(trainings, unbroken):
    rng = random.Random(SEED)
    command = [sys.executable, str(TRAIN_NET), *trainings.arguments("real")]
    started = time.monotonic()
    trial = trainings.arguments("trial")
    subprocess.run([sys.executable, TRAIN_NET, *trial], env=ONE_THREAD, capture_output=True)
    whole = time.monotonic() - started
    for _ in range(3):
        seconds = rng.uniform(0, whole)
        print(f"seed {SEED}: killed after {seconds:.2f} of {whole:.2f} s")
        process = subprocess.Popen(command, env=ONE_THREAD, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
    ended = subprocess.run(command, env=ONE_THREAD, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert_same(trainings.traces("real"), unbroken["traces"])


@pytest.mark.parametrize("call", ["APEvaluator.process", "APEvaluator._evaluate"])
def test_after_the_last_iteration_nothing_is_trained_again(trainings, unbroken, call):
    name = f"evaluating-{call}"
    arguments = trainings.arguments(name)
    broken, ended = trainings.run(
        {"arguments": arguments, "action": "kill", "call": [call, 1]}, {"arguments": arguments}
    )
    assert broken["codes"] == [-signal.SIGKILL] and ended["codes"] == [0]
    assert "Trainer.run_step" not in ended["calls"] and ended["calls"][call] > 0
    assert_same(trainings.traces(name), unbroken["traces"])
    assert trainings.resumed_at(name) == [14]
    assert trainings.of_run(name)["train_seconds"] > 0, "of the attempt that trained"
    assert trainings.events(name) == trainings.events("unbroken")


def test_a_checkpoint_after_every_iteration(trainings, unbroken):
    arguments = trainings.arguments("every", SOLVER__CHECKPOINT_PERIOD=1)
    first = {"arguments": arguments, "action": "kill", "call": ["Trainer.run_step", 2]}
    last = {"arguments": arguments, "action": "kill", "call": ["Trainer.run_step", 12]}
    trainings.run(first, last, {"arguments": arguments})
    assert_same(trainings.traces("every"), unbroken["traces"])
    assert trainings.resumed_at("every") == [1, 12]


def test_a_finished_training_is_returned_at_once(trainings, unbroken):
    before = (trainings.folder / "unbroken" / "result.json").read_bytes()
    (ended,) = trainings.run({"arguments": trainings.arguments("unbroken")})
    assert ended["codes"] == [0]
    assert not {"Trainer.load", "Trainer.run_step", "APEvaluator.process"} & set(ended["calls"])
    assert (trainings.folder / "unbroken" / "result.json").read_bytes() == before


@pytest.mark.parametrize(
    "state", ["loss_normalizer", "position", "numpy", "storage", "optimizer", "schedule", "metrics"]
)
def test_a_checkpoint_without_one_of_the_states_ends_otherwise(trainings, killed, unbroken, state):
    """The tests above would notice."""
    folder = killed(f"without-{state}")
    path = checkpoints.newest_usable(folder)
    content = checkpoints.read(path)
    rank, trainer = content["ranks"][0], content["trainer"]
    if state == "loss_normalizer":
        rank["loss_normalizer"] = None
    elif state == "position":
        trainer["iteration"] -= 1
        trainer["_trainer"]["iteration"] -= 1
    elif state == "numpy":
        rank["random"]["numpy"] = checkpoints.read(folder / "model_0000005.pth")["ranks"][0][
            "random"
        ]["numpy"]
    elif state == "storage":
        rank["storage"] = {}
    elif state == "optimizer":
        trainer["_trainer"]["optimizer"]["state"] = {}
    elif state == "schedule":
        del trainer["hooks"]["LRScheduler"]
    elif state == "metrics":
        content["metrics"]["content"] = '{"iteration": 3}\n'
    checkpoints.write(path, content)
    go_on(trainings, folder.name)
    found = trainings.traces(folder.name)
    assert any(found[key] != value for key, value in unbroken["traces"].items())


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [cut, flip_a_bit])
def test_a_broken_checkpoint_is_replaced_by_the_one_before(trainings, killed, unbroken, spoil):
    folder = killed(spoil.__name__)
    assert [path.name for path in checkpoints.numbered(folder)] == [
        "model_0000005.pth",
        "model_0000008.pth",
    ]
    spoil(folder / "model_0000008.pth")
    go_on(trainings, folder.name)
    assert re.search(r"WARNING.* model_0000008.pth|model_0000008.pth is broken", trainings.log)
    assert_same(trainings.traces(folder.name), unbroken["traces"])
    assert trainings.resumed_at(folder.name) == [6]


def test_without_a_whole_checkpoint_it_starts_anew(trainings, killed, unbroken):
    folder = killed("none-whole")
    for path in checkpoints.numbered(folder):
        cut(path)
    cut(folder / "last_checkpoint")
    go_on(trainings, folder.name)
    assert "which is no checkpoint" in trainings.log
    assert_same(trainings.traces(folder.name), unbroken["traces"])
    assert trainings.resumed_at(folder.name) == []


def test_broken_metrics_and_results_are_mended(trainings, killed, unbroken):
    folder = killed("metrics")
    (folder / "metrics.json").write_text('{"iteration": 99, "total_loss": 1}\n{"iter')
    (folder / "result.json").write_text('{"status": "do')
    go_on(trainings, folder.name)
    assert_same(trainings.traces(folder.name), unbroken["traces"])


@pytest.mark.parametrize("call", [["Trainer.run_step", 8], ["MetricsWriter.write", 1]])
def test_sigterm_in_training_leaves_a_checkpoint_of_the_iteration(trainings, unbroken, call):
    name = f"term-{call[0]}"
    arguments = trainings.arguments(name)
    stop = {"arguments": arguments, "action": "terminate", "call": call}
    (broken,) = trainings.run(stop)
    assert broken["codes"] == [INTERRUPTED]
    done = broken["calls"]["Trainer.run_step"]
    newest = checkpoints.numbered(trainings.folder / name)[-1]
    assert newest.name == f"model_{done - 1:07d}.pth"
    go_on(trainings, name)
    assert_same(trainings.traces(name), unbroken["traces"])
    assert trainings.resumed_at(name) == [done]


@pytest.mark.parametrize("call", ["find_start", "Trainer.load", "APEvaluator.process"])
def test_sigterm_at_other_times_ends_at_once(trainings, unbroken, call):
    name = f"term-{call}"
    arguments = trainings.arguments(name)
    stop = {"arguments": arguments, "action": "terminate", "call": [call, 1]}
    broken, ended = trainings.run(stop, {"arguments": arguments})
    assert broken["codes"] == [INTERRUPTED] and broken["calls"] == {}
    assert ended["codes"] == [0]
    assert_same(trainings.traces(name), unbroken["traces"])


@pytest.mark.parametrize(
    ("call", "file"),
    [
        (["os.fsync", 1], "model_0000002.pth"),
        (["os.fsync", 4], "last_checkpoint"),
        (["os.fsync", 9], "metrics.json"),
        (["os.fsync", 10], "model_0000013.pth"),
        (["os.fsync", 13], "inference/matches.json"),
        (["os.fsync", 14], "model_final.pth"),
        (["os.fsync", 15], "detectron2.yaml"),
        (["os.fsync", 16], "result.json"),
    ],
)
def test_a_full_disk_costs_the_last_iterations_alone(trainings, unbroken, call, file):
    name = f"full-{Path(file).name}"
    arguments = trainings.arguments(name)
    broken, ended = trainings.run(
        {"arguments": arguments, "action": "full", "call": call}, {"arguments": arguments}
    )
    path = trainings.folder / name / file
    errors = [line for line in trainings.log.splitlines() if line.startswith("train_net.py: ")]
    assert errors == [f"train_net.py: error: {path}: No space left on device"]
    assert broken["codes"] == [NOT_WRITTEN]
    assert ended["codes"] == [0]
    if file != "model_0000002.pth":
        assert ended["calls"].get("Trainer.run_step", 0) < 14
    assert_same(trainings.traces(name), unbroken["traces"])


def test_a_file_may_not_become_so_long(trainings):
    limit = (1_000_000, 1_000_000)  # bytes
    ended = subprocess.run(
        [sys.executable, TRAIN_NET, *trainings.arguments("long")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        capture_output=True,
        text=True,
        env=ONE_THREAD,
    )
    path = trainings.folder / "long" / "model_0000002.pth"
    assert ended.returncode == NOT_WRITTEN
    assert f"train_net.py: error: {path}: File too large\n" in ended.stderr
    assert not list((trainings.folder / "long").glob("*model*"))


def test_two_ranks(trainings, unbroken):
    def job(name: str, **options) -> dict:
        return {"arguments": trainings.arguments(name), "ranks": 2} | options

    step = {"action": "kill", "call": ["Trainer.run_step", 8]}
    whole, killed = trainings.run(
        job("ranks"),
        job("ranks-killed", **step),
    )
    # Each rank has states of its own: mixed up, they would be noticed.
    mixed = shutil.copytree(trainings.folder / "ranks-killed", trainings.folder / "ranks-mixed")
    path = checkpoints.newest_usable(mixed)
    content = checkpoints.read(path)
    checkpoints.write(path, content | {"ranks": content["ranks"][::-1]})
    *resumed, terminated, gone_on = trainings.run(
        job("ranks-mixed"),
        job("ranks-killed"),
        job("ranks-terminated", **step | {"action": "terminate", "rank": 1}),
        job("ranks-terminated"),
    )
    assert killed["codes"] == [-signal.SIGKILL] * 2
    assert terminated["codes"] == [INTERRUPTED] * 2
    for ended in (whole, *resumed, gone_on):
        assert ended["codes"] == [0, 0], trainings.log
    expected = trainings.traces("ranks")
    assert expected["result"]["weights_sha256"] != unbroken["traces"]["result"]["weights_sha256"]
    assert_same(trainings.traces("ranks-killed"), expected)
    assert trainings.traces("ranks-mixed")["weights"] != expected["weights"]
    assert_same(trainings.traces("ranks-terminated"), expected)
    assert trainings.resumed_at("ranks-terminated") == [8]


def test_a_full_disk_ends_all_ranks(trainings):
    arguments = trainings.arguments("ranks-full")
    full = {"action": "full", "call": ["os.fsync", 3], "rank": 0}
    (ended,) = trainings.run({"arguments": arguments, "ranks": 2} | full)
    path = trainings.folder / "ranks-full" / "model_0000005.pth"
    assert ended["codes"] == [NOT_WRITTEN] * 2
    assert trainings.log.count(f"train_net.py: error: {path}: No space left on device") == 1


def test_another_number_of_ranks_is_refused(trainings, killed):
    folder = killed("one-rank")
    (ended,) = trainings.run({"arguments": trainings.arguments(folder.name), "ranks": 2})
    assert ended["codes"] == [2, 2]
    assert trainings.log.count("train_net.py: error: ") == 1
    assert "a training run with 1 processes, but this one has 2. Resume with 1 (" in trainings.log
    assert "or train in a new OUTPUT_DIR" in trainings.log


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_first_loss_is_the_predicted_one_however_many_processes(trainings, ranks):
    """The running normaliser is a process's own, of its share of the batch."""
    name = f"first-loss-{ranks}"
    keys = {"SOLVER__IMS_PER_BATCH": 24, "SOLVER__MAX_ITER": 1, "SOLVER__WARMUP_ITERS": 0}
    (ended,) = trainings.run({"arguments": trainings.arguments(name, **keys), "ranks": ranks})
    assert ended["codes"] == [0] * ranks, trainings.log
    first = json.loads((trainings.folder / name / "result.json").read_text())["result"][
        "first_loss"
    ]
    print(first)
    assert first["predicted"] == pytest.approx(first["measured"], rel=0.1)


@pytest.mark.parametrize("grouped", [False, True])
def test_with_workers(trainings, grouped):
    keys = {"DATALOADER__NUM_WORKERS": 2, "DATALOADER__ASPECT_RATIO_GROUPING": grouped}
    whole, broken = f"workers-{grouped}", f"killed-workers-{grouped}"
    kill = {"action": "kill", "call": ["Trainer.run_step", 8]}
    *_, ended = trainings.run(
        {"arguments": trainings.arguments(whole, **keys)},
        kill | {"arguments": trainings.arguments(broken, **keys)},
        # The number of workers has no part in it.
        {"arguments": trainings.arguments(broken, **keys | {"DATALOADER__NUM_WORKERS": 1})},
    )
    assert ended["codes"] == [0] and trainings.resumed_at(broken) == [6], trainings.log
    assert_same(trainings.traces(broken), trainings.traces(whole))
    stopped = {"arguments": trainings.arguments(f"{broken}-by-sigterm", **keys)}
    stop = {"action": "terminate", "call": ["Trainer.run_step", 8]}
    stop, ended = trainings.run(stopped | stop, stopped)
    assert stop["codes"] == [INTERRUPTED] and ended["codes"] == [0]
    assert trainings.resumed_at(f"{broken}-by-sigterm") == [8]
    assert_same(trainings.traces(f"{broken}-by-sigterm"), trainings.traces(whole))


def test_without_a_seed_of_its_own(trainings):
    """A drawn seed is kept, so that a training killed twice repeats itself."""
    jobs = []
    for name in ("drawn", "drawn-again"):
        jobs.append({"arguments": trainings.arguments(name, SEED=-1)})
    kill = {"action": "kill", "call": ["Trainer.run_step", 8]}
    trainings.run(jobs[0] | kill)
    copy = trainings.folder / "drawn-again"
    copy.mkdir()
    for path in checkpoints.numbered(trainings.folder / "drawn"):
        (copy / path.name).write_bytes(path.read_bytes())
    trainings.run(*jobs)
    assert_same(trainings.traces("drawn-again"), trainings.traces("drawn"))


def test_a_schedule_of_steps_with_sgd(trainings):
    keys = {"SOLVER__OPTIMIZER": "SGD", "SOLVER__LR_SCHEDULER_NAME": "WarmupMultiStepLR"}
    keys |= {"SOLVER__STEPS": "(10,)", "SOLVER__BASE_LR": 0.001}
    whole, broken = (trainings.arguments(name, **keys) for name in ("sgd", "sgd-killed"))
    kill = {"arguments": broken, "action": "kill", "call": ["Trainer.run_step", 12]}
    *_, ended = trainings.run({"arguments": whole}, kill, {"arguments": broken})
    assert ended["codes"] == [0] and trainings.resumed_at("sgd-killed") == [9], trainings.log
    assert_same(trainings.traces("sgd-killed"), trainings.traces("sgd"))


def test_a_new_training_moves_the_earlier_one_aside(trainings, killed):
    folder = killed("anew")
    (ended,) = trainings.run({"arguments": trainings.arguments("anew", "--num-gpus", "1")})
    assert ended["codes"] == [0] and trainings.resumed_at("anew") == []
    earlier = folder / "earlier" / "1"
    assert [path.name for path in checkpoints.numbered(earlier)] == [
        "model_0000005.pth",
        "model_0000008.pth",
    ]
    assert {"config.yaml", "log.txt", "metrics.json"} <= {path.name for path in earlier.iterdir()}
    assert (folder / "config.yaml").is_file() and (folder / "log.txt").is_file()


def test_another_config_is_refused_and_leaves_the_training_as_it_is(trainings, killed, unbroken):
    folder = killed("other-config")
    config = (folder / "config.yaml").read_bytes()
    (ended,) = trainings.run({"arguments": trainings.arguments(folder.name, SOLVER__BASE_LR=0.5)})
    assert ended["codes"] == [2]
    assert "SOLVER.BASE_LR was 0.003, and is now 0.5" in trainings.log
    assert (folder / "config.yaml").read_bytes() == config
    go_on(trainings, folder.name)
    assert_same(trainings.traces(folder.name), unbroken["traces"])
