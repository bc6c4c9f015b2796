#!/usr/bin/env python3
# page_test.py - The chat page in a browser
# SPDX-License-Identifier: Apache-2.0
"""Usage: page_test.py PROGRAM SCREENSHOT.png [PROMPT]

PROGRAM is a compiled model as an executable. Drives Chromium without a window
(Debian: chromium-headless-shell, or chromium) by its DevTools protocol: JSON over two
pipes. Exits with 77 where there is none."""

import base64
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


class Browser:
    """A page in a browser, which reads from descriptor 3 and writes to 4."""

    def __init__(self, program, profile):
        browser_in, self.to = os.pipe()
        self.back, browser_out = os.pipe()

        def move_pipes():
            # Above both, so that neither is closed under the other.
            pair = [os.dup2(fd, 10 + i) for i, fd in enumerate((browser_in, browser_out))]
            for i, fd in enumerate(pair):
                os.dup2(fd, 3 + i)
        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--window-size=900,700", "--user-data-dir=" + profile, "--remote-debugging-pipe"],
            close_fds=False, preexec_fn=move_pipes, stderr=subprocess.DEVNULL)
        os.close(browser_in)
        os.close(browser_out)
        self.unread, self.last, self.session, self.complaints = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")

    def receive(self):
        while b"\0" not in self.unread:
            if not select.select([self.back], [], [], 120)[0]:
                sys.exit("the browser does not answer")
            some = os.read(self.back, 1 << 16)
            if not some:
                sys.exit("the browser ended")
            self.unread += some
        message, self.unread = self.unread.split(b"\0", 1)
        return json.loads(message)

    def note(self, event):
        """Keeps what a developer would see in red or yellow."""
        given = event["params"]
        if event["method"] == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            self.complaints.append(given["entry"]["text"])
        if event["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(given["exceptionDetails"]))
        if event["method"] == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning"):
            self.complaints.append(str(given["args"]))

    def call(self, method, **params):
        self.last += 1
        request = {"id": self.last, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        while (answer := self.receive()).get("id") != self.last:
            if "method" in answer:
                self.note(answer)
        if "error" in answer:
            sys.exit("%s: %s" % (method, answer["error"]))
        return answer["result"]

    def run(self, script):
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in found:
            sys.exit("%s: %s" % (script, found["exceptionDetails"]))
        return found["result"].get("value")

    def enter(self, selector, text):
        self.run("document.querySelector(%s).focus()" % json.dumps(selector))
        self.call("Input.insertText", text=text)
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        self.call("Input.dispatchKeyEvent", type="keyDown", text="\r", **key)
        self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def click(self, selector):
        x, y = self.run("(r => [r.x + r.width / 2, r.y + r.height / 2])"
                        "(document.querySelector(%s).getBoundingClientRect())" % json.dumps(selector))
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def wait(self, what, condition):
        deadline = time.monotonic() + 60
        while not self.run("!!(%s)" % condition):
            if time.monotonic() > deadline:
                sys.exit("the page never had " + what)
            time.sleep(0.05)

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        os.close(self.to)
        os.close(self.back)


def talk(browser, url, name, prompt, screenshot):
    browser.call("Page.navigate", url=url)
    browser.wait("the model's name", "document.title === %s" % json.dumps(name))
    browser.run("document.getElementById('max_tokens').value = 40;"
                "document.getElementById('temperature').value = 0;"
                "document.querySelector('details').open = true")
    idle = "document.getElementById('send').textContent === 'Send'"
    for turn in (1, 2):
        browser.enter("#text", prompt)
        browser.wait("an answer", "document.querySelectorAll('main small').length === %d && %s"
                     % (turn, idle))
    shown = browser.run("[...document.querySelectorAll('main p')]"
                        ".map(p => [p.className, p.textContent])")
    kinds = [kind for kind, _ in shown]
    assert kinds == ["user", "assistant"] * 2, shown
    assert shown[0][1] == prompt and shown[1][1].strip(), shown
    picture = base64.b64decode(browser.call("Page.captureScreenshot")["data"])
    assert picture.startswith(b"\x89PNG"), picture[:8]
    with open(screenshot, "wb") as file:
        file.write(picture)

    # An answer that is stopped, an error that is shown, and a new conversation.
    browser.run("document.getElementById('max_tokens').value = '';"
                "document.getElementById('text').value = %s;"
                "document.getElementById('send').click();"
                "document.getElementById('send').click()" % json.dumps(prompt))
    browser.wait("a stopped answer", idle)
    assert not browser.complaints, browser.complaints
    browser.run("document.getElementById('top_p').value = 7")
    browser.enter("#text", prompt)
    browser.wait("an error", "document.querySelector('main p.error') && " + idle)
    error = browser.run("document.querySelector('main p.error').textContent")
    assert "top_p is 7" in error, error
    browser.click("#anew")
    browser.wait("a new conversation", "document.querySelector('main').children.length === 0")
    # The one that the refused request made is the only complaint.
    assert len(browser.complaints) == 1 and "400" in browser.complaints[0], browser.complaints


def main():
    program, screenshot = sys.argv[1:3]
    prompt = sys.argv[3] if len(sys.argv) > 3 else "hello"
    chromium = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if not chromium:
        print("skipped: no Chromium (Debian: chromium-headless-shell)")
        sys.exit(77)
    server = subprocess.Popen([program, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True)
    url = re.search(r"http://[^/]+", server.stderr.readline()).group(0)
    try:
        with urllib.request.urlopen(url + "/v1/models", timeout=60) as reply:
            name = json.load(reply)["data"][0]["id"]
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            browser = Browser(chromium, profile)
            try:
                talk(browser, url + "/", name, prompt, screenshot)
            finally:
                browser.close()
    finally:
        server.terminate()
        code = server.wait(30)
        server.stderr.close()
    assert code == 0, code
    print("the page works; see", screenshot)


main()
