"""MinIO, the S3 server of the integration tests, built from source by the machine's Go toolchain.

Its authors publish no binaries any more, and the module proxy serves no release tags, so the lock pins
a commit. It is a tool of development, under the AGPL: no part of it is linked into Sightline or shipped.
"""

import go_program
import paths


def setup() -> None:
    go_program.build(
        "s3", "s3 1", ".", paths.S3 / "minio",
        "  building MinIO from source: 0.25 GB to download, 2.3 GB of room meanwhile, 4 to 8 minutes on two cores")
