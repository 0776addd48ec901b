"""A browser, driven over WebDriver by nothing but the standard library.

What a page does is asked of the page: scripts run in it, and waiting is asking again until a
bounded time is over. Whatever the browser's console says is kept, for a mistake in a script is
said nowhere else. Absent on purpose: finding out where things are on the screen.
"""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

WAIT_S = 15
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Right": "\ue014", "Left": "\ue012"}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


def until(ask, what, seconds=WAIT_S):
    """Ask until the answer is true; it is the answer."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(0.05)


class Browser:
    """Chromium with one window."""

    def __init__(self, folder):
        self.port = free_port()
        driver = shutil.which("chromedriver")
        self.log = open(folder / "chromedriver.log", "w")
        self.process = subprocess.Popen(
            [driver, f"--port={self.port}"], stdout=self.log, stderr=self.log
        )
        self.session = None
        until(self._ready, "chromedriver listens")
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        arguments += ["--no-proxy-server", "--window-size=1360,900", "--hide-scrollbars"]
        arguments += [f"--user-data-dir={folder}/profile", "--disable-background-networking"]
        options = {"args": arguments, "binary": shutil.which("chromium")}
        options["prefs"] = {"download.default_directory": str(folder)}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options}
        wanted["goog:loggingPrefs"] = {"browser": "ALL"}
        answer = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = answer["sessionId"]
        self._ask("POST", "/timeouts", {"script": 60_000})
        self.said = []

    def _ready(self):
        try:
            return self._send("GET", "/status", None)["ready"]
        except OSError:
            return False

    def _send(self, method, path, body):
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        request.method = method
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise AssertionError(f"{value['error']}: {value['message']}") from None

    def _ask(self, method, path, body=None):
        return self._send(method, f"/session/{self.session}{path}", body)

    def open(self, url):
        self._ask("POST", "/url", {"url": url})

    def run(self, script, *args):
        """What a script in the page returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(args)})

    def until(self, script, *args, seconds=WAIT_S, what=None):
        return until(lambda: self.run(script, *args), what or script, seconds)

    def keys(self, text):
        """Type, wherever the focus is."""
        text = KEYS.get(text, text)
        actions = [{"type": way, "value": c} for c in text for way in ("keyDown", "keyUp")]
        source = {"type": "key", "id": "keyboard", "actions": actions}
        self._ask("POST", "/actions", {"actions": [source]})

    def cdp(self, command, **params):
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def size(self, width, height):
        self._ask("POST", "/window/rect", {"width": width, "height": height})

    def shot(self, path):
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))

    def complaints(self):
        """What the browser's console has said since the last time that is no information."""
        lines = self._ask("POST", "/se/log", {"type": "browser"})
        self.said += lines
        return [line["message"] for line in lines if line["level"] in ("SEVERE", "WARNING")]

    def close(self):
        if self.session:
            self._ask("DELETE", "")
        self.process.terminate()
        self.process.wait(timeout=20)
        self.log.close()
