"""The shape of the project: layers, size, documentation, what an import costs."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

import groundglass

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "groundglass"
MODULES = sorted(SOURCE.rglob("*.py"))
MAX_LINES = 400
MAX_FUNCTION_LINES = 40
MAX_BYTES = 400_000
MAX_NETWORK_BYTES = 6_000_000
MAX_MASK_NETWORKS_BYTES = 12_000_000
"""Networks of infection and lungs together."""
TEXT_SUFFIXES = {"", ".cff", ".css", ".html", ".j2", ".js", ".json", ".md", ".py", ".sh", ".toml"}
TEXT_SUFFIXES |= {".typed", ".yml", ".yaml", ".csv", ".svg", ".txt"}
HEAVY = {"PIL", "SimpleITK", "jinja2", "matplotlib", "nibabel", "pydantic", "pydicom", "rich"}
HEAVY |= {"scipy", "tifffile", "torch", "typer"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tracked() -> list[Path]:
    """Return the project's files: those under version control, else those that look like it."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        command = [git, "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
        listing = subprocess.run(command, capture_output=True, check=False)
        if listing.returncode == 0:
            names = listing.stdout.decode().split("\0")
            return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    folders = [ROOT / name for name in ("src", "tests", "benchmarks", "docs")]
    return [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def own_lines(function: Function) -> int:
    """Return the length of a function without its docstring and decorators."""
    end = function.end_lineno or function.lineno
    documented = ast.get_docstring(function) is not None
    text = function.body[0]
    inside = (text.end_lineno or text.lineno) - text.lineno + 1 if documented else 0
    return end - function.lineno + 1 - inside


def public_definitions(tree: ast.Module) -> Iterator[Function | ast.ClassDef]:
    """Yield public functions and classes of a module and public methods of its public classes."""
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    inner
                    for inner in node.body
                    if isinstance(inner, Function) and not inner.name.startswith("_")
                )


def test_imports_point_down_only() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml")) == 0


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, json, groundglass; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    loaded = json.loads(done.stdout)
    assert HEAVY.intersection(loaded) == set()
    assert len(loaded) < 250


def test_importing_the_package_says_nothing() -> None:
    code = "import groundglass; [getattr(groundglass, name) for name in groundglass.__all__]"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_export_list_is_the_documented_one() -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^### `(?:groundglass\.)?(\w+)", page, flags=re.MULTILINE))
    assert documented == set(groundglass.__all__) - {"__version__"}


def test_every_exported_name_is_there() -> None:
    for name in groundglass.__all__:
        assert getattr(groundglass, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = groundglass.nonsense


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_keeps_the_rules(path: Path) -> None:
    tree = parsed(path)
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{lines} lines"
    assert ast.get_docstring(tree), "no module docstring"
    long = {f.name: own_lines(f) for f in functions(tree) if own_lines(f) > MAX_FUNCTION_LINES}
    assert not long, f"functions over {MAX_FUNCTION_LINES} lines: {long}"
    bare = [node.name for node in public_definitions(tree) if not ast.get_docstring(node)]
    assert not bare, f"public, without docstring: {bare}"


@pytest.mark.parametrize(
    "path", [path for path in MODULES if not path.stem.startswith("cli")], ids=name_of
)
def test_only_the_command_line_prints(path: Path) -> None:
    calls = [
        node.lineno
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"print", "input", "breakpoint"}
    ]
    assert not calls, f"print or input in lines {calls}"


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_other_code_is_of_readable_length(folder: str) -> None:
    sizes = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    assert {name: size for name, size in sizes.items() if size > MAX_LINES} == {}


def test_no_machine_is_named_in_the_project() -> None:
    folders = "|".join(("work", "root", "home", "tmp", "Users", "mnt"))
    place = re.compile(rf"(?<![\w.:~}}*<>-])/(?:{folders})/[\w.]")
    found = {
        name_of(path): place.findall(path.read_text(encoding="utf-8"))[:3]
        for path in tracked()
        if path.suffix in TEXT_SUFFIXES and place.search(path.read_text(encoding="utf-8"))
    }
    assert found == {}


def test_no_data_is_kept_in_the_project() -> None:
    allowed = TEXT_SUFFIXES | {".png", ".onnx"}
    strange = [name_of(path) for path in tracked() if path.suffix not in allowed]
    assert strange == []
    pictures = [name_of(p) for p in tracked() if p.suffix == ".png"]
    assert [name for name in pictures if not name.startswith("docs/")] == []
    networks = [path for path in tracked() if path.suffix == ".onnx"]
    assert {path.parent for path in networks} <= {SOURCE / "models" / "shipped"}
    sizes = {path.stem: path.stat().st_size for path in networks}
    assert max(sizes.values()) < MAX_NETWORK_BYTES
    masks = [size for name, size in sizes.items() if name.startswith(("infection", "lungs"))]
    assert sum(masks) < MAX_MASK_NETWORKS_BYTES
    rest = [path for path in tracked() if path not in networks]
    assert [name_of(path) for path in rest if path.stat().st_size > MAX_BYTES] == []
