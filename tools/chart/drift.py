"""A file that a program makes: written, or compared with what lies there."""

import sys
from pathlib import Path


def main(file: Path, content: str) -> int:
    """Writes `content`; with `--check` among the arguments only compares, and answers 1 where the file is another."""
    if "--check" not in sys.argv[1:]:
        file.write_text(content)
        return 0
    if file.exists() and file.read_text() == content:
        return 0
    sys.stderr.write(f"{file} is not what {sys.argv[0]} makes: run `make chart-docs` and commit it\n")
    return 1
