from __future__ import annotations

import random
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.errors import ConfigError, UserCodeError
from gapdoctor.loading import reference
from gapdoctor.loading.where import Reference, split_name

CODE = """\
import random

import numpy as np
import torch
from torch import nn


def student(width=8, *, classes=3):
    return nn.Linear(width, classes)


class Net(nn.Linear):
    def __init__(self, width):
        super().__init__(width, 2)


ready = nn.Linear(2, 2)
values = ([1, 2], [0, 1])
tensor = torch.zeros(2)


def rows():
    return torch.rand(3), np.random.rand(), random.random()


def pipeline(size=2):
    def run(sample):
        return torch.as_tensor(sample)[:size]
    return run


def clean(sample):
    return sample


class Loader:
    nested = staticmethod(lambda: "found")

    def __call__(self):
        return "called"


loader = Loader()


def broken():
    count = 0
    raise ValueError(f"two\\nlines {1 / count}")


def typo():
    raise ValueError("the width is odd")


def leaves():
    raise SystemExit(3)


def nothing():
    return None
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with CODE as run.py, the working directory elsewhere."""
    (tmp_path / "run.py").write_text(CODE)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def ref(folder, name, key="data.train", args=None, batched=False):
    """Return the reference that a config in `folder` would hold on line 7."""
    where, what = split_name(name)
    return Reference(
        key=key,
        place=f"gapdoctor.toml:7: {key}",
        name=name,
        where=where,
        what=what,
        base=folder,
        args=args,
        batched=batched,
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("run.py:student", ("run.py", "student")),
        ("a/b/run.py:Nets.small", ("a/b/run.py", "Nets.small")),
        ("C:\\runs\\run.py:student", ("C:\\runs\\run.py", "student")),
        ("package.module:thing", ("package.module", "thing")),
        ("torchvision:resnet18", ("torchvision", "resnet18")),
        ("timm:vit_tiny.augreg_in21k", ("timm", "vit_tiny.augreg_in21k")),
        ("hf:some/folder-1", ("hf", "some/folder-1")),
        ("data/train.npz", ("data/train.npz", "")),
        ("C:\\data\\train.npz", ("C:\\data\\train.npz", "")),
        ("run.py:", ("run.py:", "")),
        ("run.py:2", ("run.py:2", "")),
    ],
)
def test_names_are_cut_in_two(name, expected):
    assert split_name(name) == expected


def test_a_string_is_the_thing_itself_and_a_table_calls_once(folder):
    clean = reference.pipeline(ref(folder, "run.py:clean", "preprocess.train"))
    assert clean.call(3) == 3
    assert not clean.batched
    assert clean.name == "run.py:clean"
    made = reference.pipeline(
        ref(folder, "run.py:pipeline", "preprocess.train", {"size": 1}, batched=True)
    )
    assert made.call([5, 6]).tolist() == [5]
    assert made.batched


def test_data_that_are_a_class_a_function_or_a_callable_are_called(folder):
    assert reference.data(ref(folder, "run.py:values")) == ([1, 2], [0, 1])
    assert reference.data(ref(folder, "run.py:tensor")).shape == (2,)
    assert reference.data(ref(folder, "run.py:loader")) == "called"
    assert reference.data(ref(folder, "run.py:Loader.nested")) == "found"
    assert type(reference.data(ref(folder, "run.py:Loader"))).__name__ == "Loader"
    assert reference.data(ref(folder, "run.py:clean", args={"sample": 4})) == 4


def test_random_data_are_the_same_each_time_and_the_random_state_is_left_alone(folder):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    before = random.getstate(), torch.get_rng_state().tolist()
    one, other = (reference.data(ref(folder, "run.py:rows")) for _ in range(2))
    assert torch.equal(one[0], other[0])
    assert one[1:] == other[1:]
    assert (random.getstate(), torch.get_rng_state().tolist()) == before


