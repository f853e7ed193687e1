"""Parts of regular expressions that look at each byte once, whatever comes.

The possessive repeat of a group, `(?:...)*+`, is not among them: before Python 3.11.5 it goes on behind a repetition that failed halfway
(CPython gh-106052). An atomic group round the greedy repeat means the same and is right everywhere, and so is `[...]*+`.
"""

from __future__ import annotations

import re
from typing import AnyStr


def runs(plain: AnyStr, *others: AnyStr) -> AnyStr:
    """Any number of `plain`, a class of characters, and of `others`, none of which begins with one of them. Empty others are left out."""
    if isinstance(plain, bytes):
        return runs(plain.decode("latin-1"), *(other.decode("latin-1") for other in others)).encode("latin-1")
    between = "|".join(filter(None, others))
    return f"{plain}*+(?>(?:(?:{between}){plain}*+)*)" if between else f"{plain}*+"


def up_to(mark: str, *others: str, beside: str = "") -> str:
    """Any number of characters before `mark`, none of them in `beside`, and of `others`."""
    first, rest = re.escape(mark[0]), re.escape(mark[1:])
    return runs(f"[^{first}{beside}]", *others, f"{first}(?!{rest})" if rest else "")
