"""Tables of the documentation that are read from the code when it is built.

A page asks for one with a comment on its own line: ``<!-- table: schema -->`` for the fields of
``result.json``, ``<!-- table: config MODULE CLASS -->`` for the settings of one class,
``<!-- table: command NAME -->`` for the options of one command,
``<!-- table: command GROUP NAME -->`` for those of one in a group.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from groundglass.cli import app

SOURCE = Path(__file__).parent.parent / "src" / "groundglass"
SCHEMA = SOURCE / "writers" / "result.schema.json"
MARKER = re.compile(r"^<!-- table: (schema|config|command) ?(\S*) ?(\S*) -->$", flags=re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page with its markers replaced by tables; called by mkdocs for every page."""
    return MARKER.sub(lambda match: table(match[1], match[2], match[3]), markdown)


def table(kind: str, module: str = "", name: str = "") -> str:
    """Return one table as Markdown."""
    if kind == "schema":
        return schema_tables(json.loads(SCHEMA.read_text(encoding="utf-8")))
    if kind == "command":
        return command_table(module, name)
    path = SOURCE.joinpath(*module.split(".")).with_suffix(".py")
    return config_table(ast.parse(path.read_text(encoding="utf-8")), name)


def schema_tables(schema: Mapping[str, Any]) -> str:
    """Return a section for every object of a JSON Schema, in the order in which they are met."""
    sections: list[str] = []
    waiting: list[tuple[str, Mapping[str, Any]]] = [("", schema)]
    seen: set[str] = set()
    while waiting:
        path, part = waiting.pop(0)
        title = f"`{path}`" if path else "The document"
        sections.append(_section(title, part, schema["$defs"]))
        for name, kind in _parts(part):
            if kind not in seen:
                seen.add(kind)
                waiting.append((f"{path}.{name}".lstrip("."), schema["$defs"][kind]))
    return "\n".join(sections)


def _section(title: str, part: Mapping[str, Any], kinds: Mapping[str, Any]) -> str:
    rows = [
        f"| `{name}` | {_type(value)} | {_text(_about(value, kinds))} |"
        for name, value in part.get("properties", {}).items()
    ]
    head = ["| field | type | what |", "| --- | --- | --- |"]
    about = part.get("description", "")
    return "\n".join([f"### {title}", "", about, "", *head, *rows, ""])


def _parts(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield field, a list with brackets, and class of every object a part holds."""
    for field, value in part.get("properties", {}).items():
        name = f"{field}[]" if '"array"' in json.dumps(value) else field
        for kind in re.findall(r"#/\$defs/(\w+)", json.dumps(value)):
            yield name, kind


def _about(value: Mapping[str, Any], kinds: Mapping[str, Any]) -> str:
    """Return what a field says of itself, else what its kind does."""
    kind = str(value.get("$ref", "")).rpartition("/")[2]
    own = value.get("description")
    return str(own or kinds.get(kind, {}).get("description", ""))


def _type(value: Mapping[str, Any]) -> str:
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_type(choice) for choice in value["anyOf"]))
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if value.get("type") == "array":
        return f"list of {_type(value.get('items', {}))}"
    return "object" if "$ref" in value else _text(str(value.get("type", "any")))


def config_table(tree: ast.Module, name: str) -> str:
    """Return the fields of a dataclass with their defaults and the docstrings below them."""
    found = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    if not found:
        msg = f"no class {name} to make a table of"
        raise ValueError(msg)
    rows = ["| setting | default | what |", "| --- | --- | --- |"]
    body = found[0].body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            default = ast.unparse(node.value) if node.value else "required"
            rows.append(f"| `{ast.unparse(node.target)}` | `{default}` | {_below(following)} |")
    return "\n".join(rows)


def command_table(name: str, below: str = "") -> str:
    """Return the arguments and options of a command, or of the command ``below`` a group."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    command = group.commands[name]
    if below:
        assert isinstance(command, typer.core.TyperGroup)
        command = command.commands[below]
    rows = ["| option | what |", "| --- | --- |"]
    for parameter in command.params:
        shown = ", ".join(f"`{flag}`" for flag in parameter.opts)
        if isinstance(parameter, typer.core.TyperArgument):
            shown = f"`{parameter.metavar}`"
        elif parameter.metavar:
            shown += f" `{parameter.metavar}`"
        rows.append(f"| {shown} | {_text(getattr(parameter, 'help', None) or '')} |")
    return "\n".join(rows)


def _below(node: ast.stmt | None) -> str:
    """Return the docstring below a field."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return _text(str(node.value.value))
    return ""


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
