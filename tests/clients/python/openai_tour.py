"""OpenAI's own package, unchanged, against the mesh: models, chat, streaming, tools, embeddings, errors.

Usage: openai_tour.py URL MODEL [EMBEDDING_MODEL]
Prints one JSON object of what came back.
"""

import json
import sys

import openai

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def streamed(client: openai.OpenAI, model: str, **options) -> dict:
    """A streamed answer: its text, how many pieces, how it ended, and its usage if it was asked for."""
    text, pieces, reason, usage = "", 0, None, None
    question = [{"role": "user", "content": "Say one two three."}]
    for chunk in client.chat.completions.create(model=model, messages=question, stream=True, max_tokens=16, **options):
        for choice in chunk.choices:
            if choice.delta.content:
                text += choice.delta.content
                pieces += 1
            reason = choice.finish_reason or reason
        usage = chunk.usage or usage
    return {"text": text, "pieces": pieces, "reason": reason, "usage": usage.total_tokens if usage else None}


def tools(client: openai.OpenAI, model: str) -> dict:
    """A call of a tool, and the answer to its result."""
    conversation = [{"role": "user", "content": "What is the weather in Kyiv?"}]
    first = client.chat.completions.create(model=model, messages=conversation, tools=[TOOL]).choices[0]
    call = first.message.tool_calls[0]
    conversation += [first.message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    second = client.chat.completions.create(model=model, messages=conversation, tools=[TOOL]).choices[0]
    return {
        "reason": first.finish_reason,
        "name": call.function.name,
        "arguments": json.loads(call.function.arguments),
        "answer": second.message.content,
    }


def main() -> None:
    url, model, *others = sys.argv[1:]
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=60)
    chat = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=16, temperature=0
    )
    result = {
        "models": sorted(entry.id for entry in client.models.list()),
        "model": client.models.retrieve(model).id,
        "chat": chat.choices[0].message.content,
        "usage": chat.usage.total_tokens if chat.usage else None,
        "stream": streamed(client, model),
        "streamWithUsage": streamed(client, model, stream_options={"include_usage": True}),
    }
    if others:
        vectors = client.embeddings.create(model=others[0], input=["Hi", "Hello"]).data
        result["embeddings"] = [entry.embedding[:4] for entry in vectors]
        result["tools"] = tools(client, model)
    try:
        client.chat.completions.create(model="there-is-none", messages=[{"role": "user", "content": "Hi"}])
    except openai.NotFoundError as error:
        result["unknown"] = error.code
    print(json.dumps(result))


if __name__ == "__main__":
    main()
