"""A headless Chromium that is told what to do over a pipe, without a network."""

from __future__ import annotations

import json
import os
import subprocess
import time

FLAGS = (
    "--headless=new --no-sandbox --use-gl=angle --use-angle=swiftshader --no-proxy-server "
    "--enable-unsafe-swiftshader --remote-debugging-pipe --window-size=1000,1000"
).split()


class Browser:
    """One page; closes with the ``with`` block."""

    def __init__(self, chromium, address, profile):
        (asked, self._ask), (self._hear, heard) = os.pipe(), os.pipe()

        def in_place():
            # Chromium reads orders from descriptor 3 and answers on 4.
            os.dup2(asked, 103), os.dup2(heard, 104)
            os.dup2(103, 3), os.dup2(104, 4)

        command = [chromium, *FLAGS, f"--user-data-dir={profile}", address]
        self._process = subprocess.Popen(
            command, preexec_fn=in_place, close_fds=False, stderr=subprocess.DEVNULL
        )
        os.close(asked), os.close(heard)
        self._number, self._rest, self._session = 0, b"", None
        target = self.until(self._page)
        found = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._ask), os.close(self._hear)

    def value(self, script):
        """What a JavaScript expression comes to."""
        found = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, question, seconds=30.0):
        """Asks, a function or JavaScript, until the answer is true."""
        end = time.monotonic() + seconds
        while True:
            answer = question() if callable(question) else self.value(question)
            if answer or time.monotonic() > end:
                assert answer, question
                return answer
            time.sleep(0.1)

    def _page(self):
        targets = self._call("Target.getTargets")["targetInfos"]
        return next((t["targetId"] for t in targets if t["type"] == "page"), None)

    def _call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._ask, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                more = os.read(self._hear, 1 << 16)
                assert more, "the browser has gone"
                self._rest += more
            line, self._rest = self._rest.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
