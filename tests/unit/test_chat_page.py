"""The page of the server: what its server sends, and how it works in a browser."""

import contextlib
import json
import re
import threading
from dataclasses import replace

import pytest

import tiny_release
from tiny_server import served

HELLO = {"messages": [{"role": "user", "content": "Hi"}]}
ROW = {"customer": 7, "id": tiny_release.ORDER}
CANCELLED = {
    "orders": {"removed": [ROW | {"state": "open"}], "added": [ROW | {"state": "cancelled"}]}
}
LONG = "Donaudampfschiff" * 6
RIGHT_TO_LEFT = "\u202e\u05e9\u05dc\u05d5\u05dd"
HOSTILE = f"</script><img src=x onerror=\"alert('x')\"> {RIGHT_TO_LEFT} {LONG}"


def asked(port, body=HELLO):
    """The events that answer a message."""
    import httpx

    found = httpx.post(f"http://127.0.0.1:{port}/page/ask", json=body, timeout=20)
    assert found.status_code == 200 and found.headers["content-type"].startswith("text/event-str")
    return [json.loads(line.removeprefix("data: ")) for line in found.text.splitlines() if line]


def said(*texts):
    """A request after some exchanges that all had the model's one answer."""
    answer = {"role": "assistant", "content": tiny_release.ANSWER}
    turns = [turn for text in texts for turn in ({"role": "user", "content": text}, answer)]
    return {"messages": turns[:-1]}


def test_page_needs_nothing_from_elsewhere(release):
    import httpx

    with served(release) as (port, _):
        address = f"http://127.0.0.1:{port}"
        pages = {"/": httpx.get(address + "/")}
        assert not re.findall(r"<script>|<style|style=|\son\w+=", pages["/"].text)
        for path in re.findall(r'(?:src|href)="([^"#]+)"', pages["/"].text):
            if path != "data:,":
                pages[path] = httpx.get(f"{address}/{path}")
        for path in re.findall(r'from "\./([^"]+)"', pages["page/chat.js"].text):
            pages[path] = httpx.get(f"{address}/page/{path}")
    assert [*pages] == ["/", "page/chat.css", "page/chat.js", "chat_parts.js"]
    kinds = ["text/html", "text/css", "text/javascript", "text/javascript"]
    for found, kind in zip(pages.values(), kinds, strict=True):
        assert found.status_code == 200
        assert found.headers["content-type"] == f"{kind}; charset=utf-8"
        assert "http" not in found.text and "innerHTML" not in found.text
        policy = dict(part.split(" ", 1) for part in found.headers[POLICY].split("; "))
        sources = {name: policy[name] for name in policy if name.endswith("-src")}
        assert sources.pop("img-src") == "data:" and sources.pop("default-src") == "'none'"
        assert set(sources.values()) == {"'self'"}
        assert policy["frame-ancestors"] == policy["form-action"] == "'none'"


POLICY = "content-security-policy"


def test_events_are_the_steps_as_they_happen(release):
    with served(release) as (port, _):
        events = asked(port)
        thoughts = [event["thought"] for event in events if "thought" in event]
        [first, second] = [event["step"] for event in events if "step" in event]
        assert "cancel it" in thoughts and thoughts[-1] == "done" and len(thoughts) > 3
        assert first == {
            "thought": "cancel it", "call": "cancel", "arguments": {"order": tiny_release.ORDER},
            "error": None, "by": "agent", "result": '{"state": "cancelled"}', "passages": [],
        }  # fmt: skip
        assert (second["call"], second["result"]) == (None, None)
        # The reply is shown after the rules have seen it whole.
        assert events[-2:] == [{"part": tiny_release.ANSWER}, {"done": end(CANCELLED)}]
        # The order is cancelled in this conversation, and open in a new one.
        assert asked(port, said("Hi", "Is it?"))[-1] == {"done": end({})}
        assert asked(port)[-1] == {"done": end(CANCELLED)}
        # A conversation that the server does not know begins anew.
        assert asked(port, said("Where is my order?", "Is it?"))[-1] == {
            "done": end(CANCELLED, anew=True)
        }


