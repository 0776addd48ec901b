"""What a person does with the console, and what must be seen then.

Each check begins at an address of its own and leaves nothing behind that another one needs. They
run in the order they stand here, in one browser. What the page shows is read from the page, what
happened to clients from their own sockets.
"""

import json
import re
import socket
import time
import urllib.parse
import urllib.request

from browser import until
from load import PASSWORD, TOKEN, Client, forward

CHECKS = []
HOSTILE = '<img src=x onerror=document.title="hurt">'
PAGES = ["", "clients", "sessions", "queues", "topics", "publish", "trace", "log", "bans",
         "listeners", "config", "control", "api"]
AWAY = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_INCOMPLETE_CHUNKED",
        "ERR_EMPTY_RESPONSE")

ROWS = "return [...document.querySelectorAll('tbody tr.open')]"
IDS = f"{ROWS}.map(r => r.querySelector('.id').textContent)"


def check(*expected):
    """A check; the browser's console may complain of what is expected, and of nothing else."""

    def add(function):
        function.expected = [f"status of {e}" if isinstance(e, int) else e for e in expected]
        CHECKS.append(function)
        return function

    return add


def same(got, wanted, what="got"):
    if got != wanted:
        raise AssertionError(f"{what} {got!r}, wanted {wanted!r}")


class Console:
    """The page, in the words of somebody who uses it."""

    def __init__(self, browser, broker, crowd, pictures):
        self.browser, self.broker, self.crowd = browser, broker, crowd
        self.pictures = pictures

    def shot(self, name):
        self.browser.shot(self.pictures / f"{name}.png")

    def go(self, page, heading=None):
        """To a page, and wait for it; the address may be the one we are at."""
        self.browser.run("location.hash = '#/nowhere'")
        self.sees("Nothing here", "h1")
        self.browser.run("location.hash = '#/' + arguments[0]", page)
        heading = heading or (page.split("?")[0].split("/")[0] or "overview")
        heading = {"config": "configuration", "api": "API"}.get(heading, heading)
        self.browser.until(
            "return document.querySelector('#page h1')?.textContent.toLowerCase()"
            " === arguments[0].toLowerCase()", heading)

    def sees(self, words, where="#page", seconds=15):
        return self.browser.until(
            "return [...document.querySelectorAll(arguments[1])]"
            ".some(n => n.textContent.includes(arguments[0]))", words, where, seconds=seconds,
            what=f"{words!r} in {where}")

    def press(self, words, where="#page"):
        """Press the button with these words, like a mouse would."""
        self.browser.until(
            "const b = [...document.querySelectorAll(arguments[1] + ' button, ' + arguments[1] + "
            "' a.button')].find(n => n.textContent.trim() === arguments[0] && !n.disabled"
            " && n.offsetParent); if (b) b.click(); return Boolean(b);",
            words, where, what=f"a button {words!r}")

    def fill(self, label, value, where="#page"):
        """Put a value into the field of this label, as if it was typed."""
        self.browser.until(
            "const l = [...document.querySelectorAll(arguments[2] + ' label')]"
            ".find(n => n.textContent === arguments[0]); if (!l) return false;"
            "const f = document.getElementById(l.htmlFor);"
            "if (f.type === 'checkbox') { if (f.checked !== arguments[1]) f.click(); return true; }"
            "f.value = arguments[1]; f.dispatchEvent(new Event('input', { bubbles: true }));"
            "f.dispatchEvent(new Event('change', { bubbles: true })); return true;",
            label, value, where, what=f"a field {label!r}")

    def ids(self):
        return self.browser.run(IDS)

    def status(self):
        return self.browser.run("return document.querySelector('.pager [role=status]').textContent")

    def login(self, name="ann", password=PASSWORD):
        self.browser.open(self.broker.url)
        self.browser.run("sessionStorage.clear()")
        self.browser.open(self.broker.url)
        self.sees("Log in", "h1")
        self.enter(name, password)

    def enter(self, name, password):
        self.fill("Name", name)
        self.fill("Password", password)
        self.press("Log in")

    def api(self, path):
        """What the API says, without the page."""
        request = urllib.request.Request(self.broker.url[:-1] + path)
        request.add_header("Authorization", self.browser.run(
            "return sessionStorage.getItem('spindle.authorization')"))
        return json.load(urllib.request.urlopen(request, timeout=30))


