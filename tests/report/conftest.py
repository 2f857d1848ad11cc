"""One hand-built diagnosis, its variants, and whole expected texts.

`GAPDOCTOR_REWRITE=1 pytest tests/report` rewrites the texts.
"""

import base64
import functools
import importlib.util
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gapdoctor import report
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import (
    Cost,
    DataRecord,
    Diagnosis,
    Fidelity,
    Gap,
    HalfUse,
    Halves,
    Metrics,
    ModelRecord,
    RankedCause,
    SplitUse,
    Verdict,
)
from gapdoctor.domain.findings import Evidence, Interval, Skipped, Table, Warning_
from gapdoctor.domain.recipe import Optimizer, Recipe, RecipeRecord, Schedule

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "{{7*7}}{% raw %}",
    "[x](javascript:alert(1))",
    "a|b`c``d",
    "two\nlines\r\n# heading",
    "red\x1b[31m\x07",
    "right\u202eleft\ud800",
    "@octocat #123 https://example.com",
    "$\\frac{1}$ \ufffe <b>&amp;</b> --> ]]>",
    "- [ ] *bold* _it_ ~~s~~ | :--",
)


def base() -> Diagnosis:
    """A student fed with swapped channels that has learned its rows by heart as well."""
    return Diagnosis(
        version="0.1.0",
        created="2026-01-31T12:00:00Z",
        seed=0,
        command="gapdoctor diagnose runs/resnet8/checkpoint.pth",
        environment={"python": "3.11.2", "torch": "2.14.0", "platform": "Linux x86_64"},
        student=ModelRecord("runs/resnet8/checkpoint.pth", "ab" * 32, 78042),
        teacher=ModelRecord("runs/resnet32x4/teacher.pth", "cd" * 32, 7433860),
        data=DataRecord(SplitUse(50000, 4000), SplitUse(10000, 4000), CLASSES),
        recipe=RecipeRecord(
            Recipe(
                epochs=24,
                batch_size=64,
                optimizer=Optimizer.SGD,
                lr=0.1,
                momentum=0.9,
                nesterov=True,
                weight_decay=5e-4,
                schedule=Schedule.COSINE,
                task_weight=0.3,
                temperature=4.0,
                augment=("flip", "crop"),
            ),
            {
                "epochs": "checkpoint",
                "batch_size": "config",
                "optimizer": "checkpoint",
                "lr": "checkpoint",
                "momentum": "checkpoint",
                "nesterov": "checkpoint",
                "weight_decay": "checkpoint",
                "schedule": "sidecar",
                "task_weight": "config",
                "temperature": "config",
                "augment": "config",
            },
        ),
        halves=Halves(HalfUse(2013, "heldout"), HalfUse(1987, "heldout")),
        metrics=_metrics(0.312, 1.144),
        fidelity_train=Fidelity(Interval(0.982, 0.978, 0.986), Interval(0.041, 0.038, 0.044)),
        fidelity_heldout=Fidelity(Interval(0.713, 0.699, 0.727), Interval(0.902, 0.861, 0.943)),
        gap=Gap(
            excess=Interval(0.832, 0.779, 0.885),
            fit_deficit=Interval(0.024, 0.018, 0.030),
            excess_gap=Interval(0.808, 0.755, 0.861),
            student_generalization=Interval(1.087, 1.03, 1.144),
            teacher_generalization=Interval(0.279, 0.251, 0.307),
            noise_floor=0.053,
            limit=0.05,
        ),
        verdict=Verdict.GENERALIZATION_GAP,
        causes=_causes(),
        unexplained=Interval(0.0213, -0.031, 0.0741),
        warnings=(
            Warning_(
                "heldout_chose_the_checkpoint",
                "The checkpoint is its own best epoch on held-out data: the gap is a little "
                "flattered.",
            ),
        ),
        skipped=(
            Skipped("fit_test", "only with --train-probes"),
            Skipped("leakage", "the student's head has no input features: no linear layer found"),
        ),
        tables=_tables(),
        cost=Cost(41.7, 36120, 11.3),
        notes=("Prefix `module.` stripped from 62 entries of runs/resnet8/checkpoint.pth.",),
    )