def test_models_are_called_with_the_arguments(folder):
    model = reference.model(ref(folder, "run.py:student", "student.model"), {"width": 4})
    assert model.in_features == 4
    model = reference.model(ref(folder, "run.py:Net", "student.model"), {"width": 5})
    assert (model.in_features, model.out_features) == (5, 2)


def test_a_factory_builds_anew_each_time_under_the_callers_seed(folder):
    build = reference.factory(ref(folder, "run.py:student", "student.model"), {})
    torch.manual_seed(3)
    one = build()
    other = build()
    torch.manual_seed(3)
    again = build()
    assert not torch.equal(one.weight, other.weight)
    assert torch.equal(one.weight, again.weight)


def test_a_finished_model_is_copied_and_cannot_be_built_anew(folder):
    name = ref(folder, "run.py:ready", "teacher.model")
    model = reference.model(name, {})
    with torch.no_grad():
        model.weight.zero_()
    assert reference.model(name, {}).weight.abs().sum() > 0
    assert reference.factory(name, {}) is None
    with pytest.raises(ConfigError, match="finished model and takes no arguments"):
        reference.factory(name, {"width": 3})


@pytest.mark.parametrize(
    ("name", "args", "message", "hint"),
    [
        ("run.py:studnet", {}, "run.py has no 'studnet'", "did you mean student"),
        ("run.py:zzz", {}, "run.py has no 'zzz'", "it has Loader, Net, broken"),
        ("run.py:Loader.nestde", {}, "run.py has no 'nestde'", "did you mean nested"),
        (
            "run.py:student",
            {"widht": 3},
            "got an unexpected keyword argument 'widht'; its signature is "
            "student(width=8, *, classes=3)",
            "did you mean width",
        ),
        (
            "run.py:Net",
            {},
            "missing a required argument: 'width'; its signature",
            "give the arguments",
        ),
        ("run.py:tensor", {}, "run.py:tensor is Tensor, which cannot be called", "a class or"),
        ("nowhere.at_all:x", {}, "no module 'nowhere'", "among the installed"),
        ("torch.nowhere:x", {}, "no module 'torch.nowhere'", "looked in"),
        ("torchvision:resnet81", {}, "torchvision has no 'resnet81'", "did you mean resnet"),
        pytest.param(
            "timm:resnet18",
            {},
            "timm is not installed",
            "pip install 'gapdoctor[timm]'",
            marks=pytest.mark.skipif(find_spec("timm") is not None, reason="timm is there"),
        ),
        pytest.param(
            "hf:folder",
            {},
            "transformers is not installed",
            "pip install 'gapdoctor[hf]'",
            marks=pytest.mark.skipif(
                find_spec("transformers") is not None, reason="transformers is there"
            ),
        ),
        (
            "torchvision:resnet18",
            {"weights": "DEFAULT"},
            "would download weights = 'DEFAULT'",
            "name it as the checkpoint",
        ),
    ],
)
def test_a_wrong_name_or_argument_is_told_with_its_place(folder, name, args, message, hint):
    with pytest.raises(ConfigError) as caught:
        reference.model(ref(folder, name, "student.model"), args)
    assert caught.value.message.startswith("gapdoctor.toml:7: student.model: ")
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("run.py:broken", r"run.py:48: ZeroDivisionError: division by zero \(calling run.py:br"),
        ("run.py:typo", r"run.py:52: ValueError: the width is odd \(calling run.py:typo\)$"),
        ("run.py:leaves", r"run.py:56: SystemExit: 3 \(calling run.py:leaves\)$"),
        ("run.py:nothing", r"run.py:nothing gave NoneType, not an nn.Module"),
    ],
)
def test_what_the_users_code_raises_is_one_line_with_theirs(folder, name, message):
    with pytest.raises(UserCodeError, match=message) as caught:
        reference.model(ref(folder, name, "student.model"), {})
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import os\nimport no_such_lib\n",
            r"bad.py:2: ModuleNotFoundError: No module named 'no_s",
        ),
        ("x = (\n", r"bad.py:1: SyntaxError: '\(' was never closed"),
        ("\n\nraise OSError('disk')\n", r"bad.py:3: OSError: disk \(importing .*bad.py\)"),
        ("import sys\nsys.exit('usage: x')\n", r"bad.py:2: SystemExit: usage: x"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_with_its_line(folder, code, message):
    (folder / "bad.py").write_text(code)
    before = set(sys.modules)
    with pytest.raises(UserCodeError, match=message):
        reference.data(ref(folder, "bad.py:x"))
    assert not [m for m in set(sys.modules) - before if "bad" in m]


def test_a_module_missing_inside_a_package_of_theirs_is_told_as_it_is(folder):
    (folder / "theirs.py").write_text("import no_such_lib\n")
    with pytest.raises(UserCodeError, match=r"theirs.py:1: ModuleNotFoundError: No module named"):
        reference.data(ref(folder, "theirs:x"))


def test_a_class_is_no_pipeline(folder):
    with pytest.raises(ConfigError, match="is a class, not a pipeline") as caught:
        reference.pipeline(ref(folder, "run.py:Loader", "preprocess.train"))
    assert '{ call = "run.py:Loader" }' in caught.value.hint
    with pytest.raises(UserCodeError, match=r"gave Tensor, which cannot be called"):
        reference.pipeline(ref(folder, "run.py:tensor", "preprocess.train"))


def test_modules_are_found_in_the_configs_folder_and_the_working_directory(folder):
    (folder / "beside").mkdir()
    (folder / "beside" / "__init__.py").write_text("")
    (folder / "beside" / "inner.py").write_text("value = [1]\n")
    (folder / "cwd" / "here.py").write_text("value = [2]\n")
    assert reference.data(ref(folder, "beside.inner:value")) == [1]
    assert reference.data(ref(folder, "here:value")) == [2]


def test_files_and_helpers_of_the_same_name_do_not_collide(folder):
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "helper_of_both.py").write_text(f"value = ['{name}']\n")
        (folder / name / "run.py").write_text(
            "import helper_of_both\nvalue = helper_of_both.value\n"
            "def late():\n    import helper_of_both as h\n    return h.value\n"
        )
    for what in ("value", "late"):
        found = [reference.data(ref(folder, f"{n}/run.py:{what}")) for n in ("a", "b", "a")]
        assert found == [["a"], ["b"], ["a"]]
    assert reference.data(ref(folder / "a", "helper_of_both:value")) == ["a"]
    assert reference.data(ref(folder / "b", "helper_of_both:value")) == ["b"]


