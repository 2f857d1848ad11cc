from __future__ import annotations

import random
import re
import subprocess
import sys
from dataclasses import fields

import pytest

from gapdoctor.domain.recipe import Distillation, Optimizer, Recipe, Schedule
from gapdoctor.errors import ConfigError
from gapdoctor.loading.config import (
    config_files,
    find_config,
    parse_setting,
    read_config,
    resolve_config,
)
from gapdoctor.loading.keys import SECTIONS

BASE = {
    "student": 'model = "run.py:student"\ncheckpoint = "student.pth"\n',
    "teacher": 'model = "run.py:teacher"\ncheckpoint = "teacher.pth"\n',
    "data": 'train = "run.py:train_set"\nheldout = "run.py:heldout_set"\n',
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the files that BASE names, and the working directory elsewhere."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("run.py", "student.pth", "teacher.pth", "other.pth"):
        (folder / name).touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return folder


def write(folder, **sections):
    """Write BASE with `sections` appended to it; return the path."""
    merged = {name: BASE.get(name, "") + sections.get(name, "") for name in {**BASE, **sections}}
    path = folder / "gapdoctor.toml"
    path.write_text("".join(f"[{name}]\n{body}" for name, body in merged.items()))
    return path


def refusal(folder, settings=None, **sections):
    """Return the error that a config gives."""
    with pytest.raises(ConfigError) as caught:
        read_config(write(folder, **sections), settings)
    return caught.value


def test_a_whole_config_is_read(project):
    (project / "history.csv").touch()
    (project / "groups.npy").touch()
    config = read_config(
        write(
            project,
            student='args = { width = 16 }\nkey = "ema"\nlarger = { width = 32 }\n'
            "output_temperature = 2\nfolded_temperature = 3\n",
            teacher='key = "state_dict"\n',
            data='test = { call = "run.py:test_set", args = { year = 2026 } }\n'
            'groups = "groups.npy"\nclasses = ["cat", "dog"]\ninput = "pixels"\n',
            preprocess='train = "run.py:clean"\n'
            'inference = { call = "run.py:pipeline", args = { size = 8 }, batched = true }\n',
            recipe='optimizer = "adamw"\nlr = 1\nbetas = [0.9, 0.999]\nschedule = "cosine"\n'
            'milestones = [3, 5]\naugment = "run.py:augment"\nhistory = "history.csv"\n'
            'trainer = "run.py:train"\ntask_weight = 0\n'
            'distillation = "decoupled"\ndkd_beta = 2\n',
        )
    )
    assert config.student.args == {"width": 16}
    assert config.student.larger == {"width": 32}
    assert config.student.output_temperature == 2.0
    assert config.student.folded_temperature == 3.0
    assert isinstance(config.student.folded_temperature, float)
    assert config.student.checkpoint.path == project / "student.pth"
    assert config.student.checkpoint.named == "student.pth"
    assert (config.student.key, config.teacher.key) == ("ema", "state_dict")
    assert config.data.test.args == {"year": 2026}
    assert config.data.groups.is_path
    assert config.data.classes == ("cat", "dog")
    assert config.data.sample_keys == ("pixels", "label")
    assert config.preprocess.train.args is None
    assert config.preprocess.inference.batched
    recipe = config.recipe.recipe
    assert recipe.optimizer is Optimizer.ADAMW
    assert recipe.schedule is Schedule.COSINE
    assert (recipe.lr, recipe.betas, recipe.milestones) == (1.0, (0.9, 0.999), (3, 5))
    assert isinstance(recipe.lr, float)
    assert recipe.task_weight == 0.0
    assert recipe.distillation is Distillation.DECOUPLED
    assert (recipe.dkd_alpha, recipe.dkd_beta) == (None, 2.0)
    assert (recipe.augment, recipe.trainer) == ("run.py:augment", "run.py:train")
    assert recipe.history == "history.csv"
    assert config.recipe.augment.where == "run.py"
    assert recipe.weight_decay is None


def test_every_field_of_the_recipe_is_a_key():
    assert list(SECTIONS["recipe"]) == [f.name for f in fields(Recipe)]


def test_augmentations_by_name_are_no_reference(project):
    config = read_config(write(project, recipe='augment = ["flip", "crop"]\n'))
    assert config.recipe.recipe.augment == ("flip", "crop")
    assert config.recipe.augment is None
    assert read_config(write(project, recipe="augment = []\n")).recipe.recipe.augment == ()


@pytest.mark.parametrize(
    ("own", "args"),
    [
        ('"run.py:augment"', None),
        ('{ call = "run.py:augment", args = { by = 2 } }', {"by": 2}),
    ],
)
def test_one_of_the_users_own_stands_beside_names(project, own, args):
    config = read_config(write(project, recipe=f'augment = [{own}, "mixup"]\n'))
    assert config.recipe.recipe.augment == ("run.py:augment", "mixup")
    assert (config.recipe.augment.where, config.recipe.augment.args) == ("run.py", args)
    assert project / "run.py" in config_files(config)


def test_the_same_list_by_a_flag_starts_from_the_working_directory(project, tmp_path):
    (tmp_path / "elsewhere/mine.py").touch()
    key, value = parse_setting('recipe.augment=["mixup", "mine.py:augment"]')
    config = read_config(write(project), {key: value})
    assert config.recipe.recipe.augment == ("mixup", "mine.py:augment")
    assert config.recipe.augment.path == tmp_path / "elsewhere/mine.py"


def test_inference_may_be_what_the_student_was_trained_on(project):
    config = read_config(write(project, preprocess='train = "run.py:clean"\ninference = "train"\n'))
    assert config.preprocess.inference is None
    assert config.preprocess.train_at_inference == f"{project / 'gapdoctor.toml'}:12: {INFERENCE}"
    with_teacher = 'inference = "train"\nteacher = "run.py:clean"\n'
    error = refusal(project, preprocess=with_teacher)
    assert f':11: {INFERENCE}: "train" beside preprocess.teacher' in error.message
    assert "train =" in error.hint


INFERENCE = "preprocess.inference"


@pytest.mark.parametrize(
    ("sections", "message", "hint"),
    [
        ({"student": "widht = 3\n"}, ":4: student.widht: unknown key", "known: model, args"),
        ({"student": 'modle = "x"\n'}, ":4: student.modle: unknown key in", "did you mean model"),
        (
            {"student": "folded_temprature = 2\n"},
            ":4: student.folded_temprature: unknown key in",
            "did you mean folded_temperature",
        ),
        (
            {"student": "folded_temperature = 0\n"},
            ":4: student.folded_temperature: 0 is not a number above 0",
            "",
        ),
        ({"student": "folded_temperature = -2.5\n"}, "-2.5 is not a number above 0", ""),
        ({"student": 'folded_temperature = "2"\n'}, '"2" is not a number above 0', ""),
        (
            {"student": "folded_temperature = inf\n"},
            r"folded_temperature: Inf\w* is not a number",
            "",
        ),
        ({"student": "lr = 0.1\n"}, ":4: student.lr: unknown key", r"belongs to \[recipe\]"),
        ({"recepi": "lr = 0.1\n"}, ":10: recepi: unknown section", "did you mean recipe"),
        ({"recipe": 'lr = "0.1"\n'}, ':11: recipe.lr: "0.1" is not a number', "without quotes"),
        ({"recipe": "lr = true\n"}, ":11: recipe.lr: true is not a number above 0", ""),
        ({"recipe": "lr = nan\n"}, ":11: recipe.lr: NaN is not", ""),
        ({"recipe": "epochs = 0\n"}, "recipe.epochs: 0 is not a whole number of at least 1", ""),
        ({"recipe": "epochs = 2.5\n"}, "recipe.epochs: 2.5 is not a whole number", ""),
        ({"recipe": "task_weight = 1.4\n"}, "task_weight: 1.4 is not a number from 0 to 1", ""),
        ({"recipe": "temperature = 0\n"}, "temperature: 0 is not a number above 0", ""),
        ({"recipe": "betas = [0.9]\n"}, r"betas: \[0.9\] is not two numbers", ""),
        ({"recipe": "milestones = [5, 3]\n"}, "is not a list of rising whole numbers", ""),
        ({"recipe": 'optimizer = "admw"\n'}, "is not one of sgd, adam, adamw", "mean adamw"),
        ({"recipe": 'schedule = "cosin"\n'}, "not one of constant, cosine", "did you mean cosine"),
        (
            {"recipe": 'distillation = "decopled"\n'},
            ':11: recipe.distillation: "decopled" is not one of kl, decoupled, standardized',
            "did you mean decoupled",
        ),
        ({"recipe": "dkd_beta = -1\n"}, "dkd_beta: -1 is not a number of at least 0", ""),
        ({"recipe": 'augment = "flip"\n'}, "augment: 'flip' is not where:what", r'\["flip"\]'),
        ({"recipe": 'augment = ["flpi"]\n'}, ":11: recipe.augment: unknown .* 'flpi'", "mean flip"),
        ({"recipe": 'augment = ["own"]\n'}, "unknown augmentation 'own'", "known: flip, crop"),
        (
            {"recipe": 'augment = ["run.py:a", "mixup", "run.py:b"]\n'},
            ":11: recipe.augment: two of your own, run.py:a and run.py:b",
            "one function",
        ),
        ({"recipe": 'augment = ["rum.py:a"]\n'}, ":11: recipe.augment: rum.py: no such", "run.py"),
        (
            {"recipe": 'augment = [{ cal = "run.py:a" }]\n'},
            "recipe.augment.cal: unknown",
            "mean call",
        ),
        ({"recipe": "augment = [3]\n"}, r"recipe.augment: \[3\] is not a string", "or a list"),
        ({"preprocess": 'train = "train"\n'}, "preprocess.train: 'train' is not where:what", ""),
        ({"student": "args = 3\n"}, "student.args: 3 is not a table", ""),
        ({"data": 'classes = ["a", "a"]\n'}, "classes: .* is not a list of different names", ""),
        ({"data": "classes = []\n"}, "classes: .* is not a list of different names", ""),
        ({"data": 'test = { cal = "run.py:x" }\n'}, ":10: data.test.cal: unknown key", "mean call"),
        ({"data": "test = { args = { a = 1 } }\n"}, "data.test: the table has no call", "call ="),
        (
            {"data": 'test = { call = "run.py:x", batched = true }\n'},
            "data.test.batched: says nothing here",
            "pipelines",
        ),
        ({"data": 'test = "run.py"\n'}, "data.test: 'run.py' is not where:what", "run.py:data"),
        ({"preprocess": 'train = "run.py:"\n'}, "'run.py:' is not where:what", "run.py:preproc"),
        ({"preprocess": 'train = "a/b:c"\n'}, "'a/b' is no place to look in", "package.module"),
        ({"preprocess": 'train = "rum.py:x"\n'}, "rum.py: no such file", "did you mean .*run.py"),
        ({"preprocess": 'corrections = ["zzz"]\n'}, "unknown correction 'zzz'", ""),
        ({"data": 'groups = "grups.npy"\n'}, ":10: data.groups: grups.npy: no such file", ""),
        ({"recipe": 'history = "h.csv"\n'}, ":11: recipe.history: h.csv: no such file", ""),
        ({"teacher": 'logits = "student.pth"\n'}, "logits: given beside teacher.model", "one of"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_key(project, sections, message, hint):
    error = refusal(project, **sections)
    assert error.exit_code == 2
    assert re.search(message, error.message), error.message
    assert re.search(hint, error.hint), error.hint
    assert error.hint
    assert "gapdoctor.toml" in error.message


def test_a_checkpoint_that_is_missing_has_the_nearest_name(project):
    text = write(project).read_text().replace("student.pth", "studnet.pth")
    (project / "gapdoctor.toml").write_text(text)
    with pytest.raises(
        ConfigError, match=r":3: student.checkpoint: studnet.pth: no such file"
    ) as e:
        read_config(project / "gapdoctor.toml", {})
    assert "student.pth?" in e.value.hint


def test_syntax_errors_have_file_and_line(project):
    path = project / "gapdoctor.toml"
    path.write_text("[student]\nmodel = run.py:student\n")
    with pytest.raises(ConfigError, match=r"gapdoctor.toml:2: not valid TOML: invalid value"):
        read_config(path, {})
    path.write_bytes(b"[student]\n\nmodel = '\xff'\n")
    with pytest.raises(ConfigError, match=r"gapdoctor.toml:3: not UTF-8"):
        read_config(path, {})
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_config(path, {})


def test_a_byte_order_mark_is_no_error(project):
    path = write(project)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_config(path, {}).student.model.what == "student"


def test_a_value_where_a_section_belongs(project):
    path = project / "gapdoctor.toml"
    path.write_text('student = "run.py:student"\n')
    with pytest.raises(ConfigError, match=r':1: student: "run.py:student" is not a section'):
        read_config(path, {})
    path.write_text('checkpoint = "student.pth"\n')
    with pytest.raises(ConfigError, match=r":1: checkpoint: unknown key outside") as caught:
        read_config(path, {})
    assert caught.value.hint == "it belongs to [student]"


def test_what_is_missing_in_a_file_is_listed(project):
    path = project / "gapdoctor.toml"
    path.write_text('[student]\nmodel = "run.py:student"\ncheckpoint = "student.pth"\n')
    with pytest.raises(ConfigError, match=r"missing teacher.model, data.train, data.heldout") as e:
        read_config(path, {})
    assert "--teacher, --train, --heldout" in e.value.hint


def test_settings_beat_the_file_and_start_from_the_working_directory(project, tmp_path):
    here = tmp_path / "elsewhere"
    (here / "mine.py").touch()
    (here / "mine.pth").touch()
    path = write(
        project,
        student="args = { width = 8, depth = 2 }\n",
        data='test = { call = "run.py:t", args = { year = 1 } }\n',
    )
    config = read_config(
        path,
        {
            "student.args.width": 16,
            "student.checkpoint": "mine.pth",
            "teacher.model": "mine.py:teacher",
            "data.test.args.year": 2,
            "data.train": None,
        },
    )
    assert config.student.args == {"width": 16, "depth": 2}
    assert config.student.checkpoint.path == here / "mine.pth"
    assert config.student.model.path == project / "run.py"
    assert config.teacher.model.path == here / "mine.py"
    assert config.data.test.args == {"year": 2}
    assert config.data.test.path == project / "run.py"
    assert config.data.train.name == "run.py:train_set"


def test_a_flag_for_the_teacher_beats_logits_in_the_file(project):
    text = write(project).read_text()
    text = text.replace(
        'model = "run.py:teacher"\ncheckpoint = "teacher.pth"', 'logits = "other.pth"'
    )
    path = project / "gapdoctor.toml"
    path.write_text(text)
    assert read_config(path, {}).teacher.model is None
    named = {"teacher.model": f"{project}/run.py:teacher"}
    config = read_config(path, named)
    assert config.teacher.logits is None
    assert config.teacher.model is not None


def test_logits_above_the_file_overrule_its_teacher_but_not_a_flag(project):
    path = write(project)
    logits = {"teacher.logits": f"{project}/other.pth"}
    config = read_config(path, logits)
    assert (config.teacher.model, config.teacher.checkpoint) == (None, None)
    flag = {"teacher.checkpoint": f"{project}/teacher.pth"}
    with pytest.raises(ConfigError, match=r"setting teacher.checkpoint: given beside logits"):
        read_config(path, logits | flag)


def test_whatever_the_text_only_config_errors_come_out(project):
    """Seeded mutations of a whole config: read, or refused in one line with a hint."""
    path = write(
        project,
        student="args = { width = 16 }\n",
        data='classes = ["a", "b"]\n',
        preprocess='train = { call = "run.py:clean", batched = true }\n',
        recipe='lr = 0.1\nbetas = [0.9, 0.99]\naugment = ["flip"]\nmilestones = [1, 2]\n',
    )
    whole, draw, refused = path.read_bytes(), random.Random(0), []
    for _ in range(400):
        mutated = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(mutated))
            mutated[at : at + draw.randint(0, 2)] = draw.choices(b'[]{}="\n.,:x1\xff', k=1)
        path.write_bytes(mutated)
        try:
            read_config(path, {})
        except ConfigError as error:
            refused.append((error.message, error.hint))
    assert 200 < len(refused) < 400
    for message, hint in refused:
        assert message
        assert hint
        assert "\n" not in message + hint


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        ({"student.modle": "x"}, "setting student.modle: unknown key", "did you mean model"),
        ({"width": 16}, "setting width: not a dotted key", "student.args.width"),
        ({"lr": 0.1}, "setting lr: not a dotted key", "did you mean recipe.lr"),
        ({"data.train.args.x": 1}, 'data.train is "run.py:train_set", not a table', "as a whole"),
        ({"recipe.lr": "fast"}, 'setting recipe.lr: "fast" is not a number', "quotes"),
        ({"student.model": "no.py:x"}, "setting student.model: no.py: no such file", ""),
    ],
)
def test_a_bad_setting_is_named(project, settings, message, hint):
    error = refusal(project, settings)
    assert message in error.message
    assert hint in error.hint


def test_model_arguments_are_given_once(project):
    text = 'model = { call = "run.py:student", args = { width = 1 } }\n'
    path = write(project)
    path.write_text(path.read_text().replace('model = "run.py:student"\n', text))
    assert read_config(path, {}).student.args == {"width": 1}
    with pytest.raises(ConfigError, match=r"setting student.args: the table of student.model has"):
        read_config(path, {"student.args": {"width": 2}})


@pytest.mark.parametrize("program", ["torchscript", "exported"])
def test_the_checkpoint_may_be_the_model(project, program):
    config = read_config(write(project), {"student.model": program})
    assert config.student.model.is_program
    with pytest.raises(ConfigError, match="no such file"):
        read_config(write(project), {"data.train": program})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("student.args.width=16", ("student.args.width", 16)),
        ("recipe.lr=1e-3", ("recipe.lr", 1e-3)),
        ("recipe.scale_by_t2=true", ("recipe.scale_by_t2", True)),
        ("recipe.optimizer=adamw", ("recipe.optimizer", "adamw")),
        ('recipe.optimizer="adamw"', ("recipe.optimizer", "adamw")),
        ("student.model=run.py:student", ("student.model", "run.py:student")),
        ("data.classes=['a', 'b']", ("data.classes", ["a", "b"])),
        ("student.args={a = 1}", ("student.args", {"a": 1})),
        ("data.train=a=b.npz", ("data.train", "a=b.npz")),
        ("data.train=", ("data.train", "")),
        ("data.train=1\nother = 2", ("data.train", "1\nother = 2")),
        (" student.key = ema", ("student.key", " ema")),
    ],
)
def test_a_setting_is_a_toml_value_or_a_word(text, expected):
    assert parse_setting(text) == expected