@check(401)
def a_wrong_password_does_not_open(it):
    it.browser.open(it.broker.url)
    it.sees("Log in", "h1")
    it.shot("login")
    it.enter("ann", "wrong")
    it.sees("That is not it", "[role=alert]")
    same(it.browser.run("return sessionStorage.length"), 0, "things kept")
    same(it.browser.run("return document.cookie"), "", "cookies")
    same(it.browser.run("return getComputedStyle(document.querySelector('nav')).display"), "none")


@check(401)
def the_right_one_shows_numbers_that_move(it):
    it.login()
    it.sees("operator", "#who")
    it.sees("ready", "#health")
    read = ("return [...document.querySelectorAll('.tile')]"
            ".find(t => t.textContent.includes('Messages in')).textContent")
    it.browser.until(f"{read.replace('return ', 'const t = ')};"
                     "return /[1-9]/.test(t.split('/s')[0])", what="messages come in")
    first = it.browser.run(read)
    it.browser.until(f"{read.replace('return ', 'const t = ')}; return t !== arguments[0]", first)
    it.sees("µs", ".latency")
    drawn = "return document.querySelectorAll('.spark polyline').length"
    same(it.browser.run(drawn), 8, "lines drawn")
    same(it.browser.run("return [...document.querySelectorAll('.range .many')].length > 2"), True)
    tile = f"{read.replace('return ', 'const t = ')}; return Number(t.match(/([0-9.]+)\\/s/)[1])"
    # What the generator sends, as the page has it: within a wide margin, for seconds differ.
    before, start = it.crowd.sent, time.monotonic()
    time.sleep(3)
    rate = (it.crowd.sent - before) / (time.monotonic() - start)
    shown = it.browser.run(tile)
    if not rate / 2 < shown < rate * 2:
        raise AssertionError(f"{shown}/s shown, {rate:.0f}/s sent")


@check()
def every_page_can_be_seen(it):
    for page in PAGES:
        it.go(page)
        time.sleep(1.2)
        it.shot(page or "overview")


@check()
def a_page_is_a_link(it):
    it.browser.open(it.broker.url + "#/clients?q=busy-00&sort=id&order=desc")
    it.browser.open(it.broker.url + "#/clients?q=busy-00&sort=id&order=desc")
    it.sees("busy-009", "td")
    same(it.ids(), [f"busy-00{n}" for n in range(9, -1, -1)], "rows")
    same(it.browser.run("return document.querySelector('[aria-sort=descending]').textContent"
                        ".slice(0, 6)"), "Client")


@check()
def clients_are_found_by_the_broker(it):
    it.go("clients")
    it.fill("Find", "idle-0004")
    it.browser.until(f"{IDS}.every(id => id.startsWith('idle-0004')) && "
                     "document.querySelectorAll('tbody tr.open').length === 10")
    same(it.browser.run("return location.hash").split("?")[1].split("&")[0], "q=idle-0004")
    it.fill("Find", "nobody of that name")
    it.sees("Nobody is like that", "td")
    it.fill("Find", "")
    it.fill("User", "guest")
    it.sees("Nobody is like that", "td")
    it.fill("User", "plant")
    it.browser.until("return document.querySelectorAll('tbody tr.open').length === 100")


@check()
def pages_of_clients_have_everybody_once(it):
    it.go("clients?limit=1000&sort=id")
    total = it.api("/api/v1/clients?limit=1")["meta"]["total"]
    of = f" of {total:,} clients"
    it.sees(of)
    seen, pages, slowest = [], [], 0
    while True:
        ids = it.ids()
        pages.append((it.status(), ids))
        seen += ids
        if not it.browser.run("return !document.querySelector('[data-next]').disabled"):
            break
        before, start = it.status(), time.monotonic()
        it.browser.keys("n")
        it.browser.until("return document.querySelector('.pager [role=status]').textContent"
                         " !== arguments[0]", before)
        slowest = max(slowest, time.monotonic() - start)
    same(len(seen), total, "rows")
    same(len(set(seen)), total, "different rows")
    same(seen, sorted(seen), "order")
    for wanted in reversed(pages[:-1]):
        it.browser.keys("N")
        it.browser.until("return document.querySelector('.pager [role=status]').textContent"
                         " === arguments[0]", wanted[0])
        same(it.ids(), wanted[1], "the page before")
    print(f"    {total} clients, {len(pages)} pages, the slowest after {slowest:.2f} s")


