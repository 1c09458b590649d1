"""What codes mean and what to do, in the languages of ``wsdev/translations`` and in English.

In other languages code stands in backticks, so that it can be shown from left to right.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final, Literal, NamedTuple

from wsdev.codes import REFUSALS, Explanation, explain

Language = Literal["en", "fa"]


class Translation(NamedTuple):
    """The words of one language.

    Attributes:
        codes: What each code means.
        fixes: What to do, by the name of a rule.
    """

    codes: Mapping[str, Explanation]
    fixes: Mapping[str, str]

    def explain(self, code: str) -> Explanation | None:
        """As :func:`wsdev.codes.explain`."""
        return self.codes.get(code) or explain(code)

    def fix(self, name: str, english: str) -> str:
        """What to do, as a text to be filled in."""
        return self.fixes.get(name, english)


ENGLISH: Final = Translation({}, {})


@cache
def translation(language: Language) -> Translation:
    """The words of a language; the first look at each takes some milliseconds."""
    if language == "en":
        return ENGLISH
    file = resources.files("wsdev") / "translations" / f"{language}.toml"
    table = tomllib.loads(file.read_text("utf-8"))
    faults = table["faults"]
    # The probe says of a refusal what the gateway says.
    told = {code: faults[code] for code in REFUSALS.keys() & faults.keys()}
    codes = {code: Explanation(words["what"], words["fix"]) for code, words in told.items()}
    for code, words in table["codes"].items():
        codes[code] = Explanation(words["message"], words["hint"])
    return Translation(codes, {name: words["fix"] for name, words in table["fixes"].items()})
