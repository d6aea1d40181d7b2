"""The units of a Python module: what its top level binds, as canonical texts, with their uses.

A text leaves out what changes no result: formatting, docstrings, annotations of functions, and
the texts of errors, warnings and log messages. It is the same for all versions of Python, which
`ast.dump` is not.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kernelatlas.errors import KernelAtlasError

LIBRARY = "kernelatlas"
ERROR = f"{LIBRARY}.errors.KernelAtlasError"
LOGGER, LOGGING = "logging.getLogger", {"logging", "warnings"}
MESSAGES = {"debug", "info", "warning", "error", "exception", "critical", "warn"}
IMPORTS = {"importlib.import_module", "__import__"}
DYNAMIC = {"globals", "eval", "exec"}  # their callers may use anything of the module
# What has no effects where the top level calls it, or decorates by it.
PURE = (
    *("abc", "collections", "contextlib", "dataclasses", "functools", LOGGER, "pathlib"),
    *("pyarrow", "re", "torch.no_grad", "typing", "dict", "float", "frozenset", "int", "len"),
    *("list", "max", "min", "range", "set", "sorted", "str", "sum", "tuple", "zip", "property"),
    *("classmethod", "staticmethod", "numpy.arange", "numpy.geomspace", "numpy.iinfo"),
    "numpy.linspace",
)
EFFECTS = ""  # the unit of the statements that may have effects beyond the names they bind
IMPORTED, COMPUTED = "import", "import by a computed name"  # in place of what is written

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef
Import = ast.Import | ast.ImportFrom


class Use(NamedTuple):
    """A name or attributes of one, as written, and what they are of, dotted from the top.

    `IMPORTED` is an import without use; `COMPUTED` imports some module of a package.
    """

    written: str
    dotted: str


@dataclass
class Unit:
    """The canonical text of statements, and what it uses."""

    text: str = ""
    uses: set[Use] = field(default_factory=set)


@dataclass
class Units:
    """The units of a module by name, and what the names that it imports are of."""

    names: dict[str, Unit]
    imports: dict[str, set[str]]


def read_units(path: Path, name: str) -> Units:
    """Divide a module into units.

    Parameters
    ----------
    name
        Dotted; that of a script is empty, and all of it is the unit `EFFECTS`.

    Raises
    ------
    KernelAtlasError
        If the file is not valid Python.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError) as error:
        raise KernelAtlasError(f"{path}: {error}: mend the file") from error
    return _Reader(tree, name, path.stem == "__init__").units()


