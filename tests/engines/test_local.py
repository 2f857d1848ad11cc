"""Trials in processes of their own: killed, interrupted, late, resumed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gapdoctor.engines.inline import Inline
from gapdoctor.engines.local import Local
from gapdoctor.errors import GapDoctorError, IncompleteRun
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.heldout import read_outputs

LONG = 4_000
"""Epochs that no machine trains before it is told to stop."""


def kill_all(_trial: str) -> None:
    for process in multiprocessing.active_children():
        os.kill(process.pid, signal.SIGKILL)


def interrupt(_trial: str) -> None:
    raise KeyboardInterrupt


def outputs(folder: Path, name: str) -> np.ndarray:
    return read_outputs(TrialFolder(folder / name).outputs).logits


def same_outputs(one: Path, other: Path, names: list[str]) -> bool:
    return all(np.array_equal(outputs(one, name), outputs(other, name)) for name in names)


def one_thread(conditions):
    """All cores are shared among so many that each process has one thread."""
    return replace(conditions, abreast=64)


def test_processes_and_the_callers_own_give_the_same_bits(case, spec, conditions, noted):
    specs = [spec(), spec(seed=1), spec("add_weight_decay", weight_decay=0.1)]
    specs.append(replace(spec("cross_validate"), fold=(2, 3)))
    names = [s.name for s in specs]
    told = noted()
    apart, here = one_thread(conditions("apart")), conditions("here")
    records = Local(case.source, 2).run(specs, apart, told)
    assert [r.status for r in records] == ["done"] * 4
    assert records[3].fold == (2, 3)
    assert sorted(told.begun) == sorted(names)
    assert told.records == dict(zip(names, records, strict=True))
    Inline(case).run(specs, here, noted())
    assert same_outputs(apart.folder, here.folder, names)
    # What is done is not trained again.
    again = noted()
    assert Local(case.source).run(specs, apart, again) == records
    assert again.begun == []


def test_a_process_killed_in_the_middle_is_tried_once_more(case, spec, conditions, noted):
    specs = [spec(epochs=150), spec("add_weight_decay", epochs=30, weight_decay=0.1)]
    told = noted(kill_all)
    killed, whole = conditions("killed", abreast=64), conditions("whole", abreast=64)
    records = Local(case.source, 1).run(specs, killed, told)
    assert [r.status for r in records] == ["done", "done"]
    assert told.notes == ["control-scratch-0: its process was killed by signal 9; "
                          "it is tried once more"]  # fmt: skip
    Inline(case).run(specs, whole, noted())
    assert same_outputs(killed.folder, whole.folder, [s.name for s in specs])


def test_one_that_always_dies_costs_itself_alone(user_case, spec, conditions, noted):
    specs = [
        spec(),
        spec("once", lr=0.5),
        spec("always", lr=0.9),
        spec("last", seed=3),
    ]
    told = noted()
    records = Local(user_case.source, 1).run(specs, conditions(), told)
    assert [r.status for r in records] == ["done", "done", "failed", "done"]
    assert records[2].note == "its process was killed by signal 9"
    assert len(told.notes) == 2


def test_a_case_that_kills_its_process_ends_the_run(case, folder, spec, conditions, noted):
    (folder / "crash").write_text(str(os.getpid()))
    with pytest.raises(IncompleteRun, match="process ended with code 7"):
        Local(case.source, 1).run([spec(), spec(seed=1)], conditions(), noted())
    assert multiprocessing.active_children() == []


def test_a_case_that_does_not_load_again_says_why(case, folder, spec, conditions, noted):
    (folder / "student.pth").unlink()
    with pytest.raises(GapDoctorError, match=r"student\.pth") as raised:
        Local(case.source).run([spec(), spec(seed=1)], conditions(), noted())
    assert raised.value.exit_code == 2


def test_what_is_late_is_not_reached_and_goes_on_later(case, spec, conditions, noted):
    specs = [spec(epochs=40), spec("stop_early", epochs=40, early_stopping=5)]
    late = conditions("late", abreast=64)
    records = Local(case.source, 1).run(
        specs, replace(late, deadline=time.monotonic() - 1.0), noted()
    )
    assert [r.status for r in records] == ["not_reached"] * 2
    assert [r.status for r in Local(case.source, 1).run(specs, late, noted())] == ["done"] * 2


def test_a_deadline_ends_a_training_in_the_middle(case, spec, conditions, noted):
    limited = conditions(deadline=time.monotonic() + 4.0)
    (record,) = Local(case.source, 1).run([spec(epochs=LONG * 100)], limited, noted())
    assert record.status == "not_reached"


def test_interrupted_and_resumed_is_as_if_never_interrupted(case, spec, conditions, noted):
    specs = [spec(epochs=200), spec(seed=1, epochs=200)]
    names = [s.name for s in specs]
    broken, whole = conditions("broken", abreast=64), conditions("whole", abreast=64)
    with pytest.raises(KeyboardInterrupt):
        Local(case.source, 2).run(specs, broken, noted(interrupt))
    assert multiprocessing.active_children() == []
    assert not any((broken.folder / name / "done.json").exists() for name in names)
    Local(case.source, 2).run(specs, broken, noted())
    Inline(case).run(specs, whole, noted())
    assert same_outputs(broken.folder, whole.folder, names)


SCRIPT = """
import sys
from pathlib import Path
with Path("runs").open("a") as log:
    log.write("x")
from gapdoctor import load_case
from gapdoctor.domain.recipe import Recipe
from gapdoctor.domain.trials import TrialSpec
from gapdoctor.engines._base import Conditions, Watcher
from gapdoctor.engines.local import Local
from gapdoctor.observe.observations import Settings

recipe = Recipe(epochs=EPOCHS, batch_size=16, augment=(), dropout=0.0)
case = load_case("gapdoctor.toml")

class Told(Watcher):
    def epoch(self, trial, loss):
        print("epoch", flush=True)

spec = TrialSpec("control", 0, "scratch", recipe, EPOCHS)
where = Conditions(Path("trials"), Settings(device="cpu"))
print(Local(case.source).run([spec], where, Told())[0].status)
"""


def script(folder: Path, epochs: int) -> subprocess.Popen:
    (folder / "script.py").write_text(textwrap.dedent(SCRIPT.replace("EPOCHS", str(epochs))))
    return subprocess.Popen(
        [sys.executable, "script.py"], cwd=folder, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        own = [p for p, above in parents.items() if above == parent]
        found, todo = found + own, todo + own
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_script_is_not_run_again_and_leaves_nobody_behind_when_killed(case, folder):
    ran = script(folder, LONG * 100)
    assert ran.stdout is not None
    assert ran.stdout.readline() == "epoch\n"
    children = descendants(ran.pid)
    assert children
    ran.kill()
    ran.wait()
    ran.stdout.close()
    until = time.monotonic() + 60
    while any(alive(pid) for pid in children) and time.monotonic() < until:
        time.sleep(0.1)
    assert [pid for pid in children if alive(pid)] == []
    assert (folder / "runs").read_text() == "x"