def end(changes, anew=False):
    same = {"text": tiny_release.ANSWER, "ended": "answer", "rule": None, "said": None}
    return same | {"changes": changes, "anew": anew}


def test_passages_have_their_sources():
    from specialist.agent.record import Step
    from specialist.release.work import shown

    found = shown(Step(call="search", observation="one\ntwo", sources=["a.md", "b.md"]))
    assert found["result"] is None
    assert found["passages"] == [
        {"source": "a.md", "text": "one"},
        {"source": "b.md", "text": "two"},
    ]


def test_without_rules_the_reply_comes_as_it_is_written(moved):
    rewrite(moved, rules=False)
    with served(moved) as (port, _):
        parts = [event["part"] for event in asked(port) if "part" in event]
    assert "".join(parts) == tiny_release.ANSWER and len(parts) > 3


def rewrite(folder, **settings):
    path = folder / "release.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_examples_of_other_accounts_need_a_choice(moved):
    import httpx

    mine = {"message": "Cancel FD-12!", "session": {"customer": 7}}
    other = {"message": "Where is FD-13?", "session": {"customer": 8}}
    rewrite(moved, examples=[mine, other], notice="solves 0 of 9")
    for choice, examples, others in ((False, [mine], 1), (True, [mine, other], 0)):
        with served(moved, {"choose_session": choice}) as (port, _):
            about = httpx.get(f"http://127.0.0.1:{port}/page/about").json()
        assert about == {
            "name": tiny_release.NAME, "notice": "solves 0 of 9", "session": {"customer": 7},
            "choose": choice, "database": True, "examples": examples, "others": others,
        }  # fmt: skip


def test_release_without_its_page_is_refused(moved):
    from specialist.core.errors import UserError
    from specialist.release.serving import Server

    (moved / "page/chat.css").unlink()
    with pytest.raises(UserError, match="page/chat.css: missing"):
        Server(moved)


class Page:
    """The page in a browser."""

    def __init__(self, driver, port):
        self.driver = driver
        driver.get(f"http://127.0.0.1:{port}/")
        self.wait(lambda: self.all("#examples button"))

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def one(self, selector):
        [found] = self.all(selector)
        return found

    def texts(self, selector):
        return [each.get_property("textContent") for each in self.all(selector)]

    def wait(self, happened):
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 20, 0.02).until(lambda _: happened())

    def say(self, text, key="\n"):
        """Write a message, send it by a key, and wait until the page is ready again."""
        # Keys of a driver are those of a keyboard, which has no marks of direction.
        self.driver.execute_script("document.activeElement.value = arguments[0]", text)
        self.driver.switch_to.active_element.send_keys(key)
        self.wait(lambda: self.one("#send").is_enabled())

    def errors(self):
        """What the console says, but for the status of a refused request."""
        return [line for line in self.driver.get_log("browser") if line["source"] != "network"]


@contextlib.contextmanager
def opened(chromium, release, options=None, prepare=lambda server: None):
    """The page of a new server, with the message box in focus."""
    with served(release, options) as (port, server):
        prepare(server)
        page = Page(chromium, port)
        page.one("#message").click()
        yield page, server
        assert page.errors() == []
        chromium.get("about:blank")  # lets go of the server


