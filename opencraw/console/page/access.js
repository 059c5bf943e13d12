// Who asks: one question to the daemon with the access token of this browser, and the form for people
// who came without one.

const API = new URL("api/v1/os/memory/", location.href);
// The chat's page keeps it there, for this address.
const KEY = "opencraw.token";
const TOKEN = /^[A-Za-z0-9._~-]{8,512}$/;
const REASONS = {
  401: "The access token of this browser is not valid any more.",
  403: "This access token may not see what is remembered.",
  429: "There were too many wrong tokens. Wait five minutes, then try again.",
};
const AWAY = "OpenCraw does not answer: it is not running, or the network is away. Nothing more can be "
  + "shown or changed until it is back.";
const NO_TOKEN = "That does not look like an access token or a link that has one.";

const find = (id) => document.getElementById(id);
let token = null;

export class Problem extends Error {
  constructor(message, status = 0, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** Whether a token would help, or another one. */
  get signsOut() {
    return this.status in REASONS;
  }
}

/** The daemon's answer, when it is a good one. Throws a `Problem` with words for people. */
export async function ask(method, path, { query = {}, body = null, keepalive = false } = {}) {
  const address = new URL(path, API);
  address.search = new URLSearchParams(query);
  const headers = { Authorization: `Bearer ${token}` };
  if (body) headers["Content-Type"] = "application/json";
  const request = { method, headers, keepalive, body: body && JSON.stringify(body), cache: "no-store" };
  let answer;
  try {
    answer = await fetch(address, request);
  } catch {
    throw new Problem(AWAY);
  }
  if (answer.ok) return answer;
  const error = (await answer.json().catch(() => null))?.error;
  const words = error?.message ?? `OpenCraw answered with status ${answer.status}. Try again.`;
  throw new Problem(words, answer.status, error?.code);
}

export const told = async (...question) => (await ask(...question)).json();

/** Take a token, or a link that has one. False when there is none in it. */
function keepToken(text) {
  const given = /[#&]token=([^&\s]+)/.exec(text);
  const candidate = (given ? given[1] : text).trim();
  if (!TOKEN.test(candidate)) return false;
  token = candidate;
  stored((storage) => storage.setItem(KEY, candidate));
  return true;
}

function stored(act) {
  try {
    return act(localStorage);
  } catch {
    // Storage is switched off: the token then lives as long as this page.
    return null;
  }
}

/** Ask for a token, then `enter`. `status` is the answer that the one we had got, null without one. */
export function signIn(status, enter) {
  if (status === 401) stored((storage) => storage.removeItem(KEY));
  find("page").hidden = true;
  find("sign-in").hidden = false;
  find("sign-in-reason").textContent = REASONS[status] ?? "";
  find("token").value = "";
  find("sign-in-form").onsubmit = (event) => {
    event.preventDefault();
    if (keepToken(find("token").value)) welcome(enter);
    else find("sign-in-reason").textContent = NO_TOKEN;
  };
  find("token").focus();
}

function welcome(enter) {
  find("sign-in").hidden = true;
  find("page").hidden = false;
  enter();
}

/** Begin with the token in the address or in the browser's storage, or ask for one. */
export function arrive(enter) {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("token")) {
    keepToken(given.get("token"));
    // Away with it before anybody looks over a shoulder or copies the address.
    history.replaceState(null, "", location.pathname);
  }
  token ??= stored((storage) => storage.getItem(KEY));
  if (token) welcome(enter);
  else signIn(null, enter);
}
