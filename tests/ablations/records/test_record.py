import errno
import json
import os

import pytest
from msgspec.structs import asdict

from ablations.records.record import (
    DIVERGED,
    DONE,
    FAILED,
    SCHEMA,
    RecordError,
    load,
    load_folder,
    save,
)
from ablations.storage.json_files import write_json

NOT_WRITTEN = object()

FAULTS = [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]


@pytest.fixture
def write(tmp_path, make_record):
    """A function that writes a record's file with some fields replaced."""

    def write(**changes):
        content = {k: v for k, v in (asdict(make_record()) | changes).items() if v != NOT_WRITTEN}
        path = tmp_path / f"{make_record().cell}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return write


def refusal(path) -> str:
    with pytest.raises(RecordError) as refused:
        load(path)
    assert str(path) in str(refused.value), "the message names the file"
    return str(refused.value)


@pytest.mark.parametrize("status", [DONE, DIVERGED, FAILED])
def test_round_trip(tmp_path, make_record, status):
    record = make_record(status=status, error="" if status == DONE else "é\n𝛼")
    path = tmp_path / "new" / "folder" / f"{record.cell}.json"
    save(record, path)
    assert load(path) == record


def test_the_same_record_gives_the_same_bytes(tmp_path, make_record):
    first, second = make_record(run={"a": 1, "b": 2}), make_record(run={"b": 2, "a": 1})
    save(first, tmp_path / "first.json")
    save(second, tmp_path / "second.json")
    assert (tmp_path / "first.json").read_bytes() == (tmp_path / "second.json").read_bytes()


def test_a_record_is_readable_by_others(tmp_path):
    write_json(tmp_path / "x.json", {})
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("error", FAULTS)
def test_failed_save_keeps_the_old_file(tmp_path, monkeypatch, function, error):
    path = tmp_path / "x.json"
    write_json(path, {"old": True})

    def fail(*_):
        raise error

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(type(error)) as raised:
        write_json(path, {"old": False})
    assert not isinstance(error, OSError) or str(raised.value) == (
        f"[Errno {errno.ENOSPC}] No space left on device: '{path}'"
    )
    assert json.loads(path.read_text()) == {"old": True}
    assert list(tmp_path.iterdir()) == [path], "no temporary file stays"


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), object()],
    ids=lambda value: repr(value)[:7],
)
def test_non_json_values_are_refused(tmp_path, value):
    path = tmp_path / "x.json"
    with pytest.raises((TypeError, ValueError)):
        write_json(path, {"a": 1, "b": value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", '{"cell": "a', "\x00" * 10, "[" * 100_000])
def test_invalid_json_is_refused(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    assert "cannot be read as JSON" in refusal(path)


def test_invalid_utf8_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b'{"cell": "\xff"}')
    assert "cannot be read as JSON" in refusal(path)
    assert "cannot be read as JSON" in refusal(tmp_path / "missing.json")


def test_truncated_record_is_refused(write):
    path = write()
    whole = path.read_text(encoding="utf-8")
    load(path)
    for length in range(0, len(whole), 7):
        path.write_text(whole[:length], encoding="utf-8")
        refusal(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"schema": 2', '"schema": 2, "schema": 2', "duplicate key 'schema'"),
        ('"name": "digits"', '"name": "x", "name": "y"', "duplicate key 'name'"),
        ('"digits"', "[" * 19 + "]" * 19, "nested more than 20 levels deep"),
        ('"digits"', '{"a":' * 19 + "1" + "}" * 19, "nested more than 20 levels deep"),
        ('"digits"', str(2**63), "the whole number 9223372036854775808 has more than 64 bits"),
        ('"digits"', str(-(2**63) - 1), "has more than 64 bits"),
        ('"digits"', "1" + "0" * 400, "the whole number 10000000000000000000... has more than"),
        ('"digits"', "NaN", "cannot be read as JSON"),
        ('"digits"', "1e999", "cannot be read as JSON"),
    ],
)
def test_json_beyond_the_limits_is_refused(write, old, new, words):
    path = write()
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    message = refusal(path)
    assert words in message and "cannot be read as JSON" in message


@pytest.mark.parametrize("name", [2**63 - 1, -(2**63), json.loads("[" * 18 + "]" * 18)])
def test_json_at_the_limits_is_read(write, name):
    assert load(write(dataset={"name": name})).dataset == {"name": name}


@pytest.mark.parametrize("content", [[], "text", 3, None])
def test_json_that_is_not_an_object_is_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert f"this is {type(content).__name__}" in refusal(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", "1"), ("seed", 1.0), ("seed", True), ("seed", None), ("cell", 1), ("status", None),
        ("setting", []), ("result", None), ("run", "x"), ("dataset", []), ("error", None),
        ("command", ["python"]), ("fingerprint", 0), ("schema", "1"),
    ],
)  # fmt: skip
def test_wrong_types_are_refused(write, name, value):
    assert f"{name} is {value!r}: expected" in refusal(write(**{name: value}))


