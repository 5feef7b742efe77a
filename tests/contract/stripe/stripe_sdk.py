"""Stripe's own SDK on both sides of a signature. Checks what was signed by us: lines of JSON on stdin,
{"secret", "header", "body"}. Signs as many as the first argument says, at the time that the second says,
and prints them as such lines."""

import json
import random
import sys

from stripe import WebhookSignature

for line in sys.stdin:
    ours = json.loads(line)
    WebhookSignature.verify_header(ours["body"], ours["header"], ours["secret"], tolerance=None)

count, at = int(sys.argv[1]), int(sys.argv[2])
chance = random.Random(count)
signs = "abc XYZ 019 _-{}[]\":,.=\n\t\u00e9\u20ac\U0001f980"
for number in range(count):
    secret = "whsec_" + "".join(chance.choices("abcdefXYZ0123456789", k=32))
    words = "".join(chance.choices(signs, k=chance.randrange(1, 400)))
    body = json.dumps({"id": f"evt_{number}", "words": words}, ensure_ascii=number % 2 == 0, indent=number % 3 or None)
    header = WebhookSignature.generate_signature_header(body, secret, at)
    print(json.dumps({"secret": secret, "header": header, "body": body}))
