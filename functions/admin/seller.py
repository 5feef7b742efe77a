"""A seller's backend with one operator's key: opens a customer, sells credits, charges a call, shows the account."""
import json, os, time, urllib.error, urllib.parse, urllib.request

def call(method, path, body=None, name=None, customer=None):
    """Returns the data of the answer. Sends the same request again while the answer asks for it, or none comes."""
    headers = {"Authorization": "Bearer " + os.environ["OPERATOR_KEY"], "Content-Type": "application/json"}
    headers |= {"Idempotency-Key": name} if name else {}
    headers |= {"Scrip-Organisation": "external:" + customer} if customer else {}
    for _ in range(8):
        try:
            data = json.dumps(body).encode() if body else None
            request = urllib.request.Request(os.environ["SCRIP_URL"] + path, data, headers, method=method)
            return json.load(urllib.request.urlopen(request, timeout=30))["data"]
        except urllib.error.HTTPError as refused:
            if not (wait := refused.headers.get("Retry-After")):
                raise PermissionError(json.load(refused)["error"]["message"]) from None
        except OSError: wait = 1
        time.sleep(float(wait))
    raise TimeoutError("no answer; send the same request again later, with the same name")

def open_customer(customer, title):
    found = call("GET", "/admin/v1/organisations?externalId=" + urllib.parse.quote(customer, safe=""))
    body = {"name": title, "externalId": customer, "allowance": 0}
    return (found or [call("POST", "/admin/v1/organisations", body, "open/" + customer)])[0]["organisationId"]

def sell(organisation, order, credits):
    body = {"source": "purchased", "amount": credits, "description": order}
    call("POST", f"/admin/v1/organisations/{organisation}/grants", body, "sell/" + order)

if __name__ == "__main__":
    sell(open_customer("cust-9", "Ninth Customer Ltd"), "order-1009", 50)
    body = {"operation": "verification.enhanced", "resourceId": "check-1"}
    print("charged", call("POST", "/api/v3/credits/consume", body, "check-1", "cust-9")["amount"])
    print("left", call("GET", "/api/v3/credits/balance", customer="cust-9")["available"])
    for line in call("GET", "/api/v3/credits/transactions?limit=5", customer="cust-9"):
        print(line["sequence"], line["type"], line["amount"], line["operation"])
