"""How a diagnosis shows itself in a notebook: as its own report."""

from __future__ import annotations

from dataclasses import fields
from html import escape

from gapdoctor.domain.diagnosis import Diagnosis

HEIGHT = 720
"""CSS pixels of the frame; the page scrolls within."""


class Shown(Diagnosis):
    """A diagnosis that Jupyter and its like show as the report; in all else a `Diagnosis`."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        """Tell whether all fields are equal, whether or not `other` can show itself."""
        if not isinstance(other, Diagnosis):
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in fields(Diagnosis))

    __hash__ = Diagnosis.__hash__

    def _repr_html_(self) -> str:
        """Return the whole report in a frame of its own, where no style of either leaks."""
        from gapdoctor.report import render

        # Without a base, a link to a section would resolve against the notebook's address.
        page = render(self, "html").replace("<head>", '<head>\n<base href="about:srcdoc">', 1)
        return (
            f'<iframe title="gapdoctor report" srcdoc="{escape(page)}" sandbox="" '
            f'width="100%" height="{HEIGHT}" style="border: 1px solid #8888"></iframe>'
        )