def _metrics(teacher: float, student: float) -> tuple[Metrics, ...]:
    def row(model, split, loss, accuracy, error) -> Metrics:
        return Metrics(
            model,
            split,
            4000,
            Interval(loss, loss * 0.95, loss * 1.05),
            Interval(accuracy, accuracy - 0.013, min(accuracy + 0.013, 1.0)),
            Interval(error, error * 0.8, error * 1.2),
        )

    return (
        row("teacher", "train", 0.033, 0.991, 0.012),
        row("teacher", "heldout", teacher, 0.931, 0.031),
        row("student", "train", 0.057, 0.984, 0.017),
        row("student", "heldout", student, 0.702, 0.154),
    )


def _causes() -> tuple[RankedCause, ...]:
    return (
        RankedCause(
            rank=1,
            id=Cause.PREPROCESSING_MISMATCH,
            severity="high",
            explained=Interval(0.702, 0.648, 0.756),
            shared=Interval(0.0, 0.0, 0.0),
            alternative_to=None,
            confidence=0.972,
            summary="At inference the student sees blue where it was trained on red: the channels "
            "are swapped.",
            correction="swap_channels",
            evidence=(
                Evidence(
                    "mirror",
                    "The same held-out rows through the train pipeline lose this much less.",
                    0.7018,
                    0.05,
                    "nats",
                    "for",
                ),
                Evidence(
                    "mirror",
                    "Train rows sent through the inference pipeline show this share of the gap.",
                    0.894,
                    0.5,
                    "share",
                    "for",
                ),
            ),
            fixes=("match_preprocessing",),
        ),
        RankedCause(
            rank=2,
            id=Cause.OVERFITTING,
            severity="medium",
            explained=Interval(0.109, 0.061, 0.157),
            shared=Interval(0.0, 0.0, 0.0),
            alternative_to=None,
            confidence=0.64,
            summary="",
            correction=None,
            evidence=(
                Evidence(
                    "memorisation",
                    "Its losses tell members of the train rows from others, more than the "
                    "teacher's do.",
                    0.113,
                    0.02,
                    "AUC",
                    "for",
                ),
                Evidence(
                    "history",
                    "The held-out loss rose after its minimum, but by less than the limit.",
                    0.031,
                    0.05,
                    "nats",
                    "against",
                ),
                Evidence(
                    "history", "Epochs trained, of those planned.", 24, None, "epochs", "against"
                ),
            ),
        ),
        RankedCause(
            rank=3,
            id=Cause.LACK_OF_REGULARIZATION,
            severity="low",
            explained=Interval(0.109, 0.061, 0.157),
            shared=Interval(0.0, 0.0, 0.0),
            alternative_to=Cause.OVERFITTING,
            confidence=0.31,
            summary="",
            correction=None,
            evidence=(),
        ),
    )


def _tables() -> dict[str, Table]:
    return {
        "waterfall": Table(
            ("label", "kind", "value", "low", "high"),
            (
                ("teacher", "teacher", 0.312, 0.29, 0.334),
                ("preprocessing_mismatch", "cause", 0.702, 0.648, 0.756),
                ("overfitting", "cause", 0.109, 0.061, 0.157),
                ("unexplained", "unexplained", 0.021, -0.031, 0.074),
                ("student", "student", 1.144, 1.09, 1.198),
            ),
        ),
        "per_class": Table(
            (
                "class",
                "rows",
                "teacher_loss",
                "student_loss",
                "teacher_accuracy",
                "student_accuracy",
            ),
            tuple(
                (
                    name,
                    400,
                    0.2 + 0.02 * i,
                    0.6 + 0.11 * ((i * 7) % 10),
                    0.95 - 0.01 * i,
                    0.9 - 0.04 * ((i * 7) % 10),
                )
                for i, name in enumerate(CLASSES)
            ),
        ),
        "reliability": Table(
            ("model", "split", "bin_low", "bin_high", "rows", "confidence", "accuracy"),
            tuple(
                (model, split, i / 10, (i + 1) / 10, 40 * (i + 1), i / 10 + 0.05, at(i / 10 + 0.05))
                for model, at in (("teacher", lambda x: x), ("student", lambda x: x**1.8))
                for split in ("train", "heldout")
                for i in range(2, 10)
            ),
        ),
        "loss_histogram": Table(
            ("model", "split", "bin_low", "bin_high", "rows"),
            tuple(
                (model, split, low, high, rows)
                for model, split, counts in (
                    ("teacher", "train", (3600, 300, 80, 20)),
                    ("teacher", "heldout", (2900, 700, 300, 100)),
                    ("student", "train", (3500, 380, 90, 30)),
                    ("student", "heldout", (1400, 1100, 900, 600)),
                )
                for low, high, rows in zip(
                    (0.0, 0.1, 0.7, 2.3), (0.1, 0.7, 2.3, math.inf), counts, strict=True
                )
            ),
        ),
        "history": Table(
            ("epoch", "train_loss", "heldout_loss", "train_accuracy", "heldout_accuracy", "lr"),
            tuple(
                (
                    i,
                    2.2 * 0.85**i,
                    1.1 + 0.8 * 0.7**i,
                    1 - 0.8 * 0.85**i,
                    0.7 - 0.5 * 0.7**i,
                    0.1 * (24 - i) / 24,
                )
                for i in range(1, 25)
            ),
        ),
    }


