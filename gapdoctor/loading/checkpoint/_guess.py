"""Words for weights that do not fit: how many, which first, and what probably happened."""

from __future__ import annotations

import difflib
from collections import Counter

from gapdoctor.loading.checkpoint._match import Match

_SHOWN = 3


def complaint(match: Match) -> str:
    """Return what does not fit: counts, and the first few names of each kind."""
    parts = []
    if match.misshaped:
        shown = [f"{n}: {a} in the file, {b} in the model" for n, a, b in match.misshaped[:_SHOWN]]
        parts.append(_listed(len(match.misshaped), "of another shape", shown))
    if match.missing:
        parts.append(_listed(len(match.missing), "missing in the file", match.missing[:_SHOWN]))
    if match.unexpected:
        shown = list(match.unexpected[:_SHOWN])
        parts.append(_listed(len(match.unexpected), "unknown to the model", shown))
    if match.unusable:
        shown = list(match.unusable[:_SHOWN])
        parts.append(_listed(len(match.unusable), "stored as integers", shown))
    return "; ".join(parts)


def guess(match: Match) -> str:
    """Return the likeliest reason, as something to try."""
    if match.unusable:
        return "the weights look quantised: save the model in floating point"
    if not match.pairs:
        return "no name is in both: the file is of another architecture; check model and key"
    if match.misshaped and not match.missing and not match.unexpected:
        return _guess_shape(match)
    if match.missing and match.unexpected:
        near = difflib.get_close_matches(match.missing[0], match.unexpected, n=1)
        if near:
            return f"{near[0]} in the file may be {match.missing[0]} of the model: another version?"
    if match.missing and not match.unexpected:
        return "the model has more layers than the file: check its args"
    if match.unexpected and not match.missing:
        return "the file has more layers than the model: check its args"
    return "the model was built otherwise than when it was saved: check model and args"


def _guess_shape(match: Match) -> str:
    parents = {name.rpartition(".")[0] for name, _, _ in match.misshaped}
    name, theirs, mine = max(match.misshaped, key=lambda m: len(m[1]))
    if len(parents) == 1 and theirs and mine and theirs[1:] == mine[1:]:
        return f"head: {theirs[0]} classes in the file, {mine[0]} in the model ({name})"
    ratios = Counter(
        a[0] / b[0] for _, a, b in match.misshaped if len(a) == len(b) and a and b and b[0]
    )
    ratio = next((r for r, _ in ratios.most_common() if r != 1.0), None)
    if ratio is not None:
        return f"the file's layers are {ratio:.3g} times as wide as the model's: check its args"
    return "the model was built otherwise than when it was saved: check its args"


def _listed(count: int, what: str, shown: list[str] | tuple[str, ...]) -> str:
    more = ", …" if count > len(shown) else ""
    return f"{count} {what} ({', '.join(shown)}{more})"
