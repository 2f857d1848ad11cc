"""Sentences that several containers say."""

from __future__ import annotations

from gapdoctor.loading.checkpoint._scan import Scan

_SHOWN = 4


def kept_inert(scan: Scan) -> tuple[str, ...]:
    """Tell which classes were kept as plain data."""
    names = sorted(
        n for n in scan.unknown if not n.startswith(("builtins.", "torch.", "__torch__."))
    )
    if not names:
        return ()
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (f"Kept as plain data, nothing of it run: {', '.join(names[:_SHOWN])}{more}.",)