@check()
def lists_are_sorted_by_the_broker(it):
    it.go("clients?limit=20")
    it.press("Client")
    it.browser.until(f"{IDS}[0] === 'busy-000'")
    it.press("Client ↑")
    it.browser.until(f"{IDS}[0].startsWith('reader')")


@check(404)
def a_client_is_opened_and_says_what_happened_to_it(it):
    client = Client(it.broker, "one/of?these #1%2F", user="guest")
    client.subscribe("open/+/state")
    it.go("clients?q=one%2Fof")
    it.sees("one/of?these #1%2F", "td")
    it.browser.keys("j")
    it.browser.keys("Enter")
    it.sees("one/of?these #1%2F", "h1")
    it.sees("open/+/state", "td")
    it.sees("connected", ".event")
    it.sees("subscribed", ".event")
    it.sees("of 1,000", ".meter")
    it.browser.until("const d = [...document.querySelectorAll('.facts dt')]"
                     ".find(n => n.textContent === 'Round trip');"
                     "return /[0-9] (µs|ms)$/.test(d?.nextSibling.textContent)", what="a round trip")
    for topic, answer in [("open/1", "no"), ("open/1/state", "yes")]:
        it.fill("do", "publish" if answer == "no" else "receive")
        it.fill("with topic", topic)
        it.press("Ask")
        it.sees(answer, ".said .pill")
    it.shot("client")
    client.close()
    it.sees("gone", ".pill")


@check(404)
def a_client_called_like_a_step_in_a_path_is_opened_and_kicked(it):
    for name in ["..", "."]:
        client = Client(it.broker, name)
        client.subscribe("open/x")
        it.go("clients?sort=id&limit=20")
        it.browser.until("const a = [...document.querySelectorAll('a.id')]"
                         ".find(n => n.textContent === arguments[0]); if (a) a.click();"
                         "return Boolean(a)", name, what=f"a row of {name!r}")
        it.sees(name, "h1.id")
        it.sees("open/x", "td")
        it.press("Kick")
        it.sees(f"DELETE /api/v1/client?id={name}", "dialog .call")
        it.press("Kick", "dialog")
        same(client.is_gone(), True, "the client's socket is closed:")
        it.sees("gone", ".pill")


@check(404)
def a_kick_ends_the_connection_and_is_seen(it):
    client = Client(it.broker, "victim", clean=False)
    it.go("clients/victim", "victim")
    it.press("Kick")
    it.sees("DELETE /api/v1/clients/victim", "dialog .call")
    curl = it.browser.run("return document.querySelector('dialog .copy').dataset.curl")
    if "USER:PASSWORD" not in curl or PASSWORD in curl or "Authorization" in curl:
        raise AssertionError(f"what is copied is {curl}")
    it.shot("dialog")
    it.press("Kick", "dialog")
    same(client.is_gone(), True, "the client's socket is closed:")
    it.sees("away", ".pill")
    it.sees("It left")
    it.sees("disconnected", ".event")
    it.shot("client-gone")
    it.press("Forget")
    it.press("Forget", "dialog")
    it.sees("Sessions", "h1")
    it.fill("Find", "victim")
    it.sees("Nobody is like that", "td")


@check()
def a_kick_in_the_list_is_seen_there(it):
    client = Client(it.broker, "listed-victim")
    it.go("clients?q=listed-victim")
    it.press("Kick")
    it.press("Kick", "dialog")
    same(client.is_gone(), True, "the client's socket is closed:")
    it.sees("Nobody is like that", "td")


