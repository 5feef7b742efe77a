"""Webhooks verified by other hands than ours: the libraries of Standard Webhooks and of Svix, and Python's own
hmac, as a customer would use it for X-Scrip-Signature. Reads deliveries as lines of JSON, {"secrets", "headers",
"body": base64}, and prints for each what every verifier says of it under every secret. What is expected is not
told here."""

import base64
import hashlib
import hmac
import json
import sys

import standardwebhooks
import svix.webhooks


def says(verify):
    """Whether it accepts. A ValueError is a refusal too: text that is no UTF-8, or no base64, or has no comma."""
    try:
        verify()
    except (standardwebhooks.WebhookVerificationError, ValueError):
        return False
    return True


def signed_by_hand(secret, headers, body):
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    known = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
    return any(hmac.compare_digest(known, told) for told in headers.get("x-scrip-signature", "").split(", "))


verdicts = []
for line in sys.stdin:
    delivery = json.loads(line)
    headers, body = delivery["headers"], base64.b64decode(delivery["body"])
    secrets = delivery["secrets"]
    # Only the signature is asked about: a body that can't be read is no refusal.
    verdicts.append({
        "standard": {
            "PyPI standardwebhooks": [
                says(lambda: standardwebhooks.Webhook(secret).verify(body, headers, json_parse=False))
                for secret in secrets
            ],
            "PyPI svix": [says(lambda: svix.webhooks.Webhook(secret).verify(body, headers)) for secret in secrets],
        },
        "own": {"Python hmac": [signed_by_hand(secret, headers, body) for secret in secrets]},
    })
for verdict in verdicts:
    print(json.dumps(verdict))
