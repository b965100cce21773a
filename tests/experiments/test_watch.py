"""``xr0-sim watch``: orders change the running episode, and only this machine's page gives them."""

from __future__ import annotations

import http.client
import json
import shutil
import threading

import numpy as np
import pytest
from browser import Browser

from experiments.cli import main
from experiments.live.server import LONGEST_ORDER, MOST_VIEWERS, WAITING_FRAMES, LiveServer, Viewers
from experiments.live.session import LiveSession
from experiments.options.condition_options import ConditionOptions
from xr0_sim.errors import ConfigError

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = ConditionOptions(
    env="block_dismantling:n_bricks=2", policy="oracle", latency="100ms", event="none"
)


@pytest.fixture
def told():
    return []


@pytest.fixture
def session(told):
    return LiveSession(OPTIONS, 703, told.append)


def frames(told):
    return [message["frame"] for message in told if "frame" in message]


def steps(session, number):
    for _ in range(number):
        session.obey({"do": "step"})


def test_a_step_is_a_tick_of_the_executor(session, told):
    assert frames(told)[-1]["tick"] == 0
    steps(session, 5)
    ticks = frames(told)
    assert [frame["tick"] for frame in ticks[1:]] == [1, 2, 3, 4, 5]
    # 100 ms are three ticks of 30 Hz: the first chunk moves the robot in tick 3.
    assert [frame["hold"] for frame in ticks[1:]] == [True, True, True, False, False]
    assert len(ticks[-1]["poses"]) == 7 * session.scene["bodies"]


def test_an_event_happens_in_the_next_tick(session, told):
    steps(session, 4)
    before = session._setup.env.privileged().pos.copy()
    session.obey({"do": "event", "name": "teleport"})
    steps(session, 1)
    assert frames(told)[-1]["what"] == ["teleport"]
    assert np.abs(session._setup.env.privileged().pos - before).max() > 0.01
    steps(session, 1)
    assert frames(told)[-1]["what"] == []


def test_a_new_latency_begins_where_the_robot_is(session, told):
    steps(session, 10)
    command = session._setup.plant.robot_state().command
    session.obey({"do": "change", "option": "latency", "value": "200ms"})
    steps(session, 1)
    frame = frames(told)[-1]
    assert frame["tick"] == 11 and frame["hold"] and "200 ms" in frame["label"]
    np.testing.assert_array_equal(session._setup.plant.robot_state().command, command)
    steps(session, 6)
    assert not frames(told)[-1]["hold"]
    session.obey({"do": "change", "option": "strategy", "value": "sync"})
    assert "sync" in frames(told)[-1]["label"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ({"do": "explode"}, "order: expected one that is known"),
        ({"do": "event", "name": "towel_shove"}, "event: expected one of this task's"),
        ({"do": "change", "option": "env", "value": "x"}, "change: expected latency"),
        ({"do": "change", "option": "latency", "value": "soon"}, "soon"),
        ({"do": "change", "option": "temperature", "value": "warm"}, "expected a number"),
        ({"do": "restart", "seed": -1}, "seed: expected"),
        ({"do": "restart", "seed": True}, "seed: expected"),
        ({"do": "speed", "factor": 0}, "speed: expected a factor"),
        ({}, "order: expected one that is known"),
    ],
)
def test_what_cannot_be_done_changes_nothing(session, order, expected):
    label, seed = session._setup.condition.label, session._seed
    with pytest.raises(ConfigError, match=expected):
        session.obey(order)
    assert (session._setup.condition.label, session._seed) == (label, seed)


def test_the_loop_obeys_and_goes_on_after_a_bad_order(session, told):
    for order in ({"do": "explode"}, {"do": "speed", "factor": 10}, {"do": "play"}):
        session.order(order)
    thread = threading.Thread(target=session.run)
    thread.start()
    try:
        for _ in range(200):
            if frames(told)[-1]["tick"] >= 10:
                break
            threading.Event().wait(0.05)
        assert frames(told)[-1]["tick"] >= 10
    finally:
        session.stop()
        thread.join(20)
    assert not thread.is_alive()
    assert any("expected one that is known" in m.get("message", "") for m in told)


@pytest.fixture
def served():
    orders, viewers = [], Viewers()
    server = LiveServer(0, lambda: [{"frame": {"tick": 7}}], orders.append, viewers)
    yield server, orders, viewers
    server.close()


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read(2000)
    connection.close()
    return found