class _Reader:
    """Reads the units of one module.

    Scopes are not told apart: a local variable named like something of the top level counts as
    that, and an import inside a function binds its name in all of the module.
    """

    def __init__(self, tree: ast.Module, name: str, is_package: bool) -> None:
        self.name = name
        parts = name.split(".")
        self.package = parts if is_package else parts[:-1]
        self.statements = list(_executed(tree.body))
        self.own = set(_bound(self.statements)) if name else set()
        self.imports: dict[str, set[str]] = defaultdict(set)
        self.read: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                self.read.add(node.id)
            elif isinstance(node, Import):
                for bound, origin, _ in self.imported(node):
                    self.imports[bound].add(origin)
        self.loggers = {bound for bound, origins in self.imports.items() if origins <= LOGGING}
        self.loggers |= {
            bound
            for node in self.statements
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
            for bound in _bound([node])
            if self.chain(node.value.func)[1] == {LOGGER}
        }
        self.unread: set[str] = set()  # names of texts that only messages read
        self.uses: set[Use] = set()

    def units(self) -> Units:
        names: dict[str, Unit] = defaultdict(Unit)
        effects = names[EFFECTS]
        for statement in self.statements:
            if self.is_silent(statement):
                continue
            self.unread = self.unread_texts(statement)
            self.uses = set()
            text = self.text(statement)
            bound = [] if isinstance(statement, Import) else [names[n] for n in _bound([statement])]
            if isinstance(statement, Import) and self.is_followed(statement):
                text = ""  # its uses tell what it is of
            for unit in [effects] if not self.name or self.has_effects(statement) else bound:
                unit.text += text
                unit.uses |= self.uses
        return Units(dict(names), self.imports)

    # --- names

    def imported(self, node: Import) -> Iterator[tuple[str, str, str]]:
        """Yield each name that an import binds, what it is of, and the module imported."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                yield alias.asname or first, alias.name if alias.asname else first, alias.name
            return
        around = self.package[: len(self.package) - node.level + 1] if node.level else []
        origin = ".".join([*around, *filter(None, [node.module])])
        for alias in node.names:
            name = origin if alias.name == "*" else f"{origin}.{alias.name}"
            yield alias.asname or alias.name, name, name

    def is_followed(self, node: Import) -> bool:
        """Return whether an import counts by the uses of its names alone."""
        return all(
            bound in self.read or module.startswith(f"{LIBRARY}.")
            for bound, _, module in self.imported(node)
        )

    def origins(self, name: str) -> set[str]:
        """Return what a name may be of; a name bound nowhere is of itself if it is dynamic."""
        own = {f"{self.name}.{name}"} if name in self.own else set()
        if name in DYNAMIC and not own:
            own = {self.name}
        return own | self.imports.get(name, set())

    def chain(self, node: ast.AST) -> tuple[str, set[str]]:
        """Return a name or attributes of one as written, and what they may be of.

        Nothing is written for other expressions.
        """
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            first, origins = node.id, self.origins(node.id)
        elif isinstance(node, ast.Call) and (name := self.constant_import(node)):
            first, origins = f"import {name}", {name}
        else:
            return "", set()
        return ".".join([first, *attributes]), {".".join([o, *attributes]) for o in origins}

    def is_import(self, node: ast.Call) -> bool:
        """Return whether a call imports a module by name."""
        written, origins = self.chain(node.func)
        return not IMPORTS.isdisjoint(origins or {written})

    def constant_import(self, node: ast.Call) -> str:
        """Return the name if a call imports a module by a constant, absolute name."""
        name = getattr(node.args[0], "value", "") if node.args and self.is_import(node) else ""
        return name if isinstance(name, str) and not name.startswith(".") else ""

    # --- effects

    def has_effects(self, node: ast.AST) -> bool:
        """Return whether a statement of the top level may do more than to bind its names."""
        if isinstance(node, ast.ClassDef):
            bases = [origin for base in node.bases for origin in self.chain(base)[1]]
            if node.keywords or any(base.startswith(f"{LIBRARY}.") for base in bases):
                return True  # its base or metaclass may register it
            run = [*node.decorator_list]
            if any(self.has_effects(part) for part in node.body if not self.is_silent(part)):
                return True
        elif isinstance(node, Function):
            run = [*node.decorator_list, *_calls(node.args)]
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            parts = [part for t in targets for part in getattr(t, "elts", [t])]
            if not all(isinstance(part, ast.Name) for part in parts):
                return True
            run = _calls(node)
        else:
            return True
        return not all(map(self.is_pure, run))

    def is_pure(self, node: ast.expr) -> bool:
        """Return whether a call or a decorator is known to have no effects."""
        function = node.func if isinstance(node, ast.Call) else node
        written, origins = self.chain(function)
        if not written:  # a method of a constant, or of what another call has made
            while isinstance(function, ast.Attribute):
                function = function.value
            return isinstance(function, ast.Constant | ast.Call)
        return all(f"{o}.".startswith(tuple(f"{p}." for p in PURE)) for o in origins or {written})

    # --- what is left out

    def is_silent(self, node: ast.AST) -> bool:
        """Return whether a statement is a docstring, a message, or a text for messages alone."""
        if isinstance(node, ast.Expr):
            function = node.value.func if isinstance(node.value, ast.Call) else None
            return isinstance(node.value, ast.Constant) or (
                isinstance(function, ast.Attribute)
                and isinstance(function.value, ast.Name)
                and function.value.id in self.loggers
                and function.attr in MESSAGES
            )
        if isinstance(node, ast.Pass):
            return True
        return bool(self.unread) and self.unread.issuperset(_assigned_text(node) or {""})

    def unread_texts(self, node: ast.stmt) -> set[str]:
        """Return names of local texts that nothing but messages and one another read."""
        self.unread = set()
        texts: set[str] = set()
        others: set[str] = set()
        for part in ast.walk(node) if isinstance(node, Definition) else ():
            texts |= _assigned_text(part)
            if isinstance(part, ast.ClassDef):
                others.update(*map(_assigned_text, part.body))
            elif isinstance(part, ast.Global | ast.Nonlocal):
                others.update(part.names)
        texts -= others
        while texts and (unread := texts - set(self.names_read(node))) != self.unread:
            self.unread = unread
        return self.unread

    def names_read(self, node: Any) -> Iterator[str]:
        if isinstance(node, list):
            for part in node:
                yield from self.names_read(part)
        elif isinstance(node, ast.AST):
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                yield node.target.id
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
                yield node.id
            for _, value in self.fields(node):
                yield from self.names_read(value)

    def fields(self, node: ast.AST) -> Iterator[tuple[str, Any]]:
        """Yield the fields of a node that count."""
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "ctx", "kind", "msg", "returns", "type_comment"):
                continue
            if name == "exc" and isinstance(value, ast.Call):
                value = self.without_message(value)
            elif isinstance(value, list):
                value = [part for part in value if not self.is_silent(part)]
            if value is not None and value != []:
                yield name, value

    def without_message(self, call: ast.Call) -> ast.expr:
        """Return the call of an exception without its texts."""
        if ERROR in self.chain(call.func)[1]:
            return call.func
        rest = [argument for argument in call.args if not _is_text(argument)]
        return ast.Call(call.func, rest, call.keywords)

    # --- text

    def text(self, node: Any) -> str:
        """Return the canonical text of a node, of a list or of a field; add to `uses`."""
        if isinstance(node, list):
            return f"[{','.join(map(self.text, node))}]"
        if isinstance(node, ast.Constant):
            return f"{type(node.value).__name__} {node.value!a}"
        if not isinstance(node, ast.AST):
            return ascii(node)
        if isinstance(node, ast.Name | ast.Attribute):
            written, origins = self.chain(node)
            if written:
                self.uses |= {Use(written, origin) for origin in origins}
                return written
        elif isinstance(node, Import):
            found = list(self.imported(node))
            self.uses |= {Use(IMPORTED, module) for *_, module in found}
            self.uses |= {Use("*", module) for name, _, module in found if name == "*"}
        elif isinstance(node, ast.Call) and self.is_import(node):
            name = self.constant_import(node)
            self.uses.add(Use(f"import {name}", name) if name else Use(COMPUTED, _package(node)))
        elif isinstance(node, ast.AnnAssign) and node.value:
            node = ast.Assign([node.target], node.value)
        elif isinstance(node, ast.JoinedStr):
            return f"JoinedStr{self.text(_merged(node))}"
        text = ",".join(f"{name}={self.text(value)}" for name, value in self.fields(node))
        return f"{type(node).__name__}({text}){self.text(self.annotations(node))}"

    def annotations(self, node: ast.AST) -> list[Any]:
        """Return the annotations that count: of fields of classes, or for unknown decorators."""
        if isinstance(node, ast.ClassDef):
            return [part.annotation for part in node.body if isinstance(part, ast.AnnAssign)]
        if isinstance(node, Function) and not all(map(self.is_pure, node.decorator_list)):
            return [part.annotation for part in ast.walk(node.args) if isinstance(part, ast.arg)]
        return []


def _executed(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements but those for type checkers."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from node.orelse
        else:
            yield node


def _bound(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the names that statements bind where they stand, other than by imports."""
    for node in nodes:
        if isinstance(node, Definition):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.comprehension):
            yield from _bound([node.iter, *node.ifs])
        elif not isinstance(node, ast.Lambda):
            yield from _bound(ast.iter_child_nodes(node))


