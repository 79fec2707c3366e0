"""segment-analytics-python, unmodified: sends COUNT messages, prints their messageIds."""

import json
import os
import sys

from segment.analytics.client import Client

count, prefix = int(os.environ["COUNT"]), os.environ["PREFIX"]
client = Client(
    os.environ["KEY"],
    host=os.environ["HOST"],
    upload_size=5,
    upload_interval=0.2,
    gzip=os.environ.get("GZIP") == "1",
    on_error=lambda error, items: print("error", error, len(items), file=sys.stderr),
)
sent = []
for n in range(count):
    user = f"{prefix}-{n % 7}"
    if n % 4 == 0:
        _, message = client.identify(user, {"email": f"{user}@x.example"})
    elif n % 4 == 1:
        _, message = client.page(user, "Shop", "Home", {"url": "https://shop.example/"})
    elif n % 4 == 2:
        _, message = client.screen(user, "App", "Start")
    else:
        _, message = client.track(user, "Order Completed", {"n": n, "total": 12.5, "name": "café"})
    sent.append(message["messageId"])
client.flush()
client.join()
print(json.dumps(sent))
