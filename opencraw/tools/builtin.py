"""The tools in the box."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from opencraw.tools.registry import ArgumentsInvalid, Risk, tool


@tool(risk=Risk.READ)
async def current_time(timezone: str = "") -> str:
    """The current date, weekday and time. `timezone` is an IANA name such as Europe/Berlin; without
    it the time zone of the machine is used."""
    try:
        now = datetime.now(ZoneInfo(timezone)) if timezone else datetime.now().astimezone()
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ArgumentsInvalid(f"unknown time zone {timezone!r}") from error
    return now.strftime("%A, %Y-%m-%d %H:%M:%S %Z (UTC%z)")


_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_LONGEST = 500
_LARGEST = 10.0**100


@tool(risk=Risk.READ)
async def calculate(expression: str) -> str:
    """Work out an arithmetic expression with + - * / // % ** and parentheses, exactly."""
    if len(expression) > _LONGEST:
        raise ArgumentsInvalid(f"an expression has at most {_LONGEST} characters")
    try:
        value = _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ArgumentsInvalid(f"not an arithmetic expression: {error}") from error
    except (ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"{expression} has no value: {error}") from error
    return str(value) if isinstance(value, int) else f"{value:.12g}"


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=bool()):
            raise ValueError("truth values are not numbers")
        case ast.Constant(value=int() | float() as number):
            value = number
        case ast.BinOp():
            left, right = _value(node.left), _value(node.right)
            if isinstance(node.op, ast.Pow) and abs(right) * math.log10(max(abs(left), 1)) > 100:
                raise OverflowError("the result is too large")
            value = _BINARY[type(node.op)](left, right)
        case ast.UnaryOp() if type(node.op) in _UNARY:
            value = _UNARY[type(node.op)](_value(node.operand))
        case _:
            raise ValueError("only numbers and + - * / // % ** ( ) are understood")
    if isinstance(value, complex) or abs(value) > _LARGEST:
        raise OverflowError("the result is too large")
    return value


BUILTIN = (current_time, calculate)
