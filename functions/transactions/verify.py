"""Verifies the hash chain of an organisation's ledger. Needs Python 3 and nothing else, and trusts no answer.

    SCRIP_URL=http://localhost:3000 SCRIP_KEY=sk_live_... python3 verify.py [number:hash ...]

Arguments are hashes that earlier runs have printed: the run fails if a row up to one of them has changed since. It ends
with 1 if the ledger has changed, and with 2 if it could not be read, or an argument is not such a hash.
"""

import hashlib, json, os, re, sys, urllib.error, urllib.request


def stop(problem):
    print(problem, file=sys.stderr)
    sys.exit(2)


def read(path):
    try:
        request = urllib.request.Request(os.environ["SCRIP_URL"] + path)
        request.add_header("Authorization", "Bearer " + os.environ["SCRIP_KEY"])
        return json.load(urllib.request.urlopen(request))
    except KeyError as name:
        problem = f"set the environment variable {name}"
    except urllib.error.HTTPError as error:
        cause = "SCRIP_KEY is no key of this service" if error.code == 401 else error
        problem = f"the ledger could not be read: {cause}"
    except (urllib.error.URLError, ValueError) as error:
        problem = f"the ledger could not be read: {error}"
    stop(problem)


for word in sys.argv[1:]:
    if not re.fullmatch("[0-9]+:[0-9a-f]{64}", word):
        stop(f"{word} is not a number and a hash of 64 hexadecimal digits, as earlier runs print them")
kept = dict(word.split(":") for word in sys.argv[1:])
number, chain, hashes, witnesses, cursor = 0, None, {}, [], ""
while cursor is not None:
    page = read("/api/v3/credits/audit?limit=100" + cursor)
    audit, following = page["data"], page["meta"]["pagination"]["nextCursor"]
    chain = chain or hashlib.sha256(f"scrip ledger of {audit['ledger']}".encode()).digest()
    for line in audit["rows"]:
        number, row = number + 1, line["row"] or "{}"
        chain = hashlib.sha256(chain + row.encode()).digest()
        hashes[number] = chain.hex()
        if not line["hash"] == chain.hex() or not line["sequence"] == json.loads(row).get("seq") == number:
            sys.exit(f"row {line['sequence']} ({line['transactionId']}) has changed")
    witnesses += [(day["sequence"], day["hash"]) for day in audit["checkpoints"]]
    cursor = following and "&cursor=" + following
beyond = [sequence for sequence in map(int, kept) if sequence > number]
if beyond:
    sys.exit(f"this ledger has only {number} rows, and not {beyond[0]}; is the hash another ledger's?")
witnesses += [(audit["tip"]["sequence"], audit["tip"]["hash"])] + [(int(n), h) for n, h in kept.items()]
for sequence, known in witnesses:
    if sequence > 0 and hashes.get(sequence) != known:
        sys.exit(f"the ledger up to row {sequence} has changed")
print(f"{number} rows, all sound. Keep {number}:{chain.hex()}")