def test_every_problem_is_named_at_once(write):
    changes = {"seed": "1", "setting": [], "run": {"train_seconds": "9"}, "sede": 3}
    message = refusal(write(error=NOT_WRITTEN, schema=NOT_WRITTEN, **changes))
    for words in (
        "seed is '1': expected a whole number, got text",
        "setting is []: expected a mapping",
        "run.train_seconds is '9': expected a number or nothing, got text",
        "unknown key sede; known: cell, ",
        "; did you mean seed?",
        "error is missing",
        "schema is missing",
    ):
        assert words in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": SCHEMA + 1}, f"schema is {SCHEMA + 1}: valid: {SCHEMA}"),
        ({"status": "finished"}, "status is 'finished': valid: done, diverged, failed"),
        ({"setting": {"alpha": True}}, "setting.alpha is True: expected"),
        ({"result": {"metrics": {"AP": 1}, "curves": {"x": ["1"]}}}, "result.curves.x is ['1']"),
    ],
)
def test_invalid_value_is_refused(write, changes, words):
    assert words in refusal(write(**changes))


def test_missing_key_is_refused(write, make_record):
    for name in asdict(make_record()):
        assert f"{name} is missing" in refusal(write(**{name: NOT_WRITTEN}))


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"metrics": {}},
        {"metrics": None},
        {"metrics": []},
        {"metrics": {"AP50": 1.0}},
        {"metrics": {"AP": "21.4"}},
        {"metrics": {"AP": True}},
        {"metrics": {"AP": [21.4]}},
        {"metrics": {"AP": 21.4, "AP50": "x"}},
    ],
)
def test_done_needs_metrics(write, result):
    assert "result.metrics" in refusal(write(result=result))


def test_done_accepts_whole_and_undefined_metrics(write):
    assert load(write(result={"metrics": {"AP": None, "AP50": 3}})).result["metrics"]["AP50"] == 3


def test_a_record_of_another_cell_is_refused(write, tmp_path):
    path = write().rename(tmp_path / "other.json")
    assert "the file is of 'other'" in refusal(path)


def test_folder_loads_valid_records_and_lists_the_others(tmp_path, make_record):
    good = [make_record(), make_record(cell="another", status="failed")]
    for record in good:
        save(record, tmp_path / f"{record.cell}.json")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    (tmp_path / "worse.json").write_text("[]", encoding="utf-8")
    (tmp_path / "directory.json").mkdir()
    (tmp_path / ".half-written.json.x1").write_text("{", encoding="utf-8")
    records, refused = load_folder(tmp_path)
    assert records == {record.cell: record for record in good}
    named = ("bad.json", "directory.json", "worse.json")
    assert len(refused) == len(named)
    assert all(name in line for name, line in zip(named, refused, strict=True))


def test_missing_folder_has_no_records(tmp_path):
    assert load_folder(tmp_path / "missing") == ({}, [])
