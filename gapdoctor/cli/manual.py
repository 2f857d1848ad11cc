"""Manual pages: of causes from their records, of plugins from their files' docstrings.

A plugin's file is read, not run: its class docstring is the page, and each field with a default
is a limit whose docstring line names the unit and the source. So `explain` imports no torch.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import gapdoctor
from gapdoctor.domain.causes import PAGES, Cause
from gapdoctor.errors import GapDoctorError

PLUGIN_KINDS = {"probe": "probes", "correction": "corrections", "fix": "fixes"}
"""A kind of plugin and the folder that holds one file each."""

_PLAIN_BLOCK = re.compile(r"(?:(?![ \t>|]|[-*+] |\d+[.)] |\.\. |[-=~]{3,}\s*$).+(?:\n|$))+")


@dataclass(frozen=True, slots=True)
class Limit:
    """A named limit of a plugin."""

    name: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class ManualPage:
    """What there is to say about a cause or a plugin."""

    kind: str
    name: str
    title: str
    """One line."""
    sections: tuple[tuple[str, str], ...]
    """Heading (may be empty) and text, paragraphs set off by blank lines."""
    limits: tuple[Limit, ...] = ()

    @property
    def gist(self) -> str:
        """The page in one sentence, for a list."""
        told = self.sections[0][1] if self.kind == "cause" else self.title
        return re.split(r"(?<=\.)\s", told)[0]


def all_pages() -> list[ManualPage]:
    """Return every page: the causes in their order, then each kind of plugin by name."""
    pages = [cause_page(cause) for cause in Cause]
    for kind, folder in PLUGIN_KINDS.items():
        pages += plugin_pages(kind, Path(gapdoctor.__file__).parent / folder)
    return pages


def find_page(name: str) -> ManualPage:
    """Return the page of a cause, probe, correction or fix, however it is spelled.

    Raises
    ------
    GapDoctorError
        When there is none of that name.
    """
    pages = {page.name: page for page in all_pages()}
    wanted = name.strip().lower().replace("-", "_").replace(" ", "_")
    if wanted in pages:
        return pages[wanted]
    near = get_close_matches(wanted, pages, n=1)
    hint = f"gapdoctor explain {near[0]}" if near else "gapdoctor explain, for the list of names"
    raise GapDoctorError(f"{name}: no cause, probe, correction or fix has this name", hint)


def cause_page(cause: Cause) -> ManualPage:
    """Return the page of a cause."""
    page = PAGES[cause]
    sections = (
        ("What it is", page.meaning),
        ("How to tell it apart", page.tell_apart),
        ("What helps", page.what_helps),
    )
    return ManualPage("cause", str(cause), page.title, sections)


def plugin_pages(kind: str, folder: Path) -> list[ManualPage]:
    """Return the pages of the plugin files in `folder`, by name; none where there is no folder."""
    files = sorted(f for f in folder.glob("*.py") if not f.name.startswith("_"))
    return [plugin_page(kind, file) for file in files]


def plugin_page(kind: str, file: Path) -> ManualPage:
    """Return the page of the plugin class in `file`."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and _plugin_name(node) == file.stem:
            title, _, rest = (ast.get_docstring(node) or "").partition("\n")
            return ManualPage(kind, file.stem, title, (("", rest.strip()),), tuple(_limits(node)))
    raise GapDoctorError(
        f"{file}: no class whose name attribute is {file.stem!r}",
        f"see gapdoctor/{file.parent.name}/_base.py for what a {kind} is",
    )


def _plugin_name(node: ast.ClassDef) -> str | None:
    for statement in node.body:
        target, value = _assigned(statement)
        if target == "name" and isinstance(value, ast.Constant):
            return str(value.value)
    return None


def _limits(node: ast.ClassDef) -> Iterator[Limit]:
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or "ClassVar" in ast.dump(statement.annotation):
            continue
        name, value = _assigned(statement)
        if name is None or value is None or name.startswith("_"):
            continue
        yield Limit(name, ast.unparse(value), _string(after))


def _assigned(statement: ast.stmt) -> tuple[str | None, ast.expr | None]:
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id, statement.value
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id, statement.value
    return None, None


def _string(statement: ast.stmt | None) -> str:
    """Return the docstring line that stands below a field, as one line."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return " ".join(inspect.cleandoc(str(statement.value.value)).split())
    return ""


def to_text(page: ManualPage, width: int) -> str:
    """Return the page for a terminal of `width` columns."""
    lines = [f"{page.name} ({page.kind})"]
    if page.kind != "cause":  # a cause's title is its name
        lines += ["", _filled(page.title, width)]
    for heading, text in page.sections:
        if text:
            indent = "  " if heading else ""
            lines += ["", *([heading] if heading else [])]
            lines.append(textwrap.indent(_reflowed(text, width - len(indent)), indent))
    if page.limits:
        lines += ["", "Limits"]
    for limit in page.limits:
        lines.append(f"  {limit.name} = {limit.default}")
        if limit.meaning:
            lines.append(textwrap.indent(_filled(limit.meaning, width - 6), " " * 6))
    return "\n".join(lines) + "\n"


def to_markdown(page: ManualPage) -> str:
    """Return the page as a section of a Markdown document."""
    parts = [f"## `{page.name}`", f"**{page.title}**"]
    for heading, text in page.sections:
        if text:
            parts.append(f"*{heading}.* {text}" if heading else text)
    if page.limits:
        rows = [f"| `{x.name}` | `{x.default}` | {_cell(x.meaning)} |" for x in page.limits]
        parts.append("\n".join(["| limit | default | meaning |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _reflowed(text: str, width: int) -> str:
    """Fill plain paragraphs to `width`; leave lists, tables and indented blocks as they are."""
    blocks = [
        _filled(b, width) if _PLAIN_BLOCK.fullmatch(b) else b for b in re.split(r"\n\s*\n", text)
    ]
    return "\n\n".join(blocks)


def _filled(text: str, width: int) -> str:
    return textwrap.fill(" ".join(text.split()), width, break_on_hyphens=False)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
