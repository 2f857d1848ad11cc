"""The pair on the table: live models, data, pipelines and what is known of the recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from gapdoctor.domain.diagnosis import ModelRecord
from gapdoctor.domain.recipe import Recipe, RecipeRecord

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import nn


class Model(StrEnum):
    """Which of the two models."""

    STUDENT = "student"
    TEACHER = "teacher"


class Split(StrEnum):
    """Which part of the data. `HELDOUT` holds the rows of `[data] test` too, behind its own."""

    TRAIN = "train"
    HELDOUT = "heldout"


@dataclass(frozen=True)
class Pipeline:
    """A callable that makes a model-ready tensor of one raw sample.

    Parameters
    ----------
    call : callable
        One raw sample -> tensor without batch axis; with `batched`, a stacked batch of raw
        samples -> a batch.
    batched : bool
        The callable gets a stacked batch of raw samples instead of one.
    name : str
        How the config names it, for messages.
    """

    call: Callable[[Any], Any]
    batched: bool = False
    name: str = ""
    after: tuple[Callable[[Any], Any], ...] = ()
    """Callables on the model-ready batch, in order: corrections."""
    replaced: tuple[str, ...] = ()
    """Random steps that were replaced or dropped to make it deterministic; a mirror that rests
    on such a pipeline names a mismatch only above 2h."""


@dataclass(frozen=True)
class Preprocess:
    """What makes model-ready inputs of raw samples. All None: the inputs are model-ready.

    Each may be given as a bare callable or as a `Pipeline`.
    """

    train: Pipeline | Callable[[Any], Any] | None = None
    """What the student ate in training, without the random part."""
    inference: Pipeline | Callable[[Any], Any] | None = None
    """What the student eats when deployed."""
    teacher: Pipeline | Callable[[Any], Any] | None = None
    """What the teacher eats on both splits; left out: the `train` pipeline."""
    corrections: tuple[str | Callable[[Any], Any], ...] = ()
    """Applied after `inference`, in order: correction ids as the config writes them, or callables
    on a model-ready batch. Where the inputs are model-ready they reach the teacher's held-out rows
    alike."""


@dataclass(frozen=True)
class TeacherLogits:
    """Stored logits instead of a teacher model; rows as in the data sets."""

    train: NDArray[np.float64]
    """(N_train, C)"""
    heldout: NDArray[np.float64]
    """(N_heldout, C)"""
    test: NDArray[np.float64] | None = None
    """(N_test, C), where `[data] test` is given."""
    file: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """How another process loads a case again: the arguments of `load_case`, and from where."""

    folder: str
    """The working directory, which relative paths start from."""
    config: str | None = None
    checkpoint: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    unsafe_load: bool = False
    parts: tuple[Any, ...] = field(default=(), compare=False, repr=False)
    """What was loaded (`Case.parts`)."""


@dataclass(frozen=True)
class Case:
    """A trained teacher/student pair with its data.

    Parameters
    ----------
    student : nn.Module
        The trained student, logits (N, C) or an object that holds them.
    teacher : nn.Module or TeacherLogits
        The trained teacher, or its stored logits.
    train, heldout : Dataset, DataLoader, (inputs, labels), iterable, or a callable giving one
        The data, see `gapdoctor.observe.rows.as_rows` for all forms.
    test : same, optional
        Then held-out chooses and test reports.
    recipe : Recipe or RecipeRecord, optional
        How the student was trained.
    preprocess : Preprocess, optional
        Pipelines from raw samples to model-ready inputs.
    groups : sequence, optional
        One id a held-out row (patients, speakers): whole groups are resampled and split.
    classes : sequence of str, optional
        Class names in the order of the logits.
    history : DataFrame, optional
        Learning curves with the columns `epoch, train_loss, heldout_loss, …`.
    """

    student: nn.Module
    teacher: nn.Module | TeacherLogits
    train: Any
    heldout: Any
    test: Any = None
    recipe: Recipe | RecipeRecord = field(default_factory=Recipe)
    preprocess: Preprocess = field(default_factory=Preprocess)
    groups: Sequence[Any] | None = None
    classes: Sequence[str] | None = None
    history: pd.DataFrame | None = None
    student_factory: Callable[[], nn.Module] | None = None
    """Builds the student anew, untrained; None for live objects without a factory."""
    larger_factory: Callable[[], nn.Module] | None = None
    """Builds a bigger student (`[student] larger`)."""
    output_temperature: float = 1.0
    """The student's logits are divided by it (`[student] output_temperature`)."""
    folded_temperature: float | None = None
    """The weights of the student's head were divided by it after training (`[student]
    folded_temperature`): what is asked of the training losses multiplies by it."""
    augment: Callable[[Any], Any] | None = None
    """The user's own augmentation, on one model-ready sample."""
    trainer: Callable[..., nn.Module] | None = None
    """The user's own training: (student, teacher, train_data, recipe) -> the trained student."""
    sample_keys: tuple[str, str] = ("input", "label")
    """Keys of the input and the label where a sample is a dict."""
    records: Mapping[Literal["student", "teacher", "assistant"], ModelRecord] = field(
        default_factory=dict
    )
    """Files and hashes, where the models came from files."""
    notes: tuple[str, ...] = ()
    """What loading assumed on the way, one sentence each."""
    where: Mapping[str, str] = field(default_factory=dict)
    """How the config names its things: dotted key -> `where:what`, for messages."""
    source: Source | None = None
    """How the case was loaded; None for live objects."""
    assistant: nn.Module | None = None
    """A trained model of a size in between, from which a student may learn (`[assistant]`)."""

    @property
    def recipe_record(self) -> RecipeRecord:
        """The recipe with the source of each field; a bare `Recipe` counts as config."""
        if isinstance(self.recipe, RecipeRecord):
            return self.recipe
        return RecipeRecord(self.recipe, {key: "config" for key in self.recipe.known()})

    @property
    def divided_since(self) -> float:
        """What the student's logits were divided by since its training, in its head and behind."""
        folded = self.folded_temperature
        return self.output_temperature * (1.0 if folded is None else folded)

    @property
    def parts(self) -> tuple[Any, ...]:
        """All that trainings depend on, beside the recipe."""
        return (
            self.student, self.teacher, self.train, self.heldout, self.test, self.preprocess,
            self.groups, self.student_factory, self.larger_factory, self.augment, self.trainer,
            self.assistant,
        )  # fmt: skip

    @property
    def is_as_loaded(self) -> bool:
        """Whether loading it again gives this case: nothing of it was replaced."""
        if self.source is None or len(self.source.parts) != len(self.parts):
            return False
        return all(a is b for a, b in zip(self.source.parts, self.parts, strict=True))

    def predict(
        self,
        who: Literal["student", "teacher"],
        inputs: Any,
        *,
        batch_size: int = 256,
        device: str = "auto",
    ) -> NDArray[np.float32]:
        """Return what a model says of raw samples, as deployed.

        Parameters
        ----------
        who : {'student', 'teacher'}
            The student gets the `inference` pipeline with `corrections`, the teacher its own.
        inputs : sequence or array (N, …)
            Raw samples, stacked; model-ready where the case names no pipelines.
        batch_size : int
            Rows a forward pass.
        device : str
            `auto`, `cpu`, `cuda` or `mps`.

        Returns
        -------
        array (N, C)
            Logits, the student's divided by `output_temperature`.

        Raises
        ------
        GapDoctorError
            When the model is not there, or model or pipeline cannot take the samples.
        """
        from gapdoctor.observe.predict import predict

        return predict(self, who, inputs, batch_size=batch_size, device=device)
