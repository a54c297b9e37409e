"""Samples that stay in their files: arrays larger than memory, images; and random changes of maps."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from data_graphs import embedding_dag, shaped_dag, token_dag, vector_dag
from PIL import Image

from dagrow.data import Preprocessing, load_data
from dagrow.data.augment.augmentation import Place
from dagrow.data.augment.flip import Flip
from dagrow.data.augment.shift import Shift
from dagrow.data.augment.torchvision_policy import TorchvisionPolicy
from dagrow.data.npy_file import NpyFile
from dagrow.data.stored import StoredRows
from dagrow.errors import DataError
from dagrow.objectives import LOSSES
from dagrow.spec.run import DataSpec

LABELS, NUMBERS = LOSSES["cross_entropy"], LOSSES["mse"]


def loaded(dag, loss=LABELS, **data):
    return load_data(DataSpec(**data), dag, loss, seed=0)


def save(folder, **arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return {name: str(folder / f"{name}.npy") for name in arrays}


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">f4", "<f8"])
def test_rows_of_a_file_are_those_of_the_array(tmp_path, dtype):
    array = np.random.default_rng(0).integers(0, 200, (11, 2, 3)).astype(dtype)
    rows = StoredRows(NpyFile.opened(save(tmp_path, x=array)["x"]))
    assert rows.shape == (11, 2, 3)
    index = torch.tensor([3, 4, 5, 0, 10, 10])
    for picked, expected in ((rows[index], array[index.numpy()]), (rows[2:7], array[2:7])):
        assert picked.read().double().tolist() == expected.astype(float).tolist()
    assert rows[2:9][index[:4]].reshape(4, 6).read().double().tolist() == array[2:9][index[:4]].reshape(4, 6).tolist()
    assert torch.equal(rows[:4].joined(rows[4:]).read(), rows.read())
    assert rows.read().dtype == rows.dtype


def test_training_from_files_is_as_from_memory(tmp_path):
    generator = np.random.default_rng(0)
    x, y = generator.normal(5, 3, (50, 4)).astype(np.float32), np.arange(50) % 2
    files = save(tmp_path, x=x, y=y)
    np.savez(tmp_path / "all.npz", x_train=x, y_train=y)
    one = loaded(vector_dag(4, 2), arrays=files, standardize=True)
    other = loaded(vector_dag(4, 2), npz=str(tmp_path / "all.npz"), standardize=True)
    assert isinstance(one.train.inputs[0], StoredRows)
    for mine, theirs in ((one.train, other.train), (one.test, other.test)):
        order = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
        for (a, b), (c, d) in zip(
            mine.shuffled_batches(8, order[0]), theirs.shuffled_batches(8, order[1]), strict=True
        ):
            torch.testing.assert_close(a, c)
            assert torch.equal(b, d)
    assert one.notes == ("input 'x': 50 samples of float32, read row by row; standardized",)


def test_tokens_become_vectors(tmp_path):
    tokens = np.random.default_rng(0).integers(0, 5, (30, 3))
    split = loaded(
        token_dag((3, 5), 5), NUMBERS, arrays=dict(save(tmp_path, x=tokens, y=np.zeros((30, 3, 5))), tokens=True)
    )
    raw = torch.from_numpy(tokens)
    assert torch.equal(split.preprocessing(raw)[0], torch.nn.functional.one_hot(raw, 5).float())
    assert split.train.xy()[0].shape == (24, 3, 5)
    np.save(tmp_path / "x.npy", tokens + 1)
    with pytest.raises(DataError, match=r"tokens run from 1 to 5, its shape \[3, 5\] has room for 0 to 4"):
        loaded(
            token_dag((3, 5), 5),
            NUMBERS,
            arrays={"x": str(tmp_path / "x.npy"), "y": str(tmp_path / "y.npy"), "tokens": True},
        )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.asfortranarray(np.ones((3, 4))), "is stored column by column"),
        (np.array(1.0), "is a single number"),
        (np.array(["a"]), "holds <U1, not numbers"),
        (np.ones((10, 5)), r"a sample has shape \[5\]"),
        (np.ones((10, 2, 2, 3)), "channels last"),
        (np.full((10, 3, 2, 2), np.nan), r"sample \d \(from 0\) has values that are NaN"),
    ],
)
def test_files_that_do_not_fit(tmp_path, array, message):
    files = save(tmp_path, x=array, y=np.arange(10) % 2)
    with pytest.raises(DataError, match=message):
        loaded(shaped_dag((3, 2, 2), 2), arrays=files).train.xy()
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-3])
    with pytest.raises(DataError):
        loaded(shaped_dag((3, 2, 2), 2), arrays=files)


def test_a_hundred_gigabytes_within_two(tmp_path):
    """A sparse file: it takes no room on the disk, and reads as zeros."""
    count, size = 650_000, 153_600
    with (tmp_path / "x.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, 200, 256)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + count * size)
    np.save(tmp_path / "y.npy", np.arange(count) % 2)
    program = f"""
    import resource, sys, torch
    sys.path.insert(0, {str(tmp_path)!r})
    resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30))
    from dagrow.data import load_data
    from dagrow.graph import Dag
    from dagrow.objectives import LOSSES
    from dagrow.spec import DataSpec, GraphSpec
    graph = GraphSpec.model_validate(dict(
        inputs=dict(x=dict(shape=[3, 200, 256])), outputs="y",
        nodes=dict(h=dict(size=1, pool="global_average"), y=dict(size=2)),
        edges={{"x -> h": "conv2d", "h -> y": "linear"}},
    ))
    data = DataSpec(arrays=dict(x={str(tmp_path / "x.npy")!r}, y={str(tmp_path / "y.npy")!r}))
    split = load_data(data, Dag.of(graph), LOSSES["cross_entropy"], 0)
    for number, (x, y) in enumerate(split.train.shuffled_batches(32, torch.Generator().manual_seed(0))):
        assert x.shape[1:] == (3, 200, 256) and not x.any()
        if number == 3:
            break
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 2e9


