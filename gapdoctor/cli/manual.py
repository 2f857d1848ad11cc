"""Manual pages: of causes from their records, of plugins from their files' docstrings.

A plugin's file is read, not run: its class docstring is the page, and each field with a default
is a limit whose docstring line names the unit and the source. So `explain` imports no torch. An
underlined line of a docstring is a heading, as in

    When it helps
    -------------
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import gapdoctor
from gapdoctor.cli.measured import Count, counts_of, in_words, read_parts
from gapdoctor.domain.causes import PAGES, Cause
from gapdoctor.errors import GapDoctorError

PLUGIN_KINDS = {"probe": "probes", "correction": "corrections", "fix": "fixes"}
"""A kind of plugin and the folder that holds one file each."""

_HEADING = re.compile(r"^(\S.*)\n-{3,}$\n?", re.MULTILINE)
_PLAIN_BLOCK = re.compile(r"(?:(?![ \t>|]|[-*+] |\d+[.)] |\.\. |[-=~]{3,}\s*$).+(?:\n|$))+")
_LIST_BLOCK = re.compile(r"- .+(?:\n(?:- |  (?![ \t>|]|[-*+] |\d+[.)] )).+)*\n?")


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
    treats: tuple[str, ...] = ()
    """Causes that a fix may remove."""
    needs: tuple[tuple[str, str], ...] = ()
    """Fixes that it may only work with, and why."""
    measured: tuple[Count, ...] = ()
    """What the clinic measured of a fix."""

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
            return ManualPage(
                kind, file.stem, title, _sections(rest), tuple(_limits(node)), _treats(node),
                _needs(node), counts_of(read_parts(file.parent), file.stem),
            )  # fmt: skip
    raise GapDoctorError(
        f"{file}: no class whose name attribute is {file.stem!r}",
        f"see gapdoctor/{file.parent.name}/_base.py for what a {kind} is",
    )


def _sections(text: str) -> tuple[tuple[str, str], ...]:
    """Cut what follows the first line of a docstring at its headings."""
    first, *rest = _HEADING.split(text)
    pairs = zip(["", *rest[::2]], [first, *rest[1::2]], strict=True)
    return tuple((heading, told.strip()) for heading, told in pairs)


def _plugin_name(node: ast.ClassDef) -> str | None:
    value = _value(node, "name")
    return str(value.value) if isinstance(value, ast.Constant) else None


def _treats(node: ast.ClassDef) -> tuple[str, ...]:
    value = _value(node, "treats")
    names = value.elts if isinstance(value, ast.Tuple) else []
    return tuple(str(Cause[name.attr]) for name in names if isinstance(name, ast.Attribute))


def _needs(node: ast.ClassDef) -> tuple[tuple[str, str], ...]:
    value = _value(node, "needs")
    if isinstance(value, ast.Call) and value.args:
        value = value.args[0]  # MappingProxyType({...})
    return tuple(ast.literal_eval(value).items()) if isinstance(value, ast.Dict) else ()


def _value(node: ast.ClassDef, attribute: str) -> ast.expr | None:
    """Return what a class attribute is set to, as it is written."""
    assigned = (_assigned(statement) for statement in node.body)
    return next((value for name, value in assigned if name == attribute), None)


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


def whole(page: ManualPage, measured: str) -> Iterator[tuple[str, str]]:
    """Yield headings and texts in their order, `measured` and what a fix needs before its sources.

    What is empty is left out, and so is what was measured of other than fixes.
    """
    before = [(heading, text) for heading, text in page.sections if heading != "Sources"]
    needed = "\n".join(f"- `{name}`: {reason}" for name, reason in page.needs)
    between = [("Tried together with", needed), ("Measured", measured)]
    sources = [(heading, text) for heading, text in page.sections if heading == "Sources"]
    for heading, text in [*before, *(between if page.kind == "fix" else []), *sources]:
        if text:
            yield heading, text


def to_text(page: ManualPage, width: int) -> str:
    """Return the page for a terminal of `width` columns."""
    lines = [f"{page.name} ({page.kind})"]
    if page.kind != "cause":  # a cause's title is its name
        lines += ["", _filled(page.title, width)]
    if page.treats:
        lines += ["", _filled(f"Treats {', '.join(page.treats)}.", width)]
    for heading, text in whole(page, in_words(page.measured, page.treats)):
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
        parts.append(limits_table(page.limits))
    return "\n\n".join(parts) + "\n"


def limits_table(limits: Sequence[Limit]) -> str:
    """Return limits as a Markdown table."""
    rows = [f"| `{x.name}` | `{x.default}` | {cell(x.meaning)} |" for x in limits]
    return "\n".join(["| limit | default | meaning |", "|---|---|---|", *rows])


def _reflowed(text: str, width: int) -> str:
    """Fill plain paragraphs and lists to `width`; leave tables and indented blocks as they are."""
    return "\n\n".join(_block(block, width) for block in re.split(r"\n\s*\n", text))


def _block(text: str, width: int) -> str:
    if _PLAIN_BLOCK.fullmatch(text):
        return _filled(text, width)
    if _LIST_BLOCK.fullmatch(text):
        items = re.split(r"\n(?=- )", text)
        return "\n".join(_filled(item, width, indent="  ") for item in items)
    return text


def _filled(text: str, width: int, indent: str = "") -> str:
    plain = " ".join(text.split())
    return textwrap.fill(plain, width, subsequent_indent=indent, break_on_hyphens=False)


def cell(text: str) -> str:
    """Return a text as a cell of a Markdown table."""
    return text.replace("|", "\\|")