@check(404)
def who_is_banned_stays_out_until_the_ban_ends(it):
    client = Client(it.broker, "banned-one")
    it.go("clients/banned-one", "banned-one")
    it.press("Ban…")
    it.fill("For seconds", "600", "dialog")
    it.fill("Why", HOSTILE, "dialog")
    it.press("Ban", "dialog")
    same(client.is_gone(), True, "the client's socket is closed:")
    it.sees("gone", ".pill")
    it.sees("connected", ".event")
    it.go("bans")
    it.sees("banned-one", "td")
    it.sees(HOSTILE, "td")
    it.shot("bans-one")
    try:
        Client(it.broker, "banned-one")
        raise RuntimeError("a banned client was let in")
    except (AssertionError, EOFError):
        pass
    it.press("End")
    it.press("End", "dialog")
    it.sees("Nobody is banned", "td")
    Client(it.broker, "banned-one").close()


@check(400)
def what_is_published_arrives(it):
    reader = Client(it.broker, "hears")
    reader.subscribe("from/console")
    it.go("publish")
    it.fill("Topic", "from/console")
    it.fill("Payload", 'häh "\' \\ <b>')
    it.sees("POST /api/v1/publish", ".call")
    it.press("Publish")
    it.sees("matched 1 subscriptions", ".said")
    same(reader.message(), ("from/console", 'häh "\' \\ <b>'.encode()), "heard")
    it.fill("Topic", "a/+/b")
    it.press("Publish")
    it.sees("topic is no topic", ".said")
    reader.close()


@check()
def kept_values_are_found_shown_and_deleted(it):
    writer = Client(it.broker, "keeps")
    for topic, payload in [
        ("plant/7/state", b'{"on":true,"note":"<i>x</i>"}'), ("plant/7/raw", bytes(range(256))),
        ("plant/8/state", b"off"), ("/lead/x", b"1"),
    ]:
        writer.publish(topic, payload, retain=True)
    # So many that the tree has more than one page.
    for n in range(250):
        writer.publish(f"many/{n:03}", b"x", retain=True)
    until(lambda: it.api("/api/v1/retained?prefix=many&limit=1000")["data"][249:], "all are kept")
    it.go("topics")
    it.sees("plant", "[role=treeitem]")
    row = ("const r = [...document.querySelectorAll('[role=treeitem] > .row')]"
           ".find(n => n.children[1].textContent === arguments[0] && n.offsetParent);"
           "if (r) r.{}; return Boolean(r);")
    for level in ["plant", "7", "state"]:
        it.browser.until(row.format("click()"), level, what=f"level {level}")
    it.sees('"note": "<i>x</i>"', ".payload")
    it.shot("topics-value")
    it.browser.until(row.format("click()"), "raw")
    it.sees("f8 f9 fa fb fc fd fe ff", ".payload")
    it.browser.until(row.format("click()"), "(empty)")
    it.browser.until(row.format("click()"), "lead")
    it.browser.until(row.format("focus()"), "many")
    it.browser.keys("Right")
    it.sees("099", "[role=treeitem]")
    it.press("More…", ".tree")
    it.sees("199", "[role=treeitem]")
    it.press("More…", ".tree")
    it.sees("249", "[role=treeitem]")
    it.go("topics?topic=plant%2F8%2Fstate")
    it.sees("off", ".payload")
    it.press("Delete")
    it.sees("DELETE /api/v1/retained?topic=plant%2F8%2Fstate", "dialog .call")
    it.press("Delete", "dialog")
    it.sees("The value is deleted", ".value")
    late = Client(it.broker, "late")
    late.subscribe("plant/+/state")
    same(late.message()[0], "plant/7/state", "kept is")
    it.fill("Below", "plant")
    it.fill("As", "list")
    it.sees("plant/7/raw", ".flat")
    shown = it.browser.run("return document.querySelectorAll('.flat .row').length")
    same(shown, 2, "rows below plant")
    writer.close()
    late.close()


@check()
def a_listener_says_when_its_certificate_ends(it):
    it.go("listeners")
    row = ("return [...document.querySelectorAll('tbody tr')]"
           ".find(r => r.textContent.includes(arguments[0]))?.textContent")
    text = it.browser.until(row, f"127.0.0.1:{it.broker.mqtts}")
    if not re.search(r"TLSin [0-9]+ d", text):
        raise AssertionError(text)
    same("in " in it.browser.run(row, f"127.0.0.1:{it.broker.mqtt}"), False, "a certificate")
    it.go("")
    it.sees("certificate ends in", ".facts dd")
    it.sees("Disk is full", ".facts dt")
    it.sees(" free of ", ".facts .meter")


