// Streams a recording to StreamingRecognize with @grpc/grpc-js and the project's own proto files.
//
// Usage: NODE_PATH=DIR/node_modules node stream.js HOST:PORT FILE PROTO_DIR
// Prints one JSON object: the final text and how many interim results came.

const fs = require("node:fs");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const CHUNK_BYTES = 8_000;

const [address, file, protoDir] = process.argv.slice(2);
const definition = loader.loadSync("polyphony/asr/v1/asr.proto", { includeDirs: [protoDir], oneofs: true });
const { AsrService } = grpc.loadPackageDefinition(definition).polyphony.asr.v1;

const client = new AsrService(address, grpc.credentials.createInsecure());
const call = client.StreamingRecognize({ deadline: Date.now() + 60_000 });
const events = [];
const finals = [];
let interim = 0;

call.on("data", (response) => {
  events.push(response.event);
  if (response.event !== "result") return;
  if (response.result.isFinal) finals.push(response.result.alternatives[0].transcript);
  else interim += 1;
});
call.on("error", (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
call.on("end", () => {
  if (events[0] !== "ready" || events.at(-1) !== "ended") {
    console.error(`unexpected order of events: ${events}`);
    process.exitCode = 1;
    return;
  }
  console.log(JSON.stringify({ final: finals.join(" "), interim }));
});

call.write({ streamingConfig: { interimResults: true, config: { features: { enableWordTimeOffsets: true } } } });
const bytes = fs.readFileSync(file);
for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
  call.write({ audio: bytes.subarray(at, at + CHUNK_BYTES) });
}
call.end();
