import { html } from "hono/html";
import type { Mail } from "./outbox.ts";

/** The outbox for people: newest mail first. Everything from outside goes through `html`, which escapes it. */
export function outboxPage(mails: Mail[]): ReturnType<typeof html> {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>Outbox of the local auth server</title>
        <style>
          body {
            font:
              15px/1.5 system-ui,
              sans-serif;
            margin: 2rem auto;
            max-width: 60rem;
            padding: 0 1rem;
          }
          table {
            border-collapse: collapse;
            width: 100%;
          }
          th,
          td {
            text-align: left;
            padding: 0.4rem 0.8rem 0.4rem 0;
            border-bottom: 1px solid #8884;
          }
          code {
            font-size: 1.2em;
          }
        </style>
      </head>
      <body>
        <h1>Outbox</h1>
        <p>Mails that Supabase Auth would have sent. The newest ${mails.length} are kept until the server stops.</p>
        <table>
          <tr>
            <th>Sent</th>
            <th>To</th>
            <th>Subject</th>
            <th>Code</th>
            <th></th>
          </tr>
          ${mails.map(
            (mail) =>
              html`<tr>
                <td>${mail.sent_at}</td>
                <td>${mail.to}</td>
                <td>${mail.subject}</td>
                <td><code>${mail.code}</code></td>
                <td><a href="${mail.link}" rel="noreferrer">open link</a></td>
              </tr>`,
          )}
        </table>
      </body>
    </html>`;
}