@pytest.mark.parametrize("text", ["student.args", "=3", ""])
def test_a_setting_without_key_or_value_is_refused(text):
    with pytest.raises(ConfigError, match="not KEY=VALUE"):
        parse_setting(text)


def test_the_config_nearest_the_checkpoint_counts(tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    cwd = tmp_path / "cwd" / "below"
    cwd.mkdir(parents=True)
    checkpoint = deep / "c.pth"
    checkpoint.touch()
    assert find_config(checkpoint, None, cwd) is None
    here = cwd / "gapdoctor.toml"
    here.touch()
    assert find_config(checkpoint, None, cwd) == here
    above = tmp_path / "a" / "gapdoctor.toml"
    above.touch()
    assert find_config(checkpoint, None, cwd) == above
    beside = deep / "gapdoctor.toml"
    beside.touch()
    assert find_config(checkpoint, None, cwd) == beside
    assert find_config(checkpoint, above, cwd) == above


def test_without_a_checkpoint_the_config_nearest_the_working_directory(tmp_path):
    below = tmp_path / "x" / "y"
    below.mkdir(parents=True)
    assert find_config(None, None, below) is None
    (tmp_path / "x" / "gapdoctor.toml").touch()
    assert find_config(None, None, below) == tmp_path / "x" / "gapdoctor.toml"


def test_the_config_beside_a_link_counts(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "c.pth").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "best.pth").symlink_to(tmp_path / "store" / "c.pth")
    (tmp_path / "run" / "gapdoctor.toml").touch()
    found = find_config(tmp_path / "run" / "best.pth", None, tmp_path / "store")
    assert found == tmp_path / "run" / "gapdoctor.toml"


