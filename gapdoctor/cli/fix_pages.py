"""The pages of `docs/fixes/`: one a fix, and an index."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import gapdoctor
from gapdoctor.cli.manual import ManualPage, cell, limits_table, whole
from gapdoctor.cli.measured import Part, in_a_table, read_parts
from gapdoctor.domain.causes import Cause

_FOLDERS = {"cause": "../causes.md#", "probe": "../probes.md#", "correction": "../corrections.md#"}

_PROOF = "[how a fix is proven](../how-it-works.md#how-a-fix-is-proven)"

_HOW = (
    "Made by `python -m tests.clinic strategies --part tuning` and `python -m tests.clinic heal "
    "--part reporting`, then `python -m tests.clinic record`: "
    "[how to read it](README.md#measured), [accuracy](../accuracy.md)."
)

_MEASURED = """## Measured

In the clinic a fault is planted in a pair that was trained for it. Counted on the page of a fix are
those faults on which it was trained beside its control, each for the likeliest cause found that the
fix treats; what trains nothing is compared with the given student. Left out are bugs of the
training code that no recipe tells: there the control is the cure, and no fix can beat it.

- *helped*: the whole 95 % interval of fix − control lies below 0, on rows that chose nothing;
  *harmed*: it lies above.
- *expected back*: the share of the cause's nats that the fix promised; *given back*: the share that
  came back. Means, each share between −100 and 100 %.
- *median difference*: of fix − control, in nats of held-out loss; negative is better.

The plan of `gapdoctor fix` goes by the tuning part, on which limits were chosen too: its numbers
flatter. What it multiplies the promise of a fix by is what was given back over what was promised,
harm as 0 since nothing that harms is written, with the promise itself counting as three faults
more. The reporting part chose nothing."""


def fix_pages(members: Sequence[ManualPage], pages: Sequence[ManualPage]) -> dict[str, str]:
    """Return the text of each page by its name in the folder `fixes`.

    `members` are the fixes, `pages` all that may be linked to.
    """
    links = {page.name: _FOLDERS.get(page.kind, "") + page.name for page in pages}
    links |= {page.name: f"{page.name}.md" for page in members}
    parts = read_parts(Path(gapdoctor.__file__).parent / "fixes")
    built = {"README.md": index(members, links, parts)}
    return built | {f"{page.name}.md": fix_page(page, links) for page in members}


def index(members: Sequence[ManualPage], links: Mapping[str, str], parts: Sequence[Part]) -> str:
    """Return the list of fixes: one line each, and which of them treat a cause."""
    rows = [
        f"| {_link(page.name, links)} | {cell(page.title)} | {_links(page.treats, links)} |"
        for page in members
    ]
    causes = [
        f"- {_link(cause, links)}: {_links(treating, links)}"
        for cause in Cause
        if (treating := [page.name for page in members if cause in page.treats])
    ]
    blocks = [
        "# Fixes",
        f"What may close a gap. Each is compared with a control: {_PROOF}.",
        "\n".join(["| fix | what it does | treats |", "|---|---|---|", *rows]),
        "## By cause",
        "\n".join(causes),
        _MEASURED,
        _told_parts(parts),
        "A fix of your own: [adding a fix](../adding-a-fix.md).",
    ]
    return "\n\n".join(blocks) + "\n"


def fix_page(page: ManualPage, links: Mapping[str, str]) -> str:
    """Return the page of a fix."""
    others = {name: link for name, link in links.items() if name != page.name}
    measured = in_a_table(page.measured, page.treats)
    blocks = [
        f"# `{page.name}`",
        f"**{page.title}**",
        f"Treats {_links(page.treats, links)} · {_PROOF} · [all fixes](README.md)",
    ]
    for heading, text in whole(page, f"{measured}\n\n{_HOW}" if page.measured else measured):
        linked = _linked(text, others)
        blocks += [f"## {heading}"] if heading else []
        blocks.append(_outward(linked) if heading == "Sources" else linked)
    if page.limits:
        blocks += ["## Limits", _linked(limits_table(page.limits), others)]
    return "\n\n".join(blocks) + "\n"


def _told_parts(parts: Sequence[Part]) -> str:
    if not parts:
        return "No fix was measured yet."
    rows = [f"| {part.name} | {part.faults} | `{part.code}` |" for part in parts]
    return "\n".join(["| part | faults | code |", "|---|---|---|", *rows])


def _link(name: str, links: Mapping[str, str]) -> str:
    return f"[`{name}`]({links[name]})"


def _links(names: Sequence[str], links: Mapping[str, str]) -> str:
    return ", ".join(_link(name, links) for name in names)


def _linked(text: str, links: Mapping[str, str]) -> str:
    """Make links of what has a page of its own and stands in backticks."""

    def link(match: re.Match[str]) -> str:
        return _link(match[1], links) if match[1] in links else match[0]

    return re.sub(r"`(\w+)`", link, text)


def _outward(text: str) -> str:
    """Make links of the papers and threads that sources name."""
    text = re.sub(r"arXiv\s+(\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)
    thread = r"([\w.-]+/[\w.-]+)#(\d+)"
    return re.sub(thread, r"[\1#\2](https://github.com/\1/issues/\2)", text)
