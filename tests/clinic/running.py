"""Diagnose the planted pairs of a part, write all results, print failures and scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.clinic import evaluations, results
from tests.clinic.building import planted, unbuilt
from tests.clinic.cases import Planted, planted_of
from tests.clinic.outcomes import Outcome, judged_anew
from tests.clinic.parallel import diagnose_all
from tests.clinic.parts import cells
from tests.clinic.score import is_failure, score
from tests.clinic.summary import failures, summary
from tests.clinic.versions import code_hash

WRITE_EVERY = 5


@dataclass(frozen=True)
class Choice:
    """Which pairs."""

    part: str
    kind: str | None = None
    """Kind of data, data set or cell."""
    only: str | None = None
    """Fault."""
    name: str | None = None
    """Text that the name holds."""
    limit: int | None = None
    every: int = 1
    """Of so many cases in order the first one; `run` alone takes all."""

    @property
    def whole_cells(self) -> bool:
        """Whether no pair of the cells is left out but by an even step."""
        return self.only is None and self.name is None and self.limit is None

    @property
    def told(self) -> str:
        """In words."""
        told = [self.kind or "all kinds"]
        told += [f"only {self.only}"] if self.only else []
        told += [f"named *{self.name}*"] if self.name else []
        told += [f"the first {self.limit}"] if self.limit else []
        told += [f"one case in {self.every}"] if self.every > 1 else []
        return ", ".join(told)

    def pairs(self) -> list[Planted]:
        """Return them as live pairs, in a fixed order; each case is made when asked for."""
        return [
            p
            for p in planted_of(planted(self.part, self.kind)[0])
            if self.only in (None, p.fault) and (self.name is None or self.name in p.name)
        ][: self.limit]


def run_part(choice: Choice, out: Path | None = None, jobs: int = 1, resume: bool = False) -> None:
    """Diagnose and score; results are written as they come.

    What is said of whole cells becomes the committed result of the part, unless a file of one's
    own is named. Each look at the reporting part is written down, an interrupted one too.
    """
    chosen = choice.pairs()
    if not chosen:
        where = f"--part {choice.part}" + (f" --kind {choice.kind}" if choice.kind else "")
        print(f"nothing is planted: python -m tests.clinic build {where}")
        return
    path = out or results.working_file(choice.part)
    code, clock = code_hash(), time.monotonic()
    earlier = [o for o in results.read_working(path) if o.code == code] if resume else []
    run = _Run(chosen, earlier, code, path)
    try:
        run.go(jobs)
    finally:
        run.end()
        if choice.part == "reporting" and run.new:
            evaluations.note(_told(choice), run.outcomes, len(chosen))
    print(f"\n{time.monotonic() - clock:.0f} s, gapdoctor {code}, written to {path}\n")
    print(failures(run.outcomes))
    print(summary(score(run.outcomes)))
    if choice.whole_cells and out is None:
        _keep(choice, run.outcomes)


class _Run:
    """What is said so far."""

    def __init__(
        self, chosen: Sequence[Planted], earlier: Sequence[Outcome], code: str, path: Path
    ) -> None:
        self.chosen, self.code, self.path = chosen, code, path
        self.new: set[int] = set()
        """Numbers of the pairs that were diagnosed in this run."""
        keys = {one.key for one in chosen}
        self._others = [o for o in earlier if o.key not in keys]
        known = {o.key: o for o in earlier}
        self._said = {
            number: judged_anew(known[one.key], one)
            for number, one in enumerate(chosen)
            if one.key in known
        }

    @property
    def outcomes(self) -> list[Outcome]:
        """In the order of the pairs."""
        return [self._said[number] for number in sorted(self._said)]

    def go(self, jobs: int) -> None:
        """Diagnose what is missing."""
        left = [number for number in range(len(self.chosen)) if number not in self._said]
        if len(left) < len(self.chosen):
            print(f"{len(self.chosen) - len(left)} of {len(self.chosen)} known from before")
        said = diagnose_all([self.chosen[number] for number in left], jobs)
        for number, outcome in zip(left, said, strict=True):
            self._said[number] = replace(outcome, code=self.code)
            self.new.add(number)
            mark = "FAIL" if is_failure(outcome) else "ok  "
            print(f"{number + 1}/{len(self.chosen)} {mark} {outcome.name}  {outcome.told}",
                  flush=True)  # fmt: skip
            if len(self.new) % WRITE_EVERY == 0:
                self._write()

    def end(self) -> None:
        """Write; what was said while the code changed belongs to no version of it."""
        now = code_hash()
        if now != self.code and self.new:
            print(f"gapdoctor's code changed on the way, from {self.code} to {now}")
            for number in self.new:
                self._said[number] = replace(self._said[number], code=f"{self.code}+{now}")
        self._write()

    def _write(self) -> None:
        results.write_working(self.path, [*self.outcomes, *self._others])


def _told(choice: Choice) -> str:
    built = not any(unbuilt(cell) for cell in cells(choice.part))
    whole = built and choice.whole_cells and choice.kind is None
    return evaluations.WHOLE if whole else choice.told


def _keep(choice: Choice, outcomes: Sequence[Outcome]) -> None:
    """Put the results of whole cells where the page finds them."""
    before = results.is_whole(choice.part, results.read_kept(choice.part))
    results.keep(choice.part, cells(choice.part, choice.kind), outcomes)
    print(f"kept in {results.kept_file(choice.part).name}: python -m tests.clinic page")
    after = results.read_kept(choice.part)
    by_kind = choice.part == "reporting" and choice.kind is not None
    if by_kind and not before and results.is_whole(choice.part, after):
        found = [o for cell in after for o in cell.outcomes]
        evaluations.note(f"{evaluations.WHOLE}, its kinds run one by one", found, len(found))
