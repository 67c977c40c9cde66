import json
import sys

for line in sys.stdin:
    task = json.loads(line)
    lead = task["event"]["lead"]
    # … do something with lead["name"], lead["phone"] …
    print(json.dumps({"id": task["id"], "outcome": "delivered"}), flush=True)
