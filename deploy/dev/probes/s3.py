"""S3: a request signed by AWS signature version 4."""

import hashlib
import hmac
import http.client
import time
from typing import Tuple

from probes import NotReady


def make_bucket(port: int, bucket: str, access_key: str, secret_key: str, region: str) -> None:
    """Create the bucket, unless it is there: the call that a server answers only when it can write."""
    status, body = request(port, "PUT", f"/{bucket}", access_key, secret_key, region)
    if status not in (200, 409):
        raise NotReady(f"S3 on port {port}: PUT /{bucket} gave {status} {body[:200]!r}")


def request(port: int, method: str, path: str, access_key: str, secret_key: str, region: str) -> Tuple[int, bytes]:
    """The status and body of a request without a query and without a body."""
    host = f"127.0.0.1:{port}"
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    empty = hashlib.sha256(b"").hexdigest()
    signed = "host;x-amz-content-sha256;x-amz-date"
    canonical = "\n".join(
        [method, path, "", f"host:{host}", f"x-amz-content-sha256:{empty}", f"x-amz-date:{moment}", "", signed, empty]
    )
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    headers = {
        "x-amz-content-sha256": empty, "x-amz-date": moment, "content-length": "0",
        "authorization": f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={signed}, "
                         f"Signature={signature}",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotReady(f"S3 on port {port}: {error}") from None
    finally:
        connection.close()
