"""A tour of the services: says a sentence, then aligns, diarizes and measures what it said, reads a picture, and asks a
document.

Usage: tour.py HOST:PORT IMAGE
Prints one JSON object: what each service found.
"""

import base64
import json
import sys

from mesh import Mesh

SENTENCE = "Go forward ten meters, then turn around."
MANUAL = "# Robot\n\nThe robot turns around in four seconds. Its battery lasts for three hours.\n"
QUESTION = "How long does the battery of the robot last?"


def seconds(duration: str | None) -> float:
    """The JSON form of a duration as a number; zero is left out of dictionaries."""
    return float(duration.removesuffix("s")) if duration else 0.0


def ask(mesh: Mesh) -> dict:
    """Takes a document in, finds it, and has a question answered from it."""
    rag = "polyphony.rag.v1.RagService"
    space = mesh.call(f"{rag}/CreateSpace", {"spaceId": "tour"})["name"]
    begun = list(
        mesh.stream(
            f"{rag}/Ingest",
            [
                {"config": {"space": space}},
                {"document": {"documentId": "manual.md", "mediaType": "text/markdown"}},
                {"content": base64.b64encode(MANUAL.encode()).decode()},
            ],
        )
    )
    progress = list(mesh.stream(f"{rag}/WatchIngest", {"name": begun[0]["name"]}))
    found = mesh.call(f"{rag}/Search", {"space": space, "query": "battery"})
    events = list(mesh.stream(f"{rag}/Answer", {"space": space, "query": QUESTION}))
    completed = events[-1]["completed"]
    sources = [source for event in events for citation in event.get("citations", {}).get("citations", [])
               for source in citation["sources"]]
    place = sources[0]["anchor"]["text"]
    quoted = MANUAL.encode()[int(place.get("startByte", 0)) : int(place["endByte"])].decode()
    return {
        "ingested": progress[-1]["metadata"]["state"],
        "found": found["hits"][0]["document"],
        "answer": completed["answer"],
        "degraded": completed["receipt"].get("degraded", {}).get("reason", ""),
        "quoteIsThere": quoted == sources[0]["quote"],
    }


def tour(address: str, image: str) -> dict:
    """Calls every service once."""
    with Mesh(address) as mesh:
        spoken = mesh.call(
            "polyphony.tts.v1.TtsService/Synthesize",
            {
                "config": {"languageCode": "en-US", "enableWordTimeOffsets": True},
                "input": {"text": SENTENCE},
            },
        )
        sound = {"inline": spoken["audioContent"]}
        aligned = mesh.call(
            "polyphony.align.v1.AlignService/Align",
            {"config": {"languageCode": "en"}, "audio": sound, "text": SENTENCE},
        )
        people = mesh.call("polyphony.diar.v1.DiarService/Diarize", {"audio": sound})
        pitch = mesh.call("polyphony.analysis.v1.AnalysisService/Pitch", {"audio": sound})
        features = mesh.call(
            "polyphony.analysis.v1.AnalysisService/Features",
            {"config": {"features": ["FEATURE_KIND_LOUDNESS"]}, "audio": sound},
        )
        streamed = list(
            mesh.stream(
                "polyphony.tts.v1.TtsService/StreamingSynthesize",
                [
                    {"streamingConfig": {"config": {"languageCode": "en-US"}}},
                    {"input": {"text": SENTENCE}},
                    {"marker": {"id": "said"}},
                ],
            )
        )
        with open(image, "rb") as file:
            picture = base64.b64encode(file.read()).decode()
        read = mesh.call("polyphony.ocr.v1.OcrService/RecognizeImage", {"image": {"inline": picture}})
        voiced = [hertz for hertz in pitch["track"]["frequencyHertz"] if hertz > 0]
        return {
            "saidWords": [word["word"] for word in spoken["words"]],
            "saidStarts": [seconds(word.get("startOffset")) for word in spoken["words"]],
            "alignedWords": [word["word"] for word in aligned["words"]],
            "alignedStarts": [seconds(word.get("startOffset")) for word in aligned["words"]],
            "speakers": len(people.get("speakers", [])),
            "voicedHertz": sorted(voiced)[len(voiced) // 2] if voiced else 0.0,
            "lufs": features["loudness"]["integratedLufs"],
            "events": [next(key for key in event if key != "sequence") for event in streamed],
            "text": read["text"],
            "documents": ask(mesh),
        }


if __name__ == "__main__":
    print(json.dumps(tour(*sys.argv[1:3])))
