// What a page does with @segment/analytics-next; bundled by esbuild.
import { AnalyticsBrowser } from "@segment/analytics-next";

window.shop = async ({ host, key, count, prefix, batching }) => {
  const segment = { apiHost: `${host}/v1`, protocol: "http" };
  if (batching) segment.deliveryStrategy = { strategy: "batching", config: { size: 2, timeout: 100 } };
  const analytics = AnalyticsBrowser.load({ writeKey: key, cdnURL: `http://${host}` }, { integrations: { "Segment.io": segment } });
  const sent = [];
  for (let n = 0; n < count; n++) {
    const context = await (n % 4 === 0
      ? analytics.identify(`${prefix}-${n % 7}`, { email: `${prefix}-${n % 7}@x.example` })
      : n % 4 === 1
        ? analytics.page("Shop", "Home")
        : analytics.track("Product Viewed", { n, emoji: "🍞" }));
    sent.push(context.event.messageId);
  }
  return sent;
};