@check()
def a_trace_shows_what_happens(it):
    it.go("trace?topic=load%2F1%2F%23")
    it.sees("published", ".event")
    it.sees("load/1/value", "td")
    it.browser.until("return document.querySelectorAll('tbody tr').length > 20")
    it.shot("trace-topic")
    it.press("Stop")
    it.sees("Stopped:")
    rows = it.browser.run("return document.querySelectorAll('tbody tr').length")
    time.sleep(1)
    same(it.browser.run("return document.querySelectorAll('tbody tr').length"), rows, "rows")
    it.go("trace?client=traced")
    it.sees("Following")
    client = Client(it.broker, "traced", user="guest")
    client.subscribe("open/x")
    client.publish("forbidden", HOSTILE.encode())
    for event in ["connected", "subscribed", "denied"]:
        it.sees(event, ".event")
    if it.browser.run("return document.body.textContent.includes('word')"):
        raise AssertionError("the trace shows a password")
    client.close()
    it.sees("disconnected", ".event")
    it.browser.run("location.hash = '#/'")
    until(lambda: len(it.api("/api/v1/clients?limit=1")["data"]) == 1, "the API answers")


@check()
def the_log_is_seen_as_it_is_written(it):
    it.go("log")
    shown = "return [...document.querySelectorAll('tbody tr')].map(r => r.textContent)"
    it.press("Level…")
    it.fill("Level", "debug", "dialog")
    it.fill("For seconds", "60", "dialog")
    it.press("Set", "dialog")
    it.sees("level set", "td")
    client = Client(it.broker, f"logged{HOSTILE}", user="guest")
    client.subscribe("open/x")
    client.publish("forbidden", HOSTILE.encode())
    client.close()
    it.sees("New client connected from 127.0.0.1:", "td")
    it.sees("logged<img src=x onerror=document.title=", "td")
    it.sees("denied conn=", "td")
    it.shot("log")
    if PASSWORD in "".join(it.browser.run(shown)):
        raise AssertionError("the log shows a password")
    same(it.browser.run("return document.querySelectorAll('#page img').length"), 0, "nodes")
    it.press("Stop")
    it.sees("Stopped", "[role=status]")
    before = it.browser.run(shown)
    Client(it.broker, "logged-later").close()
    time.sleep(2.5)
    same(it.browser.run(shown), before, "lines while it is stopped")
    it.press("Go")
    it.sees("logged-later", "td")
    it.fill("Find", "logged-later")
    it.browser.until(f"{shown.replace('return ', 'const t = ')};"
                     "return t.length > 0 && t.every(text => text.includes('logged-later'))")
    it.fill("Find", "")
    it.fill("At least", "error")
    it.sees("Nothing was said", "td")
    it.fill("At least", "info")
    it.browser.until("const t = [...document.querySelectorAll('td:nth-child(2)')]"
                     ".map(n => n.textContent);"
                     "return t.length > 1 && t.every(l => ['info', 'warn', 'error'].includes(l))")


@check(404)
def names_that_are_markup_stay_names(it):
    client = Client(it.broker, HOSTILE, clean=False)
    client.subscribe(f"{HOSTILE}/#")
    client.publish(f"{HOSTILE}/x", f"<script>document.title='hurt'</script>{HOSTILE}".encode(), True)
    it.go("clients?q=onerror")
    it.sees(HOSTILE, "td")
    it.browser.run("document.querySelector('tbody .id').click()")
    it.sees(HOSTILE, "h1")
    it.sees(f"{HOSTILE}/#", "td")
    it.shot("hostile")
    it.go("trace?topic=%23")
    client.publish(f"{HOSTILE}/y", HOSTILE.encode())
    it.sees(f"{HOSTILE}/y", "td")
    it.go("topics?topic=" + urllib.parse.quote(f"{HOSTILE}/x", safe=""))
    it.sees("<script>document.title", ".payload")
    it.go("sessions?q=onerror")
    it.press("Forget")
    it.sees(HOSTILE, "dialog b")
    it.press("Forget", "dialog")
    same(client.is_gone(), True, "the client's socket is closed:")
    it.sees("Nobody is like that", "td")
    same(it.browser.run("return document.querySelectorAll('img, #page script').length"), 0, "nodes")
    if "hurt" in it.browser.run("return document.title"):
        raise AssertionError("a name was run")


