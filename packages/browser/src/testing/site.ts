/** A site that an agent might have built, and what a hostile one does. Runs inside the sandbox; says its port in a file. */
import { renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";

const pages: Readonly<Record<string, string>> = {
  "/": `<title>Shop</title><h1>Fruit</h1>
    <button onclick="document.querySelector('output').textContent = 'pressed ' + (++n)">Press me</button><output></output>
    <form action="/order"><label>Name <input name="name"></label>
    <label>Kind <select name="kind"><option value="a">Apple</option><option value="b">Banana</option></select></label></form>
    <a href="/second">Next page</a> <a href="/file" download>Get the file</a>
    <button onclick="alert('Are you there?')">Ask</button> <button onclick="window.open('/second')">Open another</button>
    <button hidden id="ghost">Ghost</button>
    <div style="height:3000px;background:linear-gradient(#fff,#c00)"></div><p>The end</p>
    <script>let n = 0; console.error("no fruit today"); onbeforeunload = () => "stay";</script>`,
  "/second": "<title>Second</title><h1>Second page</h1>",
  "/emptied": "<title>Emptied</title><button onclick='document.open()'>Empty it</button>",
  "/long": `<title>Long</title><p>${"word ".repeat(20_000)}</p>`,
  "/hang": "<title>Hang</title><button onclick='for(;;);'>Stop the world</button>",
  "/many": `<title>Many</title><button onclick="window.open('/many')">Open one more</button>`,
  "/huge": "<title>Huge</title><script>document.write('<p>' + 'x'.repeat(60e6) + '</p>')</script>",
};

const server = createServer((request, response) => {
  const url = new URL(request.url ?? "/", "http://site");
  if (url.pathname === "/file") {
    response.writeHead(200, { "content-disposition": "attachment; filename=fruit.zip" }).end("x".repeat(1000));
    return;
  }
  if (url.pathname === "/order") {
    response.writeHead(200, { "content-type": "text/html" });
    response.end(`<title>Order</title><h1>${url.searchParams.get("name")} takes ${url.searchParams.get("kind")}</h1>`);
    return;
  }
  const page = pages[url.pathname];
  response.writeHead(page === undefined ? 404 : 200, { "content-type": "text/html; charset=utf-8" });
  response.end(page ?? "<h1>Nothing here</h1>");
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  writeFileSync("port.new", String(typeof address === "object" ? address?.port : ""));
  renameSync("port.new", "port");
});
