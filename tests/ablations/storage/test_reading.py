import pytest

from ablations.storage.reading import PlanError, names_in, names_of, read, refuse


@pytest.fixture
def write(tmp_path):
    """A function: the file of a text."""

    def write(text):
        path = tmp_path / "grids" / "tried.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_what_can_be_used_comes_with_what_cannot(write):
    path = write("title: t\nseeds: true\nrows: {}\ncolour: red\nsize: 3\n")
    content, problems = read(path, {"title": str, "seeds": int, "rows": list, "name": str})
    assert content == {"title": "t"}
    assert problems == [
        "name is missing",
        "unknown key colour; known: title, seeds, rows, name",
        "unknown key size; known: title, seeds, rows, name",
        "seeds is True, not a int",
        "rows is {}, not a list",
    ]


def test_what_is_optional_may_be_missing_but_not_wrong(write):
    path = write("title: t\n")
    assert read(path, {"title": str}, {"common": dict}) == ({"title": "t"}, [])
    path = write("title: t\ncommon: []\n")
    assert read(path, {"title": str}, {"common": dict}) == (
        {"title": "t"},
        ["common is [], not a dict"],
    )


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
def test_a_file_that_is_none_is_refused_by_name(write, text, words):
    path = write(text)
    with pytest.raises(PlanError) as refused:
        read(path, {"title": str})
    assert str(path) in str(refused.value) and words in str(refused.value)


def test_a_file_that_is_not_there_is_refused_with_those_that_are(write):
    path = write("title: t")
    path.with_stem("another").touch()
    with pytest.raises(PlanError, match="there is no grids/x.yaml; there are: another, tried"):
        read(path.with_stem("x"), {})


def test_a_python_tag_runs_nothing(write, tmp_path):
    mark = tmp_path / "mark"
    with pytest.raises(PlanError):
        read(write(f"title: !!python/object/apply:os.mkdir ['{mark}']"), {"title": str})
    assert not mark.exists()


def test_names_of_a_folder(write):
    path = write("")
    path.with_name("notes.txt").touch()
    path.with_stem("another").touch()
    assert names_of(path.parent) == ["another", "tried"]


def test_names_of_a_list():
    problems = []
    assert names_in({"grids": ["a", 1, "b", ["c"]]}, "grids", problems) == ("a", "b")
    assert problems == ["grids has 1, not a name", "grids has ['c'], not a name"]
    assert names_in({}, "grids", problems) == () and len(problems) == 2


def test_problems_are_one_error(write):
    path = write("")
    refuse(path, [])
    with pytest.raises(PlanError, match=f"{path}: one; two"):
        refuse(path, ["one", "two"])
