"""Exit code 0 where a service on this machine says that it is SERVING: `python healthcheck.py HOST:PORT`.

For images, whose slim base has no gRPC probe. Kubernetes asks for itself. The address has to speak plain text, as that of
--health-address always does: one that speaks TLS might want a certificate.
"""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

# Below the HEALTHCHECK's own timeout, so that it is this script that says what is wrong.
_TIMEOUT_SECONDS = 4.0


def main(address: str) -> int:
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
