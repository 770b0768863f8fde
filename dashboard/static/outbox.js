// Decisions on their way to the server. This browser keeps them until the server has them, so that neither a
// closed tab nor a server that is away for a while loses one. Every page sends what another one left.

import { send } from "./api.js";

const RETRY_AFTER = 3000; // milliseconds
const KEY = `recaption.outbox.${document.body.dataset.user}`;
const waiting = new Map(); // what has to be sent first, and who waits for the answer, by id
const listeners = [];
let timer;
let unkept = null; // the list, where the browser has no room to keep it

/** Send a decision: { method, url, json, base, photo, path, text }. It is kept before this returns. `after` is
 * a promise to wait for. Resolves to what the server answers, rejects with its Problem when it refuses. */
export function put(decision, after = Promise.resolve()) {
  const id = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  const answer = new Promise((resolve, reject) => waiting.set(id, { after, resolve, reject }));
  write([...entries(), { ...decision, id }]);
  pump();
  return answer;
}

/** Call `listener` with { sending, refused, unkept } now and whenever it changes: how many decisions wait, those
 * that the server refused, each with `status` and `body` of its answer, and whether the browser keeps none. */
export function onOutbox(listener) {
  listeners.push(listener);
  tell();
}

/** Forget a decision that was refused. */
export function drop(id) {
  write(entries().filter((entry) => entry.id !== id));
}

/** Resolves when nothing waits any more, or after `patience` milliseconds. */
export async function empty(patience) {
  const deadline = Date.now() + patience;
  while (open().length && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Whether the server refused a decision in this collection that nobody has looked at yet. */
export function hasRefused(collection) {
  return entries().some((entry) => entry.status && entry.collection === collection);
}

function entries() {
  return unkept ?? JSON.parse(localStorage.getItem(KEY) ?? "[]");
}

function open() {
  return entries().filter((entry) => !entry.status);
}

function write(list) {
  unkept = null;
  try {
    if (list.length) localStorage.setItem(KEY, JSON.stringify(list));
    else localStorage.removeItem(KEY);
  } catch {
    unkept = list;
  }
  tell();
}

function tell() {
  const list = entries();
  const told = { sending: list.filter((entry) => !entry.status).length, refused: list.filter((entry) => entry.status), unkept: Boolean(unkept) };
  listeners.forEach((listener) => listener(told));
}

/** Send what waits, one after the other; of several tabs one does. */
async function pump() {
  timer = clearTimeout(timer);
  if (!navigator.locks) return sendAll();
  return navigator.locks.request("recaption-outbox", sendAll);
}

async function sendAll() {
  for (let [entry] = open(); entry; [entry] = open()) {
    const { after, resolve, reject } = waiting.get(entry.id) ?? {};
    await after?.catch(() => {});
    // Noted before it goes: a page that is closed meanwhile does not learn whether it arrived.
    write(entries().map((other) => (other.id === entry.id ? { ...other, tried: true } : other)));
    try {
      const answer = await deliver(entry);
      drop(entry.id);
      resolve?.(answer);
    } catch (problem) {
      if (isPassing(problem)) {
        timer = setTimeout(pump, RETRY_AFTER);
        return;
      }
      const { status, body } = problem;
      write(entries().map((other) => (other.id === entry.id ? { ...other, status, body } : other)));
      reject?.(problem);
    }
    waiting.delete(entry.id);
  }
}

/** Whether the same request may succeed later: the server is away, or the person has to log in again. */
function isPassing({ status }) {
  return status === 0 || status === 401 || status === 429 || status >= 500;
}

/** Send one decision. One whose answer was lost before is not done twice. */
async function deliver({ method, url, json, base, tried }) {
  if (tried && method === "POST" && json?.text) {
    const held = await (await send("GET", url)).json();
    const same = held.find(({ caption }) => caption.text === json.text.trim() && caption.state === json.state);
    if (same) return same.caption;
  }
  try {
    const response = await send(method, url, { json, keepalive: true });
    return response.status === 204 ? null : await response.json();
  } catch (problem) {
    const { status, body } = problem;
    const arrived = status === 409 && body.version === json.version + 1 && body.state === json.state && body.current === (json.text?.trim() ?? base);
    if (arrived) return { id: body.caption_id, version: body.version, text: body.current, state: body.state };
    throw problem;
  }
}

window.addEventListener("storage", (event) => {
  if (event.key !== KEY) return;
  tell();
  // What another tab has sent is done, though nobody knows here what the server answered.
  const left = new Set(entries().map((entry) => entry.id));
  for (const [id, { resolve }] of waiting) {
    if (left.has(id)) continue;
    waiting.delete(id);
    resolve(null);
  }
});
window.addEventListener("online", pump);
if (open().length) pump();
