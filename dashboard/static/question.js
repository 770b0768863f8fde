// A question to the network about the photo: asked of a worker, and asked after until there is an answer.

import { send } from "./api.js";

const OFTEN = 150; // milliseconds
const SELDOM = 1000; // milliseconds, when it takes longer
const PATIENCE = 40; // turns until then

/** Ask, and resolve to the answer, or to null when nobody `wants` it any more. `waits` is told what is waited for. */
export async function ask(url, question, { wants, waits }) {
  const response = await send("POST", url, { json: question });
  const address = response.headers.get("Location");
  let told = await response.json();
  for (let turn = 0; told.state === "waiting" || told.state === "claimed"; turn++) {
    if (!wants()) return null;
    waits(told.waiting_for_a_worker ? "Waiting for a worker: none is running." : "Asking the network …");
    await new Promise((wake) => setTimeout(wake, turn < PATIENCE ? OFTEN : SELDOM));
    if (!wants()) return null;
    told = await (await send("GET", address)).json();
  }
  if (!wants()) return null;
  if (told.state === "failed") throw new Error(told.error);
  return told.answer;
}
