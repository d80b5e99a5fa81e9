import msgspec
import pytest

from ablations.storage.reading import PlanError, names_of, read, refuse


class Schema(msgspec.Struct):
    title: str
    common: dict[str, int | None] = {}


@pytest.fixture
def write(tmp_path):
    """A function that writes a text into a file."""

    def write(text):
        path = tmp_path / "grids" / "tried.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_valid_keys_are_returned_with_problems_of_the_others(write):
    assert read(write("title: t\ncommon: {a: null}\n"), Schema) == (
        {"title": "t", "common": {"a": None}}, [],
    )  # fmt: skip
    assert read(write("title: t\n"), Schema) == ({"title": "t"}, [])
    assert read(write("title: t\ncommon: {a: x, b: true, 1: 2}\ncomon: 1\nsize: 3\n"), Schema) == (
        {"title": "t"},
        [
            "unknown key comon; known: title, common; did you mean common?",
            "unknown key size; known: title, common",
            "common.a is 'x': expected a whole number or nothing, got text",
            "common.b is True: expected a whole number or nothing, got true or false",
            "a key of common is 1: expected text, got a whole number",
        ],
    )
    assert read(write("common: []\n"), Schema) == (
        {}, ["title is missing", "common is []: expected a mapping, got a list"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a mapping is expected, this is NoneType"),
        ("- 1", "a mapping is expected, this is list"),
        ("title: [", "not YAML"),
        ("title: \t{", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"title: \xe9", "not YAML"),
        ("title: !!python/tuple [1]", "line 1: the tag '!!python/tuple'"),
    ],
)
def test_unreadable_file_is_refused_by_name(write, text, words):
    path = write(text)
    with pytest.raises(PlanError) as refused:
        read(path, Schema)
    assert str(path) in str(refused.value) and words in str(refused.value)


def test_missing_file_error_lists_the_existing_ones(write):
    path = write("title: t")
    path.with_stem("another").touch()
    with pytest.raises(PlanError, match="there is no grids/x.yaml; there are: another, tried"):
        read(path.with_stem("x"), Schema)


def test_python_tag_runs_no_code(write, tmp_path):
    mark = tmp_path / "mark"
    with pytest.raises(PlanError):
        read(write(f"title: !!python/object/apply:os.mkdir ['{mark}']"), Schema)
    assert not mark.exists()


def test_names_of_a_folder(write):
    path = write("")
    path.with_name("notes.txt").touch()
    path.with_stem("another").touch()
    assert names_of(path.parent) == ["another", "tried"]


def test_all_problems_raise_one_error(write):
    path = write("")
    refuse(path, [])
    with pytest.raises(PlanError, match=f"{path}: one; two"):
        refuse(path, ["one", "two"])