@check()
def keys_do_what_they_say(it):
    it.go("")
    for key, heading in [("c", "Clients"), ("t", "Topics"), ("l", "Listeners"), ("o", "Overview"),
                         ("f", "Configuration")]:
        it.browser.keys("g" + key)
        it.sees(heading, "h1")
    it.browser.keys("/")
    same(it.browser.run("return document.activeElement.hasAttribute('data-filter')"), True)
    it.browser.keys("qos_max")
    it.sees("limits.qos_max", "td")
    same(it.browser.run("return document.querySelectorAll('tbody tr.open').length"), 1, "rows")
    it.browser.keys("Escape")
    it.browser.keys("?")
    it.sees("to the filter", "dialog[open]")
    it.shot("keys")
    it.browser.keys("Escape")
    it.browser.until("return !document.querySelector('dialog').open")
    it.go("clients?sort=id&limit=20")
    it.sees("busy-000", "td")
    for _ in range(3):
        it.browser.keys("j")
    it.browser.keys("k")
    focus = "return document.activeElement.querySelector('.id')?.textContent"
    same(it.browser.run(focus), "busy-001", "the row with the focus")
    outline = it.browser.run("return getComputedStyle(document.activeElement).outlineStyle")
    same(outline, "solid", "its outline")
    it.browser.keys("Enter")
    it.sees("busy-001", "h1")
    it.browser.keys("Escape")
    it.sees("Clients", "h1")


@check()
def tables_and_fields_have_names(it):
    for page in PAGES:
        it.go(page)
        time.sleep(0.3)
        wrong = it.browser.run(
            "const bad = [];"
            "for (const t of document.querySelectorAll('table')) {"
            "  if (!t.caption?.textContent) bad.push('a table without a caption');"
            "  if (t.querySelectorAll('thead th:not([scope=col])').length) bad.push('a th'); }"
            "for (const f of document.querySelectorAll('input, select, textarea'))"
            "  if (!f.labels.length) bad.push('a field without a label');"
            "for (const b of document.querySelectorAll('button'))"
            "  if (!(b.textContent.trim() || b.ariaLabel)) bad.push('a button without a name');"
            "return bad")
        same(wrong, [], f"on {page or 'overview'}")
    same(it.browser.run("return document.documentElement.lang"), "en")


@check()
def it_is_dark_where_it_should_be(it):
    ground = "return getComputedStyle(document.body).backgroundColor"

    def is_dark():
        return sum(int(n) for n in re.findall(r"\d+", it.browser.run(ground))[:3]) < 150

    it.go("")
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    it.browser.cdp("Emulation.setEmulatedMedia", features=dark)
    same(is_dark(), True, "dark as the system is:")
    time.sleep(1.2)
    it.shot("dark-overview")
    it.go("clients/busy-001", "busy-001")
    it.shot("dark-client")
    it.browser.cdp("Emulation.setEmulatedMedia", features=[])
    same(is_dark(), False, "dark by itself:")
    it.browser.keys("dd")
    same(it.browser.run("return localStorage.getItem('spindle.theme')"), "dark")
    same(is_dark(), True, "dark by the switch:")
    it.browser.open(it.broker.url)
    it.sees("operator", "#who")
    same(is_dark(), True, "dark after a reload:")
    it.browser.keys("d")
    same(is_dark(), False, "dark after three presses:")


@check()
def it_fits_on_a_telephone(it):
    it.browser.size(480, 900)
    for page in ["", "clients", "topics"]:
        it.go(page)
        time.sleep(1.2)
        wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        same(it.browser.run(wide), 0, f"{page or 'overview'} is wider than the window by")
        it.shot(f"small-{page or 'overview'}")
    it.browser.size(1360, 900)