def test_a_question_is_answered_and_a_reset_begins_anew(chromium, release):
    with opened(chromium, release) as (page, server):
        assert page.one("h1").text == page.driver.title == tiny_release.NAME
        assert page.one("#session").text == "Account: customer 7"
        page.say("Hi")
        assert page.texts(".customer .text") == ["Hi"]
        assert page.texts(".answer .text") == [tiny_release.ANSWER]
        changed = "orders: customer 7, id FD-12, state open is now cancelled"
        assert page.texts(".changes summary") == ["Changes in the database: 1 row"]
        assert page.texts(".changes li") == [changed]
        # Steps are folded, and unfold.
        assert page.one(".work summary").text == "2 steps: cancel"
        assert not page.one(".work ol").is_displayed()
        page.one(".work summary").send_keys(" ")
        assert page.one(".work ol").is_displayed()
        steps = page.one(".work ol").text.split("\n")
        assert steps == [
            "Thought", "cancel it", "Call", 'cancel {"order":"FD-12"}', "Result",
            '{"state": "cancelled"}', "Thought", "done",
        ]  # fmt: skip
        page.one("#message").click()
        page.say("Is it?")
        assert page.texts(".answer .text") == 2 * [tiny_release.ANSWER]
        assert page.texts(".exchange > .quiet") == ["No change in the database"]
        assert len(server.conversations.states) == 2
        page.one("#reset").click()
        assert page.all(".exchange") == [] and page.one("#examples").is_displayed()
        page.say("Hi")
        assert page.texts(".changes li") == [changed]


def test_it_is_used_by_keyboard_and_read_aloud(chromium, release):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    with opened(chromium, release) as (page, _):
        keys = ActionChains(chromium)
        chromium.refresh()
        page.wait(lambda: page.all("#examples button"))
        found = []
        for _ in range(5):
            keys.send_keys(Keys.TAB).perform()
            found.append(chromium.switch_to.active_element.accessible_name)
        assert found == [
            "Go to the message box", "New conversation", "Cancel FD-12!", "Message", "Send",
        ]  # fmt: skip
        page.one("#examples button").send_keys(Keys.ENTER)
        page.wait(lambda: page.all(".answer[aria-busy=false]"))
        assert page.texts(".answer .text") == [tiny_release.ANSWER]
        assert chromium.switch_to.active_element.get_attribute("id") == "message"
        page.say("Is it?", Keys.SHIFT + Keys.ENTER)
        assert page.one("#message").get_property("value") == "Is it?\n"
        assert page.one(".answer").get_attribute("aria-live") == "polite"
        roles = {name: page.one(name).aria_role for name in ("#status", "#problem", "#message")}
        assert roles == {"#status": "status", "#problem": "alert", "#message": "textbox"}


def hostile(server):
    """Put hostile text in all that the agent shows, and in its reply."""
    acted, reply = server.specialist.agent.acted, server.reply
    told = {"arguments": {HOSTILE: HOSTILE}, "sources": [HOSTILE], "error": HOSTILE}
    row = {"id": HOSTILE, HOSTILE: HOSTILE}

    def seen(step):
        shown = {"thought": HOSTILE, "observation": HOSTILE, **told} if step.call else {}
        acted(replace(step, **shown))

    def replied(work):
        found = yield from reply(work)
        changes = {HOSTILE: {"added": [row], "removed": []}}
        exchange = replace(found.exchange, rule="claim", said=HOSTILE)
        return replace(found, text=HOSTILE, changes=changes, exchange=exchange)

    server.specialist.agent.acted, server.reply = seen, replied


def test_hostile_text_is_shown_as_text(chromium, moved):
    example = {"message": HOSTILE, "session": {"customer": 7}}
    rewrite(moved, name=HOSTILE, notice=HOSTILE, examples=[example])
    shown = HOSTILE.replace("\u202e", r"\u202e")
    quoted = json.dumps(HOSTILE, ensure_ascii=False).replace("\u202e", r"\u202e")
    with opened(chromium, moved, prepare=hostile) as (page, _):
        assert page.texts("#examples button") == page.texts("h1") == [shown]
        page.say(HOSTILE)
        assert page.texts(".customer .text") == page.texts(".answer .text") == [shown]
        call = f"cancel {{{quoted}:{quoted}}}"
        assert page.texts(".work li dd") == [shown, call, shown, "done"]
        assert page.texts(".passage summary") == [f"Passage of {shown}"]
        assert page.texts(".passage p") == [shown]
        assert page.texts(".changes li") == [f"{shown}, new: id {shown}, {shown} {shown}"]
        assert page.texts(".problem.text")[-1] == f"The agent had written: {shown}"
        assert page.all("img") == [] and len(page.all("script")) == 1
        chromium.execute_script("document.querySelectorAll('details').forEach(e => e.open = true)")
        assert fits(chromium, 390) and fits(chromium, 1400)


