import http.client
import signal
import socket
import threading
import time

import pytest
from remote_toys import HORIZON, VIEW, Toy, description, message, server
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from policies.remote import server as server_module
from policies.remote.authorization import HEADER
from policies.remote.connection import Connection
from policies.remote.description import Description
from policies.remote.session import ServedPolicy
from xr0_sim.errors import ConfigError
from xr0_sim.wire import pack, unpack


def client(url, **options):
    return connect(url, compression=None, max_size=None, **options)


def ask(talk, **changed):
    talk.send(pack(message(**changed)))
    return talk.recv(timeout=20)


def status_of(url, **options):
    with pytest.raises(InvalidStatus) as error, client(url, **options):
        pass
    return error.value.response.status_code


def get(serving, path):
    asked = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=10)
    asked.request("GET", path)
    answer = asked.getresponse()
    return answer.status, answer.read()


def test_the_first_frame_describes_the_policy():
    with server(facts={"task": "block_dismantling"}) as serving, client(serving.url) as talk:
        found = unpack(talk.recv())
        ask(talk)
        assert serving.metadata()["latency_ms"]["n"] == 1
    assert found["horizon"] == HORIZON and found["views"] == [VIEW] and found["image_size"] == 96
    assert found["capabilities"] == ["prefix", "samples"] and found["control_hz"] == 30
    assert found["robot"]["joint_pos"] == [2, 6] and found["latency_ms"] == {"n": 0}
    assert Description.read(found) == serving.served.description


def test_it_listens_on_this_machine_alone_unless_told():
    with server() as serving:
        assert serving.url == f"ws://127.0.0.1:{serving.port}"


def test_several_clients_take_turns_and_none_hears_the_other():
    with server() as serving:
        found = {}

        def talk(number):
            with client(serving.url) as own:
                own.recv()
                replies = [unpack(ask(own, noise_seed=[number, k])) for k in range(20)]
                found[number] = [reply["actions"][0, 0] for reply in replies]

        threads = [threading.Thread(target=talk, args=(number,)) for number in range(4)]
        [thread.start() for thread in threads]
        [thread.join(30) for thread in threads]
    assert len(found) == 4
    for values in found.values():
        assert values == pytest.approx([-1 + 1e-3 * k for k in range(20)])


def test_only_the_key_opens():
    with server(api_key="open sesame") as serving:
        assert status_of(serving.url) == 401
        for wrong in ("", "open sesame", "Api-Key open", "Api-Key öffne", "Bearer open sesame"):
            assert status_of(serving.url, additional_headers={HEADER: wrong}) == 401
        with client(serving.url, additional_headers={HEADER: "Api-Key open sesame"}) as talk:
            talk.recv()
            assert isinstance(ask(talk), bytes)
        assert get(serving, "/healthz") == (200, b"OK\n")


def test_health_is_answered_and_a_page_of_a_browser_is_not():
    with server() as serving:
        assert get(serving, "/healthz") == (200, b"OK\n")
        assert get(serving, "/")[0] == 426
        assert status_of(serving.url, origin="https://example.com") == 403


def test_an_oversize_frame_ends_its_connection_alone():
    with server(max_bytes=10_000) as serving, client(serving.url) as good:
        good.recv()
        with client(serving.url) as large:
            large.recv()
            large.send(bytes(20_000))
            with pytest.raises(ConnectionClosed) as error:
                large.recv(timeout=10)
            assert error.value.rcvd.code == 1009
        assert isinstance(ask(good), bytes)


def test_more_clients_than_there_is_room_for_are_told_to_come_later():
    with server(max_clients=1) as serving:
        with client(serving.url) as talk:
            talk.recv()
            assert status_of(serving.url) == 503
        deadline = time.monotonic() + 10
        while serving._clients and time.monotonic() < deadline:
            time.sleep(0.01)
        with client(serving.url) as talk:
            talk.recv()


def test_who_stops_in_the_middle_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(server_module, "HANDSHAKE_S", 1.0)
    monkeypatch.setattr(server_module, "PING_S", 1.0)
    with server() as serving, client(serving.url) as good:
        good.recv()
        slow = socket.create_connection(("127.0.0.1", serving.port))
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")  # a handshake that never ends
        slow.settimeout(20)
        while slow.recv(1000):
            pass
        with client(serving.url, ping_interval=None) as talk:
            talk.recv()
            raw = talk.socket
            raw.sendall(b"\x82\xfe\x10\x00mask")  # a frame of 4096 bytes that never come
            began = time.monotonic()
            with pytest.raises(ConnectionClosed):
                talk.recv(timeout=20)
            assert time.monotonic() - began < 15
        assert isinstance(ask(good), bytes)


def test_a_policy_that_fails_ends_the_connection_and_not_the_server():
    model = Toy(fault=ZeroDivisionError("private"))
    with server(model) as serving:
        with client(serving.url) as talk:
            talk.recv()
            reply = ask(talk)
            assert reply == "the policy failed; the log of its server says why"
            with pytest.raises(ConnectionClosed) as error:
                talk.recv(timeout=10)
            assert error.value.rcvd.code == 1011
        model.fault = None
        with client(serving.url) as talk:
            talk.recv()
            assert isinstance(ask(talk), bytes)


def test_a_policy_that_cannot_be_bound_is_told_to_its_client_in_one_line(caplog):
    def bind():
        raise ZeroDivisionError("private")

    def load():
        return ServedPolicy(bind, description())

    with server_module.PolicyServer(load, port=0) as serving:
        with pytest.raises(ConfigError, match="the policy failed; the log of its server says why"):
            Connection(serving.url).open()
    assert "private" in caplog.text


def test_it_stops_after_the_inference_under_way():
    model = Toy(sleep_s=0.5)
    serving = server(model).start()
    with client(serving.url) as talk, client(serving.url) as idle:
        talk.recv(), idle.recv()
        talk.send(pack(message()))
        while not model.seen:
            time.sleep(0.01)
        serving.stop()
        assert unpack(talk.recv(timeout=5))["actions"].shape == (HORIZON, 14)
        for connection in (talk, idle):
            with pytest.raises(ConnectionClosed) as error:
                connection.recv(timeout=5)
            assert error.value.rcvd.code == 1001
    assert serving.stopped
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", serving.port), timeout=1)


def test_an_address_in_use_is_said_in_one_line():
    with server() as serving:
        with pytest.raises(ConfigError, match=r"expected to listen on .*choose another --port"):
            server(port=serving.port).start()


def test_a_policy_that_cannot_be_loaded_is_told():
    def load():
        raise ConfigError("no such weights")

    with pytest.raises(ConfigError, match="no such weights"):
        server_module.PolicyServer(load, port=0).start()


def test_signals_stay_with_the_main_thread():
    before = signal.getsignal(signal.SIGINT)
    with server():
        assert signal.getsignal(signal.SIGINT) is before