@check(409)
def a_change_of_the_log_and_a_reload_say_what_they_did(it):
    it.go("control")
    it.press("Level…")
    it.fill("Level", "debug", "dialog")
    it.fill("For seconds", "5", "dialog")
    it.press("Set", "dialog")
    it.sees("Done", ".toast")
    it.press("Reload…")
    it.press("Reload", "dialog")
    it.browser.until("return !document.querySelector('dialog').open")
    path = it.broker.folder / "spindle.toml"
    good = path.read_text()
    path.write_text(good.replace("sys_interval", "x") + "[nonsense]\n")
    it.press("Reload…")
    it.press("Reload", "dialog")
    it.sees("nonsense", "dialog .said")
    it.shot("reload-refused")
    path.write_text(good)
    it.browser.keys("Escape")


@check(401, 403)
def a_viewer_sees_no_button_that_it_may_not_press(it):
    it.login("vic")
    it.sees("viewer", "#who")
    client = Client(it.broker, "watched", clean=False)
    client.subscribe("a")
    for page, heading in [("clients", None), ("sessions", None), ("bans", None), ("control", None),
                          ("config", None), ("publish", None), ("clients/watched", "watched"),
                          ("topics?topic=plant%2F7%2Fstate", None)]:
        it.go(page, heading)
        time.sleep(0.5)
        buttons = it.browser.run("return [...document.querySelectorAll('[data-call]')]"
                                 ".map(b => b.textContent)")
        same(buttons, [], f"buttons on {page}")
    status = it.browser.run(
        "return fetch('/api/v1/clients/watched', { method: 'DELETE', credentials: 'omit', headers:"
        " { Authorization: sessionStorage.getItem('spindle.authorization') } })"
        ".then(r => r.status)")
    same(status, 403, "a kick by a viewer is answered with")
    same(client.is_gone(0.5), False, "the client is gone:")
    client.close()


@check(503)
def as_many_watch_as_may_and_others_still_see_numbers(it):
    head = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n\r\n"
    show = it.browser.run("return sessionStorage.getItem('spindle.authorization')")
    open_ = []
    for _ in range(8):
        one = socket.create_connection(("127.0.0.1", it.broker.http), timeout=10)
        one.sendall(head.format(show).encode())
        open_.append(one)
    it.browser.open(it.broker.url)
    it.sees("viewer", "#who")
    it.sees("sessions", ".tile", seconds=20)
    for one in open_:
        one.close()
    it.sees("ready", "#health", seconds=20)


@check(401, 503, *AWAY)
def a_broker_that_goes_and_comes_back_is_noticed(it):
    it.login()
    it.go("listeners")
    it.broker.stop()
    it.sees("The broker is not there", "#lost")
    it.sees("lost", "#health")
    it.shot("lost")
    it.broker.start()
    it.sees("The broker is back", ".toast", seconds=30)
    it.sees("ready", "#health")
    same(it.browser.run("return document.getElementById('lost').hidden"), True)
    it.go("topics")
    it.sees("plant", "[role=treeitem]")


@check(*AWAY)
def logging_out_forgets_everything(it):
    it.press("Log out", "header")
    it.sees("Log in", "h1")
    same(it.browser.run("return sessionStorage.length"), 0, "things kept")
    same(it.browser.run("return document.getElementById('who').textContent"), "")


@check(401)
def a_token_opens_too(it):
    it.browser.run("document.querySelector('.login details').open = true")
    it.fill("Token", TOKEN)
    it.press("Log in")
    it.sees("tok", "#who")
    it.sees("viewer", "#who")
    it.go("listeners")
    curl = it.browser.run("return document.querySelector('.call .copy').dataset.curl")
    if "Bearer TOKEN'" not in curl or TOKEN in curl:
        raise AssertionError(f"what is copied is {curl}")


@check(404)
def through_a_tunnel_to_the_socket_nobody_is_asked(it):
    port = forward(f"{it.broker.folder}/data/admin.sock")
    it.browser.open(f"http://localhost:{port}/")
    it.sees("socket operator", "#who")
    it.sees("ready", "#health")
    same(it.browser.run("return document.getElementById('leave').hidden"), True, "log out hidden:")
    client = Client(it.broker, "tunnelled")
    it.go("clients/tunnelled", "tunnelled")
    it.press("Kick")
    it.press("Kick", "dialog")
    same(client.is_gone(), True, "the client's socket is closed:")
    it.sees("gone", ".pill")
