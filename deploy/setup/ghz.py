"""ghz, which loads a gRPC server from many clients at once: for `make bench-query`."""

import go_program
import paths


def setup() -> None:
    go_program.build("ghz", "ghz 1", "./cmd/ghz", paths.LOCAL / "ghz" / "ghz", "  building ghz from source")
