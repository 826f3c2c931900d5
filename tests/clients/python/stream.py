"""Streams a recording to StreamingRecognize, knowing nothing but the address: the schema comes by reflection.

Usage: stream.py HOST:PORT FILE
Prints one JSON object: the final text, how many interim results came, and the services that reflection lists.
"""

import json
import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

CHUNK_BYTES = 8_000


def stream(address: str, path: str) -> dict:
    """Sends the file in small pieces and collects what comes back."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = descriptor_pool.DescriptorPool(database)
        method = pool.FindServiceByName("polyphony.asr.v1.AsrService").FindMethodByName("StreamingRecognize")
        request_type = message_factory.GetMessageClass(method.input_type)
        response_type = message_factory.GetMessageClass(method.output_type)

        def requests():
            config = request_type()
            config.streaming_config.interim_results = True
            config.streaming_config.config.features.enable_word_time_offsets = True
            yield config
            with open(path, "rb") as file:
                while piece := file.read(CHUNK_BYTES):
                    yield request_type(audio=piece)

        call = channel.stream_stream(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=request_type.SerializeToString,
            response_deserializer=response_type.FromString,
        )
        events, finals, interim = [], [], 0
        for response in call(requests(), timeout=60):
            kind = response.WhichOneof("event")
            events.append(kind)
            if kind != "result":
                continue
            if response.result.is_final:
                finals.append(response.result.alternatives[0].transcript)
            else:
                interim += 1
        assert events[0] == "ready" and events[-1] == "ended", events
        return {"final": " ".join(finals), "interim": interim, "services": sorted(database.get_services())}


if __name__ == "__main__":
    print(json.dumps(stream(*sys.argv[1:3])))
