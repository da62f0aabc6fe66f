"""Writing a page: the template, its styles and scripts in one file, everything else escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from eri.reports.html.blocks import Headline, Section
from eri.utils.files import write_text

_TEMPLATES = Path(__file__).parent / "templates"


def write_report_page(
    path: Path,
    title: str,
    subtitle: str,
    headlines: Sequence[Headline],
    sections: Sequence[Section],
) -> Path:
    """Write a page of sections.

    Args:
        path: The file, replaced in one step.
        title: Of the page.
        subtitle: Under it.
        headlines: Numbers in large type.
        sections: In this order.

    Raises:
        OSError: The file cannot be written.
    """
    content = {"subtitle": subtitle, "headlines": headlines, "sections": sections}
    return write_page(path, "report.html", title, content)


def write_page(path: Path, template: str, title: str, content: Mapping[str, Any], scripts: Sequence[str] = ()) -> Path:
    """Fill a template and write it.

    The page forbids the browser to fetch anything, and to run any script but the page's own.

    Args:
        path: The file, replaced in one step.
        template: Name of a file in ``templates/``.
        title: Of the page.
        content: Names that the template knows.
        scripts: Further files of ``templates/``, beside ``page.js``.

    Raises:
        OSError: The file cannot be written.
    """
    script = "\n".join(_read(name) for name in ("page.js", *scripts))
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _environment().get_template(template)
    text = page.render(content, title=title, style=_read("style.css"), script=script, script_hash=f"sha256-{hashed}")
    # A name may hold half a surrogate pair, where a file system gave it so; no encoding writes that.
    write_text(path, text.encode("utf-8", "replace").decode("utf-8"))
    return path


def data_url(content: bytes, kind: str) -> str:
    """Return bytes as a URL that holds them.

    Examples:
        >>> data_url(b"abc", "image/jpeg")
        'data:image/jpeg;base64,YWJj'
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