def test_only_the_page_with_the_token_gives_orders(served):
    server, orders, _ = served
    json_type = {"Content-Type": "application/json"}
    token = {"X-Token": server.token}
    order = json.dumps({"do": "play"})
    assert ask(server, "POST", "/order", order, **json_type)[0] == 403
    assert ask(server, "POST", "/order", order, **token, **json_type, Host="evil.example")[0] == 403
    assert ask(server, "GET", "/?token=wrong")[0] == 403
    assert ask(server, "POST", "/order", order, **token, **{"Content-Type": "text/plain"})[0] == 415
    assert ask(server, "POST", "/order", "x" * (LONGEST_ORDER + 1), **token, **json_type)[0] == 413
    assert ask(server, "POST", "/order", "[1]", **token, **json_type)[0] == 400
    assert ask(server, "POST", "/order", "[" * 4000, **token, **json_type)[0] == 400
    for length in ("\xb2", "9" * 5000, "-1"):
        odd = {**token, **json_type, "Content-Length": length}
        assert ask(server, "POST", "/order", "", **odd)[0] == 413
    assert not orders
    assert ask(server, "POST", "/order", order, **token, **json_type)[0] == 200
    assert orders == [{"do": "play"}]
    status, page = ask(server, "GET", f"/?token={server.token}")
    assert status == 200 and server.token.encode() in page


def test_the_rest_of_a_refused_order_is_no_request(served):
    server, orders, _ = served
    hidden = json.dumps({"do": "play"})
    hidden = (
        f"POST /order HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nX-Token: {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(hidden)}\r\n\r\n{hidden}"
    )
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("POST", "/order", hidden, {"X-Token": server.token})
    assert connection.getresponse().status == 415
    connection.close()
    threading.Event().wait(0.3)
    assert not orders


def test_who_is_behind_loses_frames_but_no_message():
    viewers = Viewers()
    waiting = viewers.join()
    viewers.publish({"message": "first"})
    for tick in range(3 * WAITING_FRAMES):
        viewers.publish({"frame": {"tick": tick}})
    found = []
    while not waiting.empty():
        found.append(waiting.get())
    assert found[0] == {"message": "first"}
    assert found[-1] == {"frame": {"tick": 3 * WAITING_FRAMES - 1}}
    assert len(found) <= WAITING_FRAMES
    others = [viewers.join() for _ in range(MOST_VIEWERS)]
    assert others[-1] is None and None not in others[:-1]
    viewers.leave(waiting)
    assert viewers.join() is not None


def test_a_taken_port_is_one_line(served, capsys):
    server, _, _ = served
    words = ["watch", "--policy", "oracle", "--port", str(server.port)]
    assert main(words) == 2
    assert "expected a free port" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")
def test_a_browser_shows_and_pushes_the_running_scene(tmp_path):
    viewers = Viewers()
    session = LiveSession(OPTIONS, 703, viewers.publish)
    server = LiveServer(
        0, lambda: [{"scene": session.scene}, {"frame": session.frame}], session.order, viewers
    )
    thread = threading.Thread(target=session.run)
    thread.start()
    try:
        with Browser(CHROMIUM, server.address, tmp_path / "profile") as browser:
            browser.until("document.body.dataset.tick === '0'")
            lit = "(() => { const c = byId('scene'), p = document.createElement('canvas');"
            lit += "p.width = p.height = 64; const pen = p.getContext('2d');"
            lit += "pen.drawImage(c, 0, 0, 64, 64); return new Set(pen.getImageData(0, 0, 64, 64)"
            lit += ".data).size })()"
            assert browser.until(lit) > 20  # more colours than an empty canvas has
            browser.value("byId('step').click()")
            browser.until("document.body.dataset.tick === '1'")
            browser.value("document.querySelector('[data-event=shove]').click()")
            browser.value("byId('latency').value = '200ms'")
            browser.value("byId('latency').dispatchEvent(new Event('change'))")
            browser.until("byId('label').textContent.includes('200 ms')")
            browser.value("byId('play').click()")
            browser.until("Number(document.body.dataset.tick) > 20")
            said = browser.value("byId('messages').textContent")
            assert "tick 2: shove" in said and "from tick 1 on" in said
    finally:
        session.stop()
        thread.join(20)
        server.close()
