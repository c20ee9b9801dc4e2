"""Turns kernels in restricted Python into C that a C compiler, NVRTC and nvcc take: one text, three compilers.

What the language is: flat arrays and scalars of the types in ``intrinsics``; a local is annotated where it is first
set and lives in that block, as in C; ``for … in range``, ``if``, conditional expressions, arithmetic, comparisons,
calls of other kernels; ``//`` and ``%`` only of whole numbers from 0 on, where C and Python agree. Anything else is
refused with the place where it stands.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np

TYPES = {
    "F32": "float",
    "I32": "int",
    "I64": "long long",
    "U64": "unsigned long long",
    "BOOL": "int",
    "F32s": "float *",
    "I64s": "long long *",
    "U64s": "unsigned long long *",
    "None": "void",
}
CASTS = ("F32", "I32", "I64", "U64")
BUILT_IN = ("fma", "sqrt_", "bits_of", "from_bits", "low_word", "truncated", "add_count")
"""Functions that the head of the C text defines by hand."""
ONE_LANE = {"LANES": 1, "LANES_WIDE": 1}
"""In C and on a GPU every thread carries one path."""
OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "/",
    ast.Mod: "%",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.And: "&&",
    ast.Or: "||",
    ast.USub: "-",
    ast.Invert: "~",
    ast.Not: "!",
}


def c_functions(
    *kernels: Callable[..., object],
    prefix: str = "pulse_",
    constants: Mapping[str, int] | None = None,
    unrolled: Collection[str] = (),
) -> str:
    """Return C functions of some kernels and all kernels that they call, callees first, each once.

    Parameters
    ----------
    kernels
        Compiled by ``intrinsics.compiled``.
    prefix
        Of every function's name.
    constants
        Elements of arrays that are the same in every call, by the text that reads them, such as ``ints[H.ASSETS]``.
        They become literals, so that a compiler can drop what a world does not have. The bits stay the same.
    unrolled
        Names of kernels whose loops CUDA unrolls.

    Raises
    ------
    ValueError
        Something that the language does not have; the message names function and line.

    Examples
    --------
    >>> from pulse_assets.simulation.kernel.intrinsics import min_
    >>> print(c_functions(min_))
    PULSE_DEVICE float pulse_min_(float a, float b)
    {
        return (a < b ? a : b);
    }
    """
    text = _Text(prefix, constants or {}, unrolled)
    for kernel in kernels:
        text.add(kernel)
    return "\n\n".join(text.done.values())


@dataclass
class _Text:
    """Functions written so far, by name, and what holds for all of them."""

    prefix: str
    constants: Mapping[str, int]
    unrolled: Collection[str]
    done: dict[str, str] = field(default_factory=dict)

    def add(self, kernel: Callable[..., object]) -> None:
        """Write a kernel behind those that it calls."""
        function = getattr(kernel, "py_func", kernel)
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        writer = _Writer(self, function.__name__, function.__globals__)
        text = writer.function(tree)
        for callee in writer.callees:
            if callee not in self.done and callee not in BUILT_IN:
                self.add(function.__globals__[callee])
        self.done[function.__name__] = text


@dataclass
class _Writer:
    """Writes one function."""

    text: _Text
    name: str
    scope: dict[str, object]
    callees: list[str] = field(default_factory=list)
    locals: set[str] = field(default_factory=set)

    @property
    def prefix(self) -> str:
        return self.text.prefix

    def function(self, tree: ast.FunctionDef) -> str:
        self.locals = {argument.arg for argument in tree.args.args}
        arguments = ", ".join(f"{self.type(a.annotation, a)} {a.arg}".replace("* ", "*") for a in tree.args.args)
        head = f"PULSE_DEVICE {self.type(tree.returns, tree)} {self.prefix}{tree.name}({arguments})"
        return f"{head}\n{{\n{self.block(tree.body, 1)}}}"

    def block(self, body: list[ast.stmt], depth: int) -> str:
        return "".join(self.statement(each, depth) for each in body)

    def statement(self, node: ast.stmt, depth: int) -> str:
        """Return a statement as lines of C."""
        pad = "    " * depth
        match node:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
                return ""
            case ast.Expr(value=ast.Call() as call):
                return f"{pad}{self.expression(call)};\n"
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind, value=ast.expr() as value):
                text = f"{pad}{self.type(kind, node)} {name} = {self.expression(value)};\n"
                self.locals.add(name)
                return text
            case ast.Assign(targets=[ast.Name(id=name)]) if name not in self.locals:
                where = f"{self.name}, line {node.lineno}"
                raise ValueError(f"{where}: expected a type where {name} is first set, such as {name}: F32 = …")
            case ast.Assign(targets=[target], value=value):
                return f"{pad}{self.expression(target)} = {self.expression(value)};\n"
            case ast.AugAssign(target=target, op=operator, value=value) if type(operator) in OPERATORS:
                return f"{pad}{self.expression(target)} {OPERATORS[type(operator)]}= {self.expression(value)};\n"
            case ast.Return(value=ast.expr() as value):
                return f"{pad}return {self.expression(value)};\n"
            case ast.If(test=test, body=body, orelse=rest):
                text = f"{pad}if ({self.expression(test)}) {{\n{self.block(body, depth + 1)}{pad}}}\n"
                return text + (f"{pad}else {{\n{self.block(rest, depth + 1)}{pad}}}\n" if rest else "")
            case ast.For(target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"), args=bounds), body=body):
                self.locals.add(name)
                pragma = f"{pad}PULSE_UNROLL\n" if self.name in self.text.unrolled else ""
                return f"{pragma}{pad}{self.loop(name, bounds)} {{\n{self.block(body, depth + 1)}{pad}}}\n"
        raise self.refusal(node)

    def loop(self, name: str, bounds: list[ast.expr]) -> str:
        low, high, step = "0", self.expression(bounds[0]), "1"
        if len(bounds) > 1:
            low, high = self.expression(bounds[0]), self.expression(bounds[1])
        if len(bounds) > 2:
            step = self.expression(bounds[2])
        name = name if name != "_" else "unused"
        return f"for (long long {name} = {low}; {name} < {high}; {name} += {step})"

    def expression(self, node: ast.expr) -> str:
        """Return an expression in C, in brackets where it has operators."""
        match node:
            case ast.Constant() | ast.Name() | ast.Attribute() | ast.Subscript():
                return self.place(node)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
                return f"({self.expression(left)} {OPERATORS[type(operator)]} {self.expression(right)})"
            case ast.UnaryOp(op=operator, operand=operand) if type(operator) in OPERATORS:
                return f"({OPERATORS[type(operator)]}{self.expression(operand)})"
            case ast.BoolOp(op=operator, values=values):
                return "(" + f" {OPERATORS[type(operator)]} ".join(self.expression(value) for value in values) + ")"
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in OPERATORS:
                return f"({self.expression(left)} {OPERATORS[type(operator)]} {self.expression(right)})"
            case ast.IfExp(test=test, body=body, orelse=rest):
                condition = self.expression(test)
                condition = condition[1:-1] if isinstance(test, ast.Compare) else condition
                return f"({condition} ? {self.expression(body)} : {self.expression(rest)})"
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self.call(name, arguments)
        raise self.refusal(node)

    def place(self, node: ast.expr) -> str:
        """Return a number, a variable or an element of an array."""
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                return _literal(value)
            case ast.Name(id=name):
                return self.named(name)
            case ast.Attribute(value=ast.Name(id=module), attr=name) if isinstance(self.scope.get(module), ModuleType):
                return _literal(getattr(self.scope[module], name))
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                known = self.text.constants.get(ast.unparse(node))
                return f"{name}[{self.expression(index)}]" if known is None else _literal(known)
        raise self.refusal(node)

    def call(self, name: str, arguments: list[ast.expr]) -> str:
        values = [self.expression(argument) for argument in arguments]
        if name in CASTS:
            return f"(({TYPES[name]})({values[0]}))"
        if name not in self.scope:
            raise ValueError(f"{self.name}: {name} is not a kernel that can be called from here")
        if name not in self.callees:
            self.callees.append(name)
        return f"{self.prefix}{name}({', '.join(values)})"

    def named(self, name: str) -> str:
        if name in self.locals:
            return name
        if name in ONE_LANE and name in self.scope:
            return _literal(ONE_LANE[name])
        value = self.scope.get(name)
        is_number = isinstance(value, int | float | np.number) and not isinstance(value, type)
        return _literal(value) if is_number else name

    def type(self, annotation: ast.expr | None, node: ast.AST) -> str:
        name = ast.unparse(annotation) if annotation is not None else ""
        if name not in TYPES:
            line = getattr(node, "lineno", 0)
            raise ValueError(f"{self.name}, line {line}: expected a type out of {', '.join(TYPES)}, got {name!r}")
        return TYPES[name]

    def refusal(self, node: ast.expr | ast.stmt) -> ValueError:
        return ValueError(f"{self.name}, line {node.lineno}: restricted Python has no {ast.unparse(node)!r}")


def _literal(value: object) -> str:
    match value:
        case np.floating() | float():
            single = np.float32(value)
            return f"{float(single).hex()}f" if np.isfinite(single) else _not_finite(single)
        case np.unsignedinteger():
            return f"{int(value)}ULL"
        case bool() | np.bool_():
            return str(int(value))
        case int() | np.integer():
            return f"{int(value)}LL"
    raise ValueError(f"no C literal for {value!r}")


def _not_finite(value: np.float32) -> str:
    if np.isnan(value):
        raise ValueError("no C literal for NaN: its bits differ between processors")
    return "PULSE_INFINITY" if value > 0 else "-PULSE_INFINITY"
