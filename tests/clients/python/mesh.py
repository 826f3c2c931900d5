"""A mesh by its address alone: any unary or server-streaming method with plain dictionaries, the schema by reflection.

    mesh = Mesh("127.0.0.1:8080")
    spoken = mesh.call("polyphony.tts.v1.TtsService/Synthesize", {"input": {"text": "Hello"}})

Bytes are base64 in dictionaries, as in the JSON form of protobuf, and durations are strings as "1.5s".
"""

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class Mesh:
    """An open channel to a mesh."""

    def __init__(self, address: str):
        # Answers with sound in them are larger than gRPC's default of 4 MiB for a received message.
        options = [("grpc.max_receive_message_length", 64 << 20)]
        self.channel = grpc.insecure_channel(address, options)
        self.pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def call(self, method: str, request: dict, timeout: float = 60) -> dict:
        """Calls a unary method."""
        send, parse, path = self._method(method)
        unary = self.channel.unary_unary(path, request_serializer=_bytes, response_deserializer=parse)
        return json_format.MessageToDict(unary(send(request), timeout=timeout), descriptor_pool=self.pool)

    def stream(self, method: str, requests: dict | list, timeout: float = 60):
        """Calls a streaming method; one dictionary is a server stream, a list of them a bidirectional one."""
        send, parse, path = self._method(method)
        if isinstance(requests, dict):
            streaming = self.channel.unary_stream(path, request_serializer=_bytes, response_deserializer=parse)
            responses = streaming(send(requests), timeout=timeout)
        else:
            streaming = self.channel.stream_stream(path, request_serializer=_bytes, response_deserializer=parse)
            responses = streaming(iter([send(request) for request in requests]), timeout=timeout)
        for response in responses:
            yield json_format.MessageToDict(response, descriptor_pool=self.pool)

    def _method(self, name: str):
        service, method = name.split("/")
        found = self.pool.FindServiceByName(service).FindMethodByName(method)
        request = message_factory.GetMessageClass(found.input_type)
        response = message_factory.GetMessageClass(found.output_type)
        return (
            lambda fields: json_format.ParseDict(fields, request()),
            response.FromString,
            f"/{service}/{method}",
        )


def _bytes(message) -> bytes:
    return message.SerializeToString()