def fits(driver, width):
    """Whether the page needs no scrolling to the side in a window of some width."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        return driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_problems_are_sentences(chromium, moved):
    with opened(chromium, moved, {"parallel": 1, "waiting": 0}) as (page, server):
        page.say("word " * 600)
        problem = page.one("#problem").text
        assert problem.startswith("The message is too long for the specialist: ")
        assert "expected at most 448" in problem
        # The message is there to be shortened.
        assert page.all(".exchange") == [] and page.one("#examples").is_displayed()
        assert page.one("#message").get_property("value") == ("word " * 600).strip()
        busy = threading.Event()
        server.thread.submit(busy.wait)
        server.here += 1
        page.say("Hi")
        assert page.one("#problem").text.startswith("The specialist is busy ")
        busy.set()
        server.here -= 1
        page.say("Hi")
        assert page.one("#problem").text == ""
        assert page.texts(".answer .text")[-1] == tiny_release.ANSWER

        def broken(work):
            work.put("thought", "so far")
            work.put("failed", RuntimeError("llama_decode failed"))
            return
            yield

        server.answer = broken
        page.say("Is it?")
        assert page.one("#problem").text == (
            "The server could not answer: RuntimeError: llama_decode failed."
        )


def test_an_exchange_without_an_answer_is_left_out(chromium, moved):
    """The conversation goes on from the state before it."""
    rewrite(moved, rules=False)
    with opened(chromium, moved) as (page, server):
        page.say("Hi")
        server.specialist.agent.max_steps = 1
        page.say("Is it?")
        assert page.one("#problem").text == (
            "The specialist found no answer: it took too many steps. "
            "The conversation goes on as it was before this message."
        )
        server.specialist.agent.max_steps = 4
        page.say("Is it?")
        assert page.texts(".answer .text")[-1] == tiny_release.ANSWER
        lengths = [len(state.conversation.trace.exchanges)
                   for state in server.conversations.states.values()]  # fmt: skip
        assert sorted(lengths) == [1, 2, 2]


def test_server_that_is_gone_is_told(chromium, release):
    with served(release) as (port, _):
        page = Page(chromium, port)
    page.one("#message").click()
    page.say("Hi")
    assert page.one("#problem").text == (
        "The server does not answer. Start it again, then send the message again."
    )
    assert page.one("#message").get_property("value") == "Hi"
    assert page.errors() == []


def test_account_is_chosen_where_clients_may(chromium, moved):
    other = {"message": "Hi", "session": {"customer": 8}}
    rewrite(moved, examples=[other])
    with opened(chromium, moved, {"choose_session": True}) as (page, _):
        assert page.one("#account input").get_property("value") == "7"
        page.one("#examples button").click()
        page.wait(lambda: page.all(".answer[aria-busy=false]"))
        assert page.one("#account input").get_property("value") == "8"
        assert page.texts(".exchange > .quiet") == ["No change in the database"]
        page.one("#account input").clear()
        page.one("#account input").send_keys("7\t")
        assert page.all(".exchange") == []
        page.one("#message").click()
        page.say("Hi")
        assert page.texts(".changes summary") == ["Changes in the database: 1 row"]
        page.one("#account input").send_keys("x\t")
        page.one("#message").click()
        page.say("Hi")
        assert page.one("#problem").text == (
            "This account cannot be used: session customer: found '7x', expected a whole number."
        )
