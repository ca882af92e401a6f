import socket

import grpc
import pytest

from serving.doors import DoorConfig
from serving.listening import channel_options, listen, socket_path
from support.fake_service import limits


@pytest.fixture
async def server():
    server = grpc.aio.server(options=channel_options(limits()))
    yield server
    await server.stop(None)


def left_behind(path):
    """A socket file whose process was killed."""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))


async def test_port_0_becomes_the_port_that_was_found(server):
    host, port = listen(server, "127.0.0.1:0").split(":")

    assert host == "127.0.0.1"
    assert int(port) > 0


async def test_a_socket_file_left_behind_by_a_killed_process_is_replaced(server, tmp_path):
    path = tmp_path / "door.sock"
    left_behind(path)

    assert listen(server, f"unix:{path}") == f"unix:{path}"
    await server.start()
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))


async def test_a_socket_that_somebody_listens_on_is_left_to_them(server, tmp_path):
    path = tmp_path / "door.sock"
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        with pytest.raises(OSError, match="another process listens"):
            listen(server, f"unix:{path}")
    assert path.exists()


async def test_a_file_in_the_way_is_not_removed(server, tmp_path):
    path = tmp_path / "door.sock"
    path.write_text("precious")

    with pytest.raises(OSError, match="no socket is in the way"):
        listen(server, f"unix:{path}")
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("path", "words"), [("missing/door.sock", "folder does not exist"), ("x" * 120, "may have 107 bytes")]
)
async def test_a_path_that_cannot_be_is_refused_with_the_reason(server, tmp_path, path, words):
    with pytest.raises(OSError, match=words):
        listen(server, f"unix:{tmp_path}/{path}")


@pytest.mark.parametrize(
    "address", ["256.1.1.1:0", "127.0.0.1:99999", "127.0.0.1:http", "127.0.0.1", ":50051", "nonsense"]
)
async def test_an_address_that_cannot_be_is_refused(server, address):
    with pytest.raises(OSError, match="cannot listen on"):
        listen(server, address)


def test_which_addresses_are_socket_files(tmp_path):
    assert socket_path(f"unix:{tmp_path}/a") == tmp_path / "a"
    assert socket_path(f"unix://{tmp_path}/a") == tmp_path / "a"
    assert socket_path("127.0.0.1:1") is None


def test_connections_grow_old_and_uploads_on_them_are_not_cut():
    options = dict(channel_options(limits(max_connection_age_seconds=1.5)))
    assert options["grpc.max_connection_age_ms"] == 1500
    # By default without end.
    assert "grpc.max_connection_age_grace_ms" not in options


def test_connections_may_live_for_ever():
    assert "grpc.max_connection_age_ms" not in dict(channel_options(limits(max_connection_age_seconds=0)))


def test_messages_of_four_times_the_limit_arrive_to_be_refused_with_what_is_wrong():
    options = dict(channel_options(limits(max_message_bytes=2048)))
    assert options["grpc.max_receive_message_length"] == 8192


@pytest.mark.parametrize(("recording", "arrives"), [(1024, 8192), (100_000, 100_000)])
def test_where_recordings_come_in_one_message_those_arrive_too(recording, arrives):
    config = DoorConfig(max_message_bytes=2048, max_recording_message_bytes=recording)
    assert dict(channel_options(config))["grpc.max_receive_message_length"] == arrives
