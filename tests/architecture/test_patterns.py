"""No pattern of ours has a possessive repeat of a group: before Python 3.11.5 it is matched wrongly (CPython gh-106052)."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.test_imports import PACKAGES, ROOT

POSSESSIVE_GROUP = re.compile(r"(?<!\\)\)(?:[*+?]|\{[^{}]*\})\+")


def possessive_groups(source: str) -> list[int]:
    """The lines with a text that has such a repeat; what a text is put together from counts as one letter, comments and docstrings not."""
    tree = ast.parse(source)
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in said:
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        else:
            continue
        if POSSESSIVE_GROUP.search(text):
            lines.append(node.lineno)
    return sorted(set(lines))


@pytest.mark.parametrize("line", [
    'x = re.compile(r"(?:a|b)*+")', 'x = rb"(a)?+"', 'x = f"(?:{y}b)++"', 'x = rf"(?:{y}){{0,{z - 1}}}+"', 'x = "(" + y + ")*+" + z',
])
def test_a_possessive_repeat_of_a_group_is_found_however_it_is_written(line):
    assert possessive_groups(f"import re\n{line}\n") == [2]


@pytest.mark.parametrize("line", [
    r'x = r"[a-z]*+\)?+\s++\d{1,2}+(?>(?:a|b)*)(?:c)+"', '"""What `(?:a)*+` does."""', "x = 1  # (?:a)*+",
])
def test_what_is_sound_everywhere_is_none(line):
    assert possessive_groups(f"{line}\n") == []


def test_no_pattern_repeats_a_group_possessively():
    found = [f"{path.relative_to(ROOT)}:{line}" for package in PACKAGES for path in (ROOT / package).rglob("*.py")
             for line in possessive_groups(path.read_text())]
    assert not found
