"""The documentation: its Python runs, its tables are complete, its commands exist."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from groundglass.core.verdict import Verdict
from scripts.docs_tables import MARKER, on_page_markdown

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
SOURCES = sorted((ROOT / "src").rglob("*.py"))
BLOCK = re.compile(r"(<!-- not run[^\n]*-->\n\n)?```python\n(.*?)```", flags=re.DOTALL)
RUNNING = [
    page
    for page in PAGES
    if any(not m[1] for m in BLOCK.finditer(page.read_text(encoding="utf-8")))
]


def page_id(path: Path) -> str:
    return path.relative_to(ROOT / "docs").as_posix()


def checks_in_code() -> set[str]:
    """Return the name of every check that a ``Verdict(...)`` in the package is made with."""
    names = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == Verdict.__name__:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    names.add(first.value)
    return names


@pytest.mark.parametrize("page", RUNNING, ids=page_id)
def test_python_of_a_page_runs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared: dict[str, Any] = {}
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if not match[1]:
            exec(compile(match[2], page_id(page), "exec"), shared)  # the page's own code
    assert "None ml" not in capsys.readouterr().out


def test_what_other_tools_leave_is_told_as_it_was_measured() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "deidentify.json").read_text())
    page = (ROOT / "docs" / "how-to" / "deidentify.md").read_text(encoding="utf-8")
    assert f"{results['marks']} marked values" in page
    for name, found in results["tools"].items():
        tool, comma, rest = name.partition(",")
        told = " ".join([tool, found["version"]]) + comma + rest if "version" in found else name
        values = (
            found["marked_values_left"],
            found["dates_and_times_left"],
            found["references_that_still_point_into_the_series"],
            found["new_dciodvfy_errors_ct"],
        )
        assert " | ".join(["", *map(str, (told, *values)), ""]).strip() in page


def test_every_check_is_explained() -> None:
    text = (ROOT / "docs" / "how-to" / "bad-series.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE))
    assert explained == checks_in_code()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_tables_are_filled(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    filled = on_page_markdown(text)
    assert "<!-- table:" not in filled
    if MARKER.search(text):
        assert filled.count("\n| ") > text.count("\n| ") + 3


def test_every_field_of_the_result_is_described() -> None:
    page = (ROOT / "docs" / "reference" / "result-json.md").read_text(encoding="utf-8")
    tables = on_page_markdown(page)
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", tables, flags=re.MULTILINE)
    assert len(rows) > 40
    assert [name for name, _, text in rows if not text] == []
    assert {"schema", "verdicts", "infection", "interval_percent"} <= {name for name, *_ in rows}


def test_every_setting_is_described() -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `\w+` \| `.*?` \| (.*?) \|$", on_page_markdown(page), re.MULTILINE)
    assert len(rows) > 20
    assert all(rows)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).is_file(), target
