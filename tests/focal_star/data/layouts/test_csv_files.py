"""CSV files with a row per object: what they become in COCO's format, and faults are named."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from focal_star.data.layouts import csv_files, csv_tables
from focal_star.data.validation.checks import check_folder
from tests.focal_star.data.layouts.converted import boxes, problems, save, warnings

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"
ROW = "{},64,48,cat,4,5,24.5,35"
BOX = [4, 5, 20.5, 30]


def write(path: Path, *lines: str, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join([*lines, ""]).encode(encoding))


OBJECTS = [("cat", BOX)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """TensorFlow's tutorial: images/train_labels.csv with a.png, images/test_labels.csv."""
    images = tmp_path / "set" / "images"
    save(images / "train" / "a.png", images / "test" / "c.png")
    write(images / "train_labels.csv", HEADER, ROW.format("a.png"))
    write(images / "test_labels.csv", HEADER, ROW.format("c.png"))
    return tmp_path / "set"


def train_file(folder: Path, *lines: str, encoding: str = "utf-8") -> None:
    write(folder / "images" / "train_labels.csv", *lines, encoding=encoding)


def test_the_tables_of_tensorflows_tutorials(folder):
    train = {"images/train/a.png": OBJECTS}
    assert boxes(folder) == (train, {"images/test/c.png": OBJECTS})
    save(folder / "images" / "train" / "b.png", folder / "images" / "other.png")
    assert boxes(folder) == (train | {"images/train/b.png": []}, {"images/test/c.png": OBJECTS})
    assert "1 image ('images/train/b.png'): no row of a CSV file names it" in warnings(folder)
    entry = check_folder(folder).dataset.contents["train"]["annotations"][0]
    assert entry["source"] == "images/train_labels.csv: line 2"


@pytest.mark.parametrize("header", [HEADER, None])
@pytest.mark.parametrize(
    ("train", "val"), [("train", "valid"), ("Train", "val"), ("train", "test")]
)
def test_roboflows_folders_of_the_splits(tmp_path, header, train, val):
    for split in (train, val):
        save(*(tmp_path / split / f"{split}{n}.png" for n in (1, 2)))
        row = ROW.format(f"{split}1.png") if header else f"{split}1.png,4,5,24.5,35,cat"
        write(tmp_path / split / "_annotations.csv", *([header] if header else []), row, row)
    assert boxes(tmp_path) == tuple(
        {f"{split}/{split}1.png": 2 * OBJECTS, f"{split}/{split}2.png": []}
        for split in (train, val)
    )


def test_test_images_are_not_used_beside_validation_images(folder):
    save(folder / "images" / "val" / "v.png")
    write(folder / "images" / "val.csv", HEADER, ROW.format("v.png"))
    assert boxes(folder)[1] == {"images/val/v.png": OBJECTS}
    assert "the images of images/test_labels.csv are not used" in warnings(folder)


def test_an_image_in_the_folder_of_another_split_is_counted(tmp_path):
    save(tmp_path / "images" / "a.png", tmp_path / "test_images" / "b.png")
    rows = [ROW.format(f"{name}.png") for name in "ab"]
    write(tmp_path / "images" / "train_labels.csv", HEADER, *rows)
    assert "1 image ('b.png'): file_name differs from the path" in warnings(tmp_path)


def test_files_in_deeper_folders_are_counted(tmp_path):
    save(*(tmp_path / "data" / "train" / f"{name}.png" for name in "ab"))
    rows = [ROW.format(f"data/train/{name}.png") for name in "ab"]
    write(tmp_path / "labels.csv", HEADER, *rows)
    write(tmp_path / "data" / "train" / "_annotations.csv", HEADER, ROW.format("a.png"))
    line = "1 CSV file in deeper folders ('data/train/_annotations.csv'): not used"
    assert line in warnings(tmp_path)


def test_images_with_rows_in_several_files_are_counted(tmp_path):
    save(*(tmp_path / f"{name}.png" for name in "ab"))
    rows = [ROW.format(f"{name}.png") for name in "ab"]
    write(tmp_path / "labels.csv", HEADER, *rows)
    write(tmp_path / "labels_old.csv", HEADER, rows[0])
    text = (
        "'labels.csv' and 'labels_old.csv' are joined; 1 image with rows in more than one of them"
    )
    assert text in warnings(tmp_path)


