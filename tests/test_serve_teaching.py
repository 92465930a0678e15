"""The teaching part of the page in a browser, where the server and a recording meet.

The whole way from clips to a bundle is in test_teach_page.py.
"""

import json
import re
import sys
from contextlib import closing
from pathlib import Path

import pytest
from taught import write_clips
from test_serve import FAKE_CAMERA, browsing, needs_browser, open_page, serving_by, wait_for_text


@pytest.fixture(scope="module")
def teaching(tmp_path_factory):
    """The address of a server with two classes, whose jobs nobody starts."""
    folder = tmp_path_factory.mktemp("teaching")
    root = write_clips(folder / "clips", clips=1, days=1, labels=("green", "No gesture"))
    program = Path(__file__).with_name("teach_server.py")
    with serving_by([sys.executable, str(program), str(root), "none"]) as (address, _):
        yield address


@needs_browser
def test_a_recording_outlives_the_end_of_a_training(teaching, chromium):
    """What is taught comes before the camera when the clips are recorded, and their words stay.

    The job, and the bundle, which has no more than another threshold, are made up in between.
    """
    told = {"state": "running", "part": 0.5, "words": "training", "seconds": 1.0}
    asked, tabs, hello = [], [], {}

    def state(route) -> None:
        bundle = {"name": "taught", "command": "cp"}
        route.fulfill(json=route.fetch().json() | {"progress": told, "bundle": bundle})

    def stream(tab) -> None:
        tabs.append(tab)
        if len(tabs) == 2:
            return tab.send(json.dumps(hello | {"threshold": hello["threshold"] / 2}))

        def answer(message: str) -> None:
            found = json.loads(message)
            if found["type"] == "hello":
                hello.update(found)
            tab.send(message)

        tab.connect_to_server().on_message(answer)

    with closing(chromium(*FAKE_CAMERA)) as browser, browsing(browser) as context:
        context.route("**/teach/state*", state)
        context.route("**/teach/use*", lambda route: asked.append(route))
        context.route_web_socket(re.compile("/stream"), stream)
        page, wrong = open_page(context, teaching)
        wait_for_text(page, "#link", "live")
        page.locator("#cancel").wait_for()
        page.evaluate("window.first = true")
        page.fill("#label", "red")
        page.fill("#clips", "1")
        page.fill("#seconds", "0.8")
        page.click("#start")
        page.locator("#countdown").wait_for()
        page.check("#mirrored")
        page.select_option("#part", "left")
        told |= {"state": "done", "words": "done"}
        page.click("#wrong")
        wait_for_text(page, "#record-state.problem", "being recorded")
        page.locator("#recording.on").wait_for()
        wait_for_text(page, "#job-state", "done")
        assert asked == []
        wait_for_text(page, "#record-state", '1 clip of "red" recorded')
        page.locator(".class[data-label=red] .count", has_text="1 of 20").wait_for()
        page.click("#start")  # while the bundle is opened
        wait_for_text(page, "#record-state", "One moment: another bundle")
        (route,) = asked
        assert "which=taught" in route.request.url
        tabs[0].close(code=1001)
        page.wait_for_function("() => !window.first")
        wait_for_text(page, "#link", "live")
        assert page.input_value("#label") == "red"
        assert "One moment" in page.inner_text("#record-state")
        assert page.is_checked("#mirrored"), "the new bundle would see left as right"
        assert page.input_value("#part") == "left"
        page.reload()
        wait_for_text(page, "#link", "live")
        assert page.input_value("#label") == ""
        assert not page.is_checked("#mirrored")
        assert [line for line in wrong if "ERR_ABORTED" not in line] == []


@needs_browser
def test_answers_that_are_none_are_told(teaching, chromium):
    given = {"status": 500, "body": "500 Internal Server Error\n\nServer got itself in trouble"}
    with closing(chromium(*FAKE_CAMERA)) as browser, browsing(browser) as context:
        context.route("**/teach/train*", lambda route: route.fulfill(**given))
        context.route("**/teach/delete*", lambda route: route.abort())
        page, wrong = open_page(context, teaching)
        page.click("#train")
        wait_for_text(page, "#record-state.problem", "^500 Internal Server Error$")
        page.locator(".thumb button").first.click()
        wait_for_text(page, "#record-state.problem", "The server does not answer")
        assert [line for line in wrong if "Failed to load resource" not in line] == []