def test_missing_files_of_the_command_line(tmp_path):
    (tmp_path / "student.pth").touch()
    with pytest.raises(ConfigError, match=r"^studnet.pth: no such file") as caught:
        find_config(tmp_path.__class__("studnet.pth"), None, tmp_path)
    assert "student.pth" in caught.value.hint
    with pytest.raises(ConfigError, match=r"no.toml: no such file"):
        find_config(None, tmp_path / "no.toml", tmp_path)
    with pytest.raises(ConfigError, match="is a folder, not a file"):
        find_config(tmp_path, None, tmp_path)


def test_a_bare_folder_names_what_is_missing_and_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ConfigError, match=r"no gapdoctor.toml in .* or above, and no --student"
    ) as e:
        resolve_config()
    assert e.value.hint.startswith("gapdoctor init CHECKPOINT")
    (tmp_path / "my best.pth").touch()
    with pytest.raises(ConfigError, match="CHECKPOINT") as e:
        resolve_config()
    assert e.value.hint.startswith("gapdoctor init 'my best.pth'")
    with pytest.raises(ConfigError, match=r"near my best.pth, and no --student, --teacher") as e:
        resolve_config(None, "my best.pth")
    assert e.value.hint.startswith("gapdoctor init 'my best.pth'")


def test_flags_alone_make_a_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("run.py", "s.pth", "t.pth", "train.npz"):
        (tmp_path / name).touch()
    (tmp_path / "heldout").mkdir()
    config = resolve_config(
        None,
        "s.pth",
        {
            "student.model": "run.py:student",
            "teacher.model": "torchvision:resnet18",
            "teacher.checkpoint": "t.pth",
            "data.train": "train.npz",
            "data.heldout": "heldout",
        },
    )
    assert config.path is None
    assert config.student.checkpoint.path == tmp_path / "s.pth"
    assert config.data.train.is_path
    assert config.data.heldout.path == tmp_path / "heldout"
    assert (config.teacher.model.where, config.teacher.model.what) == ("torchvision", "resnet18")


def test_files_that_a_stored_diagnosis_rests_on(project, tmp_path, monkeypatch):
    (project / "pkg").mkdir()
    (project / "pkg" / "__init__.py").touch()
    (project / "mod.py").touch()
    (project / "history.csv").touch()
    config = read_config(
        write(
            project,
            data='test = "pkg:test_set"\n',
            preprocess='train = "mod:clean"\ninference = "torch:tensor"\n',
            recipe='history = "history.csv"\n',
        )
    )
    names = [p.relative_to(project).as_posix() for p in config_files(config)]
    assert names == ["history.csv", "mod.py", "pkg/__init__.py", "run.py"]


def test_nothing_heavy_is_imported(project):
    write(project)
    code = (
        "import sys\n"
        "from gapdoctor.loading.config import resolve_config\n"
        "from gapdoctor.loading.load import load_case\n"
        "resolve_config(sys.argv[1])\n"
        "try: load_case(checkpoint='missing.pth')\n"
        "except Exception as error: assert 'no such file' in str(error)\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'pandas', 'scipy', 'sklearn', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    path = str(project / "gapdoctor.toml")
    subprocess.run([sys.executable, "-c", code, path], check=True)
