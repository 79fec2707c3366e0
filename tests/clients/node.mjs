// @segment/analytics-node, unmodified: sends COUNT messages of every kind, prints their messageIds.
import { Analytics } from "@segment/analytics-node";

const { HOST, KEY, COUNT, PREFIX } = process.env;
const analytics = new Analytics({ writeKey: KEY, host: HOST, flushAt: 5, flushInterval: 200, maxRetries: 10 });
analytics.on("error", (error) => console.error("error", error.code ?? "", error.reason ?? ""));
const sent = [];
const said = (resolve) => (error, context) => {
  sent.push(context.event.messageId);
  resolve();
};
const all = [];
for (let n = 0; n < Number(COUNT); n++) {
  const userId = `${PREFIX}-${n % 7}`;
  all.push(new Promise((resolve) => {
    switch (n % 5) {
      case 0: return analytics.identify({ userId, traits: { email: `${userId}@x.example` } }, said(resolve));
      case 1: return analytics.page({ userId, name: "Home", properties: { url: "https://shop.example/" } }, said(resolve));
      case 2: return analytics.group({ userId, groupId: "g1", traits: { name: "Group" } }, said(resolve));
      case 3: return analytics.track({ anonymousId: `${userId}-a`, event: "Product Viewed", properties: { n, emoji: "🍞" } }, said(resolve));
      default: return analytics.track({ userId, event: "Order Completed", properties: { n, total: 12.5 } }, said(resolve));
    }
  }));
}
await Promise.all(all);
await analytics.closeAndFlush({ timeout: 60_000 });
console.log(JSON.stringify(sent));
