"""The program without leadgate: lines in, lines out."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


def attempt(number, lead):
    return {"id": f"d{number}", "attempt": 1, "timeout_ms": 1000, "trace_id": "", "journal": "",
            "event": {"event": "lead.created", "id": "l1", "revision": 1, "lead": lead}}


def answers(path, attempts):
    """What the program answers to these attempts, by id."""
    program = [sys.executable, os.path.join(HERE, "plugin.py"), path]
    lines = "".join(json.dumps(one) + "\n" for one in attempts)
    ended = subprocess.run(program, input=lines, capture_output=True, text=True, timeout=30)
    said = [json.loads(line) for line in ended.stdout.splitlines()]
    return {one["id"]: one for one in said if "id" in one}


class Delivering(unittest.TestCase):
    def test_a_lead_becomes_a_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "leads.jsonl")
            leads = [{"record_id": number, "name": "张三", "phone": None} for number in (1, 2)]
            answered = answers(path, [attempt(n, lead) for n, lead in enumerate(leads)])
            self.assertEqual([one["outcome"] for one in answered.values()], ["delivered"] * 2)
            with open(path, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file]
        self.assertEqual([line["record_id"] for line in lines], [1, 2])
        self.assertEqual(lines[0]["delivery"], "d0")

    def test_what_goes_wrong_with_one_lead_is_its_own(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "leads.jsonl")
            good = {"record_id": 1, "name": None, "phone": None}
            answered = answers(path, [attempt(0, {}), attempt(1, good)])
        self.assertEqual(answered["d0"]["outcome"], "retry")
        self.assertEqual(answered["d1"]["outcome"], "delivered")

    def test_a_file_that_cannot_be_written_is_tried_again(self):
        answered = answers("/nowhere/leads.jsonl",
                           [attempt(0, {"record_id": 1, "name": None, "phone": None})])
        self.assertEqual(answered["d0"]["outcome"], "retry")


if __name__ == "__main__":
    unittest.main()
