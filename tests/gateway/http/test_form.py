"""Forms come in pieces of any length."""

import asyncio

import hypothesis.strategies as st
from hypothesis import given

from gateway.http.form import Field, FileStart, pieces
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