def pictures(folder, count=6, size=(4, 5), mode="RGB", classes=("cat", "dog")):
    generator = np.random.default_rng(0)
    found = {}
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            shape = (*size, 3) if mode == "RGB" else size
            high, dtype = (65_536, np.uint16) if mode == "I;16" else (256, np.uint8)
            found[name, number] = generator.integers(0, high, shape).astype(dtype)
            Image.fromarray(found[name, number]).save(folder / name / f"{number}.png")
    return found


@pytest.mark.parametrize("memory", [1.0, 0.0])
def test_images_are_those_of_their_files(tmp_path, memory):
    found = pictures(tmp_path / "pics")
    (tmp_path / "pics" / "cat" / "notes.txt").write_text("no image")
    split = loaded(shaped_dag((3, 4, 5), 2), images={"path": str(tmp_path / "pics"), "memory": memory})
    assert isinstance(split.train.inputs[0], StoredRows) == (memory == 0)
    x, labels = split.train.xy()
    assert len(x) == 10
    known = {(name, array.transpose(2, 0, 1).tobytes()) for (name, _), array in found.items()}
    for image, label in zip((x * 255).round().to(torch.uint8), labels, strict=True):
        assert (("cat", "dog")[label], image.numpy().tobytes()) in known
    assert split.notes[:2] == (
        "12 images of 2 classes (cat, dog); bytes are divided by 255",
        "1 files are left out: by their endings they are no images",
    )


def test_images_of_sixteen_bits(tmp_path):
    found = pictures(tmp_path / "pics", mode="I;16")
    split = loaded(shaped_dag((1, 4, 5), 2), images={"path": str(tmp_path / "pics")})
    rows = split.preprocessing.reader.read(str(tmp_path / "pics"), ((1, 4, 5),))
    assert rows.names[:2] == ("cat/0.png", "cat/1.png")
    read = split.preprocessing(rows.inputs[0].read())[0]
    expected = np.stack([found[name, number] for name in ("cat", "dog") for number in range(6)]) / 65_535
    torch.testing.assert_close(read[:, 0].double(), torch.from_numpy(expected), rtol=1e-6, atol=1e-7)
    Image.new("L", (5, 4)).save(tmp_path / "new.png")
    with pytest.raises(DataError, match="has 8 bits per pixel, the first image has 16"):
        split.preprocessing.reader.read(str(tmp_path / "new.png"), ((1, 4, 5),)).inputs[0].read()


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda folder: None, (3, 4, 5), "no such folder"),
        (lambda folder: folder.mkdir(), (3, 4, 5), "there are images in 0 folders"),
        (pictures, (3, 4, 6), "is 4 x 5 pixels, the input takes 4 x 6; 'resize: true' brings"),
        (pictures, (2, 4, 5), r"with 1, 3 or 4 channels, not \[2, 4, 5\]"),
        (pictures, (60,), r"images need an input of shape \[channels, height, width\]"),
        (lambda folder: (pictures(folder), (folder / "cat" / "0.png").write_text("no"))[0], (3, 4, 5), "is no image"),
    ],
)
def test_folders_that_do_not_fit(tmp_path, make, shape, message):
    make(tmp_path / "pics")
    with pytest.raises(DataError, match=message):
        loaded(shaped_dag(shape, 2), images={"path": str(tmp_path / "pics")})


def test_other_sizes_are_brought_to_that_of_the_input(tmp_path):
    pictures(tmp_path / "pics")
    split = loaded(shaped_dag((1, 2, 2), 2), images={"path": str(tmp_path / "pics"), "resize": True})
    assert split.train.xy()[0].shape == (10, 1, 2, 2)