def _gap(value: float, half: float, fit: float = 0.0) -> Gap:
    return Gap(
        excess=Interval(value, value - half, value + half),
        fit_deficit=Interval(fit, fit - 0.004, fit + 0.004),
        excess_gap=Interval(value - fit, value - fit - half, value - fit + half),
        student_generalization=Interval(0.3, 0.27, 0.33),
        teacher_generalization=Interval(0.279, 0.251, 0.307),
        noise_floor=half,
        limit=0.05,
    )


def _bridge(*causes: tuple[str, float], teacher: float, rest: float) -> Table:
    student = teacher + sum(value for _, value in causes) + rest
    return Table(
        ("label", "kind", "value", "low", "high"),
        (
            ("teacher", "teacher", teacher, teacher * 0.95, teacher * 1.05),
            *((name, "cause", value, value * 0.98, value * 1.02) for name, value in causes),
            ("unexplained", "unexplained", rest, rest - 0.02, rest + 0.02),
            ("student", "student", student, student * 0.98, student * 1.02),
        ),
    )


def healthy() -> Diagnosis:
    return replace(
        base(),
        verdict=Verdict.HEALTHY,
        metrics=_metrics(0.312, 0.323),
        gap=_gap(0.011, 0.014, 0.004),
        causes=(),
        unexplained=Interval(0.011, -0.003, 0.025),
        warnings=(),
        skipped=(),
        notes=(),
        tables={"waterfall": _bridge(teacher=0.312, rest=0.011)},
    )


def inconclusive() -> Diagnosis:
    return replace(
        healthy(),
        verdict=Verdict.INCONCLUSIVE,
        metrics=tuple(replace(m, n=200) for m in _metrics(0.312, 0.392)),
        gap=_gap(0.08, 0.15),
        tables={},
        recipe=RecipeRecord(),
    )


def shared_gap() -> Diagnosis:
    first = replace(
        base().causes[0],
        explained=Interval(0.41, 0.37, 0.45),
        shared=Interval(0.395, 0.36, 0.43),
        summary="Both models are fed with inputs of another scale.",
        correction="rescale_input",
    )
    return replace(
        healthy(), verdict=Verdict.SHARED_GAP, gap=_gap(0.012, 0.02), causes=(first,),
        metrics=_metrics(0.71, 0.722),
    )  # fmt: skip


def fit_shortfall() -> Diagnosis:
    first = replace(
        base().causes[1], rank=1, id=Cause.CAPACITY_SHORTFALL, explained=Interval(0.5, 0.45, 0.55)
    )
    return replace(
        healthy(),
        verdict=Verdict.FIT_SHORTFALL,
        gap=_gap(0.6, 0.05, 0.5),
        causes=(first,),
        tables={"waterfall": _bridge(("capacity_shortfall", 0.5), teacher=0.312, rest=0.1)},
    )


