"""A sink in Python: appends each lead to the file that its argument names."""
import json
import sys

with open(sys.argv[1], "a", encoding="utf-8") as file:
    for number, line in enumerate(sys.stdin, 1):
        task = json.loads(line)
        file.write(json.dumps(task["event"], ensure_ascii=False) + "\n")
        file.flush()
        print(json.dumps({"id": task["id"], "outcome": "delivered", "receipt": f"line {number}"}), flush=True)
