// A loopback proxy that injects faults by a seed, between an SDK and the gateway.
//
// Of the POSTs that carry messages it answers some with 503 or 429 itself, cuts some connections
// before the gateway has seen the request and some after (the worst case: the gateway has stored
// the messages, the client does not know). It remembers which messageIds a client was told are
// stored: `GET /__acknowledged`. `node proxy.mjs PORT UPSTREAM_PORT SEED PERCENT [PAGE]`
import { createServer, request } from "node:http";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

const [port, upstream, seed, percent] = process.argv.slice(2, 6).map(Number);
const page = process.argv[6];
const acknowledged = new Map();
const faults = { unavailable: 0, busy: 0, "reset before": 0, "reset after": 0 };
let refused = 0;

let state = seed >>> 0 || 1;
function chance() {
  // xorshift32: the same seed gives the same faults for the same order of requests.
  state ^= state << 13; state >>>= 0;
  state ^= state >>> 17;
  state ^= state << 5; state >>>= 0;
  return state / 2 ** 32;
}

function draw() {
  if (chance() * 100 >= percent) return null;
  const kinds = Object.keys(faults);
  return kinds[Math.floor(chance() * kinds.length)];
}

function ids(headers, body) {
  try {
    const json = JSON.parse(headers["content-encoding"] === "gzip" ? gunzipSync(body) : body);
    return (json.batch ?? [json]).map((message) => message.messageId).filter(Boolean);
  } catch {
    return [];
  }
}

function refuse(req, res, status, headers) {
  // As the gateway answers: readable by a page of another origin.
  const origin = req.headers.origin ? { "access-control-allow-origin": req.headers.origin, "access-control-expose-headers": "Retry-After" } : {};
  res.writeHead(status, { "content-type": "application/json", ...origin, ...headers });
  res.end('{"code":"injected","message":"injected"}');
}

const server = createServer((req, res) => {
  if (req.url === "/__acknowledged") {
    res.setHeader("content-type", "application/json");
    return res.end(JSON.stringify({ ids: [...acknowledged.keys()], faults, refused }));
  }
  if (req.url === "/__page") {
    res.setHeader("content-type", "text/html; charset=utf-8");
    return res.end(`<!doctype html><title>shop</title><script>${readFileSync(page, "utf8").replaceAll("</script", "<\\/script")}</script>`);
  }
  const chunks = [];
  req.on("data", (chunk) => chunks.push(chunk));
  req.on("end", () => {
    const body = Buffer.concat(chunks);
    const carries = req.method === "POST" ? ids(req.headers, body) : [];
    const fault = carries.length > 0 ? draw() : null;
    if (fault) faults[fault] += 1;
    if (fault === "unavailable") return refuse(req, res, 503, {});
    if (fault === "busy") return refuse(req, res, 429, { "retry-after": "1" });
    if (fault === "reset before") return req.socket.resetAndDestroy();
    const forwarded = request(
      { host: "127.0.0.1", port: upstream, method: req.method, path: req.url, headers: req.headers },
      (answer) => {
        const parts = [];
        answer.on("data", (part) => parts.push(part));
        answer.on("end", () => {
          if (fault === "reset after") return req.socket.resetAndDestroy();
          if (answer.statusCode === 200) for (const id of carries) acknowledged.set(id, true);
          else if (carries.length > 0) refused += 1;
          res.writeHead(answer.statusCode, answer.headers);
          res.end(Buffer.concat(parts));
        });
      },
    );
    forwarded.on("error", () => req.socket.destroy());
    forwarded.end(body);
  });
});
server.listen(port, "127.0.0.1", () => console.log("ready"));
