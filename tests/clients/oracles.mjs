// Requests made by the reference libraries: npm `cloudevents` in its three modes, and webhooks
// signed by npm `standardwebhooks`.
import { CloudEvent, HTTP } from "cloudevents";
import { Webhook } from "standardwebhooks";

const { HOST, KEY, COUNT, PREFIX } = process.env;
const authorization = `Basic ${Buffer.from(`${KEY}:`).toString("base64")}`;
const sent = [];

async function post(path, headers, body) {
  const answer = await fetch(HOST + path, { method: "POST", headers, body });
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
}

const event = (id) => {
  sent.push(id);
  return new CloudEvent({ id, type: "Order Placed", source: "/shop", subject: `${PREFIX}-1`, data: { total: 12.5, name: "café" } });
};
const quarter = Number(COUNT) / 4;
for (let n = 0; n < quarter; n++) {
  for (const mode of ["binary", "structured"]) {
    const { headers, body } = HTTP[mode](event(`${PREFIX}-${mode}-${n}`));
    await post("/v1/events", { ...headers, authorization }, body);
  }
  const id = `${PREFIX}-hook-${n}`;
  sent.push(id);
  const at = new Date();
  const body = JSON.stringify({ type: "order.paid", timestamp: at.toISOString(), data: { email: `${PREFIX}@x.example` } });
  const signature = new Webhook("whsec_Y2xpZW50LXRlc3RzLXNlY3JldC1rZXk=").sign(id, at, body);
  const headers = { "webhook-id": id, "webhook-timestamp": String(Math.floor(at / 1000)), "webhook-signature": signature };
  await post("/hooks/crm", headers, body);
  const forged = await fetch(`${HOST}/hooks/crm`, { method: "POST", headers, body: body.replace("paid", "lost") });
  if (forged.status !== 401) throw new Error(`a forged webhook was answered ${forged.status}`);
}
const batch = Array.from({ length: quarter }, (_, n) => event(`${PREFIX}-batch-${n}`));
await post("/v1/events", { "content-type": "application/cloudevents-batch+json", authorization }, JSON.stringify(batch));
console.log(JSON.stringify(sent));
