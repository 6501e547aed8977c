"""An agent that answers in every form, as FastAPI and uvicorn put it on the wire."""
import asyncio
import json

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel

app = FastAPI()


class Question(BaseModel):
    message: str
    message_id: str


async def pieces(*parts):
    for part in parts:
        yield part
        await asyncio.sleep(0.005)


def stream(media_type, *parts):
    return StreamingResponse(pieces(*parts), media_type=media_type)


@app.post("/tokens")
async def tokens(q: Question):
    return stream("text/event-stream", *(f"data: {w}\n\n" for w in ["Hello", " world", ".", " {}"]), "data: [DONE]\n\n")


@app.post("/lines")
async def lines(q: Question):
    return stream("application/x-ndjson", *(json.dumps(o) + "\n" for o in [{"token": q.message}, {"sources": ["A"]}, {"x": 1}]))


@app.post("/text")
async def text(q: Question):
    return stream("text/plain", *(bytes([b]) for b in "café 😀".encode()))


@app.post("/whole")
async def whole(q: Question):
    return {"answer": q.message, "handoff": {"to": "person", "reason": "r", "urgency": "critical"}}


@app.post("/string")
async def string(q: Question):
    return "just a string"


@app.post("/page")
async def page(q: Question):
    return PlainTextResponse("all at once")


@app.post("/later", status_code=202)
async def later(q: Question):
    return {"queued": True}


@app.post("/silent")
async def silent(q: Question):
    return Response(status_code=204)


@app.post("/dies")
async def dies(q: Question):
    async def parts():
        yield "data: one\n\n"
        await asyncio.sleep(0.02)
        raise RuntimeError("as apps do")

    return StreamingResponse(parts(), media_type="text/event-stream")


@app.post("/fails")
async def fails(q: Question):
    raise RuntimeError("as apps do")


class Other(BaseModel):
    text: str


@app.post("/other")
async def other(q: Other):
    return "never"


running = 0


@app.post("/forever")
async def forever(q: Question):
    async def parts():
        global running
        running += 1
        try:
            while True:
                yield "data: x\n\n"
                await asyncio.sleep(0.005)
        finally:
            running -= 1

    return StreamingResponse(parts(), media_type="text/event-stream")


@app.post("/running")
async def count(q: Question):
    return str(running)
