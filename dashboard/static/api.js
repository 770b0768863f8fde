// Talks to our own server: adds the CSRF token and turns problem+json into errors.

let token = document.querySelector("meta[name=csrf-token]").content;

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || "The server answered with an error.");
    this.status = status;
    this.body = body;
  }
}

/** Send a request; resolves to the response, rejects with a Problem that has words for people. */
export async function send(method, url, options = {}) {
  try {
    return await request(method, url, options);
  } catch (problem) {
    if (problem.body?.reason !== "csrf") throw problem;
    await renewToken();
    return request(method, url, options);
  }
}

/** Take the token of the present login, if it is still the same person's. */
async function renewToken() {
  const page = new DOMParser().parseFromString(await (await fetch("/tokens")).text(), "text/html");
  if (page.body.dataset.user !== document.body.dataset.user) {
    throw new Problem(401, { detail: "You are logged out here. Log in again, as yourself, in another tab." });
  }
  token = page.querySelector("meta[name=csrf-token]").content;
}

async function request(method, url, { json, body, headers = {}, keepalive = false }) {
  const options = { method, keepalive, headers: { "X-CSRFToken": token, Accept: "application/problem+json", ...headers } };
  if (json !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(json);
  } else if (body !== undefined) {
    options.body = body;
  }
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Problem(0, { detail: "The server does not answer. Your text is still here; try again in a moment." });
  }
  if (response.ok || response.status === 304) return response;
  throw await problemOf(response);
}

/** Show a problem's words in the element that waits for them. */
export function show(element, problem) {
  element.textContent = problem.message;
  element.hidden = false;
}

async function problemOf(response) {
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  const body = isProblem ? await response.json() : { title: response.statusText };
  if (response.status === 401) body.detail = "You are logged out. Log in in another tab, then try again.";
  return new Problem(response.status, body);
}
