"""The text of a rule, read: what stands where, before anybody asks what it means.

The grammar is LALR, so a text has one reading, found in one pass. How long and how deep a text may be is bounded
beforehand: no text that somebody publishes can exhaust the stack.
"""

from functools import cache
from typing import Final

import msgspec
from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from streams.features.rules.faults import RuleFault, Span, nearest

LONGEST_TEXT: Final = 4_000
MOST_TOKENS: Final = 500
DEEPEST: Final = 32
"""Brackets, ``not`` and minus signs inside each other."""

GRAMMAR: Final = r"""
start: disjunction
?disjunction: conjunction ("or" conjunction)*
?conjunction: negation ("and" negation)*
?negation: "not" negation             -> negated
    | comparison
?comparison: sum
    | sum (COMPARE sum)+              -> compared
    | sum "in" container              -> member
    | sum "not" "in" container        -> stranger
    | sum "is" KNOWLEDGE              -> knowledge
container: LIST                       -> named
    | "[" sum ("," sum)* [","] "]"    -> listed
    | sum ".." sum                    -> range
?sum: product
    | sum (PLUS | MINUS) product      -> arithmetic
?product: factor
    | product (TIMES | OVER) factor   -> arithmetic
?factor: MINUS factor                 -> minus
    | atom
?atom: NAME                           -> name
    | PARAMETER                       -> parameter
    | MONEY                           -> money
    | DURATION                        -> duration
    | CLOCK                           -> clock
    | DECIMAL                         -> decimal
    | INTEGER                         -> integer
    | TEXT                            -> text
    | TRUTH                           -> truth
    | NAME "(" sum ("," sum)* ")"     -> call
    | "(" disjunction ")"

COMPARE: "==" | "!=" | "<=" | ">=" | "<" | ">"
PLUS: "+"
MINUS: "-"
TIMES: "*"
OVER: "/"
KNOWLEDGE.2: "known" | "unknown"
TRUTH.2: "true" | "false"
MONEY.6: /[0-9][0-9_]*(\.[0-9]+)?[ \t]*([A-Z]{3}|minor)\b/
DURATION.5: /[0-9]+[smhd]\b/
CLOCK.5: /[0-9]{1,2}:[0-9]{2}\b/
DECIMAL.4: /[0-9][0-9_]*\.[0-9]+/
INTEGER.3: /[0-9][0-9_]*/
TEXT: /"[^"\n]*"/
PARAMETER: /\$[A-Za-z_][A-Za-z0-9_]*/
LIST: /@[A-Za-z_][A-Za-z0-9_]*/
NAME: /[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*/
COMMENT: /#[^\n]*/
WHITE: /[ \t\r\n]+/
%ignore COMMENT
%ignore WHITE
"""

_WORDS: Final = ("and", "or", "not", "in", "is", "known", "unknown", "true", "false")
#: What people write who come from another language.
_FOREIGN: Final = {
    "=": "write == to compare",
    "&": "write: and",
    "|": "write: or",
    "!": "write: not, or != to compare",
    "'": 'texts stand in double quotes: "US"',
    '"': "the text is not closed on its line",
    "%": "there are no percents: multiply by 100 and divide",
    "{": 'a list stands in square brackets: ["US", "CA"]',
    "$": "a threshold is $ and its name",
    "@": "a list is @ and its name",
    "^": "there are no powers",
}


class Node(msgspec.Struct, frozen=True):
    """Something in a rule, and where."""

    span: Span


class Name(Node, frozen=True):
    """A feature by its name."""

    name: str


class Parameter(Node, frozen=True):
    """A threshold by its name, without the sign."""

    name: str


class Literal(Node, frozen=True):
    """A value as written: ``kind`` is the rule of the grammar that read it."""

    kind: str
    text: str


class Minus(Node, frozen=True):
    """What has its sign turned."""

    operand: Node


class Arithmetic(Node, frozen=True):
    """``+``, ``-``, ``*`` or ``/``."""

    operator: str
    left: Node
    right: Node


class Call(Node, frozen=True):
    """A function and what it is given."""

    name: str
    arguments: tuple[Node, ...]


class Compared(Node, frozen=True):
    """One or more comparisons in a row; the checker allows one."""

    operators: tuple[tuple[str, Span], ...]
    operands: tuple[Node, ...]


class Named(Node, frozen=True):
    """A list by its name, without the sign."""

    name: str


class Listed(Node, frozen=True):
    """A list as written."""

    items: tuple[Node, ...]


class Range(Node, frozen=True):
    """From a value to another."""

    low: Node
    high: Node


class Member(Node, frozen=True):
    """Whether something is in a list or range, or (``negated``) is not."""

    value: Node
    container: Named | Listed | Range
    negated: bool


class Knowledge(Node, frozen=True):
    """Whether something is known."""

    value: Node
    known: bool


class Negated(Node, frozen=True):
    """``not``."""

    operand: Node


class Joined(Node, frozen=True):
    """Two or more conditions with ``and`` (``every``) or ``or`` between them."""

    every: bool
    operands: tuple[Node, ...]


def read(text: str) -> Node:
    """The reading of a rule; RuleFault where it has none."""
    if len(text) > LONGEST_TEXT:
        raise RuleFault(
            text, Span(LONGEST_TEXT, len(text)), f"a rule has at most {LONGEST_TEXT:,} characters"
        )
    try:
        _bound(text)
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _fault(text, error) from None
    return _node(tree.children[0])


def words_of(text: str) -> list[str]:
    """The words of a rule without comments and white space; RuleFault where a letter has no meaning.

    Two rules that differ in none of them differ in nothing.
    """
    try:
        return [str(token) for token in _parser().lex(text)]
    except UnexpectedInput as error:
        raise _fault(text, error) from None


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", lexer="basic", propagate_positions=True, maybe_placeholders=False)


def _bound(text: str) -> None:
    """Refuse what is too long or too deep, before anything recursive looks at it."""
    open_brackets = signs = 0
    for number, token in enumerate(_parser().lex(text)):
        if number == MOST_TOKENS:
            raise RuleFault(text, _span(token), f"a rule has at most {MOST_TOKENS} words and signs")
        if token in ("(", "["):
            open_brackets += 1
        elif token in (")", "]"):
            open_brackets -= 1
        signs = signs + 1 if token in ("not", "-") else 0
        if open_brackets + signs > DEEPEST:
            raise RuleFault(text, _span(token), f"a rule is at most {DEEPEST} brackets and signs deep")


def _span(token: Token) -> Span:
    start, end = token.start_pos, token.end_pos
    assert start is not None and end is not None
    return Span(start, end)


def _fault(text: str, error: UnexpectedInput) -> RuleFault:
    match error:
        case UnexpectedToken(token=token) if token.type == "$END":
            end = len(text.rstrip())
            return RuleFault(text, Span(end, end + 1), "the rule ends before it is complete")
        case UnexpectedToken(token=token):
            hint = ""
            if token.type == "NAME":
                word = str(token).lower()
                found = word if word in _WORDS else nearest(word, _WORDS)
                hint = f"did you mean {found}?" if found else ""
            if token.type == "COMPARE":
                hint = "only two values are compared at a time: join comparisons with and"
            return RuleFault(text, _span(token), f"{str(token)!r} has no place here", hint)
        case UnexpectedCharacters(pos_in_stream=int(place)):
            letter = text[place]
            return RuleFault(
                text, Span(place, place + 1), f"{letter!r} means nothing here", _FOREIGN.get(letter, "")
            )
        case _:
            return RuleFault(text, Span(0, 1), "this is no rule")


def _node(tree: "Tree[Token] | Token") -> Node:
    assert isinstance(tree, Tree)
    children = tree.children
    span = Span(tree.meta.start_pos, tree.meta.end_pos)
    match tree.data, children:
        case "name", [Token() as name]:
            return Name(span, str(name))
        case "parameter", [Token() as name]:
            return Parameter(span, str(name)[1:])
        case "minus", [_, operand]:
            return Minus(span, _node(operand))
        case "arithmetic", [left, Token() as operator, right]:
            return Arithmetic(span, str(operator), _node(left), _node(right))
        case "call", [Token() as name, *arguments]:
            return Call(span, str(name), tuple(map(_node, arguments)))
        case "compared", _:
            operators = tuple((str(sign), _span(sign)) for sign in children[1::2] if isinstance(sign, Token))
            return Compared(span, operators, tuple(map(_node, children[::2])))
        case "member" | "stranger", [value, container]:
            return Member(span, _node(value), _container(container), tree.data == "stranger")
        case "knowledge", [value, Token() as word]:
            return Knowledge(span, _node(value), word == "known")
        case "negated", [operand]:
            return Negated(span, _node(operand))
        case "conjunction" | "disjunction", _:
            return Joined(span, tree.data == "conjunction", tuple(map(_node, children)))
        case kind, [Token() as value]:
            return Literal(span, str(kind), str(value))
        case kind, _:
            raise AssertionError(f"the grammar has no {kind}")


def _container(tree: "Tree[Token] | Token") -> Named | Listed | Range:
    assert isinstance(tree, Tree)
    span = Span(tree.meta.start_pos, tree.meta.end_pos)
    match tree.data, tree.children:
        case "named", [Token() as name]:
            return Named(span, str(name)[1:])
        case "range", [low, high]:
            return Range(span, _node(low), _node(high))
        case _, items:
            return Listed(span, tuple(map(_node, items)))