def test_folders_without_init_of_the_same_name_do_not_collide(folder):
    for name in ("one", "two"):
        (folder / name / "src_of_both").mkdir(parents=True)
        (folder / name / "src_of_both" / "models.py").write_text(f"value = ['{name}']\n")
    found = [reference.data(ref(folder / n, "src_of_both.models:value")) for n in ("one", "two")]
    assert found == [["one"], ["two"]]


def test_a_file_is_run_once_and_anew_when_it_changes(folder):
    file = folder / "counted.py"
    file.write_text("value = []\nvalue.append(len(value))\n")
    one = reference.data(ref(folder, "counted.py:value"))
    assert reference.data(ref(folder, "../" + folder.name + "/counted.py:value")) is one
    file.write_text("value = ['new']\n")
    assert reference.data(ref(folder, "counted.py:value")) == ["new"]


def test_importing_leaves_no_trace_beside_the_users_files(folder):
    (folder / "helper_without_trace.py").write_text("value = [1]\n")
    (folder / "importing.py").write_text("from helper_without_trace import value\n")
    path, before = list(sys.path), sorted(folder.iterdir())
    assert reference.data(ref(folder, "importing.py:value")) == [1]
    assert sorted(folder.iterdir()) == before
    assert sys.path == path


def test_dataclasses_of_a_file_work(folder):
    (folder / "records.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Rows:\n    count: int = 2\n"
    )
    assert reference.data(ref(folder, "records.py:Rows")).count == 2