def _calls(node: ast.AST) -> list[ast.expr]:
    return [part for part in ast.walk(node) if isinstance(part, ast.Call)]


def _assigned_text(node: ast.AST) -> set[str]:
    """Return the names that a statement assigns a text to; none if it does anything else."""
    if not isinstance(node, ast.Assign) or not _is_text(node.value):
        return set()
    names = {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names if len(names) == len(node.targets) else set()


def _is_text(node: ast.AST) -> bool:
    """Return whether an expression is surely a text."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return _is_text(node.left)
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in ("join", "format") and _is_text(node.func.value)
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)


def _merged(node: ast.JoinedStr) -> list[Any]:
    """Return the parts of an f-string; versions of Python divide its constants differently."""
    merged: list[Any] = []
    for part in node.values:
        if isinstance(part, ast.Constant) and merged and isinstance(merged[-1], str):
            merged[-1] += str(part.value)
        else:
            merged.append(str(part.value) if isinstance(part, ast.Constant) else part)
    return [part for part in merged if part != ""]


def _package(node: ast.Call) -> str:
    """Return the package that a computed name of a module begins with, or the library."""
    name = node.args[0] if node.args else None
    start = name.values[0] if isinstance(name, ast.JoinedStr) else None
    return str(start.value).rpartition(".")[0] if isinstance(start, ast.Constant) else LIBRARY
