// Transcribes a recording through the gateway: segments go to standard error as they come, the transcript to standard output.
//
//   node client.mjs [--ca FILE [--certificate FILE --key FILE] [--token-file FILE]] HOST:PORT RECORDING
import { createReadStream, readFileSync } from "node:fs";
import { basename } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";

import grpc from "@grpc/grpc-js";

import { details, seconds, Transcription } from "./contract.mjs";

const CHUNK_BYTES = 128 * 1024;

// A gateway that vanished is noticed within 80 s. Services refuse pings that come sooner than every 15 s.
const OPTIONS = { "grpc.keepalive_time_ms": 60_000, "grpc.keepalive_timeout_ms": 20_000 };

/** Plain text without an authority; a token goes over TLS only. */
function credentials({ ca, certificate, key, "token-file": tokenFile }) {
  if (!ca) {
    if (certificate || key || tokenFile) throw new Error("--certificate, --key and --token-file need --ca");
    return grpc.credentials.createInsecure();
  }
  const read = (path) => path && readFileSync(path);
  const channel = grpc.credentials.createSsl(read(ca), read(key), read(certificate));
  return tokenFile ? grpc.credentials.combineChannelCredentials(channel, bearer(tokenFile)) : channel;
}

/** The token is read for each call, so that the file may be renewed. */
function bearer(path) {
  return grpc.credentials.createFromMetadataGenerator((_, done) => {
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${readFileSync(path, "utf8").trim()}`);
    done(null, metadata);
  });
}

/** A config first, then the recording's bytes, then an explicit end: an upload that only stops was abandoned. */
async function* upload(path) {
  yield { config: { audio_format: { container: { name: basename(path) } } } };
  for await (const audio of createReadStream(path, { highWaterMark: CHUNK_BYTES })) yield { audio };
  yield { end_of_audio: {} };
}

/** The contract's replay rule: a known id is replaced, superseded ones are dropped. */
function apply(segment, segments) {
  for (const id of segment.supersedes) segments.delete(id);
  segments.set(segment.segment_id, segment);
}

function line({ span, speaker, speaker_final, text }) {
  const time = (duration) => seconds(duration).toFixed(1);
  return `[${time(span.start)} - ${time(span.end)}] ${speaker}${speaker_final ? "" : "?"}: ${text}`;
}

async function transcribe(client, path) {
  const segments = new Map();
  let completed = null;
  // Holds the upload back where the gateway does, and the events where this end does.
  await pipeline(Readable.from(upload(path)), client.Transcribe(), async (events) => {
    for await (const { segment, completed: end } of events) {
      if (segment) {
        apply(segment, segments);
        console.error(line(segment));
      }
      completed ??= end;
    }
  });
  if (completed.partial) console.error("partial: a stage failed, and its work is missing");
  return [...segments.values()].sort((a, b) => seconds(a.span.start) - seconds(b.span.start));
}

function explained(error) {
  if (error.code === undefined || !error.details) return error.message;
  const { RetryInfo, BadRequest } = details(error);
  const field = BadRequest ? `${BadRequest.field_violations[0].field}: ` : "";
  const retry = RetryInfo ? `; try again in ${Math.ceil(seconds(RetryInfo.retry_delay))} s` : "";
  return `${grpc.status[error.code]}: ${field}${error.details}${retry}`;
}

async function main() {
  const options = Object.fromEntries(["ca", "certificate", "key", "token-file"].map((name) => [name, { type: "string" }]));
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [address, path] = positionals;
  if (!path) throw new Error("usage: node client.mjs [options] HOST:PORT RECORDING");
  const client = new Transcription(address, credentials(values), OPTIONS);
  try {
    for (const segment of await transcribe(client, path)) console.log(line(segment));
  } finally {
    client.close();
  }
}

main().catch((error) => {
  console.error(explained(error));
  process.exitCode = 1;
});