def test_flips_and_shifts_of_parts_are_those_of_the_batch():
    x = torch.arange(8 * 2 * 3 * 4).reshape(8, 2, 3, 4) + 1
    for kind in (Flip((0, 1)), Shift(2)):
        whole = kind(x, (2, 3), Place(5, 8, 0), 0)
        assert torch.equal(
            torch.cat([kind(x[:3], (2, 3), Place(5, 8, 0), 0), kind(x[3:], (2, 3), Place(5, 8, 3), 0)]), whole
        )
        assert not torch.equal(whole, x)
        for before, after in zip(x, whole, strict=True):
            assert {*after.flatten().tolist()} - {0} <= {*before.flatten().tolist()}
    moved = Shift(1)(x, (2, 3), Place(0, 8, 0), 0)
    candidates = [
        torch.nn.functional.pad(x, (1, 1, 1, 1))[:, :, 1 + a : 4 + a, 1 + b : 5 + b]
        for a in (-1, 0, 1)
        for b in (-1, 0, 1)
    ]
    assert all(any(torch.equal(after, other[i]) for other in candidates) for i, after in enumerate(moved))


def test_only_shuffled_training_batches_are_changed(tmp_path):
    pictures(tmp_path / "pics")
    plain = loaded(shaped_dag((3, 4, 5), 2), images={"path": str(tmp_path / "pics")})
    split = loaded(shaped_dag((3, 4, 5), 2), images={"path": str(tmp_path / "pics")}, augment={"shift": 2})
    assert torch.equal(split.train.xy()[0], plain.train.xy()[0])
    batches = split.train.shuffled_batches(4, torch.Generator().manual_seed(0))
    first, again = (torch.cat([x for x, _ in batches]) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(
        first, torch.cat([x for x, _ in plain.train.shuffled_batches(4, torch.Generator().manual_seed(0))])
    )
    assert split.test.augment is None
    np.savez(tmp_path / "x.npz", x_train=np.ones((4, 2)), y_train=[0, 1, 0, 1])
    with pytest.raises(DataError, match="no input is one"):
        loaded(vector_dag(2, 2), npz=str(tmp_path / "x.npz"), augment={"shift": 1})


def test_policies_of_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(DataError, match="'RandAugment' needs 'torchvision': pip install torchvision"):
        TorchvisionPolicy.of("RandAugment")

    def policy():
        return lambda image: image + torch.randint(9, (1, 1, 1), dtype=torch.uint8)

    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.v2"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(RandAugment=policy))
    made, x = TorchvisionPolicy.of("RandAugment"), torch.zeros(5, 3, 2, 2, dtype=torch.uint8)
    before = torch.get_rng_state()
    whole = made(x, (2, 3), Place(3, 5, 0), 1)
    assert torch.equal(torch.get_rng_state(), before)
    assert len({int(image.max()) for image in whole}) > 1
    last = made(x[2:].movedim(1, -1), (1, 2), Place(3, 5, 2), 1)
    assert torch.equal(last.movedim(-1, 1), whole[2:])
    with pytest.raises(DataError, match="take bytes"):
        made(x.float(), (2, 3), Place(3, 5, 0), 1)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_tokens_of_a_vocabulary_are_read_as_they_are(tmp_path, dtype):
    """Bytes too are numbers of tokens, not grey levels; nothing is scaled, whatever the run asks."""
    tokens = np.random.default_rng(0).integers(0, 5, (30, 3)).astype(dtype)
    labels = (tokens + 1) % 5
    files = save(tmp_path, x=tokens, y=labels.astype("int64"))
    for standardize in ("auto", True):
        split = loaded(embedding_dag(3, 5, 5), LABELS, arrays=files, standardize=standardize)
        x, y = split.train.xy()
        assert torch.equal((x.long() + 1) % 5, y.squeeze(-1))
        assert y.shape == (24, 3, 1)
        (entry,) = split.preprocessing.inputs
        assert (entry.dtype, entry.steps) == (torch.int64, ())
        raw = torch.from_numpy(tokens.astype("int64"))
        assert split.preprocessing(raw)[0] is raw
        again = Preprocessing.from_json(split.preprocessing.to_json(), embedding_dag(3, 5, 5))
        assert again(raw)[0] is raw
    with pytest.raises(DataError, match=r"input 'x': tokens run from 0 to 4, its vocabulary has room for 0 to 3"):
        loaded(embedding_dag(3, 4, 5), LABELS, arrays=files)
    with pytest.raises(DataError, match="reads tokens as they are: leave out 'tokens'"):
        loaded(embedding_dag(3, 5, 5), LABELS, arrays={**files, "tokens": True})
