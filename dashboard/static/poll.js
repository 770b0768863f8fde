// Asks the server now and then whether anything has changed: 304 without a body while nothing has.

import { send } from "./api.js";

const ASLEEP = 5; // times longer between two turns while nobody looks at the page

/** Ask `urls` in turn. `changed` gets the answers as soon as one of them differs from the last one's.
 * `period` says how long the next pause is, in milliseconds. */
export function poll(urls, changed, period) {
  const etags = new Map();

  async function ask(url) {
    const etag = etags.get(url);
    const response = await send("GET", url, { headers: etag ? { "If-None-Match": etag } : {} });
    if (response.status === 304) return null;
    etags.set(url, response.headers.get("ETag") ?? "");
    return response;
  }

  async function turn() {
    try {
      const answers = await Promise.all(urls.map(ask));
      if (answers.some(Boolean)) await changed(answers);
    } catch {
      // The server is away for a moment; the next turn asks again, and for everything.
      etags.clear();
    }
    setTimeout(turn, document.hidden ? ASLEEP * period() : period());
  }

  setTimeout(turn, period());
}
