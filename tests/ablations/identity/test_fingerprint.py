"""Equal configs have equal fingerprints, different ones have different ones (random configs)."""

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from yacs.config import CfgNode

from ablations.identity import fingerprint
from ablations.identity.fingerprint import WITHOUT_EFFECT, Identity, ResolvedConfig
from ablations.identity.prepared import Prepared
from ablations.study.cell import Cell, Setting

NUM_CONFIGS = 1000

FORMS = (
    repr, "{:+}".format, "{:g}".format, "{:.17g}".format, "{:.1e}".format, "{:.6E}".format,
    lambda number: f"{number:.0e}".replace("e-0", "e-"),  # 1e-3
)  # fmt: skip
"""Formats of a number; a format is skipped for a number that loses digits in it."""


def random_value(random: random.Random) -> Any:
    number = random.choice((0.0, 1e-3, 0.25, 2.0, 57.375, -1.5, 1e5, random.random()))
    return random.choice(
        (
            number,
            random.randrange(-5, 500),
            random.choice((True, False)),
            None,
            random.choice(
                ("focal", "digits_in_scenes_train", "", "2", "true", "ünï: # no comment")
            ),
            [random.randrange(9) for _ in range(random.randrange(4))],
            [[number, 2.0 * number], [32.0]],
        )
    )


def random_config(random: random.Random) -> dict[str, Any]:
    """A config with two levels of keys, like Detectron2's, and all keys without effect."""
    config: dict[str, Any] = {}
    for key in WITHOUT_EFFECT:
        *parts, name = (key + "MAX_ITER" if key.endswith(".") else key).split(".")
        node = config
        for part in parts:
            node = node.setdefault(part, {})
        node[name] = random_value(random)
    for number in range(random.randrange(1, 12)):
        part = config.setdefault(random.choice(("MODEL", "SOLVER", "INPUT", "TEST")), {})
        node = part.setdefault("DEEPER", {}) if random.random() < 0.3 else part
        node[f"KEY_{number}"] = random_value(random)
    return config


def leaves(config: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def counts(path: tuple[str, ...]) -> bool:
    key = ".".join(path)
    return key not in WITHOUT_EFFECT and f"{path[0]}." not in WITHOUT_EFFECT


def put(config: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(config)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return changed


def get(config: dict[str, Any], path: tuple[str, ...]) -> Any:
    for key in path:
        config = config[key]
    return config


def text_of(value: Any, random: random.Random, means: Callable[[str, Any], bool]) -> str:
    """A value in YAML; a number in a random equivalent form."""
    if isinstance(value, list):
        return "[" + ", ".join(text_of(item, random, means) for item in value) + "]"
    if type(value) in (int, float):
        texts = [form(value) for form in FORMS]
        return random.choice([text for text in texts if means(text, value)])
    return json.dumps(value, ensure_ascii=False)


def means_in_yaml(text: str, number: float) -> bool:
    return yaml.safe_load(text) == number


def means_in_a_config(text: str, number: float) -> bool:
    """For yacs, 1e-3 is a number, which is a string in YAML 1.1, and 2.0 is not an integer."""
    read = CfgNode._decode_cfg_value(yaml.safe_load(text))
    return read == number and type(read) is type(number)


def as_yaml(
    config: dict[str, Any],
    random: random.Random,
    means: Callable[[str, Any], bool] = means_in_yaml,
    indent: str = "",
) -> str:
    """The config in another notation: key order, number formats, comments, blank lines."""
    lines = []
    for key in random.sample(list(config), len(config)):
        comment = random.choice(("", "  # why", f"\n{indent}# a line of its own", "\n"))
        if isinstance(config[key], dict):
            lines.append(f"{indent}{key}:{comment}\n")
            lines.append(as_yaml(config[key], random, means, indent + "  "))
        else:
            lines.append(f"{indent}{key}: {text_of(config[key], random, means)}{comment}\n")
    return "".join(lines)


def with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: with_tuples(item) for key, item in value.items()}
    return tuple(with_tuples(item) for item in value) if isinstance(value, list) else value


def sha256(config: dict[str, Any], **changes: Any) -> str:
    return ResolvedConfig(config).sha256(changes)


def test_equal_configs_have_equal_hashes():
    source = random.Random(1)
    for _ in range(NUM_CONFIGS):
        config = random_config(source)
        expected = sha256(config)
        text = as_yaml(config, source)
        # Read as a config file is: YAML, then yacs.
        read = CfgNode.load_cfg(text)
        assert read == CfgNode(config), text
        assert sha256(read) == expected, text
        assert sha256(with_tuples(config)) == expected
        assert sha256(json.loads(json.dumps(config))) == expected, "as prepared.json has it"
        paths = list(leaves(config))
        for path in source.sample(paths, 5):
            if not counts(path):
                assert sha256(put(config, path, "other")) == expected, path
            value = get(config, path)
            # What is said again changes nothing.
            assert sha256(config, **{".".join(path): value}) == expected
            if type(value) is int:
                assert sha256(put(config, path, float(value))) == expected


def test_different_configs_have_different_hashes():
    source = random.Random(2)
    seen: dict[str, str] = {}
    for _ in range(NUM_CONFIGS):
        config = random_config(source)
        expected = sha256(config)
        effective = [path for path in leaves(config) if counts(path)]
        # Two configs have one hash only where what counts is the same.
        content = json.dumps(
            {".".join(path): get(config, path) for path in effective}, sort_keys=True
        )
        plain = re.sub(r"\.0(?=[],}])", "", content)
        assert seen.setdefault(expected, plain) == plain
        for path in effective:
            value = get(config, path)
            other = next(v for v in iter(lambda: random_value(source), ...) if differs(v, value))
            changed = sha256(put(config, path, other))
            assert changed != expected, (path, value, other)
            # A setting's change is the same as the change in the file.
            assert sha256(config, **{".".join(path): other}) == changed
        assert sha256(config | {"ADDED": source.random()}) != expected


def differs(one: Any, other: Any) -> bool:
    """Whether two values differ in meaning: True is not 1, and "2" is not 2."""
    both_numbers = type(one) in (int, float) and type(other) in (int, float)
    return one != other or (type(one) is not type(other) and not both_numbers)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (0, False), (2, "2"), (None, "null"), ([1, 2], [[1], 2]), ([], "")],
)
def test_similar_values_differ(one, other):
    assert sha256({"KEY": one}) != sha256({"KEY": other})