def dwarfed() -> Diagnosis:
    """One cause dwarfs the rest; the ranking is void."""
    first = replace(base().causes[0], explained=Interval(818.6, 802.1, 835.2))
    return replace(
        base(),
        gap=_gap(818.9, 16.0),
        causes=(first, *base().causes[1:]),
        metrics=_metrics(0.31, 819.2),
        warnings=(
            Warning_("low_accuracy", "The teacher's held-out accuracy is at chance.", voids=True),
            *base().warnings,
        ),
        tables={
            "waterfall": Table(
                ("label", "kind", "value", "low", "high"),
                (
                    ("teacher", "teacher", 0.31, 0.29, 0.33),
                    ("preprocessing_mismatch", "cause", 818.6, 818.4, 818.8),
                    ("overfitting", "cause", 0.4, 0.3, 0.5),
                    ("unexplained", "unexplained", -0.11, -0.2, 0.0),
                    ("student", "student", 819.2, 819.0, 819.4),
                ),
            )
        },
    )


def many_causes() -> Diagnosis:
    """Every cause, with far more evidence than a ticket holds."""
    proof = base().causes[0].evidence[0]
    return replace(
        base(),
        causes=tuple(
            replace(
                base().causes[0],
                rank=rank,
                id=cause,
                evidence=tuple(
                    replace(proof, statement=f"Evidence {rank}.{i}: " + "it is so. " * 30)
                    for i in range(1, 31)
                ),
            )
            for rank, cause in enumerate(Cause, start=1)
        ),
    )


def no_history() -> Diagnosis:
    tables = {k: v for k, v in base().tables.items() if k != "history"}
    return replace(base(), tables=tables, skipped=(Skipped("history", "no learning curves given"),))


def many_classes() -> Diagnosis:
    """A thousand classes, columns missing, thousands of epochs."""
    per_class = Table(
        ("class", "student_loss"), tuple((f"class {i:04d}", 0.001 * i) for i in range(1000))
    )
    history = Table(("epoch", "heldout_loss"), tuple((i, 1.0 + 1.0 / (1 + i)) for i in range(5000)))
    return replace(base(), tables=base().tables | {"per_class": per_class, "history": history})


def not_finite() -> Diagnosis:
    """A student whose loss overflowed: nothing of it is a number."""
    nan = Interval(math.nan, math.nan, math.nan)
    return replace(
        base(),
        verdict=Verdict.INCONCLUSIVE,
        gap=Gap(nan, nan, nan, nan, base().gap.teacher_generalization, math.nan, 0.05),
        metrics=tuple(
            replace(m, loss=Interval(math.inf, math.nan, math.inf)) if m.model == "student" else m
            for m in base().metrics
        ),
        causes=(replace(base().causes[0], explained=nan, shared=nan),),
        unexplained=nan,
        tables={"waterfall": _bridge(("overfitting", math.nan), teacher=0.3, rest=math.nan)},
    )


def hostile() -> Diagnosis:
    """Everything that a user controls tries to break out."""
    every = " ".join(HOSTILE)
    cause = replace(
        base().causes[0],
        summary=f"Fed {every}",
        correction=HOSTILE[0],
        fixes=(HOSTILE[3],),
        evidence=tuple(
            Evidence(HOSTILE[2], f"Class {name} is worst.", 0.3, 0.1, HOSTILE[3], "for")
            for name in HOSTILE
        ),
    )
    per_class = Table(
        ("class", "rows", "teacher_loss", "student_loss"),
        tuple((name, 10, 0.1, 0.5 + i / 10) for i, name in enumerate(HOSTILE)),
    )
    waterfall = Table(
        ("label", "kind", "value", "low", "high"),
        tuple((name, "cause", 0.1, 0.05, 0.15) for name in HOSTILE),
    )
    return replace(
        base(),
        version="0.1.0",
        command=f"gapdoctor diagnose '{every}'",
        environment={HOSTILE[0]: every},
        student=ModelRecord(every, every, 1),
        teacher=ModelRecord(HOSTILE[4], None, None),
        data=replace(base().data, classes=HOSTILE),
        recipe=RecipeRecord(Recipe(augment=every, history=HOSTILE[4], trainer=HOSTILE[0]), {}),
        causes=(cause,),
        warnings=tuple(Warning_(name, name) for name in HOSTILE),
        skipped=tuple(Skipped(name, name) for name in HOSTILE),
        tables=base().tables | {"per_class": per_class, "waterfall": waterfall},
        notes=HOSTILE,
    )


PIXELS = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR4nGNsYGBiYAAAApIAhPd8o1gAAAAASUVORK5CYII="
)
"""A PNG of 2 × 2 pixels."""


