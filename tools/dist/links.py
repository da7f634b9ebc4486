"""Links between the documents that are packed: a relative one to a file that is not in the tarball is dead. Headings are not
looked at."""

import re
from pathlib import Path
from typing import List
from urllib.parse import unquote

_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_TARGET = re.compile(r"\]\(<?([^)>\s]+)")
# Of another place, or of the same document.
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#")


def check(folder: Path) -> None:
    """Ends the program where a document in the folder, or below it, has a dead link."""
    found = dead(folder)
    if found:
        raise SystemExit("links of packed documents lead nowhere: " + "; ".join(found)
                         + "\nremedy: pack what they lead to, or name it without a link")


def dead(folder: Path) -> List[str]:
    """Every dead link: its document, and what it names."""
    root = folder.resolve()
    return [f"{document.relative_to(root)} → {target}" for document in sorted(root.rglob("*.md"))
            for target in _relative(document.read_text()) if not _leads(root, document, target)]


def _relative(text: str) -> List[str]:
    targets = _TARGET.findall(_CODE.sub("", text))
    return [target for target in targets if not _ELSEWHERE.match(target)]


def _leads(root: Path, document: Path, target: str) -> bool:
    path = (document.parent / unquote(target.partition("#")[0])).resolve()
    return path.is_relative_to(root) and path.exists()
