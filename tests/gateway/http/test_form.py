"""Forms come in pieces of any length."""

import asyncio
import contextlib

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from gateway.http.form import Field, FileStart, pieces
from serving.errors import InvalidRequest
from support.gateway.http import BOUNDARY, CONTENT_TYPE, form


def read(chunks):
    async def coming():
        for chunk in chunks:
            yield chunk

    async def all_pieces():
        return [piece async for piece in pieces(CONTENT_TYPE, coming())]

    return asyncio.run(all_pieces())


def joined(found):
    """Fields, and the file with all of its bytes."""
    audio = b"".join(piece for piece in found if isinstance(piece, bytes))
    return [piece for piece in found if not isinstance(piece, bytes)], audio


# Bytes that look like the form's own come up often.
AUDIO = st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"--", BOUNDARY.encode(), b"\r\n--", b"\r\n--bound", b"\0", b"RIFF"])
).map(b"".join)


@given(AUDIO.filter(lambda audio: b"\r\n--boundary" not in b"\r\n" + audio + b"\r\n"), st.data())
def test_a_form_is_the_same_however_it_is_cut(audio, data):
    whole = form(("model", "whisper-1"), ("file", audio), ("prompt", "caf\u00e9"))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    found, heard = joined(read(chunks))
    assert heard == audio
    assert found == [Field("model", "whisper-1"), FileStart("talk.wav"), Field("prompt", "caf\u00e9")]


def test_what_follows_the_form_is_passed_over():
    whole = form(("file", b"audio"))
    assert joined(read([whole + b"\r\nepilogue"])) == joined(read([whole]))


MUTATIONS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=4)), max_size=8)


@given(MUTATIONS)
@example([(36, 0, b"*=utf-8''%ff")])
def test_whatever_comes_is_read_or_refused(mutations):
    broken = bytearray(form(("model", "whisper-1"), ("file", b"audio" * 30), ("prompt", "x")))
    for place, removed, added in mutations:
        broken[place : place + removed] = added
    with contextlib.suppress(InvalidRequest):
        read([bytes(broken)])


# As headers are handed on, a character for each byte.
HEADERS = st.text(st.characters(max_codepoint=255), max_size=60)


@given(HEADERS | HEADERS.map("multipart/form-data; boundary={}".format))
def test_whatever_the_body_is_called_is_taken_or_refused(content_type):
    async def nothing():
        return
        yield b""

    async def first():
        async for _ in pieces(content_type, nothing()):
            pass

    with pytest.raises(InvalidRequest):
        asyncio.run(first())