def _samples(names: tuple[str, ...], png: bytes = PIXELS) -> dict[str, Any]:
    rows = tuple(
        (
            f"sample-{i + 1:02d}.png",
            9000 - 311 * i,
            names[(3 * i + 1) % len(names)],
            names[i % len(names)],
            0.99 - 0.02 * i,
            names[(3 * i + 1) % len(names)],
            9.5 - 0.37 * i,
            0.002 * (i + 1),
        )
        for i in range(24)
    )
    columns = ("picture", "row", "label", "student", "student_confidence", "teacher",
               "student_loss", "teacher_loss")  # fmt: skip
    tables = {"waterfall": base().tables["waterfall"], "samples": Table(columns, rows)}
    return {"tables": tables, "pictures": {row[0]: png for row in rows}}


def samples() -> Diagnosis:
    """Asked for with `--include-samples`."""
    return replace(base(), **_samples(CLASSES))


def hostile_samples() -> Diagnosis:
    """Class names try to break out of the captions."""
    return replace(base(), **_samples(HOSTILE))


def heavy_samples() -> Diagnosis:
    """Pictures that do not all fit into a page."""
    heavy = PIXELS + bytes(20_000)
    return replace(base(), **_samples(CLASSES, heavy))


def lost_samples() -> Diagnosis:
    """The record was handed on without its charts, but for one of them."""
    return replace(samples(), pictures={"sample-03.png": PIXELS})


VARIANTS: dict[str, Callable[[], Diagnosis]] = {
    "base": base,
    "healthy": healthy,
    "inconclusive": inconclusive,
    "shared_gap": shared_gap,
    "fit_shortfall": fit_shortfall,
    "dwarfed": dwarfed,
    "many_causes": many_causes,
    "no_history": no_history,
    "many_classes": many_classes,
    "not_finite": not_finite,
    "hostile": hostile,
}


WITH_SAMPLES: dict[str, Callable[[], Diagnosis]] = {
    "samples": samples,
    "hostile_samples": hostile_samples,
    "heavy_samples": heavy_samples,
    "lost_samples": lost_samples,
}
"""Apart, since all else shows no picture."""


@pytest.fixture
def make() -> Callable[[str], Diagnosis]:
    """Build a variant by name."""
    return lambda name: (VARIANTS | WITH_SAMPLES)[name]()


@pytest.fixture(params=VARIANTS)
def diagnosis(request: pytest.FixtureRequest) -> Diagnosis:
    """Every variant in turn."""
    return VARIANTS[request.param]()


@pytest.fixture(scope="session")
def html_of() -> Callable[[str], str]:
    """Render a variant as a page, once."""
    every = VARIANTS | WITH_SAMPLES
    runs = load_fix_runs()
    pages = {
        "fix": lambda: report.render_fix(base(), runs.outcome(), "html", runs.after(base())),
        "fix_three": lambda: report.render_fix(base(), runs.three_together(), "html"),
        "fix_nothing": lambda: report.render_fix(base(), runs.nothing_verified(), "html"),
        "fix_hostile": lambda: report.render_fix(hostile(), runs.hostile(HOSTILE), "html"),
        "comparison": lambda: report.render_comparison(
            report.compare(base(), runs.after(base()), names=("a", "b")), "html"
        ),
    }

    def rendered(name: str) -> str:
        return pages[name]() if name in pages else report.render(every[name](), "html")

    return functools.cache(rendered)


def load_fix_runs() -> ModuleType:
    """Import `fix_runs.py`, which lies beside this file."""
    path = Path(__file__).with_name("fix_runs.py")
    spec = importlib.util.spec_from_file_location("fix_runs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fix_runs() -> ModuleType:
    """Hand-built outcomes of `fix`."""
    return load_fix_runs()


@pytest.fixture(params=VARIANTS)
def html(request: pytest.FixtureRequest, html_of: Callable[[str], str]) -> str:
    """The page of every variant in turn."""
    return html_of(request.param)


@pytest.fixture
def hostile_names() -> tuple[str, ...]:
    return HOSTILE


@pytest.fixture
def expect() -> Callable[[str, str], None]:
    """Compare a whole text with the file of that name; `GAPDOCTOR_REWRITE=1` writes the file."""
    folder = Path(__file__).parent / "expected"

    def compare(name: str, text: str) -> None:
        path = folder / name
        if os.environ.get("GAPDOCTOR_REWRITE"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare
