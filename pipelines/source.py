"""The guard before the parser: from a stranger's bytes to text that is safe to hand to ``ast.parse``.

``ast.parse`` can be crashed by nesting and slowed by size, so everything is decided on tokens first: only the words and
signs of the declarative subset pass, and their number, length and depth are bounded.
"""

from __future__ import annotations

import io
import keyword
import re
import tokenize
import unicodedata

from protocol.errors import RefusedError

MAX_BYTES = 65_536
MAX_TOKENS = 20_000
MAX_DEPTH = 40
MAX_NUMBER = 40
MAX_DOTS = 8
"""Longest dotted name in parts."""

WORDS = frozenset({"import", "from", "as", "None", "True", "False"})
SIGNS = frozenset("()[],=.-+")
KEYWORDS = frozenset(keyword.kwlist) - WORDS
_OPEN, _CLOSE = frozenset("(["), frozenset(")]")
_SILENT = frozenset({tokenize.NL, tokenize.COMMENT, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.DEDENT})
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=]")
_NUMBER = re.compile(
    r"(0|[1-9][0-9]*|[0-9]+\.[0-9]*([eE][-+]?[0-9]+)?|\.[0-9]+([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)\Z"
)


def refuse(name: str, line: int, what: str, remedy: str) -> RefusedError:
    """Return the refusal of one construct: where it is, what it is, what to do."""
    return RefusedError(f"{name}, line {line}: {what}; {remedy}")


def _invisible(char: str) -> bool:
    return char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def decode(source: bytes, name: str) -> str:
    """Return the text of a module with ``\\n`` line ends.

    Raises
    ------
    RefusedError
        It is too large, not UTF-8, or holds a byte-order mark, a NUL, a shebang, a coding cookie, a backslash, or
        characters that do not show (control, bidi and format characters).
    """
    if len(source) > MAX_BYTES:
        raise RefusedError(f"{name} has {len(source)} bytes; a pipeline module has at most {MAX_BYTES}")
    if source.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise refuse(name, 1, "starts with a byte-order mark", "save as UTF-8 without one")
    if source.startswith(b"#!"):
        raise refuse(name, 1, "starts with #!", "delete that line")
    for number, head in enumerate(source.split(b"\n", 2)[:2], 1):
        if _COOKIE.match(head):
            raise refuse(name, number, "has a coding cookie", "delete it and save as UTF-8")
    try:
        text = source.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise refuse(name, line, f"byte 0x{source[error.start]:02x} is not UTF-8", "save as UTF-8") from error
    for at, char in enumerate(text):
        if char == "\\" or (not char.isprintable() and _invisible(char)):
            line = text.count("\n", 0, at) + 1
            raise refuse(name, line, f"holds the character U+{ord(char):04X}", "delete it")
    return text


def _word(token: tokenize.TokenInfo, name: str) -> None:
    word, line = token.string, token.start[0]
    if word in KEYWORDS:
        remedy = "delete that line: a pipeline module holds imports, assignments and constructor calls only"
        raise refuse(name, line, f"uses `{word}`", remedy)
    if not word.isascii():
        raise refuse(name, line, f"names {word[:40]!r}", "use ASCII names")
    if word.startswith("__"):
        raise refuse(name, line, f"names {word[:40]}", "use a name without leading underscores")


def _sign(token: tokenize.TokenInfo, before: tokenize.TokenInfo, name: str) -> None:
    sign, line = token.string, token.start[0]
    if sign == "<":
        raise refuse(name, line, "uses `<`, as of a printed object", "import what it is and write its name")
    if sign not in SIGNS:
        raise refuse(name, line, f"uses `{sign[:10]}`", "write plain names, calls, numbers, strings, tuples and lists")
    after_value = before.type in (tokenize.NAME, tokenize.STRING, tokenize.NUMBER) or before.string in (")", "]")
    if sign in "-+" and (after_value or before.string in ("-", "+")):
        raise refuse(name, line, f"computes with `{sign}`", "write the result as one number")
    if sign == "[" and after_value:
        raise refuse(name, line, "takes an item with [...]", "write the value itself")
    if sign == "(" and after_value and before.type != tokenize.NAME:
        raise refuse(name, line, "calls the result of a call", "assign it a name or write one constructor call")
    if sign == "." and before.type != tokenize.NAME:
        raise refuse(name, line, "takes an attribute of a value", "call a constructor instead of a method")


def _literal(token: tokenize.TokenInfo, name: str) -> None:
    text, line = token.string, token.start[0]
    if token.type == tokenize.NUMBER and (len(text) > MAX_NUMBER or not _NUMBER.match(text)):
        raise refuse(name, line, f"has the number {text[:40]}", "write a plain decimal number")
    if token.type == tokenize.STRING and text[0] not in "'\"":
        raise refuse(name, line, f"has the string {text[:20]}", "write it without a prefix")


def _check(token: tokenize.TokenInfo, before: tokenize.TokenInfo, name: str) -> None:
    match token.type:
        case tokenize.NAME:
            _word(token, name)
        case tokenize.OP:
            _sign(token, before, name)
        case tokenize.NUMBER | tokenize.STRING:
            _literal(token, name)
        case tokenize.INDENT:
            raise refuse(name, token.start[0], "is indented", "start every statement at the margin")
        case kind if kind not in _SILENT:
            raise refuse(name, token.start[0], f"holds {token.string[:20]!r}", "delete it")


def guard(text: str, name: str) -> None:
    """Walk over the tokens and let only the subset's words and signs pass, within the bounds.

    Raises
    ------
    RefusedError
        Naming the line, the token and what to do.
    """
    depth = dots = 0
    before = tokenize.TokenInfo(tokenize.NEWLINE, "", (0, 0), (0, 0), "")
    try:
        for count, token in enumerate(tokenize.generate_tokens(io.StringIO(text).readline)):
            _check(token, before, name)
            depth += (token.string in _OPEN) - (token.string in _CLOSE)
            dots = dots + 1 if token.string == "." else dots if before.string == "." else 0
            if depth > MAX_DEPTH or dots >= MAX_DOTS:
                raise refuse(
                    name, token.start[0], "nests too deeply", f"use at most {MAX_DEPTH} brackets in each other"
                )
            if count > MAX_TOKENS:
                raise refuse(name, token.start[0], f"has over {MAX_TOKENS} tokens", "make the pipeline smaller")
            if token.type not in (tokenize.NL, tokenize.COMMENT):
                before = token
    except (tokenize.TokenError, SyntaxError) as error:
        line = error.args[1][0] if isinstance(error, tokenize.TokenError) else (error.lineno or 1)
        raise refuse(name, line, f"is not Python ({error.args[0]})", "close brackets and quotes") from error