def test_keras_retinanets_files(tmp_path):
    """Absolute paths of another machine, images without objects, a file of validation images."""
    save(*(tmp_path / "images" / f"{name}.png" for name in "abcd"))
    start = "/home/me/data/images"
    of_d = f"{start}/d.png,1,2,3,4,cat"
    rows = [f"{start}/a.png,4,5,24.5,35,cat", f"{start}/b.png,,,,,", of_d]
    write(tmp_path / "annotations.csv", *rows)
    write(tmp_path / "val_annotations.csv", of_d, f"{start}/d.png,5,6,8,8,dog")
    write(tmp_path / "classes.csv", "cat,0", "dog,1")
    train, val = boxes(tmp_path)
    assert train == {"images/a.png": OBJECTS, "images/b.png": []}
    assert val == {"images/d.png": [("cat", [1, 2, 2, 2]), ("dog", [5, 6, 3, 2])]}
    text = warnings(tmp_path)
    assert "1 CSV file without columns of boxes ('classes.csv'): not used" in text
    assert "1 image that no row names ('images/c.png'): not used" in text
    assert "1 image of files without a split, such as 'images/d.png': used in validation" in text
    assert "1 of them have other objects there, such as 'images/d.png'" in text
    assert "2 images ('/home/me/data/images/a.png'; '/home/me/data/images/b.png'): file" in text


def test_a_table_of_all_images_is_not_used_beside_those_of_the_splits(folder):
    write(folder / "images" / "all_labels.csv", HEADER, ROW.format("a.png"), ROW.format("c.png"))
    assert boxes(folder) == ({"images/train/a.png": OBJECTS}, {"images/test/c.png": OBJECTS})
    text = "1 CSV file beside those of the splits ('images/all_labels.csv'): not used"
    assert text in warnings(folder)


@pytest.mark.parametrize("files", [("boxes.csv",), ("train_1.csv", "train_2.csv")])
def test_data_without_a_validation_split_are_divided(tmp_path, files):
    save(*(tmp_path / "pictures" / f"{name}.png" for name in "abc"))
    for file, names in zip(files, (("a", "b"), ("b", "c")), strict=False):
        write(tmp_path / "tables" / file, HEADER, *(ROW.format(f"{name}.png") for name in names))
    train, val = boxes(tmp_path)
    assert train.keys() | val.keys() == {
        f"pictures/{n}.png" for n in ("abc" if files[1:] else "ab")
    }
    assert val and (train | val)["pictures/b.png"] == len(files) * OBJECTS
    assert "the data have no validation split" in warnings(tmp_path)


@pytest.mark.parametrize(
    "lines",
    [
        ("image_path,label,left,top,right,bottom", "a.png,cat,4,5,24.5,35"),
        ("x1,y1,x2,y2,Image-Name,Category", "4,5,24.5,35,a.png,cat"),
        ("xmin,ymin,xmax,ymax,class,class_name,file_name", "4,5,24.5,35,17,cat,train\\a.png"),
        ("filename;class;x_min;y_min;x_max;y_max", "a.png;cat;4;5;24.5;35"),
        ("filename\tclass\txmin\tymin\txmax\tymax\r", "a.png\tcat\t4\t5\t24.5\t35\r", "\r"),
        ('"path", "name", "xmin", "ymin", "xmax", "ymax"', '"a.png","cat",4, 5 ,24.5,3.5e1'),
        ("\ufeff" + HEADER, "a.png,,,cat,4,5,24.5,35", ",,,,,,,"),
        (HEADER, "a.png,0,0,cat,4,5,24.5,35"),
        (HEADER, ROW.format("a.png"), "a.png,64,48,,,,,"),
    ],
)
def test_other_columns_and_forms(folder, lines):
    train_file(folder, *lines)
    assert boxes(folder)[0] == {"images/train/a.png": OBJECTS}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.png,64,48,cat,4,5,24", "not-csv: images/train_labels.csv: line 3: it must have 8 col"),
        (ROW.format("a.png") + ",1", "line 3: it must have 8 columns, has 9"),
        (
            "a.png,64,48,cat,4,five,24,35",
            "line 3: the corners must be four finite numbers, got ['4'",
        ),
        ("a.png,64,48,cat,4,,24,35", "line 3: the corners must be four finite numbers"),
        ("a.png,64,48,cat,4,inf,24,35", "line 3: the corners must be four finite numbers"),
        ("a.png,64,48,cat,4,nan,24,35", "line 3: the corners must be four finite numbers"),
        (f"a.png,64,48,cat,4,5,{10**400},35", "line 3: the corners must be four finite numbers"),
        ("a.png,64,48,cat,4,5,2_4,35", "line 3: the corners must be four finite numbers"),
        ("a.png,64,48,cat,24,5,4,35", "line 3: xmax and ymax must not be below xmin and ymin"),
        ("a.png,wide,48,cat,4,5,24,35", "line 3: width and height must be whole numbers of px"),
        ("a.png,64,48,,4,5,24,35", "line 3: it names no class"),
        (",64,48,cat,4,5,24,35", "line 3: it names no image"),
        ('"a.png,64,48,cat,4,5,24,35', "line 3: it is not CSV (unexpected end of data)"),
        ("a.p\0ng,64,48,cat,4,5,24,35", "line 3: it has a zero byte"),
        ("a.png," + "1" * 10_000 + ",48,cat,4,5,24,35", "line 3: it has more than 10000 char"),
        (
            ROW.format("no.png"),
            "missing-image: images/train_labels.csv: line 3: the image 'no.png'",
        ),
        (ROW.format("c.png"), "missing-image: images/train_labels.csv: line 3: the image 'c.png'"),
        ("a.png,48,64,cat,4,5,24,35", "line 2): width x height is 48 x 64, the file's is 64 x 48"),
        (
            "a.png,64,48,cat,4,5,4,35",
            "empty-box: images/train_labels.csv: line 3: bbox [4, 5, 0, 3",
        ),
        ("a.png,64,48,cat,4,5,99,35", "box-outside: images/train_labels.csv: line 3: bbox"),
    ],
)
def test_faults_of_a_row_are_named(folder, row, words):
    good = ROW.format("a.png")
    train_file(folder, HEADER, good, row, good)
    (line,) = problems(folder)
    assert words in line, line
    content = check_folder(folder).dataset.contents["train"]
    assert len(content["annotations"]) >= 2  # the rows before and after it


