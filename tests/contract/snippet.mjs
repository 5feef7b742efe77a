// The documentation's example, word for word, against a machine of ours: SCRIP_URL and SCRIP_KEY say
// which. `cargo xtask snippet` runs it.

const { SCRIP_URL, SCRIP_KEY: apiKey } = process.env;
const fetch = (url, options) => globalThis.fetch(url.replace('https://api.veriplus.co.uk', SCRIP_URL), options);

const response = await fetch('https://api.veriplus.co.uk/api/v3/credits/balance', {
headers: {
'Authorization': `Bearer ${apiKey}`
}
});
const data = await response.json();
console.log('Available credits:', data.data.available);
console.log('Subscription credits:', data.data.subscriptionCredits);
console.log('Purchased credits:', data.data.purchasedCredits);
