// The contract as grpc-js takes it, and what errors bring with them.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const here = dirname(fileURLToPath(import.meta.url));

const definition = loader.loadSync(["speech/gateway/v1/gateway.proto", "google/rpc/error_details.proto"], {
  includeDirs: [join(here, "..", "..", "protos"), join(here, "protos")],
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
  // Unpacks google.protobuf.Any.
  json: true,
});

export const { Transcription } = grpc.loadPackageDefinition(definition).speech.gateway.v1;

/** The details of an error, by the name of their type: RetryInfo, BadRequest. */
export function details(error) {
  const [status] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!status) return {};
  const { details } = definition["google.rpc.Status"].deserialize(status);
  return Object.fromEntries(details.map((detail) => [detail["@type"]?.split(".").at(-1), detail]));
}

/** Seconds of a google.protobuf.Duration, which is null where it is not said. */
export function seconds(duration) {
  return duration ? duration.seconds + duration.nanos / 1e9 : 0;
}
