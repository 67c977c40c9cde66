# 每条客资一行 JSON：请在此交给您的系统。
# Gets each lead as a line of JSON: hand it to your system here.
import json
import sys

for line in sys.stdin:
    task = json.loads(line)
    lead = task["event"]["lead"]  # lead["name"], lead["phone"], …
    # "delivered" 表示您的系统已收到 · "delivered" once your system has it
    answer = {"id": task["id"], "outcome": "retry", "reason": "erp.py hands it to nobody yet"}
    print(json.dumps(answer), flush=True)