def test_faults_of_a_file_are_named(folder):
    good = ROW.format("a.png")
    train_file(folder, HEADER, good, encoding="utf-16")
    assert problems(folder) == [
        "not-csv: images/train_labels.csv: it is UTF-16 text; save it in UTF-8"
    ]
    train_file(folder, HEADER, good.replace("cat", "chaleco_rojo_ñ"), encoding="latin-1")
    (line,) = problems(folder)
    assert "images/train_labels.csv: it is not UTF-8 text (byte " in line
    (folder / "images" / "train_labels.csv").write_bytes(b"")
    assert "not-csv: images/train_labels.csv: it is empty" in problems(folder)
    train_file(folder, "filename,class,xmin,ymin,xmax,ymax", "a.png,cat,0.1,0.2,0.3,1.0")
    (line,) = problems(folder)
    assert line.startswith("normalised-boxes: images/train_labels.csv: every corner is from 0 to 1")


def test_a_file_that_is_too_large_is_refused(folder, monkeypatch):
    monkeypatch.setattr(csv_tables, "MAX_BYTES", 60)
    assert any("it has more than 0 MiB" in line for line in problems(folder))


def test_validation_images_alone_are_a_problem(folder):
    (folder / "images" / "train_labels.csv").unlink()
    text = "missing-file: there is no CSV file of training images, only 'images/test_labels.csv'"
    assert problems(folder) == [text]


@pytest.mark.parametrize(
    "lines",
    [
        ("epoch,train/box_loss,metrics/precision(B)", "1,0.5,0.3"),
        ("name,gt,pred,tp,fp,fn,mean_iou,errors", "a.png,0,0,0,0,0,0.0,0"),
        ("filename,class,score,xmin,ymin,xmax,ymax", "a.png,cat,0.9,4,5,24,35"),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax", "0a1b,/m/01,0.1,0.2,0.3,0.4"),
        ("cat,0",),
        ("",),
        ("1,2,3,4,5,6", "7,8,9,10,11,12"),
    ],
)
def test_unrelated_tables_are_no_data_set(tmp_path, lines):
    save(tmp_path / "set" / "a.png")
    write(tmp_path / "set" / "results.csv", *lines)
    assert not csv_files.is_csv(tmp_path / "set")
    (line,) = problems(tmp_path / "set")
    assert "CSV files need the columns filename, class, xmin, ymin, xmax and ymax" in line


def test_xml_files_win_over_the_tables_made_from_them(voc_2007):
    write(voc_2007.folder / "train.csv", HEADER, ROW.format("000001.jpg"))
    assert csv_files.is_csv(voc_2007.folder)
    assert check_folder(voc_2007.folder).dataset.contents["train"]["images"][0]["source"] == (
        "Annotations/000001.xml"
    )


def test_tables_win_over_the_files_of_another_layout_without_objects(folder):
    (folder / "annotations.xml").write_text('<annotations><image name="x.png"/></annotations>')
    assert boxes(folder)[0] == {"images/train/a.png": OBJECTS}
    text = "CVAT's annotations are not used: annotations.xml: image 0: 'x.png' is"
    assert text in warnings(folder)


FIELDS = st.sampled_from(["a.png", "c.png", "cat", "1", "2.5", "1e999", "-3", '"', "\0", "é", ""])
ROWS = st.lists(st.lists(FIELDS | st.text(max_size=4), max_size=9).map(",".join), max_size=5)
TEXTS = ROWS.map(lambda rows: "\n".join([HEADER, *rows]).encode())


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(TEXTS | st.binary(max_size=80) | st.binary(max_size=80).map(lambda b: HEADER.encode() + b))
def test_no_file_raises_anything(folder, content):
    (folder / "images" / "train_labels.csv").write_bytes(content)
    dataset = csv_files.convert(folder)
    json.loads(dataset.texts()["train"])
    assert all(len(problem.message) < 2000 for problem in dataset.problems)