def test_torchvision_data_are_read_from_the_configs_folder_and_never_downloaded(folder):
    args = {"root": "no-such-folder", "train": True, "download": True}
    with pytest.raises(UserCodeError, match="RuntimeError: Dataset not found"):
        reference.data(ref(folder, "torchvision:CIFAR10", args=args))
    with pytest.raises(ConfigError, match=r"missing a required argument: 'root'; its signature"):
        reference.data(ref(folder, "torchvision:CIFAR10"))
    made = reference.data(ref(folder, "torchvision:FakeData", args={"size": 3, "num_classes": 2}))
    assert len(made) == 3


def test_torchvision_models_and_transforms_are_named_alike(folder):
    model = reference.model(
        ref(folder, "torchvision:squeezenet1_1", "student.model"), {"num_classes": 4}
    )
    assert isinstance(model, nn.Module)
    crop = reference.pipeline(
        ref(folder, "torchvision:CenterCrop", "preprocess.train", {"size": 2})
    )
    assert crop.call(torch.zeros(3, 8, 8)).shape == (3, 2, 2)


def test_an_error_of_a_library_alone_is_told_with_the_configs_place(folder):
    match = r"^gapdoctor.toml:7: student.model: TypeError: .* \(calling torchvision:resnet18\)$"
    with pytest.raises(UserCodeError, match=match):
        reference.model(ref(folder, "torchvision:resnet18", "student.model"), {"width": 3})


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Stand-ins for the optional libraries, with the calls that are made of the real ones."""
    code = {
        "timm": "from torch import nn\n"
        "def create_model(name, num_classes=10, pretrained=False):\n"
        "    return nn.Linear(len(name), num_classes)\n",
        "transformers": "from torch import nn\nfrom types import SimpleNamespace\n"
        "class Net(nn.Linear):\n"
        "    def __init__(self, config):\n        super().__init__(2, config.labels)\n"
        "class AutoConfig:\n"
        "    @staticmethod\n"
        "    def from_pretrained(folder, local_files_only, **changes):\n"
        "        assert local_files_only\n"
        "        return SimpleNamespace(architectures=['Net'], folder=folder, **changes)\n",
        "datasets": "def load_from_disk(folder):\n    return [folder]\n",
    }
    for name, text in code.items():
        (tmp_path / "libraries").mkdir(exist_ok=True)
        (tmp_path / "libraries" / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path / "libraries")
    yield
    for name in code:
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("fakes")
def test_optional_libraries_build_models_and_open_data(folder):
    timm = ref(folder, "timm:abc", "student.model")
    assert reference.model(timm, {"num_classes": 4}).weight.shape == (4, 3)
    with pytest.raises(ConfigError, match="timm:abc would download pretrained = True"):
        reference.model(timm, {"pretrained": True})
    with pytest.raises(ConfigError, match=r"saved/config.json: no such file"):
        reference.model(ref(folder, "hf:saved", "teacher.model"), {"labels": 5})
    (folder / "saved").mkdir()
    (folder / "saved" / "config.json").touch()
    model = reference.model(ref(folder, "hf:saved", "teacher.model"), {"labels": 5})
    assert model.out_features == 5
    assert reference.data(ref(folder, "hf:saved")) == [str(folder / "saved")]
    with pytest.raises(ConfigError, match="timm names models only"):
        reference.data(ref(folder, "timm:abc"))


@pytest.mark.skipif(find_spec("datasets") is not None, reason="datasets is there")
def test_a_saved_data_set_by_name_asks_for_its_extra(folder):
    with pytest.raises(ConfigError, match="datasets is not installed") as caught:
        reference.data(ref(folder, "hf:saved"))
    assert caught.value.hint == "pip install 'gapdoctor[hf]'"
