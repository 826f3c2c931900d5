"""A tour of the services: says a sentence, then hears, aligns, diarizes and measures what it said, and reads a picture.

Usage: tour.py HOST:PORT IMAGE
Prints one JSON object: what each service found.
"""

import base64
import json
import sys

from mesh import Mesh

SENTENCE = "Go forward ten meters, then turn around."


def seconds(duration: str | None) -> float:
    """The JSON form of a duration as a number; zero is left out of dictionaries."""
    return float(duration.removesuffix("s")) if duration else 0.0


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
        }


if __name__ == "__main__":
    print(json.dumps(tour(*sys.argv[1:3])))
