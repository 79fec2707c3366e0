// @segment/analytics-next, unmodified, in headless Chromium: sends COUNT messages from a page of
// another origin than the gateway, waits until the proxy has seen them acknowledged, prints ids.
import { chromium } from "playwright-core";

const { HOST, KEY, COUNT, PREFIX, BATCHING, CHROMIUM } = process.env;
const proxy = new URL(HOST);
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error("page error", error.message));
  // The page is on localhost, the gateway on 127.0.0.1: every message needs a preflight.
  await page.goto(`http://localhost:${proxy.port}/__page`);
  const sent = await page.evaluate((options) => window.shop(options), {
    host: proxy.host, key: KEY, count: Number(COUNT), prefix: PREFIX, batching: BATCHING === "1",
  });
  const end = Date.now() + 120_000;
  for (;;) {
    const { ids } = await (await fetch(`${HOST}/__acknowledged`)).json();
    const known = new Set(ids);
    if (sent.every((id) => known.has(id)) || Date.now() > end) break;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  console.log(JSON.stringify(sent));
} finally {
  await browser.close();
}
