"""The Persian of faults, notes, codes and fixes, in ``wsdev/translations``, beside their English.

Each entry holds a hash of the English that was translated, so that a stale one shows.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from wsdev.codes import BREAKS, BROKEN_CLOSES, CLOSE_MEANINGS, REFUSALS, explain
from wsdev.diagnosis.diagnose import REMARKS
from wsdev.diagnosis.verdict import FAULTS
from wsdev.remedies import OTHER_CODES, RULES

FILE = Path(__file__).parent.parent / "wsdev" / "translations" / "fa.toml"

Texts = dict[str, str]
"""What is told of one fault, note, code or rule, such as ``what``, ``why`` and ``fix``."""


def english() -> dict[str, Texts]:
    """All that is translated, by the name of its entry: ``faults.refused``."""
    told = {
        f"faults.{code}": {"what": fault.what, "why": fault.why, "fix": fault.fix}
        for code, fault in FAULTS.items()
    }
    told |= {f"notes.{code}": {"what": what, "fix": fix} for code, (what, fix) in REMARKS.items()}
    words = [*REFUSALS, *BREAKS, *(CLOSE_MEANINGS[code].word for code in sorted(BROKEN_CLOSES))]
    for code in words:
        if code in REFUSALS and code in FAULTS:
            continue
        meaning = explain(code)
        assert meaning is not None
        told[f"codes.{code}"] = {"message": meaning.message, "hint": meaning.hint}
    fixes = {rule.name: rule.fix for rule in RULES} | dict([OTHER_CODES])
    return told | {f"fixes.{name}": {"fix": fix} for name, fix in fixes.items()}


def persian(text: str | None = None) -> dict[str, Texts]:
    """The entries of the file, or of its text, with the hash as ``of``."""
    document = tomllib.loads(FILE.read_text(encoding="utf-8") if text is None else text)
    return {
        f"{table}.{code}": entry
        for table, entries in document.items()
        for code, entry in entries.items()
    }


def digest(texts: Texts) -> str:
    """A short hash of an English text."""
    whole = "\n".join(texts[key] for key in sorted(texts))
    return hashlib.sha256(whole.encode()).hexdigest()[:8]


def troubles(translated: dict[str, Texts]) -> list[str]:
    """What is wrong with a translation: missing, superfluous, stale, or not whole."""
    originals = english()
    found = [f"{name}: not translated" for name in originals if name not in translated]
    for name, entry in translated.items():
        if name not in originals:
            found.append(f"{name}: no such code")
        elif entry.keys() - {"of"} != originals[name].keys():
            found.append(f"{name}: needs {', '.join(originals[name])}")
        elif entry.get("of") != digest(originals[name]):
            found.append(f"{name}: the English text has changed")
    return found


def stamped(text: str, codes: Iterable[str]) -> str:
    """The file's text, with the hashes of today's English at the entries of these codes.

    Raises:
        ValueError: a code has no entry, or none of it is English.
    """
    originals = english()
    for code in codes:
        names = [name for name in persian(text) if name.partition(".")[2] == code]
        if not names or not originals.keys() >= set(names):
            raise ValueError(f"{code}: not in the tables, or not in {FILE.name}")
        for name in names:
            head = rf"^\[{re.escape(name)}\]\n"
            line = f'of = "{digest(originals[name])}"\n'
            text = re.sub(rf"({head})(?:of = .*\n)?", rf"\g<1>{line}", text, flags=re.MULTILINE)
    return text
