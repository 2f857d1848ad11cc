"""`python -m tests.clinic strategies`: try every strategy on the fixable faults of a part."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.clinic import evaluations
from tests.clinic import strategies_results as results
from tests.clinic.building import planted
from tests.clinic.cases import TRAINING
from tests.clinic.entries import Entry
from tests.clinic.healing_cases import chosen_entries, name_of
from tests.clinic.parallel import each
from tests.clinic.running import Choice
from tests.clinic.strategies import Strategies, strategies_key, strategies_of
from tests.clinic.versions import healing_hash


def entries_of(choice: Choice, trained_only: bool = False) -> list[Entry]:
    """Return the faults of a choice, one a data set, student, fault and severity.

    Parameters
    ----------
    choice : Choice
        Which.
    trained_only : bool
        Only faults of training: what struck at inference alone is mended free.
    """
    found = _all(choice, trained_only)
    named = [e for e in found if choice.name is None or choice.name in name_of(e)]
    return named[:: choice.every][: choice.limit]


def _all(choice: Choice, trained_only: bool) -> list[Entry]:
    found = chosen_entries(planted(choice.part, choice.kind)[0], choice.only)
    return [e for e in found if not trained_only or e.fault in TRAINING]


def try_part(
    choice: Choice,
    jobs: int = 1,
    resume: bool = False,
    *,
    trained_only: bool = False,
    treating: bool = False,
) -> None:
    """Try every strategy on each case; what came of whole cells becomes the committed result.

    What is finished is kept where the run is interrupted. Each look at the reporting part is
    written down.
    """
    entries, code, clock = entries_of(choice, trained_only), healing_hash(), time.monotonic()
    if not entries:
        print(f"nothing is planted: python -m tests.clinic build --part {choice.part}")
        return
    earlier = {
        one.key: one
        for one in results.read_working(choice.part)
        if resume and one.code == code and one.treating == treating and not one.error
    }
    keys = [strategies_key(entry) for entry in entries]
    found = {at: earlier.pop(key) for at, key in enumerate(keys) if key in earlier}
    if found:
        print(f"{len(found)} of {len(entries)} known from before")
    left = [at for at in range(len(entries)) if at not in found]
    work, new = [(entries[at], treating) for at in left], 0
    try:
        for place, said in each(_tried, work, jobs):
            found[left[place]] = replace(said, code=code)
            new += 1
            print(f"{len(found)}/{len(entries)} {told(said)}", flush=True)
            results.write_working(choice.part, [*_ordered(found), *earlier.values()])
    finally:
        _end(choice, _ordered(found), len(entries), code, new, trained_only)
        print(f"{time.monotonic() - clock:.0f} s, gapdoctor {code}")


def _tried(work: tuple[Entry, bool]) -> Strategies:
    return strategies_of(*work)


def _ordered(found: Mapping[int, Strategies]) -> list[Strategies]:
    return [found[at] for at in sorted(found)]


def _end(
    choice: Choice, found: Sequence[Strategies], of: int, code: str, new: int, trained_only: bool
) -> None:
    """Keep what is finished; what ran while the code changed belongs to no version of it."""
    if choice.part == "reporting" and new:
        _note(choice, found, of)
    if not found or not choice.whole_cells:
        return
    now = healing_hash()
    if now != code and new:
        print(f"gapdoctor's code changed on the way, from {code} to {now}")
        found = [replace(one, code=f"{code}+{now}") for one in found]
    results.keep(choice.part, found, Counter(e.cell for e in _all(choice, trained_only)))
    print(f"kept in {results.kept_file(choice.part).name}: python -m tests.clinic record, page")


def _note(choice: Choice, found: Sequence[Strategies], of: int) -> None:
    helped = sum(a.verdict == "helped" for one in found for a in one.attempts)
    tried = sum(len(one.attempts) for one in found)
    evaluations.note_run(
        f"every strategy, {choice.told}: {helped} of {tried} attempts helped",
        " and ".join(sorted({one.code for one in found})), len(found), of,
    )  # fmt: skip


def told(found: Strategies) -> str:
    """Return what came of a case in a line."""
    if found.error:
        return f"FAIL  {found.name}  {found.error}; {found.seconds:.0f} s"
    if not found.fixable:
        return f"----  {found.name}  cannot be fixed: {found.why_not}; {found.seconds:.0f} s"
    return (
        f"ok    {found.name}  {', '.join(found.causes) or 'no cause'}; "
        f"{_counted(found, True)}; of others {_counted(found, False)}; {found.seconds:.0f} s"
    )


def _counted(found: Strategies, treats_found: bool) -> str:
    mine = [a for a in found.attempts if a.treats_found is treats_found]
    lists = [
        f"{verdict} {', '.join(names)}"
        for verdict in ("helped", "harmed")
        if (names := [a.fix for a in mine if a.verdict == verdict])
    ]
    failed = [a.fix for a in mine if a.error]
    lists += [f"failed {', '.join(failed)}"] if failed else []
    return f"{len(mine)} tried" + (f": {'; '.join(lists)}" if lists else "")
