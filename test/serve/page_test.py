#!/usr/bin/env python3
# page_test.py - The chat page in a browser
# SPDX-License-Identifier: Apache-2.0
"""Usage: page_test.py PROGRAM SCREENSHOT.png [PROMPT]

PROGRAM is a compiled model as an executable. Drives Chromium without a window
through chromedriver (Debian: chromium-driver), whose protocol is HTTP and JSON.
Exits with 77 where there is none."""

import base64
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ENTER = "\ue007"


class Browser:
    def __init__(self, driver, profile):
        self.process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if match := re.search(r"started successfully on port (\d+)", line):
                break
        else:
            sys.exit("chromedriver did not start")
        self.url = "http://127.0.0.1:%s/session" % match.group(1)
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu",
                            "--disable-dev-shm-usage", "--window-size=900,700",
                            "--user-data-dir=" + profile]}
        session = self.call("POST", "", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.url += "/" + session["sessionId"]

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            self.url + path, method=method, headers={"Content-Type": "application/json"},
            data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            sys.exit("%s %s: %s" % (method, path, error.read().decode()[:400]))

    def run(self, script, *args):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def element(self, selector):
        found = self.call("POST", "/element", {"using": "css selector", "value": selector})
        return next(iter(found.values()))

    def type(self, selector, text):
        self.call("POST", "/element/%s/value" % self.element(selector), {"text": text})

    def click(self, selector):
        self.call("POST", "/element/%s/click" % self.element(selector), {})

    def wait(self, what, script):
        deadline = time.monotonic() + 60
        while not self.run("return " + script):
            if time.monotonic() > deadline:
                sys.exit("the page never had " + what)
            time.sleep(0.05)

    def close(self):
        self.call("DELETE", "")
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()


def talk(browser, url, name, prompt, screenshot):
    browser.call("POST", "/url", {"url": url})
    browser.wait("the model's name", "document.title === %s" % json.dumps(name))
    browser.run("document.getElementById('max_tokens').value = 40;"
                "document.getElementById('temperature').value = 0;"
                "document.querySelector('details').open = true")
    idle = "document.getElementById('send').textContent === 'Send'"
    for turn in (1, 2):
        browser.type("#text", prompt + ENTER)
        browser.wait("an answer", "document.querySelectorAll('main small').length === %d && %s"
                     % (turn, idle))
    shown = browser.run("return [...document.querySelectorAll('main p')]"
                        ".map(p => [p.className, p.textContent])")
    kinds = [kind for kind, _ in shown]
    assert kinds == ["user", "assistant"] * 2, shown
    assert shown[0][1] == prompt and shown[1][1].strip(), shown
    picture = base64.b64decode(browser.call("GET", "/screenshot"))
    assert picture.startswith(b"\x89PNG"), picture[:8]
    with open(screenshot, "wb") as file:
        file.write(picture)

    # An answer that is stopped, an error that is shown, and a new conversation.
    browser.run("document.getElementById('max_tokens').value = ''")
    browser.run("document.getElementById('text').value = arguments[0];"
                "document.getElementById('send').click();"
                "document.getElementById('send').click()", prompt)
    browser.wait("a stopped answer", idle)
    browser.run("document.getElementById('top_p').value = 7")
    browser.type("#text", prompt + ENTER)
    browser.wait("an error", "document.querySelector('main p.error') && " + idle)
    error = browser.run("return document.querySelector('main p.error').textContent")
    assert "top_p is 7" in error, error
    browser.click("#anew")
    assert browser.run("return document.querySelector('main').children.length") == 0

    # The one that the refused request made is the only complaint.
    log = browser.call("POST", "/se/log", {"type": "browser"})
    complaints = [e["message"] for e in log if e["level"] in ("SEVERE", "WARNING")]
    assert len(complaints) == 1 and "400" in complaints[0], complaints


def main():
    program, screenshot = sys.argv[1:3]
    prompt = sys.argv[3] if len(sys.argv) > 3 else "hello"
    driver = shutil.which("chromedriver")
    if not driver:
        print("skipped: no chromedriver (Debian: chromium-driver)")
        sys.exit(77)
    server = subprocess.Popen([program, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True)
    url = re.search(r"http://[^/]+", server.stderr.readline()).group(0)
    try:
        with urllib.request.urlopen(url + "/v1/models", timeout=60) as reply:
            name = json.load(reply)["data"][0]["id"]
        with tempfile.TemporaryDirectory() as profile:
            browser = Browser(driver, profile)
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
