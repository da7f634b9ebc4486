"""grpcurl, the client of gRPC that knows a server by its reflection alone: for the end-to-end tests."""

import go_program
import paths


def setup() -> None:
    go_program.build("grpcurl", "grpcurl 1", "./cmd/grpcurl", paths.LOCAL / "grpcurl" / "grpcurl",
                     "  building grpcurl from source")
