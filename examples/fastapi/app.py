"""An agent for Tandem: it gets a question and streams its answer, token by token.

    uvicorn app:app --port 8000
    tandem serve --agent http://127.0.0.1:8000/chat

The place for your model is `answer`.
"""
import asyncio
import base64
import hashlib
import hmac
import json
import os
import time

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse

# The `secret` of this agent in tandem.yaml. Without one, whoever reaches this
# port can ask.
SECRET = os.environ.get("SECRET", "")

app = FastAPI()


async def answer(question):
    """Says what to say, piece by piece. Each piece is an object with one key:
    token (text), handoff, data, reasoning, tool or sources."""
    text = question["message"]
    if "person" in text.lower():
        yield {"token": "I am asking a colleague to join us."}
        yield {"handoff": {"to": "person", "reason": text, "urgency": "NORMAL"}}
        return
    name = question["user"].get("name") or "there"
    earlier = sum(1 for turn in question["history"] if turn["role"] == "user")
    reply = f"Hello {name}. You wrote: {text} (after {earlier} earlier messages)"
    for word in reply.split(" "):
        yield {"token": word + " "}
        await asyncio.sleep(0.01)  # a model takes its time, too
    yield {"sources": "examples/fastapi/app.py"}


@app.post("/chat")
async def chat(request: Request):
    body = await request.body()
    if SECRET and not signed(request.headers, body):
        raise HTTPException(status_code=401, detail="The signature is missing or wrong")
    question = json.loads(body)

    async def events():
        # When the user cancels or a person takes over, Tandem hangs up and this
        # generator is stopped where it is.
        async for piece in answer(question):
            yield f"data: {json.dumps(piece)}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


def signed(headers, body: bytes) -> bool:
    """Checks the signature the Standard Webhooks way (standardwebhooks.com)."""
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > 300:
        return False  # too old: somebody may be repeating it
    key = base64.b64decode(SECRET[len("whsec_"):] if SECRET.startswith("whsec_") else SECRET)
    payload = f"{message_id}.{timestamp}.".encode() + body
    want = b"v1," + base64.b64encode(hmac.new(key, payload, hashlib.sha256).digest())
    got = headers.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(want, one) for one in got)