@pytest.mark.parametrize(
    ("one", "other"), [(2, 2.0), ([1, 2], (1.0, 2.0)), (1e-3, 0.001), ([[1]], ((1,),))]
)
def test_equal_values_in_different_forms_are_equal(one, other):
    assert sha256({"KEY": one}) == sha256({"KEY": other})


def test_different_keys_change_the_hash():
    # A text that holds what another key's line would be.
    assert sha256({"A": "x", "B": "y"}) != sha256({"A": 'x"\nB="y', "C": "y"})
    assert sha256({"A": {"B": 1}}) != sha256({"A": {"C": 1}})
    assert sha256({"SOLVER": {"SEED": 1}}) != sha256({"SOLVER": {"SEED": 2}}), "only the root's"
    assert sha256({"PRETRAINING_": 1}) != sha256({"PRETRAINING_": 2})


def test_unknown_config_key_is_refused():
    with pytest.raises(KeyError, match="GAMA, LOSSS"):
        sha256({"GAMMA": 2.0}, GAMA=1, LOSSS="ce")


IDENTITY = Identity("c0", "da", "3e", 1)


@pytest.mark.parametrize(
    ("part", "value"),
    [("config", "c1"), ("dataset", "db"), ("weights", "3f"), ("seed", 2), ("numerics", -1)],
)
def test_each_identity_part_changes_the_fingerprint(part, value):
    other = Identity(**IDENTITY.as_dict() | {part: value})
    assert other.fingerprint != IDENTITY.fingerprint
    assert other.changed(IDENTITY.as_dict()) == [part]
    without = {name: content for name, content in IDENTITY.as_dict().items() if name != part}
    assert IDENTITY.changed(without) == [part]
    assert IDENTITY.changed(IDENTITY.as_dict()) == []
    assert Identity(**IDENTITY.as_dict()).fingerprint == IDENTITY.fingerprint
    assert IDENTITY.numerics == fingerprint.NUMERICS


CONFIG = {
    "MODEL": {
        "WEIGHTS": "R-50.pkl",
        "FOCAL_STAR": {"LOSS": "focal"},
        "RETINANET": {"FOCAL_LOSS_ALPHA": 0.25, "FOCAL_LOSS_GAMMA": 2.0},
        "RESNETS": {"DEPTH": 18},
    },
    "SEED": 1,
}


