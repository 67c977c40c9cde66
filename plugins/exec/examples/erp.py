#!/usr/bin/env python3
"""Makes a customer with a task in the ERP of each lead. Several leads at once."""
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

URL, TOKEN = os.environ["ERP_URL"], os.environ["ERP_TOKEN"]
stdout = threading.Lock()


def say(**line):
    with stdout:
        print(json.dumps(line), flush=True)


def call(path, body=None, key="", seconds=5):
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}", "idempotency-key": key}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(URL + path, data, headers), timeout=seconds) as answer:
        return json.load(answer)


def deliver(task):
    lead, key, seconds = task["event"]["lead"], task["id"], task["timeout_ms"] / 2000
    customer = task["journal"]  # what an earlier attempt kept
    if not customer:
        body = {"name": lead.get("name"), "phone": lead.get("phone_e164") or lead.get("phone")}
        customer = str(call("/customers", body, key, seconds)["id"])
        say(id=task["id"], keep=customer)  # so that no attempt makes it again
    call("/tasks", {"customer": customer, "text": "call"}, key, seconds)
    return {"outcome": "delivered", "receipt": customer}


def judge(error):
    """What an answer that is no success means. Never say what is in the lead: reasons are shown."""
    reason = f"HTTP {error.code}"
    if error.code == 429:
        wait = error.headers.get("retry-after", "")
        return {"outcome": "throttled", "reason": reason, "retry_after": int(wait) if wait.isdigit() else None}
    if error.code in (401, 403):
        return {"outcome": "reauth", "reason": reason}
    if error.code == 409:
        return {"outcome": "duplicate"}
    return {"outcome": "retry" if error.code >= 500 else "rejected", "reason": reason}


def answer(task):
    try:
        outcome = deliver(task)
    except HTTPError as error:
        outcome = judge(error)
    except URLError as error:  # no connection: the ERP surely got nothing
        outcome = {"outcome": "retry", "reason": type(error.reason).__name__}
    except Exception as error:  # it may have got it
        outcome = {"outcome": "ambiguous", "reason": type(error).__name__}
    say(id=task["id"], attempt=task["attempt"], **outcome)


if "--check" in sys.argv:  # leadgate check --connect
    call("/ping")
    sys.exit()
with ThreadPoolExecutor(max_workers=8) as pool:
    for line in sys.stdin:
        pool.submit(answer, json.loads(line))
