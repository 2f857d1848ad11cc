"""`python -m tests.clinic heal`: diagnose, fix and measure the fixable faults of a part."""

from __future__ import annotations

import time
from dataclasses import replace

from tests.clinic import healing_results as results
from tests.clinic.building import planted
from tests.clinic.entries import Entry
from tests.clinic.healing import Healed, healed_of, key_of_entry
from tests.clinic.healing_cases import chosen_entries, name_of
from tests.clinic.healing_score import score_healing, summary
from tests.clinic.parallel import each
from tests.clinic.parts import cells
from tests.clinic.running import Choice
from tests.clinic.versions import healing_hash

RANDOM = 48
"""Faults in which random fixes are trained, at most: the dearest part of all. At least 24 fixable
ones are asked for, and not every fault is."""


def entries_of(choice: Choice) -> list[Entry]:
    """Return the faults of a choice, one a data set, student, fault and severity."""
    found = chosen_entries(planted(choice.part, choice.kind)[0], choice.only)
    named = [e for e in found if choice.name is None or choice.name in name_of(e)]
    return named[:: choice.every][: choice.limit]


def spread(count: int, most: int) -> frozenset[int]:
    """Return at most so many places among `count`, evenly spread."""
    if count <= most:
        return frozenset(range(count))
    return frozenset(at * count // most for at in range(most))


def heal_part(
    choice: Choice, jobs: int = 1, resume: bool = False, random: int | None = None
) -> None:
    """Evaluate; what came of whole cells becomes the committed result of the part.

    Each look at the reporting part is written down, an interrupted one too.
    """
    entries, code, clock = entries_of(choice), healing_hash(), time.monotonic()
    if not entries:
        print(f"nothing is planted: python -m tests.clinic build --part {choice.part}")
        return
    with_random = spread(len(entries), RANDOM if random is None else random)
    known = {h.key: h for h in results.read_working(choice.part) if h.code == code and resume}
    found: dict[int, Healed] = {}
    for number, entry in enumerate(entries):
        earlier = known.pop(key_of_entry(entry), None)
        if earlier and (earlier.draws or not earlier.fixable or number not in with_random):
            found[number] = earlier
    left = [number for number in range(len(entries)) if number not in found]
    new = 0
    try:
        for at, healed in each(_healed, [(entries[n], n in with_random) for n in left], jobs):
            number = left[at]
            found[number] = replace(healed, code=code)
            new += 1
            print(f"{number + 1}/{len(entries)} {told(healed)}", flush=True)
            results.write_working(choice.part, [*found.values(), *known.values()])
    finally:
        if choice.part == "reporting" and new:
            results.note(choice.told, list(found.values()), len(entries))
    ordered = [found[number] for number in sorted(found)]
    print(
        f"\n{time.monotonic() - clock:.0f} s, gapdoctor {code}\n\n{summary(score_healing(ordered))}"
    )
    if healing_hash() != code:
        print("gapdoctor's code changed on the way: nothing is kept")
    elif choice.whole_cells:
        planted_ones = chosen_entries(planted(choice.part, choice.kind)[0])
        results.keep(choice.part, cells(choice.part, choice.kind), ordered, planted_ones)
        print(f"kept in {results.kept_file(choice.part).name}: python -m tests.clinic page")


def told(found: Healed) -> str:
    """Return what came of a case in a line."""
    if not found.fixable:
        return f"----  {found.name}  cannot be fixed: {found.why_not}"
    if found.error is not None:
        return f"FAIL  {found.name}  {found.error}"
    mark = "ok  " if found.healed and not found.no_better else "FAIL"
    gain = "" if found.change is None else f" ({found.change:+.2f}, {found.recovered:.0%})"
    chance = f", by chance {sum(found.draws_healed)} of {len(found.draws)}" if found.draws else ""
    return (
        f"{mark}  {found.name}  {found.chosen or 'nothing'}{gain} of {found.damage:.2f} nats, "
        f"tried {', '.join(found.tried) or 'nothing'}; {found.times:.1f} trainings{chance}; "
        f"{found.seconds:.0f} s"
    )


def _healed(case: tuple[Entry, bool]) -> Healed:
    return healed_of(*case)