def prepared(**changes) -> Prepared:
    values = {
        "config": CONFIG,
        "config_files": "",
        "dataset": {"name": "digits", "sha256": "da"},
        "weights": {
            "": {"path": "a.pth", "sha256": "3e"},
            "MODEL.RESNETS.DEPTH 34": {"path": "b.pth", "sha256": "4f"},
        },
    }
    return Prepared(**values | changes)


def fingerprints(prepared: Prepared, *cells: Cell) -> list[str]:
    return [identity.fingerprint for identity in prepared.identities(list(cells)).values()]


def test_cells_of_a_study():
    cells = [
        Cell(Setting.of(**values), seed)
        for seed in (1, 2)
        for values in (
            {"loss": "ce", "alpha": 0.5},
            {"loss": "ce", "alpha": 0.75},
            {"loss": "focal", "alpha": 0.5, "gamma": 1.0},
            {"loss": "focal_star", "alpha": 0.5, "gamma": 1.0},
            {"loss": "ce", "alpha": 0.5, "depth": 34},
        )
    ]
    found = prepared().identities(cells)
    assert list(found) == cells
    assert len({identity.fingerprint for identity in found.values()}) == len(cells)
    assert found[cells[4]].weights == "4f" != found[cells[0]].weights
    assert [identity.seed for identity in found.values()] == [cell.seed for cell in cells]


def test_prepared_hashes_determine_cells_but_paths_do_not():
    cell = Cell(Setting.of(loss="ce", alpha=0.5), 1)
    (expected,) = fingerprints(prepared(), cell)
    moved = {"": {"path": "/elsewhere/a.pth", "sha256": "3e", "accuracy": 1.0}}
    described = {"name": "renamed", "sha256": "da", "folder": "elsewhere"}
    assert fingerprints(prepared(weights=moved, dataset=described), cell) == [expected]
    for changes in (
        {"weights": {"": {"path": "a.pth", "sha256": "other"}}},
        {"dataset": {"name": "digits", "sha256": "other"}},
        {"config": CONFIG | {"SOLVER": {"BASE_LR": 0.01}}},
    ):
        assert fingerprints(prepared(**changes), cell) != [expected], changes


def test_names_replace_missing_hashes():
    cell = Cell(Setting.of(loss="ce", alpha=0.5), 1)
    found = {
        fingerprints(prepared(dataset={"name": name, "sha256": ""}, weights=weights), cell)[0]
        for name in ("coco_2017", "voc_2007")
        for weights in ({}, {"": {"path": "R-101.pkl", "sha256": ""}})
    }
    assert len(found) == 4
    # Without any, the config's own weights count.
    (identity,) = prepared(weights={}).identities([cell]).values()
    assert identity.weights == "R-50.pkl"


@pytest.mark.slow
def test_equal_config_files_have_equal_hashes(tmp_path):
    """The configs are written, loaded and merged as for a real cell."""
    from focal_star.config import CONFIGS, resolve_config

    source = random.Random(3)
    base = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
    plain = ResolvedConfig(resolve_config(base)).sha256({})
    seen = {plain}
    for number in range(50):
        changes = {
            "SOLVER": {
                "BASE_LR": source.choice((1e-3, 2e-3, 0.01)) * (1 + source.random()),
                "MAX_ITER": source.randrange(1, 900),
                "WEIGHT_DECAY": source.choice((0.0, 1e-4)),
            },
            "MODEL": {"RETINANET": {"PRIOR_PROB": source.choice((0.01, 0.05)), "NUM_CONVS": 2}},
        }
        found = set()
        for without_effect in ("one", "another"):
            path = tmp_path / without_effect / f"{number}.yaml"
            path.parent.mkdir(exist_ok=True)
            text = as_yaml(changes, source, means_in_a_config)
            path.write_text(f"_BASE_: {base}\nOUTPUT_DIR: {without_effect}\n{text}", "utf-8")
            pairs = ["SEED", str(source.randrange(9)), "CACHE_DIR", without_effect]
            found.add(ResolvedConfig(resolve_config(path, pairs)).sha256({}))
        assert len(found) == 1 and found.isdisjoint(seen)
        seen |= found
